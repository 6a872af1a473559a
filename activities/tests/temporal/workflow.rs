//! Activities of a workflow, and the workflows themselves.

use airlock_activities::client::{Execution, Outcome};
use airlock_contract::FailureType;
use serde_json::{Value, json};

use crate::worker::Worker;

/// Arguments of `temporal workflow ...` for one execution.
async fn workflow_cli(worker: &Worker, execution: &Execution, arguments: &[&str]) -> Value {
    let mut all = vec!["workflow"];
    all.extend(arguments);
    all.extend(["--workflow-id", &execution.id, "--output", "json"]);
    let text = worker.server.cli(&all).await;
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// `temporal activity VERB` for the workflow's pending activity.
async fn activity_cli(worker: &Worker, execution: &Execution, verb: &str) {
    let described = workflow_cli(worker, execution, &["describe"]).await;
    let activity = described["pendingActivities"][0]["activityId"].as_str().unwrap().to_owned();
    let arguments = ["activity", verb, "--workflow-id", &execution.id, "--activity-id", &activity];
    worker.server.cli(&arguments).await;
}

async fn status(worker: &Worker, execution: &Execution) -> Value {
    let answer = workflow_cli(worker, execution, &["query", "--name", "status"]).await;
    answer["queryResult"][0].clone()
}

async fn until_phase(worker: &Worker, execution: &Execution, phase: &str) -> Value {
    for _ in 0..100 {
        let status = status(worker, execution).await;
        if status["phase"] == phase {
            return status;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("not {phase}: {}", status(worker, execution).await);
}

/// A workflow whose activity is at its second heartbeat.
async fn following(worker: &Worker) -> Execution {
    let execution = worker.workflow(json!({"runId": "r", "command": "follow"})).await;
    worker.until(&execution, |p| p.heartbeat == Some(json!({"step": 9}))).await;
    execution
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_run_is_planned_and_run() {
    let worker = Worker::start().await;
    let input = json!({"runId": "r", "command": "echo"});
    let execution = worker.workflow(input.clone()).await;
    assert_eq!(worker.exec.result(&execution).await.unwrap(), Outcome::Completed(input));
    let status = status(&worker, &execution).await;
    assert_eq!(status["phase"], "done");
    assert_eq!(status["plan"], json!({"steps": ["run"]}));
    let dry = worker.workflow(json!({"runId": "r", "command": "echo", "dryRun": true})).await;
    let Outcome::Completed(planned) = worker.exec.result(&dry).await.unwrap() else { panic!() };
    assert_eq!(planned["decision"]["outcome"], "allow");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_ends_the_workflow_with_its_type_and_details() {
    let worker = Worker::start().await;
    let execution = worker.workflow(json!({"runId": "r", "command": "deny"})).await;
    let Outcome::Failed(report) = worker.exec.result(&execution).await.unwrap() else { panic!() };
    assert_eq!(report.kind, Some(FailureType::PolicyDenied));
    assert!(report.details.is_some());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_waited_for_and_asked_again_until_it_is_granted() {
    let worker = Worker::start().await;
    let execution = worker.workflow(json!({"runId": "r", "command": "approval"})).await;
    let waiting = until_phase(&worker, &execution, "awaitingApproval").await;
    assert_eq!(waiting["approval"]["id"], "ap-1");
    let approve = ["update", "execute", "--name", "approve", "--input", r#"{"by":"ann"}"#];
    workflow_cli(&worker, &execution, &approve).await;
    // The first answer is not granted where approvals are kept: it is asked again.
    worker.note(1).await;
    until_phase(&worker, &execution, "awaitingApproval").await;
    let signal = ["signal", "--name", "approve", "--input", r#"{"by":"ann","reason":"ok"}"#];
    workflow_cli(&worker, &execution, &signal).await;
    let Outcome::Completed(result) = worker.exec.result(&execution).await.unwrap() else {
        panic!()
    };
    assert_eq!(result["approvalId"], "ap-1");
    let notes = worker.notes.lock().clone();
    let ids: Vec<&Value> = notes.iter().map(|note| &note["approvalId"]).collect();
    assert_eq!(ids, [&Value::Null, &json!("ap-1"), &json!("ap-1")]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_or_an_expired_approval_ends_the_workflow() {
    let worker = Worker::start().await;
    let execution = worker.workflow(json!({"runId": "r", "command": "approval"})).await;
    until_phase(&worker, &execution, "awaitingApproval").await;
    let reject =
        ["update", "execute", "--name", "reject", "--input", r#"{"by":"bob","reason":"no"}"#];
    workflow_cli(&worker, &execution, &reject).await;
    let Outcome::Failed(report) = worker.exec.result(&execution).await.unwrap() else { panic!() };
    assert_eq!(report.kind, Some(FailureType::ApprovalInvalid));
    assert_eq!(report.message, "rejected by bob: no");
    let input = json!({"runId": "r", "command": "approval", "labels": {"expiresIn": 1}});
    let execution = worker.workflow(input).await;
    let Outcome::Failed(report) = worker.exec.result(&execution).await.unwrap() else { panic!() };
    assert_eq!(report.kind, Some(FailureType::ApprovalInvalid));
    assert!(report.message.contains("not answered in time"), "{report:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_the_workflow_cancels_the_run_and_keeps_what_there_was() {
    let worker = Worker::start().await;
    let execution = following(&worker).await;
    worker.exec.cancel(&execution).await.unwrap();
    assert_eq!(worker.note(0).await, json!({"reason": "Cancelled", "liveness": "Open"}));
    let outcome = worker.exec.result(&execution).await.unwrap();
    assert_eq!(outcome, Outcome::Cancelled(Some(json!({"partial": true}))));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_activity_stops_and_goes_on_after_unpause_with_its_details() {
    let worker = Worker::start().await;
    let execution = following(&worker).await;
    activity_cli(&worker, &execution, "pause").await;
    assert_eq!(worker.note(0).await["reason"], "Paused");
    let progress = worker.until(&execution, |p| p.paused && !p.started).await;
    assert!(progress.last_failure.unwrap().contains("paused"));
    activity_cli(&worker, &execution, "unpause").await;
    let outcome = worker.exec.result(&execution).await.unwrap();
    assert_eq!(outcome, Outcome::Completed(json!({"step": 9})));
    assert_eq!(worker.note(1).await, json!({"resumed": {"step": 9}, "attempt": 2}));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_activity_stops_and_goes_on_in_another_attempt_with_its_details() {
    let worker = Worker::start().await;
    let execution = following(&worker).await;
    activity_cli(&worker, &execution, "reset").await;
    assert_eq!(worker.note(0).await["reason"], "Reset");
    let outcome = worker.exec.result(&execution).await.unwrap();
    assert_eq!(outcome, Outcome::Completed(json!({"step": 9})));
    // Its number depends on whether the reset or the answer was first; nothing may rest on it.
    assert_eq!(worker.note(1).await["resumed"], json!({"step": 9}));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_workflow_leaves_its_activity_not_found_and_closed() {
    let worker = Worker::start().await;
    let execution = following(&worker).await;
    workflow_cli(&worker, &execution, &["terminate", "--reason", "test"]).await;
    assert_eq!(worker.note(0).await, json!({"reason": "NotFound", "liveness": "Closed"}));
    assert_eq!(worker.exec.result(&execution).await.unwrap(), Outcome::Terminated);
    worker.stop().await;
}
