//! Who looks after a shared sandbox that nobody uses, and what a crash leaves to them.

use std::sync::Arc;
use std::time::Duration;

use airlock_contract::{CloseReason, FailureType, Usd};
use airlock_engine::{
    Config, LeaseLengths, Liveness, NoSecrets, ReapReport, SharedTimes, StopReason,
};
use airlock_runs::BoundSandbox;
use serde_json::{Value, json};

use crate::reaper::Says;
use crate::shared::{at_once, open, rig};
use crate::support::{ACCOUNT, Rig, TestContext, failure};

async fn pass(rig: &Rig, workflow: Liveness) -> ReapReport {
    rig.worker().reap(&Says::at_once(workflow)).await.unwrap()
}

async fn health(rig: &Rig, id: &str) -> Value {
    let input = json!({"runId": ACCOUNT, "sandboxId": id});
    serde_json::to_value(rig.worker().sandbox_health(&input).await.unwrap()).unwrap()
}

fn looked(report: &ReapReport) -> (u64, u64, u64) {
    (report.shared_looked, report.shared_closed, report.failed)
}

#[tokio::test]
async fn it_lives_while_its_workflow_is_open_and_is_closed_with_it() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({})).await;
    for open in [Liveness::Open, Liveness::Unknown] {
        assert_eq!(looked(&pass(&rig, open).await), (1, 0, 0), "{open:?}");
        assert_eq!(rig.sandboxes().await, std::slice::from_ref(&id));
    }
    let dry = rig.worker().reap_dry_run(&Says::at_once(Liveness::Closed)).await.unwrap();
    assert_eq!(looked(&dry), (1, 1, 0));
    assert_eq!(rig.sandboxes().await, std::slice::from_ref(&id), "a dry run ends nothing");
    let report = pass(&rig, Liveness::Closed).await;
    assert_eq!(looked(&report), (1, 1, 0), "{report:?}");
    assert_eq!(report.ended[0].sandbox_id, id);
    assert_eq!(health(&rig, &id).await["reason"], json!("workflowClosed"));
    assert_eq!(looked(&pass(&rig, Liveness::Closed).await), (0, 0, 0));
    assert!(rig.balance().await.spent > Usd::ZERO);
    rig.finish().await;
}

#[tokio::test]
async fn it_is_closed_when_it_is_idle_and_not_while_a_command_runs() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({"idleTimeoutMs": 1500})).await;
    let ctx = Arc::new(TestContext::first("busy"));
    let input = json!({"runId": ACCOUNT, "sandboxId": id, "command": "echo begun; sleep 4"});
    let (worker, attempt) = (rig.worker(), ctx.clone());
    let running = tokio::spawn(async move { worker.execute(&*attempt, input).await });
    rig.until("output", async || ctx.tail().contains("begun")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(looked(&pass(&rig, Liveness::Open).await), (1, 0, 0), "it is in use");
    assert_eq!(running.await.unwrap().unwrap()["exitCode"], json!(0));
    assert_eq!(looked(&pass(&rig, Liveness::Open).await), (1, 0, 0), "it just was");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(looked(&pass(&rig, Liveness::Open).await), (1, 1, 0));
    assert_eq!(health(&rig, &id).await["reason"], json!("idle"));
    rig.finish().await;
}

