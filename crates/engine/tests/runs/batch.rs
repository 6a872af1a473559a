//! Several commands in one run.

use std::sync::Arc;

use airlock_contract::FailureType;
use airlock_engine::StopReason;
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
