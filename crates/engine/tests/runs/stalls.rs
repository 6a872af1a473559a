//! Servers that do not answer for a while: heartbeats go on, a cancellation is heard, and what was
//! started is not lost, doubled or left behind.

use std::sync::Arc;
use std::time::Duration;

use airlock_contract::{FailureType, Phase};
use airlock_engine::{Ending, StopReason};
use airlock_sandbox_host::{Fault, FaultAction};
use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::support::{ACCOUNT, Rig, TestContext, failure};

/// The heartbeat timeout that these stalls are longer than: 120 s, compressed.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);
const STALL: Duration = Duration::from_secs(5);

async fn stall(network: &Proxy) {
    network.stall();
    tokio::time::sleep(STALL).await;
    network.go_on();
}

fn report(ending: Result<Value, Ending>) -> Value {
    match ending {
        Err(Ending::Cancelled(report)) => report,
        other => panic!("not cancelled: {other:?}"),
    }
}

async fn until_clean(rig: &Rig) {
    rig.until("clean-up", async || {
        rig.sandboxes().await.is_empty()
            && rig.runs.lease_count().await.unwrap() == 0
            && rig.balance().await.reserved == airlock_contract::Usd::ZERO
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stalls_costs_no_heartbeat_and_no_output() {
    for which in ["redis", "sandboxes", "both"] {
        let rig = Rig::new().await;
        let (redis, sandboxes) = rig.networks().await;
        let worker = rig.worker_behind(&redis, &sandboxes).await;
        let ctx = Arc::new(TestContext::first(which));
        let command = "echo x >> starts; for i in $(seq 60); do echo line $i; sleep 0.1; done; \
                       cat starts; exit 3";
        let running = Rig::begin_on(&worker, &ctx, json!({"command": command}));
        rig.until("output", async || ctx.tail().contains("line 3")).await;
        match which {
            "redis" => stall(&redis).await,
            "sandboxes" => stall(&sandboxes).await,
            _ => drop(tokio::join!(stall(&redis), stall(&sandboxes))),
        }
        let result = running.await.unwrap();
        let result = result.unwrap_or_else(|ending| panic!("{which}: {ending:?}"));
        let lines: Vec<String> = (1..=60).map(|i| format!("line {i}\n")).collect();
        assert_eq!(result["stdout"], format!("{}x\n", lines.concat()), "{which}: {result:#}");
        assert_eq!((&result["exitCode"], &result["attempt"]), (&json!(3), &json!(1)));
        let silence = ctx.longest_silence();
        assert!(silence < HEARTBEAT_TIMEOUT, "{which}: {silence:?}");
        rig.finish().await;
    }
}

#[tokio::test]
async fn a_command_that_ends_while_redis_stalls_keeps_its_result() {
    let rig = Rig::new().await;
    let (redis, sandboxes) = rig.networks().await;
    let worker = rig.worker_behind(&redis, &sandboxes).await;
    let ctx = Arc::new(TestContext::first("ends"));
    let command = "echo x >> starts; echo begun; sleep 1; cat starts";
    let running = Rig::begin_on(&worker, &ctx, json!({"command": command}));
    rig.until("output", async || ctx.tail().contains("begun")).await;
    stall(&redis).await;
    let result = running.await.unwrap().unwrap();
    assert_eq!(result["stdout"], "begun\nx\n", "{result:#}");
    assert!(ctx.longest_silence() < HEARTBEAT_TIMEOUT, "{:?}", ctx.longest_silence());
    let spent = rig.balance().await.spent;
    assert_eq!(serde_json::to_value(spent).unwrap(), result["cost"]["spentUsd"], "charged once");
    rig.finish().await;
}

#[tokio::test]
async fn a_slow_creation_beats_all_the_time() {
    let rig = Rig::new().await;
    let mut slow = Fault::new("/v2/sandboxes", FaultAction::Delay { ms: 5000 });
    slow.method = Some("POST".to_owned());
    rig.fault(slow);
    let (ctx, running) = rig.begin("slow", json!({"command": "echo done"}));
    let result = running.await.unwrap().unwrap();
    assert_eq!(result["stdout"], "done\n");
    assert!(ctx.longest_silence() < HEARTBEAT_TIMEOUT, "{:?}", ctx.longest_silence());
    rig.finish().await;
}

#[tokio::test]
async fn cancelling_while_redis_stalls_kills_at_once_and_says_what_is_not_settled_yet() {
    let rig = Rig::new().await;
    let (redis, sandboxes) = rig.networks().await;
    let worker = rig.worker_behind(&redis, &sandboxes).await;
    let ctx = Arc::new(TestContext::first("cancel"));
    let running = Rig::begin_on(&worker, &ctx, json!({"command": "echo begun; sleep 300"}));
    rig.until("output", async || ctx.tail().contains("begun")).await;
    redis.stall();
    ctx.stop(StopReason::Cancelled);
    rig.until("the kill", async || rig.sandboxes().await.is_empty()).await;
    let report = report(running.await.unwrap());
    assert_eq!((&report["stdout"], &report["settled"]), (&json!("begun\n"), &json!(false)));
    assert_eq!(report["cost"], Value::Null, "what is not known is not made up: {report:#}");
    redis.go_on();
    until_clean(&rig).await;
    assert!(rig.balance().await.spent > airlock_contract::Usd::ZERO);
    let later = TestContext::attempt("cancel", 2);
    let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300"});
    let kept = report_of(&worker.execute(&later, input).await);
    assert_eq!(kept["settled"], true, "the kept outcome knows the cost: {kept:#}");
    rig.finish().await;
}

fn report_of(ending: &Result<Value, Ending>) -> Value {
    report(ending.clone())
}

#[tokio::test]
async fn cancelling_while_the_sandbox_stalls_answers_and_kills_when_it_can() {
    let rig = Rig::new().await;
    let (redis, sandboxes) = rig.networks().await;
    let worker = rig.worker_behind(&redis, &sandboxes).await;
    let ctx = Arc::new(TestContext::first("cancel"));
    let running = Rig::begin_on(&worker, &ctx, json!({"command": "echo begun; sleep 300"}));
    rig.until("output", async || ctx.tail().contains("begun")).await;
    sandboxes.stall();
    ctx.stop(StopReason::Cancelled);
    let report = report(running.await.unwrap());
    assert_eq!((&report["stdout"], &report["settled"]), (&json!("begun\n"), &json!(false)));
    assert_eq!(rig.sandboxes().await.len(), 1, "it cannot be reached");
    sandboxes.go_on();
    until_clean(&rig).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_sandbox_that_comes_after_the_cancellation_is_removed() {
    let rig = Rig::new().await;
    let mut slow = Fault::new("/v2/sandboxes", FaultAction::Delay { ms: 8000 });
    slow.method = Some("POST".to_owned());
    rig.fault(slow);
    let (ctx, running) = rig.begin("late", json!({"command": "echo never"}));
    let creating = async || ctx.beats.lock().last().is_some_and(|b| b.phase == Phase::Creating);
    rig.until("creation", creating).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    ctx.stop(StopReason::Cancelled);
    let report = report(running.await.unwrap());
    assert_eq!(report["settled"], false, "{report:#}");
    assert_eq!(rig.mend(), 1, "the provider was asked");
    tokio::time::sleep(Duration::from_secs(4)).await;
    until_clean(&rig).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_run_that_waits_for_its_turn_is_cancelled_at_once() {
    let mut config = airlock_engine::Config::default();
    config.admission.limits.at_once = Some(1);
    let rig = Rig::with(config, Arc::new(airlock_engine::NoSecrets)).await;
    let (first, holding) = rig.begin("first", json!({"command": "echo begun; sleep 4"}));
    rig.until("output", async || first.tail().contains("begun")).await;
    let (ctx, waiting) = rig.begin("second", json!({"command": "echo never"}));
    let queued = async || ctx.beats.lock().last().is_some_and(|b| b.phase == Phase::Queued);
    rig.until("the queue", queued).await;
    ctx.stop(StopReason::Cancelled);
    let report = report(waiting.await.unwrap());
    assert_eq!((&report["settled"], &report["cost"]["spentUsd"]), (&json!(true), &json!(0)));
    holding.await.unwrap().unwrap();
    rig.finish().await;
}

#[tokio::test]
async fn a_store_that_forgot_a_started_run_starts_nothing_again() {
    let rig = Rig::new().await;
    let (ctx, running) = rig.begin("lost", json!({"command": "echo begun; sleep 300"}));
    rig.until("output", async || ctx.tail().contains("begun")).await;
    ctx.stop(StopReason::WorkerShutdown);
    failure(running.await.unwrap());
    rig.lose_redis().await;
    let beat = ctx.beats.lock().iter().rfind(|b| b.phase == Phase::Running).cloned().unwrap();
    let sandbox = beat.sandbox_id.clone();

    rig.make_account().await;
    let next = TestContext::attempt("lost", 2).with_previous(beat);
    let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300"});
    let unknown = failure(rig.worker().execute(&next, input).await);
    assert_eq!(unknown.kind, FailureType::OutcomeUnknown, "{unknown:?}");
    let details = unknown.details.unwrap();
    assert_eq!(details["sandboxId"], json!(sandbox), "{details:#}");
    assert_eq!(details["lastOutput"], "begun\n");
    rig.until("the orphan's end", async || rig.sandboxes().await.is_empty()).await;
    rig.finish().await;
}
