//! How a command can end otherwise than by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use airlock_contract::{FailureType, Phase};
use airlock_engine::{Ending, Liveness, StopReason};
use serde_json::json;

use crate::support::{ACCOUNT, Rig, TestContext, failure};

#[tokio::test]
async fn a_command_that_takes_too_long_is_a_result_with_its_output() {
    let rig = Rig::new().await;
    let input = json!({"command": "echo begun; sleep 60 & sleep 60", "timeoutMs": 700});
    let began = Instant::now();
    let result = rig.run(input).await.unwrap();
    assert_eq!(result["status"], "timedOut", "{result:#}");
    assert_eq!(result["exitCode"], json!(null));
    assert_eq!(result["stdout"], "begun\n");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    rig.finish().await;
}

#[tokio::test]
async fn a_killed_command_says_so() {
    let rig = Rig::new().await;
    let result = rig.run(json!({"command": "echo x; kill -KILL $$"})).await.unwrap();
    assert_eq!((&result["status"], &result["signal"]), (&json!("killed"), &json!("SIGKILL")));
    assert_eq!(result["stdout"], "x\n");
    rig.finish().await;
}

#[tokio::test]
async fn cancelling_kills_the_tree_settles_and_reports_what_there_was() {
    let rig = Rig::new().await;
    let ctx = Arc::new(TestContext::first("cancel"));
    let worker = rig.worker();
    let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300"});
    let running = tokio::spawn({
        let (ctx, worker) = (ctx.clone(), worker.clone());
        async move { worker.execute(&*ctx, input).await }
    });
    rig.until("output", async || ctx.tail().contains("begun")).await;
    let asked = Instant::now();
    ctx.stop(StopReason::Cancelled);
    let ending = running.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    let Err(Ending::Cancelled(report)) = ending else { panic!("not cancelled: {ending:?}") };
    assert_eq!(report["stdout"], "begun\n", "{report:#}");
    assert!(report["cost"]["spentUsd"].as_f64().unwrap() > 0.0);
    rig.assert_clean().await;

    let later = TestContext::attempt("cancel", 2);
    let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300"});
    assert_eq!(
        worker.execute(&later, input).await,
        Err(Ending::Cancelled(report)),
        "the outcome stands"
    );
    rig.finish().await;
}

#[tokio::test]
async fn cleaning_up_goes_on_if_nobody_waits_for_it() {
    let rig = Rig::new().await;
    let ctx = Arc::new(TestContext::first("dropped"));
    let worker = rig.worker();
    let running = tokio::spawn({
        let (ctx, worker) = (ctx.clone(), worker.clone());
        let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300"});
        async move { worker.execute(&*ctx, input).await }
    });
    rig.until("output", async || ctx.tail().contains("begun")).await;
    ctx.stop(StopReason::Cancelled);
    let settling = async || ctx.beats.lock().last().is_some_and(|b| b.phase >= Phase::Settling);
    rig.until("clean-up", settling).await;
    running.abort();
    worker.drain().await;
    rig.finish().await;
}

#[tokio::test]
async fn an_attempt_that_temporal_has_closed_kills_and_one_that_is_open_hands_over() {
    let rig = Rig::new().await;
    for (activity, reason, liveness) in [
        ("closed", StopReason::NotFound, Liveness::Closed),
        ("late", StopReason::TimedOut, Liveness::Closed),
        ("open", StopReason::NotFound, Liveness::Open),
        ("between", StopReason::TimedOut, Liveness::Open),
    ] {
        let before = rig.sandboxes().await.len();
        let ctx = Arc::new(TestContext::first(activity));
        ctx.set_liveness(liveness);
        let worker = rig.worker();
        let running = tokio::spawn({
            let ctx = ctx.clone();
            let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300"});
            async move { worker.execute(&*ctx, input).await }
        });
        rig.until("output", async || ctx.tail().contains("begun")).await;
        ctx.stop(reason);
        let ending = running.await.unwrap();
        if liveness == Liveness::Closed {
            assert!(matches!(ending, Err(Ending::Cancelled(_))), "{ending:?}");
            rig.assert_clean().await;
        } else {
            assert_eq!(failure(ending).kind, FailureType::WorkerDraining);
            assert_eq!(rig.sandboxes().await.len(), before + 1, "the command runs on");
        }
    }
    rig.shut_down().await;
}

#[tokio::test]
async fn while_temporal_does_not_answer_an_attempt_goes_on_and_records_the_end() {
    let rig = Rig::new().await;
    for reason in [StopReason::TimedOut, StopReason::NotFound] {
        let name = format!("{reason:?}");
        let ctx = Arc::new(TestContext::first(&name));
        ctx.set_liveness(Liveness::Unknown);
        let worker = rig.worker();
        let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 2; echo ended"});
        let running = tokio::spawn({
            let (ctx, input) = (ctx.clone(), input.clone());
            async move { worker.execute(&*ctx, input).await }
        });
        rig.until("output", async || ctx.tail().contains("begun")).await;
        ctx.stop(reason);
        let result = running.await.unwrap().unwrap();
        assert_eq!(result["stdout"], "begun\nended\n");
        rig.assert_clean().await;
        // Nobody heard it: the next attempt is answered with it.
        let next = TestContext::attempt(&name, 2);
        assert_eq!(rig.worker().execute(&next, input).await.unwrap(), result);
    }
    rig.finish().await;
}

#[tokio::test]
async fn once_temporal_answers_an_attempt_does_as_it_says() {
    let rig = Rig::new().await;
    let ctx = Arc::new(TestContext::first("late"));
    ctx.set_liveness(Liveness::Unknown);
    let worker = rig.worker();
    let running = tokio::spawn({
        let ctx = ctx.clone();
        let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300"});
        async move { worker.execute(&*ctx, input).await }
    });
    rig.until("output", async || ctx.tail().contains("begun")).await;
    ctx.stop(StopReason::TimedOut);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!running.is_finished(), "it goes on");
    ctx.set_liveness(Liveness::Closed);
    let ending = running.await.unwrap();
    assert!(matches!(ending, Err(Ending::Cancelled(_))), "{ending:?}");
    rig.finish().await;
}

#[tokio::test]
async fn a_sandbox_that_goes_away_leaves_an_unknown_outcome_with_its_output() {
    let rig = Rig::new().await;
    let ctx = Arc::new(TestContext::first("gone"));
    let worker = rig.worker();
    let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300"});
    let running = tokio::spawn({
        let (ctx, worker, input) = (ctx.clone(), worker.clone(), input.clone());
        async move { worker.execute(&*ctx, input).await }
    });
    rig.until("output", async || ctx.tail().contains("begun")).await;
    for id in rig.sandboxes().await {
        rig.client.kill(&id).await.unwrap();
    }
    let unknown = failure(running.await.unwrap());
    assert_eq!(unknown.kind, FailureType::OutcomeUnknown, "{unknown:?}");
    assert_eq!(unknown.details.as_ref().unwrap()["stdout"], "begun\n");
    let again = failure(worker.execute(&TestContext::attempt("gone", 2), input).await);
    assert_eq!(again, unknown, "a later attempt does not run it again");
    rig.finish().await;
}
