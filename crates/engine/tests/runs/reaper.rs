//! What nobody comes back for is ended; what somebody may come back for is not.

use std::sync::Arc;
use std::time::Duration;

use airlock_contract::{ExecutionId, FailureType, RunIdentity, Usd};
use airlock_engine::{
    Config, LeaseLengths, Liveness, LivenessSource, NoSecrets, ReapReport, RunContext as _,
    StopReason,
};
use airlock_runs::{Fence, Lease, RunKey};
use async_trait::async_trait;
use serde_json::json;
use tokio::sync::watch;

use crate::support::{ACCOUNT, Rig, TestContext, failure};

/// Temporal's part: one answer for every run, given once it is open.
pub(crate) struct Says(Liveness, watch::Receiver<bool>);

impl Says {
    pub(crate) fn at_once(liveness: Liveness) -> Self {
        let (_, open) = watch::channel(true);
        Self(liveness, open)
    }
}

#[async_trait]
impl LivenessSource for Says {
    fn namespace(&self) -> &'static str {
        "default"
    }

    async fn liveness(&self, identity: &RunIdentity) -> Liveness {
        assert_eq!(identity.workflow_id, "wf");
        self.1.clone().wait_for(|open| *open).await.unwrap();
        self.0
    }

    async fn workflow(&self, identity: &RunIdentity) -> Liveness {
        self.liveness(identity).await
    }
}

/// Leases so short that nothing renews them: they end two seconds after the sandbox is created.
/// A margin of minutes is held all the same.
async fn rig() -> Rig {
    let lease = LeaseLengths { max: Duration::from_secs(2), ..LeaseLengths::default() };
    Rig::with(Config { lease, ..Config::default() }, Arc::new(NoSecrets)).await
}

/// Leaves a command running in a sandbox whose lease has ended; nobody follows it.
async fn abandon(rig: &Rig, activity: &str) -> RunKey {
    let ctx = Arc::new(TestContext::first(activity));
    let running = tokio::spawn({
        let (ctx, worker) = (ctx.clone(), rig.worker());
        let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300",
            "cost": {"feeUsd": 0.01}});
        async move { worker.execute(&*ctx, input).await }
    });
    rig.until("output", async || ctx.tail().contains("begun")).await;
    ctx.stop(StopReason::WorkerShutdown);
    assert_eq!(failure(running.await.unwrap()).kind, FailureType::WorkerDraining);
    // The provider may keep a sandbox beyond its lease; only the reaper ends this one.
    for id in rig.sandboxes().await {
        rig.client.set_timeout(&id, Duration::from_mins(5)).await.unwrap();
    }
    let run = RunKey::new(ACCOUNT.parse().unwrap(), ExecutionId::of(ctx.identity()));
    rig.until("the lease's end", async || {
        let now = jiff::Timestamp::now().as_millisecond();
        rig.runs.get(&run).await.unwrap().unwrap().sandboxes[&0].clone().lease_until_ms < now
    })
    .await;
    run
}

fn ended(report: &ReapReport) -> (u64, u64, u64, u64) {
    (report.looked, report.killed, report.kept, report.failed)
}

#[tokio::test]
async fn an_orphan_of_a_closed_activity_is_ended_and_its_hold_returned() {
    let rig = rig().await;
    let run = abandon(&rig, "closed").await;
    let sandboxes = rig.sandboxes().await;
    let held = rig.balance().await.reserved;
    assert!(held > Usd::ZERO);
    let bound = rig.runs.get(&run).await.unwrap().unwrap().sandboxes[&0].clone();

    let dry = rig.worker().reap_dry_run(&Says::at_once(Liveness::Closed)).await.unwrap();
    assert_eq!(ended(&dry), (1, 1, 0, 0));
    assert_eq!(rig.sandboxes().await, sandboxes, "a dry run ends nothing");

    let report = rig.worker().reap(&Says::at_once(Liveness::Closed)).await.unwrap();
    assert_eq!(ended(&report), (1, 1, 0, 0), "{report:?}");
    assert_eq!(report.ended[0].sandbox_id, sandboxes[0]);
    rig.assert_clean().await;
    let lived = u64::try_from(bound.lease_until_ms - bound.created_at_ms).unwrap();
    let lived = Duration::from_millis(lived);
    let cost = airlock_budget::PriceCard::e2b().cost("base", lived);
    let spent = rig.balance().await.spent;
    assert_eq!(spent, cost.saturating_add("0.01".parse().unwrap()), "the lease and the fee");
    assert!(spent < held);

    let again = rig.worker().reap(&Says::at_once(Liveness::Closed)).await.unwrap();
    assert_eq!(ended(&again), (0, 0, 0, 0), "there is nothing left to look at");
    let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300",
        "cost": {"feeUsd": 0.01}});
    let late = rig.worker().execute(&TestContext::attempt("closed", 2), input).await;
    assert_eq!(failure(late).kind, FailureType::OutcomeUnknown, "it is not run a second time");
    assert_eq!(rig.balance().await.spent, spent);
    rig.finish().await;
}