#[tokio::test]
async fn it_is_renewed_slice_by_slice_up_to_its_longest_life() {
    // Nothing but slices is paid for, so that they can be seen in seconds.
    let margins = airlock_engine::Margins {
        setup: Duration::from_secs(3),
        cleanup: Duration::from_secs(1),
        install: Duration::from_secs(1),
        ..airlock_engine::Margins::default()
    };
    let shared = SharedTimes { slice: Duration::from_secs(40), look: Duration::ZERO };
    let config = Config { margins, shared, ..Config::default() };
    let rig = Rig::with(config, Arc::new(NoSecrets)).await;
    let id = open(&rig, "open", json!({"maxLifetimeMs": 60_000})).await;
    let paid = |health: Value| -> jiff::Timestamp {
        health["paidUntil"].as_str().unwrap().parse().unwrap()
    };
    let first = paid(health(&rig, &id).await);
    let held = rig.balance().await.reserved;
    tokio::time::sleep(Duration::from_secs(26)).await;
    assert_eq!(looked(&pass(&rig, Liveness::Open).await), (1, 0, 0));
    let now = health(&rig, &id).await;
    assert_eq!(now["paidUntil"], now["closesAt"], "no more than its longest life: {now:#}");
    assert!(paid(now.clone()) > first && rig.balance().await.reserved > held);
    let lease: jiff::Timestamp = now["leaseUntil"].as_str().unwrap().parse().unwrap();
    assert!(lease > first, "it lives longer than what was paid for first");
    assert!(rig.client.get(&id).await.unwrap().end_at > first);
    pass(&rig, Liveness::Closed).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_budget_that_is_used_up_closes_it_in_time() {
    let margins = airlock_engine::Margins {
        setup: Duration::from_secs(2),
        cleanup: Duration::from_secs(1),
        install: Duration::from_secs(1),
        ..airlock_engine::Margins::default()
    };
    let shared = SharedTimes { slice: Duration::from_secs(30), look: Duration::ZERO };
    let config = Config { margins, shared, ..Config::default() };
    let rig = Rig::with(config, Arc::new(NoSecrets)).await;
    let id = open(&rig, "open", json!({})).await;
    let rest = rig.balance().await.remaining;
    rig.ledger.spend(&ACCOUNT.parse().unwrap(), rest, Some("all"), None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(looked(&pass(&rig, Liveness::Open).await), (1, 0, 0), "it is paid for still");
    assert_eq!(rig.sandboxes().await, std::slice::from_ref(&id));
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(looked(&pass(&rig, Liveness::Open).await), (1, 1, 0));
    assert_eq!(health(&rig, &id).await["reason"], json!("outOfBudget"));
    let status = rig.balance().await;
    assert!(status.spent <= status.limit, "{status:?}");
    rig.finish().await;
}

#[tokio::test]
async fn whoever_dies_while_closing_is_finished_for() {
    let rig = rig().await;
    let shared = rig.runs.shared();
    for dies_after_kill in [false, true] {
        let id = open(&rig, &format!("open-{dies_after_kill}"), json!({})).await;
        let record = shared.get(&ACCOUNT.parse().unwrap(), &id).await.unwrap().unwrap();
        shared.closing(&record.fixed, CloseReason::Closed, None).await.unwrap().unwrap();
        if dies_after_kill {
            rig.client.kill(&id).await.unwrap();
        }
        let refused = json!({"runId": ACCOUNT, "sandboxId": id, "command": "true"});
        let refused = rig.worker().execute(&TestContext::first(&id), refused).await;
        assert_eq!(failure(refused).kind, FailureType::SandboxNotFound, "it is being closed");
        assert_eq!(looked(&pass(&rig, Liveness::Open).await), (1, 1, 0));
        assert_eq!(health(&rig, &id).await["reason"], json!("closed"));
        rig.assert_clean().await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn an_opener_that_dies_before_it_registers_is_found_by_its_next_attempt() {
    let rig = rig().await;
    let ctx = Arc::new(TestContext::first("dies"));
    let files: Vec<Value> =
        (0..60).map(|i| json!({"path": format!("f{i}"), "content": "x", "mode": "600"})).collect();
    let input = json!({"runId": ACCOUNT, "files": files});
    let opening = tokio::spawn({
        let (worker, ctx, input) = (rig.worker(), ctx.clone(), input.clone());
        async move { worker.open_sandbox(&*ctx, input).await }
    });
    rig.until("the sandbox", async || !rig.sandboxes().await.is_empty()).await;
    opening.abort();
    let before = rig.sandboxes().await;
    let again = rig.worker().open_sandbox(&TestContext::attempt("dies", 2), input).await.unwrap();
    assert_eq!(json!(before), json!([again["sandboxId"]]), "the same one, and no other");
    pass(&rig, Liveness::Closed).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_registered_sandbox_is_never_taken_for_an_orphan_of_its_opener() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({})).await;
    let shared = rig.runs.shared();
    let record = shared.get(&ACCOUNT.parse().unwrap(), &id).await.unwrap().unwrap();
    // As a crash between the registration and the agenda leaves it: the opener's lease is there and
    // its end has come, the agenda knows nothing.
    let due = shared.due(i64::MAX, 10).await.unwrap();
    shared.forget(&due[0]).await.unwrap();
    let fixed = &record.fixed;
    let stale = BoundSandbox {
        id: id.clone(),
        slot: 0,
        template: "base".into(),
        access_token: String::new(),
        domain: None,
        lease_until_ms: 1,
        workflow: None,
        identity: Some(fixed.owner.clone()),
        created_at_ms: fixed.created_at_ms,
    };
    rig.runs.put_lease(&airlock_runs::Lease::of(&fixed.opener(), &stale)).await.unwrap();
    let report = pass(&rig, Liveness::Open).await;
    assert_eq!((report.looked, report.killed, report.kept), (1, 0, 1), "{report:?}");
    assert_eq!(
        rig.sandboxes().await,
        std::slice::from_ref(&id),
        "its activity is closed, its workflow is not"
    );
    assert_eq!(rig.runs.lease_count().await.unwrap(), 0);
    assert_eq!(looked(&pass(&rig, Liveness::Closed).await), (1, 1, 0), "the keeper has it again");
    rig.finish().await;
}

#[tokio::test]
async fn a_seat_that_nobody_comes_back_for_does_not_keep_it_open() {
    let lease = LeaseLengths { max: Duration::from_secs(2), ..LeaseLengths::default() };
    let config = Config { lease, ..at_once() };
    let rig = Rig::with(config, Arc::new(NoSecrets)).await;
    let id = open(&rig, "open", json!({"idleTimeoutMs": 1000})).await;
    let ctx = Arc::new(TestContext::first("left"));
    let input = json!({"runId": ACCOUNT, "sandboxId": id, "command": "echo begun; sleep 300"});
    let (worker, attempt) = (rig.worker(), ctx.clone());
    let running = tokio::spawn(async move { worker.execute(&*attempt, input).await });
    rig.until("output", async || ctx.tail().contains("begun")).await;
    ctx.stop(StopReason::WorkerShutdown);
    running.await.unwrap().unwrap_err();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(looked(&pass(&rig, Liveness::Open).await), (1, 0, 0), "an attempt may come");
    assert_eq!(health(&rig, &id).await["commandsRunning"], json!(1));
    // The command's activity is closed, and so is the workflow in this rig: it is over.
    assert_eq!(looked(&pass(&rig, Liveness::Closed).await), (1, 1, 0));
    rig.finish().await;
}
