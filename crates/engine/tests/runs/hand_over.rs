//! A command outlives the attempt that started it, and is never started twice.

use std::sync::Arc;
use std::time::Duration;

use airlock_contract::{ExecutionId, FailureType};
use airlock_engine::{Liveness, RunContext as _, StopReason};
use airlock_runs::{Claim, Fence, RunKey};
use serde_json::json;
use tokio::sync::watch;

use crate::support::{ACCOUNT, Rig, TestContext, failure};

/// Counts its own starts in a file, writes before and after a pause.
const COUNTED: &str = "echo start >> starts; echo before; sleep 3; echo after; wc -l < starts";

#[tokio::test]
async fn each_reason_to_hand_over_leaves_the_command_running_for_the_next_attempt() {
    for (reason, kind) in [
        (StopReason::WorkerShutdown, FailureType::WorkerDraining),
        (StopReason::Paused, FailureType::ActivityPause),
        (StopReason::Reset, FailureType::ActivityReset),
    ] {
        let rig = Rig::new().await;
        let input = json!({"runId": ACCOUNT, "command": COUNTED});
        let ctx = Arc::new(TestContext::first("handed"));
        let first = tokio::spawn({
            let (ctx, worker, input) = (ctx.clone(), rig.worker(), input.clone());
            async move { worker.execute(&*ctx, input).await }
        });
        rig.until("output", async || ctx.tail().contains("before")).await;
        ctx.stop(reason);
        assert_eq!(failure(first.await.unwrap()).kind, kind);
        assert_eq!(rig.sandboxes().await.len(), 1);

        let ctx = TestContext::attempt("handed", 2);
        let result = rig.worker().execute(&ctx, input).await.unwrap();
        assert_eq!(result["stdout"], "before\nafter\n1\n", "{result:#}");
        assert_eq!(result["reattached"], true);
        assert_eq!(result["attempt"], 2);
        rig.finish().await;
    }
}

#[tokio::test]
async fn a_worker_that_dies_costs_nothing_but_time() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "command": COUNTED});
    // It dies at another moment each time: while claiming, creating, starting, following.
    for (i, millis) in [5_u64, 60, 150, 250, 400, 700, 1500, 3500].into_iter().enumerate() {
        let activity = format!("dies-{i}");
        let ctx = Arc::new(TestContext::first(&activity));
        let dying = tokio::spawn({
            let (ctx, worker, input) = (ctx.clone(), rig.worker(), input.clone());
            async move { worker.execute(&*ctx, input).await }
        });
        tokio::time::sleep(Duration::from_millis(millis)).await;
        dying.abort();
        let _ = dying.await;
        let ctx = TestContext::attempt(&activity, 2);
        let result = rig.worker().execute(&ctx, input.clone()).await;
        let result = result.unwrap_or_else(|ending| panic!("after {millis} ms: {ending:?}"));
        assert_eq!(result["stdout"], "before\nafter\n1\n", "after {millis} ms: {result:#}");
        rig.assert_clean().await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn of_two_attempts_that_are_alive_the_later_one_acts() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "command": COUNTED});
    let old = Arc::new(TestContext::first("twice"));
    let superseded = tokio::spawn({
        let (ctx, worker, input) = (old.clone(), rig.worker(), input.clone());
        async move { worker.execute(&*ctx, input).await }
    });
    rig.until("output", async || old.tail().contains("before")).await;
    let new = TestContext::attempt("twice", 2);
    let result = rig.worker().execute(&new, input).await.unwrap();
    assert_eq!(result["stdout"], "before\nafter\n1\n");
    assert_eq!(failure(superseded.await.unwrap()).kind, FailureType::ActivityReset);
    rig.finish().await;
}

#[tokio::test]
async fn a_superseded_attempt_leaves_the_sandbox_that_the_later_one_has_not_bound_yet() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "command": "echo done"});
    let (release, released) = watch::channel(false);
    let old = Arc::new(TestContext::first("unbound"));
    let superseded = tokio::spawn({
        let worker = rig.worker_with(rig.slow_client(released).await);
        let (ctx, input) = (old.clone(), input.clone());
        async move { worker.execute(&*ctx, input).await }
    });
    rig.until("a sandbox", async || rig.sandboxes().await.len() == 1).await;
    let created = rig.sandboxes().await;

    let execution = ExecutionId::of(old.identity());
    let run = RunKey::new(ACCOUNT.parse().unwrap(), execution);
    let digest = rig.runs.get(&run).await.unwrap().unwrap().input_digest;
    let later = Fence(TestContext::attempt("unbound", 2).attempt().fence_us);
    let claim = rig.runs.claim(&run, later, &digest, Duration::from_hours(1)).await.unwrap();
    assert!(matches!(claim, Claim::Resumed(_)), "{claim:?}");

    release.send_replace(true);
    assert_eq!(failure(superseded.await.unwrap()).kind, FailureType::ActivityReset);
    assert_eq!(rig.sandboxes().await, created, "it may be the later attempt's");
    assert_eq!(rig.runs.lease_count().await.unwrap(), 1, "if it is not, the reaper ends it");

    let ctx = TestContext::attempt("unbound", 2);
    let result = rig.worker().execute(&ctx, input).await.unwrap();
    assert_eq!(result["stdout"], "done\n", "{result:#}");
    assert_eq!(result["sandboxId"], json!(created[0]));
    rig.finish().await;
}

