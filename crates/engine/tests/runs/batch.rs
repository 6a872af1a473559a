//! Several commands in one run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use airlock_contract::{ExecutionId, FailureType};
use airlock_engine::{Ending, RunContext as _, StopReason};
use airlock_runs::{CommandState, RunKey};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, Rig, TestContext, failure};

fn outcomes(result: &Value) -> Vec<&str> {
    let items = result["results"].as_array().unwrap();
    items.iter().map(|item| item["outcome"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn commands_share_files_and_stop_at_the_first_that_fails() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "commands": [
        "echo data > shared.txt", "cat shared.txt", {"command": "exit 4"}, "echo never",
    ]});
    let result = rig.worker().batch(&TestContext::first("batch"), input).await.unwrap();
    assert_eq!(result["outcome"], "stopped", "{result:#}");
    assert_eq!(outcomes(&result), ["completed", "completed", "failed", "skipped"]);
    assert_eq!(result["results"][1]["result"]["stdout"], "data\n");
    assert_eq!(result["results"][2]["result"]["exitCode"], 4);
    assert_eq!(
        (&result["succeeded"], &result["failed"], &result["skipped"]),
        (&json!(2), &json!(1), &json!(1))
    );
    let balance = rig.balance().await;
    assert_eq!(serde_json::to_value(balance.spent).unwrap(), result["cost"]["spentUsd"]);
    rig.finish().await;
}

#[tokio::test]
async fn without_stopping_the_rest_runs_too() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "stopOnFailure": false, "commands": [
        "false", {"command": "sleep 30", "timeoutMs": 300}, "echo last",
    ]});
    let result = rig.worker().batch(&TestContext::first("batch"), input).await.unwrap();
    assert_eq!(result["outcome"], "completed", "{result:#}");
    assert_eq!(outcomes(&result), ["failed", "timedOut", "completed"]);
    rig.finish().await;
}

#[tokio::test]
async fn one_denial_refuses_the_whole_batch() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "commands": ["echo fine", "rm -rf /"]});
    let failure = failure(rig.worker().batch(&TestContext::first("batch"), input).await);
    assert_eq!(failure.kind, FailureType::PolicyDenied);
    let balance = rig.balance().await;
    assert_eq!(balance.remaining, balance.limit);
    rig.finish().await;
}

#[tokio::test]
async fn a_retry_goes_on_at_the_first_command_without_an_end() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "commands": [
        "echo one >> log", "echo two >> log; echo running; sleep 3", "echo three >> log; cat log",
    ]});
    let ctx = Arc::new(TestContext::first("batch"));
    let first = tokio::spawn({
        let (ctx, worker, input) = (ctx.clone(), rig.worker(), input.clone());
        async move { worker.batch(&*ctx, input).await }
    });
    rig.until("output", async || ctx.tail().contains("running")).await;
    ctx.stop(StopReason::WorkerShutdown);
    assert_eq!(failure(first.await.unwrap()).kind, FailureType::WorkerDraining);
    let ctx = TestContext::attempt("batch", 2);
    let result = rig.worker().batch(&ctx, input).await.unwrap();
    assert_eq!(outcomes(&result), ["completed", "completed", "completed"], "{result:#}");
    assert_eq!(result["results"][2]["result"]["stdout"], "one\ntwo\nthree\n");
    rig.finish().await;
}

#[tokio::test]
async fn sandboxes_of_their_own_share_nothing() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "sharedSandbox": false, "commands": [
        "echo data > shared.txt", "ls shared.txt 2>/dev/null || echo alone",
    ]});
    let result = rig.worker().batch(&TestContext::first("batch"), input).await.unwrap();
    assert_eq!(result["results"][1]["result"]["stdout"], "alone\n", "{result:#}");
    rig.finish().await;
}

#[tokio::test]
async fn a_lost_sandbox_stops_the_batch_and_says_what_is_unknown() {
    let rig = Rig::new().await;
    let ctx = Arc::new(TestContext::first("batch"));
    let running = tokio::spawn({
        let (ctx, worker) = (ctx.clone(), rig.worker());
        let input = json!({"runId": ACCOUNT, "commands": [
            "echo one", "echo running; sleep 300", "echo never",
        ]});
        async move { worker.batch(&*ctx, input).await }
    });
    rig.until("output", async || ctx.tail().contains("running")).await;
    for id in rig.sandboxes().await {
        rig.client.kill(&id).await.unwrap();
    }
    let result = running.await.unwrap().unwrap();
    assert_eq!(result["outcome"], "outcomeUnknown", "{result:#}");
    assert_eq!(outcomes(&result), ["completed", "outcomeUnknown", "skipped"]);
    rig.finish().await;
}

/// The item of command `index`.
fn item(result: &Value, index: usize) -> &Value {
    &result["results"][index]["result"]
}

