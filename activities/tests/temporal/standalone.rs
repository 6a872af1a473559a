//! Activities of their own, without a workflow.

use std::time::Duration;

use airlock_activities::client::{FailureReport, Outcome};
use airlock_contract::FailureType;
use serde_json::{Value, json};

use crate::worker::Worker;

async fn failure(worker: &Worker, type_name: &str, input: Value) -> FailureReport {
    let execution = worker.activity(type_name, input).await;
    match worker.exec.result(&execution).await.unwrap() {
        Outcome::Failed(report) => report,
        other => panic!("{type_name}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_value_goes_in_and_out() {
    let worker = Worker::start().await;
    let input = json!({"text": "ä\u{0}\"", "n": [1, 2.5, null]});
    let execution = worker.activity("echo", input.clone()).await;
    assert_eq!(worker.exec.result(&execution).await.unwrap(), Outcome::Completed(input));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_keep_their_type_and_details_and_only_some_are_retried() {
    let worker = Worker::start().await;
    let denied = failure(&worker, "fail", json!({"type": "PolicyDenied"})).await;
    assert_eq!(denied.kind, Some(FailureType::PolicyDenied));
    assert_eq!(denied.message, "attempt 1");
    assert_eq!(denied.details, Some(json!({"given": {"type": "PolicyDenied"}})));
    let busy = failure(&worker, "fail", json!({"type": "SandboxBusy"})).await;
    assert_eq!((busy.kind, busy.message.as_str()), (Some(FailureType::SandboxBusy), "attempt 5"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_internal_failure_that_shows_an_id_and_no_text() {
    let worker = Worker::start().await;
    let report = failure(&worker, "panic", Value::Null).await;
    assert_eq!(report.kind, Some(FailureType::Internal));
    let id = report.details.as_ref().unwrap()["correlationId"].as_str().unwrap().to_owned();
    assert!(report.message.contains(&id), "{report:?}");
    assert!(!format!("{report:?}").contains("secret text"), "{report:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_type_and_unreadable_input_fail_at_once() {
    let worker = Worker::start().await;
    let unknown = failure(&worker, "safeExecuteCod", Value::Null).await;
    assert_eq!(unknown.kind, Some(FailureType::InvalidInput));
    assert!(unknown.message.contains("safeExecuteCod") && unknown.message.contains("echo"));
    for inputs in [
        &["--input", "1", "--input", "2"][..],
        &["--input-meta", "encoding=binary/x", "--input", "1"],
    ] {
        let id = uuid::Uuid::new_v4().to_string();
        let mut arguments = vec!["activity", "start", "--type", "echo", "--activity-id", &id];
        arguments.extend(["--task-queue", &worker.task_queue, "--start-to-close-timeout", "20s"]);
        arguments.extend(inputs);
        worker.server.cli(&arguments).await;
        let execution = airlock_activities::client::Execution {
            mode: airlock_activities::client::Mode::Activity,
            id,
            run_id: String::new(),
        };
        let outcome = worker.exec.result(&execution).await.unwrap();
        let Outcome::Failed(report) = outcome else { panic!("{inputs:?}: {outcome:?}") };
        assert_eq!(report.kind, Some(FailureType::InvalidInput), "{inputs:?}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_is_heard_within_a_second_and_answered_with_what_there_was() {
    let worker = Worker::start().await;
    let execution = worker.activity("follow", json!(7)).await;
    let progress = worker.until(&execution, |p| p.heartbeat == Some(json!({"step": 7}))).await;
    assert!(progress.started && progress.attempt == 1);
    worker.exec.cancel(&execution).await.unwrap();
    let asked = tokio::time::Instant::now();
    let note = worker.note(0).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(note, json!({"reason": "Cancelled", "liveness": "Open"}));
    let outcome = worker.exec.result(&execution).await.unwrap();
    assert_eq!(outcome, Outcome::Cancelled(Some(json!({"partial": true}))));
    worker.exec.cancel(&execution).await.unwrap();
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_stays_over_attempts_and_differs_between_executions() {
    let worker = Worker::start().await;
    let id = uuid::Uuid::new_v4().to_string();
    for _ in 0..2 {
        let execution = worker.activity_with("note", Value::Null, |s| s.id.clone_from(&id)).await;
        let outcome = worker.exec.result(&execution).await.unwrap();
        assert_eq!(outcome, Outcome::Completed(Value::Null));
    }
    let notes = worker.notes.lock().clone();
    assert_eq!(notes.len(), 4, "two executions of two attempts each: {notes:?}");
    assert_eq!(notes[0]["execution"], notes[1]["execution"]);
    assert_eq!(notes[2]["execution"], notes[3]["execution"]);
    assert_ne!(notes[0]["execution"], notes[2]["execution"]);
    assert!(notes[1]["fence"].as_i64() > notes[0]["fence"].as_i64(), "{notes:?}");
    assert_eq!(notes[0]["identity"]["workflow_id"], "");
    assert_ne!(notes[0]["identity"]["run_id"], "");
    assert_eq!(notes[0]["workflowType"], Value::Null);
    assert_eq!(notes[0]["hasDeadline"], true);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_activity_is_not_found_and_closed() {
    let worker = Worker::start().await;
    let execution = worker.activity("follow", json!(1)).await;
    worker.until(&execution, |p| p.heartbeat.is_some()).await;
    let arguments = ["activity", "terminate", "--activity-id", &execution.id, "--reason", "test"];
    worker.server.cli(&arguments).await;
    assert_eq!(worker.note(0).await, json!({"reason": "NotFound", "liveness": "Closed"}));
    assert_eq!(worker.exec.result(&execution).await.unwrap(), Outcome::Terminated);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_past_its_time_is_told_and_closed() {
    let worker = Worker::start().await;
    let execution = worker
        .activity_with("follow", json!(1), |start| {
            start.timeout = Duration::from_secs(2);
            start.max_attempts = 1;
        })
        .await;
    // Whichever is first: the answer to a heartbeat, or core's own clock.
    let note = worker.note(0).await;
    assert!(["NotFound", "TimedOut"].contains(&note["reason"].as_str().unwrap()), "{note}");
    assert_eq!(note["liveness"], "Closed");
    assert_eq!(worker.exec.result(&execution).await.unwrap(), Outcome::TimedOut);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_flow_while_a_handler_is_silent() {
    let worker = Worker::start().await;
    let execution = worker
        .activity_with("stubborn", Value::Null, |start| {
            start.heartbeat_timeout = Duration::from_secs(1);
            start.timeout = Duration::from_secs(4);
            start.max_attempts = 1;
        })
        .await;
    let began = tokio::time::Instant::now();
    // Without the keep-alive it would end after one second, as a heartbeat timeout.
    assert_eq!(worker.exec.result(&execution).await.unwrap(), Outcome::TimedOut);
    assert!(began.elapsed() > Duration::from_secs(3), "{:?}", began.elapsed());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_worker_hands_over_and_the_next_one_goes_on() {
    let worker = Worker::start().await;
    let (connection, queue) = (worker.connection.clone(), worker.task_queue.clone());
    let execution = worker.activity("follow", json!(3)).await;
    worker.until(&execution, |p| p.heartbeat == Some(json!({"step": 3}))).await;
    let notes = worker.notes.clone();
    let server = worker.stop().await;
    assert_eq!(notes.lock()[0]["reason"], "WorkerShutdown");
    let next = Worker::on(server, connection, queue);
    let outcome = next.exec.result(&execution).await.unwrap();
    assert_eq!(outcome, Outcome::Completed(json!({"step": 3})));
    assert_eq!(next.note(0).await, json!({"resumed": {"step": 3}, "attempt": 2}));
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_ignores_the_drain_is_handed_over_at_the_hard_stop() {
    let worker = Worker::start().await;
    let execution = worker.activity("stubborn", Value::Null).await;
    worker.note(0).await;
    let began = tokio::time::Instant::now();
    let exec = worker.exec.clone();
    let _server = worker.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let progress = exec.progress(&execution).await.unwrap();
    assert_eq!(progress.attempt, 2, "{progress:?}");
    assert!(progress.last_failure.unwrap().contains("the worker stops"));
}