#[tokio::test]
async fn what_is_open_or_cannot_be_asked_about_is_left_alone_for_the_next_attempt() {
    for liveness in [Liveness::Open, Liveness::Unknown] {
        let rig = rig().await;
        let run = abandon(&rig, "open").await;
        let before = (rig.sandboxes().await, rig.balance().await.reserved);
        let report = rig.worker().reap(&Says::at_once(liveness)).await.unwrap();
        assert_eq!(ended(&report), (1, 0, 1, 0), "{liveness:?}: {report:?}");
        assert_eq!((rig.sandboxes().await, rig.balance().await.reserved), before);
        assert_eq!(rig.runs.lease_count().await.unwrap(), 1, "it is looked at again");
        let record = rig.runs.get(&run).await.unwrap().unwrap();
        assert_eq!(record.fence, Fence(TestContext::first("open").attempt().fence_us));
        let soon = rig.worker().reap(&Says::at_once(Liveness::Closed)).await.unwrap();
        assert_eq!(ended(&soon), (0, 0, 0, 0), "but not at once");
        rig.shut_down().await;
    }
}

#[tokio::test]
async fn of_two_reapers_one_works() {
    let rig = rig().await;
    abandon(&rig, "twice").await;
    let (answer, open) = watch::channel(false);
    let (first, second) = (rig.worker(), rig.worker());
    let working =
        tokio::spawn(async move { first.reap(&Says(Liveness::Closed, open)).await.unwrap() });
    rig.until("the first one's question", async || answer.receiver_count() > 1).await;
    let idle = second.reap(&Says::at_once(Liveness::Closed)).await.unwrap();
    assert_eq!(idle, ReapReport::default(), "another one is at it");
    answer.send_replace(true);
    let report = working.await.unwrap();
    assert_eq!((report.led, ended(&report)), (true, (1, 1, 0, 0)));
    rig.finish().await;
}

#[tokio::test]
async fn an_attempt_that_comes_while_temporal_is_asked_keeps_its_sandbox() {
    let rig = rig().await;
    let run = abandon(&rig, "back").await;
    let sandboxes = rig.sandboxes().await;
    let (answer, open) = watch::channel(false);
    let worker = rig.worker();
    let reaping =
        tokio::spawn(async move { worker.reap(&Says(Liveness::Closed, open)).await.unwrap() });
    rig.until("the question", async || answer.receiver_count() > 1).await;
    let digest = rig.runs.get(&run).await.unwrap().unwrap().input_digest;
    let fence = Fence(TestContext::attempt("back", 2).attempt().fence_us);
    rig.runs.claim(&run, fence, &digest, Duration::from_hours(1)).await.unwrap();
    answer.send_replace(true);
    let report = reaping.await.unwrap();
    assert_eq!(ended(&report), (1, 0, 1, 0), "{report:?}");
    assert_eq!(rig.sandboxes().await, sandboxes);
    rig.shut_down().await;
}

#[tokio::test]
async fn a_second_sandbox_of_a_run_is_ended_without_a_charge() {
    let rig = rig().await;
    let run = abandon(&rig, "extra").await;
    let bound = rig.runs.get(&run).await.unwrap().unwrap().sandboxes[&0].clone();
    let spec = airlock_e2b::CreateSandbox::new("base", Duration::from_mins(5));
    let extra = rig.client.create(&spec).await.unwrap();
    let mut lease = bound.clone();
    lease.id = extra.id().to_owned();
    let fence = rig.runs.get(&run).await.unwrap().unwrap().fence;
    let other = rig.runs.bind_sandbox(&run, fence, &lease).await.unwrap();
    assert!(matches!(other, airlock_runs::Bind::Other(_)), "{other:?}");
    // The run's own is not looked at, so only the extra one is ended.
    rig.runs.remove_lease(&Lease::of(&run, &bound)).await.unwrap();
    let report = rig.worker().reap(&Says::at_once(Liveness::Closed)).await.unwrap();
    assert_eq!(ended(&report), (1, 1, 0, 0), "{report:?}");
    assert_eq!(rig.sandboxes().await, [bound.id]);
    assert_eq!(rig.balance().await.spent, Usd::ZERO);
    rig.shut_down().await;
}