/// What the items cost must add up to what the batch cost, and that to what was booked.
async fn assert_costs_add_up(rig: &Rig, result: &Value) {
    let of = |report: &Value| report["spentUsd"].as_f64().unwrap();
    let items = result["results"].as_array().unwrap().iter();
    let sum: f64 = items.filter_map(|item| item.get("result")).map(|r| of(&r["cost"])).sum();
    assert!((sum - of(&result["cost"])).abs() < 1e-9, "{result:#}");
    let spent = serde_json::to_value(rig.balance().await.spent).unwrap();
    assert_eq!(spent, result["cost"]["spentUsd"]);
}

#[tokio::test]
async fn what_each_command_cost_adds_up_to_what_the_batch_cost() {
    for shared in [true, false] {
        let rig = Rig::new().await;
        let input = json!({"runId": ACCOUNT, "sharedSandbox": shared, "stopOnFailure": false,
            "commands": ["sleep 1.2", {"command": "sleep 0.1; false", "cost": {"feeUsd": "0.002"}},
                "true"]});
        let result = rig.worker().batch(&TestContext::first("batch"), input).await.unwrap();
        assert_eq!(outcomes(&result), ["completed", "failed", "completed"]);
        let seconds = |index| item(&result, index)["cost"]["seconds"].as_f64().unwrap();
        assert!(seconds(0) >= 1.2 && seconds(1) > 0.0, "{result:#}");
        assert!(item(&result, 1)["cost"]["spentUsd"].as_f64().unwrap() >= 0.002);
        assert!(item(&result, 0)["cost"]["reservedUsd"].as_f64().unwrap() > 0.0);
        assert_costs_add_up(&rig, &result).await;
        rig.finish().await;
    }
}

#[tokio::test]
async fn a_skipped_command_costs_no_fee() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "commands": ["false",
        {"command": "true", "cost": {"feeUsd": "0.5"}}]});
    let result = rig.worker().batch(&TestContext::first("batch"), input).await.unwrap();
    assert_eq!(outcomes(&result), ["failed", "skipped"]);
    assert!(result["cost"]["spentUsd"].as_f64().unwrap() < 0.1, "{result:#}");
    assert_costs_add_up(&rig, &result).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_command_over_its_own_cap_refuses_the_batch_and_is_named() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "commands": ["echo fine",
        {"command": "true", "cost": {"maxUsd": "0.000001"}}]});
    let refused = failure(rig.worker().batch(&TestContext::first("batch"), input).await);
    assert_eq!(refused.kind, FailureType::BudgetExceeded);
    assert!(refused.message.starts_with("commands[1]: "), "{}", refused.message);
    assert_eq!(refused.details.unwrap()["commandIndex"], 1);
    let balance = rig.balance().await;
    assert_eq!(balance.remaining, balance.limit);
    rig.finish().await;
}

fn parallel(commands: &Value, max_parallel: u32) -> Value {
    json!({"runId": ACCOUNT, "sharedSandbox": false, "maxParallel": max_parallel,
        "commands": commands})
}

