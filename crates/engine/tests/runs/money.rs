//! What a run is charged, and that a store that fails costs neither the run nor the money.

use std::time::Duration;

use airlock_budget::PriceCard;
use airlock_contract::{ExecutionId, FailureType, Usd};
use airlock_engine::{Ending, RunContext as _};
use airlock_runs::RunKey;
use serde_json::json;

use crate::support::{ACCOUNT, Rig, TestContext, failure};

#[tokio::test]
async fn the_providers_start_is_what_is_charged_and_the_drift_is_told() {
    let rig = Rig::new().await;
    let result = rig.run(json!({"command": "sleep 1.2"})).await.unwrap();
    let cost = &result["cost"];
    let drift = cost["driftSeconds"].as_f64().unwrap();
    // The provider's clock starts later than the worker's, which starts before it asks; both are this
    // machine's.
    assert!((-60.0..=0.5).contains(&drift), "{cost:#}");
    let seconds = cost["seconds"].as_f64().unwrap();
    assert!(seconds >= 1.2, "{cost:#}");
    let prices = PriceCard::e2b();
    assert_eq!(cost["priceDigest"], prices.digest());
    let time = Duration::from_secs_f64(seconds);
    let expected = prices.cost(result["template"].as_str().unwrap(), time);
    assert_eq!(rig.balance().await.spent, expected, "{cost:#}");
    rig.finish().await;
}

#[tokio::test]
async fn a_hold_that_a_failover_forgot_is_booked_all_the_same_and_once() {
    let rig = Rig::new().await;
    let (ctx, running) = rig.begin("forgotten", json!({"command": "echo on its way; sleep 2"}));
    rig.until("the command runs", async || ctx.tail().contains("on its way")).await;
    let execution = ExecutionId::of(ctx.identity());
    let run = RunKey::new(ACCOUNT.parse().unwrap(), execution.clone());
    assert!(rig.runs.get(&run).await.unwrap().is_some());
    // What the store would look like without its last writes.
    let member = format!("{ACCOUNT}#{execution}");
    let hold = format!("test:{{team}}:hold:{member}");
    let account = format!("test:{{team}}:budget:{ACCOUNT}");
    let _: i64 = rig.redis(&["DEL", &hold]).await;
    let _: i64 = rig.redis(&["ZREM", "test:{team}:hold", &member]).await;
    let _: i64 = rig.redis(&["HSET", &account, "reserved", "0"]).await;

    let result = running.await.unwrap().unwrap();
    assert_eq!(result["status"], "completed", "{result:#}");
    let spent = serde_json::to_value(rig.balance().await.spent).unwrap();
    assert_eq!(result["cost"]["spentUsd"], spent);
    assert!(result["cost"]["spentUsd"].as_f64().unwrap() > 0.0);
    let again = TestContext::attempt("forgotten", 2);
    let input = json!({"command": "echo on its way; sleep 2", "runId": ACCOUNT});
    rig.worker().execute(&again, input).await.unwrap();
    assert_eq!(serde_json::to_value(rig.balance().await.spent).unwrap(), spent);
    rig.finish().await;
}

#[tokio::test]
async fn while_the_store_refuses_writes_nothing_starts_and_what_runs_is_settled_later() {
    let rig = Rig::new().await;
    let command = json!({"command": "echo on its way; sleep 4; echo done", "runId": ACCOUNT});
    let (ctx, running) = rig.begin("running", command.clone());
    rig.until("the command runs", async || ctx.tail().contains("on its way")).await;
    let () = rig.redis(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let refused = failure(rig.run(json!({"command": "echo never"})).await);
    assert_eq!(refused.kind, FailureType::BudgetStoreUnavailable);
    assert!(refused.kind.is_retryable());
    let sandboxes = rig.sandboxes().await;
    assert_eq!(sandboxes.len(), 1, "nothing was started without a reservation");
    // The command ends while the store is away; the attempt waits for it, or a later one settles.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let () = rig.redis(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let result = match running.await.unwrap() {
        Ok(result) => result,
        Err(Ending::Failed(halted)) => {
            assert_eq!(halted.kind, FailureType::BudgetStoreUnavailable);
            let again = TestContext::attempt("running", 2);
            rig.worker().execute(&again, command).await.unwrap()
        }
        Err(ending) => panic!("{ending:?}"),
    };
    assert_eq!(result["stdout"], "on its way\ndone\n", "{result:#}");
    assert_eq!(result["sandboxId"], sandboxes[0], "it was not run again");
    let balance = rig.balance().await;
    assert_eq!(serde_json::to_value(balance.spent).unwrap(), result["cost"]["spentUsd"]);
    assert_eq!(balance.reserved, Usd::ZERO);
    rig.finish().await;
}

#[tokio::test]
async fn twenty_attempts_of_one_activity_are_one_charge() {
    let rig = Rig::new().await;
    let input = json!({"command": "echo once", "runId": ACCOUNT, "cost": {"feeUsd": "0.01"}});
    let mut spent = None;
    for number in 1..=20 {
        let ctx = TestContext::attempt("twenty", number);
        let result = rig.worker().execute(&ctx, input.clone()).await.unwrap();
        assert_eq!(result["stdout"], "once\n");
        let now = rig.balance().await.spent;
        assert_eq!(*spent.get_or_insert(now), now, "attempt {number}");
    }
    rig.finish().await;
}
