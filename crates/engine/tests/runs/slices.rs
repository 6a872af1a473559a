//! Long commands are held slice by slice.

use std::sync::Arc;
use std::time::Duration;

use airlock_budget::NewBudget;
use airlock_contract::{AccountId, Usd};
use airlock_engine::{Config, NoSecrets};
use serde_json::{Value, json};

use crate::support::{Rig, TestContext};

const COUNTS: &str = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; sleep 0.05; done";

/// Slices of two seconds, short margins.
async fn rig() -> Rig {
    let mut config = Config { slice: Duration::from_secs(2), ..Config::default() };
    config.margins.setup = Duration::from_secs(1);
    config.margins.cleanup = Duration::from_secs(2);
    Rig::with(config, Arc::new(NoSecrets)).await
}

/// An account that pays for so many seconds of a sandbox.
async fn account_for(rig: &Rig, name: &str, seconds: u64) -> (AccountId, Usd) {
    let account: AccountId = name.parse().unwrap();
    let limit = airlock_budget::PriceCard::e2b().cost("base", Duration::from_secs(seconds));
    rig.ledger.create(&NewBudget::new(account.clone(), limit)).await.unwrap();
    (account, limit)
}

fn usd(value: &Value) -> Usd {
    serde_json::from_value(value.clone()).unwrap()
}

#[tokio::test]
async fn a_long_command_holds_a_slice_at_a_time_and_ends_as_any_other() {
    let rig = rig().await;
    // The worst case of 60 s is far beyond it.
    let (account, limit) = account_for(&rig, "team/slices", 20).await;
    let input =
        json!({"runId": account, "command": "echo a; sleep 4; echo b", "timeoutMs": 60_000});
    let result = rig.worker().execute(&TestContext::first("sliced"), input).await.unwrap();
    assert_eq!((&result["status"], &result["stdout"]), (&json!("completed"), &json!("a\nb\n")));
    let first = airlock_budget::PriceCard::e2b().cost("base", Duration::from_secs(5));
    let held = usd(&result["cost"]["reservedUsd"]);
    assert!(held > first, "more than the first slice was held: {held}");
    assert!(held <= limit);
    let status = rig.ledger.get(&account).await.unwrap();
    assert_eq!((status.reserved, status.spent), (Usd::ZERO, usd(&result["cost"]["spentUsd"])));
    rig.finish().await;
}

#[tokio::test]
async fn without_a_further_slice_the_command_ends_with_its_output() {
    let rig = rig().await;
    let (account, limit) = account_for(&rig, "team/poor", 8).await;
    let input = json!({"runId": account, "command": COUNTS, "timeoutMs": 60_000});
    let result = rig.worker().execute(&TestContext::first("poor"), input).await.unwrap();
    assert_eq!(result["status"], "outOfBudget", "{result:#}");
    assert_eq!(result["exitCode"], json!(null));
    let stdout = result["stdout"].as_str().unwrap();
    assert!(stdout.starts_with("line 1\nline 2\n") && !stdout.contains("line 400"), "{stdout}");
    let status = rig.ledger.get(&account).await.unwrap();
    assert_eq!(status.reserved, Usd::ZERO);
    assert!(status.spent > Usd::ZERO && status.spent <= limit, "{status:?}");
    rig.finish().await;
}

#[tokio::test]
async fn a_top_up_in_time_lets_the_command_go_on() {
    let rig = rig().await;
    let (account, _) = account_for(&rig, "team/saved", 6).await;
    let ctx = Arc::new(TestContext::first("saved"));
    let running = tokio::spawn({
        let (ctx, worker, account) = (ctx.clone(), rig.worker(), account.clone());
        let command = "echo begun; sleep 6; echo done";
        let input = json!({"runId": account, "command": command, "timeoutMs": 30_000});
        async move { worker.execute(&*ctx, input).await }
    });
    rig.until("output", async || ctx.tail().contains("begun")).await;
    rig.ledger.top_up(&account, "0.5".parse().unwrap(), None).await.unwrap();
    let result = running.await.unwrap().unwrap();
    assert_eq!(
        (&result["status"], &result["stdout"]),
        (&json!("completed"), &json!("begun\ndone\n"))
    );
    rig.finish().await;
}

#[tokio::test]
async fn a_later_attempt_knows_how_much_time_is_held() {
    let rig = rig().await;
    let (account, limit) = account_for(&rig, "team/resumed", 60).await;
    let input =
        json!({"runId": account, "command": "echo begun; sleep 8; echo done", "timeoutMs": 30_000});
    let first = Arc::new(TestContext::first("resumed"));
    let dropped = tokio::spawn({
        let (first, worker, input) = (first.clone(), rig.worker(), input.clone());
        async move { worker.execute(&*first, input).await }
    });
    rig.until("two slices", async || {
        let status = rig.ledger.get(&account).await.unwrap();
        status.reserved > airlock_budget::PriceCard::e2b().cost("base", Duration::from_secs(5))
    })
    .await;
    dropped.abort();
    let result = rig.worker().execute(&TestContext::attempt("resumed", 2), input).await.unwrap();
    assert_eq!(
        (&result["status"], &result["stdout"]),
        (&json!("completed"), &json!("begun\ndone\n"))
    );
    assert_eq!(result["reattached"], true);
    let status = rig.ledger.get(&account).await.unwrap();
    assert_eq!((status.reserved, status.spent), (Usd::ZERO, usd(&result["cost"]["spentUsd"])));
    assert!(status.spent < limit);
    rig.finish().await;
}