#[tokio::test]
async fn commands_run_side_by_side_and_no_more_than_asked() {
    let rig = Rig::new().await;
    let command = "date +%s%3N; sleep 1.5; date +%s%3N";
    let input = parallel(&json!([command, command, command, command, command]), 3);
    let ctx = Arc::new(TestContext::first("side"));
    let running = tokio::spawn({
        let (ctx, worker) = (ctx.clone(), rig.worker());
        async move { worker.batch(&*ctx, input).await }
    });
    let mut most = 0;
    while !running.is_finished() {
        most = most.max(rig.sandboxes().await.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let result = running.await.unwrap().unwrap();
    assert_eq!(outcomes(&result), ["completed"; 5], "{result:#}");
    assert_eq!(most, 3);
    let spans: Vec<(i64, i64)> = (0..5)
        .map(|index| {
            let text = item(&result, index)["stdout"].as_str().unwrap().to_owned();
            let mut times = text.lines().map(|line| line.parse().unwrap());
            (times.next().unwrap(), times.next().unwrap())
        })
        .collect();
    let together = |at: i64| spans.iter().filter(|(from, to)| *from <= at && at < *to).count();
    let most = spans.iter().map(|(from, _)| together(*from)).max().unwrap();
    assert!((2..=3).contains(&most), "{spans:?}");
    let sandboxes: BTreeSet<&str> =
        (0..5).map(|index| item(&result, index)["sandboxId"].as_str().unwrap()).collect();
    assert_eq!(sandboxes.len(), 5, "each has its own");
    assert_costs_add_up(&rig, &result).await;
    rig.finish().await;
}

#[tokio::test]
async fn after_a_failure_nothing_more_is_begun_and_what_runs_ends() {
    let rig = Rig::new().await;
    let input = parallel(
        &json!(["sleep 0.3; exit 5", "sleep 2; echo done", "sleep 2; echo done", "echo never"]),
        3,
    );
    let result = rig.worker().batch(&TestContext::first("stop"), input).await.unwrap();
    assert_eq!(result["outcome"], "stopped", "{result:#}");
    assert_eq!(outcomes(&result), ["failed", "completed", "completed", "skipped"]);
    assert_eq!(item(&result, 1)["stdout"], "done\n");
    rig.finish().await;
}

#[tokio::test]
async fn a_parallel_batch_is_handed_over_with_all_that_runs() {
    let rig = Rig::new().await;
    let long = "echo x >> starts; echo begun; sleep 4; cat starts";
    let input = parallel(&json!(["echo first", long, long, "echo last"]), 3);
    let ctx = Arc::new(TestContext::first("handed"));
    let first = tokio::spawn({
        let (ctx, worker, input) = (ctx.clone(), rig.worker(), input.clone());
        async move { worker.batch(&*ctx, input).await }
    });
    let execution = ExecutionId::of(ctx.identity());
    let run = RunKey::new(ACCOUNT.parse().unwrap(), execution);
    rig.until("two that run and two that ended", async || {
        let Some(record) = rig.runs.get(&run).await.unwrap() else { return false };
        let ended = |index| matches!(record.commands.get(&index), Some(CommandState::Ended(_)));
        let running = |index| record.commands.get(&index) == Some(&CommandState::Starting);
        ended(0) && ended(3) && running(1) && running(2) && ctx.tail().contains("begun")
    })
    .await;
    ctx.stop(StopReason::WorkerShutdown);
    assert_eq!(failure(first.await.unwrap()).kind, FailureType::WorkerDraining);
    assert_eq!(rig.sandboxes().await.len(), 2, "what runs runs on");

    let ctx = TestContext::attempt("handed", 2);
    let result = rig.worker().batch(&ctx, input).await.unwrap();
    assert_eq!(outcomes(&result), ["completed"; 4], "{result:#}");
    for index in [1, 2] {
        assert_eq!(item(&result, index)["stdout"], "begun\nx\n", "started once");
        assert_eq!(item(&result, index)["reattached"], true);
    }
    assert_eq!(item(&result, 0)["attempt"], 1, "its result was kept");
    assert_costs_add_up(&rig, &result).await;
    rig.finish().await;
}

#[tokio::test]
async fn cancelling_a_parallel_batch_kills_all_of_it() {
    let rig = Rig::new().await;
    let input = parallel(&json!(["echo one; sleep 300", "echo two; sleep 300", "echo never"]), 2);
    let ctx = Arc::new(TestContext::first("cancelled"));
    let running = tokio::spawn({
        let (ctx, worker) = (ctx.clone(), rig.worker());
        async move { worker.batch(&*ctx, input).await }
    });
    let seen = |word: &str| ctx.beats.lock().iter().any(|beat| beat.tail.contains(word));
    rig.until("both", async || seen("one") && seen("two")).await;
    ctx.stop(StopReason::Cancelled);
    let Err(Ending::Cancelled(report)) = running.await.unwrap() else { panic!("not cancelled") };
    let outputs: Vec<_> =
        report["commandsRunning"].as_array().unwrap().iter().map(|c| &c["stdout"]).collect();
    assert_eq!(outputs, ["one\n", "two\n"], "{report:#}");
    assert_eq!(report["settled"], true);
    rig.finish().await;
}

#[tokio::test]
async fn a_lost_sandbox_among_several_leaves_one_outcome_unknown() {
    let rig = Rig::new().await;
    let long = "echo begun; sleep 3; echo done";
    let input = parallel(&json!([long, "echo gone; sleep 300", "echo never"]), 2);
    let ctx = Arc::new(TestContext::first("lost"));
    let running = tokio::spawn({
        let (ctx, worker) = (ctx.clone(), rig.worker());
        async move { worker.batch(&*ctx, input).await }
    });
    let run = RunKey::new(ACCOUNT.parse().unwrap(), ExecutionId::of(ctx.identity()));
    let seen = |word: &str| ctx.beats.lock().iter().any(|beat| beat.tail.contains(word));
    rig.until("both", async || seen("begun") && seen("gone")).await;
    let second = rig.runs.get(&run).await.unwrap().unwrap().sandboxes[&1].id.clone();
    rig.client.kill(&second).await.unwrap();
    let result = running.await.unwrap().unwrap();
    assert_eq!(result["outcome"], "outcomeUnknown", "{result:#}");
    assert_eq!(outcomes(&result), ["completed", "outcomeUnknown", "skipped"]);
    assert_eq!(item(&result, 0)["stdout"], "begun\ndone\n");
    rig.finish().await;
}

#[tokio::test]
async fn money_for_two_of_three_runs_two() {
    let rig = Rig::new().await;
    // An hour's worst case is about eleven cents.
    let hour = json!({"command": "sleep 1; echo ran", "timeoutMs": 3_600_000});
    let input = parallel(&json!(["echo ran", hour, hour]), 3);
    let spend = "0.87".parse().unwrap();
    rig.ledger.spend(&ACCOUNT.parse().unwrap(), spend, None, None).await.unwrap();
    let result = rig.worker().batch(&TestContext::first("money"), input).await.unwrap();
    assert_eq!(result["outcome"], "stopped", "{result:#}");
    assert_eq!(outcomes(&result), ["completed", "completed", "skipped"]);
    rig.finish().await;
}