#[tokio::test]
async fn a_finished_run_answers_every_later_attempt_at_once() {
    let rig = Rig::new().await;
    let first = rig.run(json!({"command": "date +%N; echo x >> n; wc -l < n"})).await.unwrap();
    let spent = rig.balance().await.spent;
    let ctx = TestContext::attempt("only", 2);
    let input = json!({"runId": ACCOUNT, "command": "date +%N; echo x >> n; wc -l < n"});
    assert_eq!(rig.worker().execute(&ctx, input).await.unwrap(), first);
    assert_eq!(rig.balance().await.spent, spent);
    rig.finish().await;
}

#[tokio::test]
async fn the_secret_that_stood_at_the_seam_of_two_attempts_is_masked() {
    let rig = Rig::new().await;
    let token = format!("ghp_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5");
    let (head, tail) = token.split_at(20);
    let command = format!("echo begun; printf %s {head}; sleep 3; echo {tail}");
    let input = json!({"runId": ACCOUNT, "command": command});
    let ctx = Arc::new(TestContext::first("seam"));
    let first = tokio::spawn({
        let (ctx, worker, input) = (ctx.clone(), rig.worker(), input.clone());
        async move { worker.execute(&*ctx, input).await }
    });
    rig.until("output", async || ctx.tail().contains("begun")).await;
    ctx.stop(StopReason::WorkerShutdown);
    failure(first.await.unwrap());
    let ctx = TestContext::attempt("seam", 2);
    let result = rig.worker().execute(&ctx, input).await.unwrap();
    assert!(!result.to_string().contains(tail), "{result:#}");
    assert!(result["stdout"].as_str().unwrap().starts_with("begun\n[REDACTED:"), "{result:#}");
    rig.finish().await;
}

/// The first worker is cut off from Temporal while its command runs, so the next attempt begins on
/// another one; then the first is healed. Nothing is started, settled, killed or shortened twice.
#[tokio::test]
async fn an_old_worker_that_was_cut_off_and_healed_does_no_harm() {
    for healed_while_it_runs in [true, false] {
        let rig = Rig::new().await;
        let input = json!({"runId": ACCOUNT, "command": COUNTED});
        let old = Arc::new(TestContext::first("cut"));
        old.set_liveness(Liveness::Unknown);
        let cut_off = Rig::begin_on(&rig.worker(), &old, input.clone());
        rig.until("output", async || old.tail().contains("before")).await;
        // Its heartbeats time out; it cannot know why, and goes on.
        old.stop(StopReason::TimedOut);
        let run = RunKey::new(ACCOUNT.parse().unwrap(), ExecutionId::of(old.identity()));
        let lease = rig.runs.get(&run).await.unwrap().unwrap().sandboxes[&0].lease_until_ms;

        let new = Arc::new(TestContext::attempt("cut", 2));
        let next = Rig::begin_on(&rig.worker(), &new, input.clone());
        rig.until("the new attempt", async || new.tail().contains("before")).await;
        assert_eq!(rig.sandboxes().await.len(), 1, "both follow the same command");
        let renewed = rig.runs.get(&run).await.unwrap().unwrap().sandboxes[&0].lease_until_ms;
        assert!(renewed >= lease, "nobody shortens its life");
        if healed_while_it_runs {
            old.set_liveness(Liveness::Open);
        }

        let result = next.await.unwrap().unwrap();
        assert_eq!(result["stdout"], "before\nafter\n1\n", "{result:#}");
        assert_eq!(result["attempt"], 2);
        old.set_liveness(Liveness::Open);
        let ended = failure(cut_off.await.unwrap());
        let expected = [FailureType::ActivityReset, FailureType::WorkerDraining];
        assert!(expected.contains(&ended.kind), "{ended:?}");
        let spent = serde_json::to_value(rig.balance().await.spent).unwrap();
        assert_eq!(spent, result["cost"]["spentUsd"], "charged once");
        rig.finish().await;
    }
}
