//! What all workers of a fleet share: room for sandboxes, and knowing that the provider is down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use airlock_contract::{FailureType, Phase};
use airlock_engine::{
    AdmissionConfig, AdmissionLimits, BreakerSettings, Config, LeaseLengths, NoSecrets, Rate,
};
use airlock_sandbox_host::{Fault, FaultAction};
use serde_json::json;

use crate::crashes::dies_at;
use crate::support::{ACCOUNT, Rig, TestContext, failure};

const CREATE: &str = "/v2/sandboxes";

/// A fleet that may have one sandbox.
fn one_at_once() -> Config {
    let limits = AdmissionLimits { at_once: Some(1), rate: None };
    Config {
        admission: AdmissionConfig { limits, ..AdmissionConfig::default() },
        ..Config::default()
    }
}

fn refusing(status: u16, retry_after: Option<u64>) -> Fault {
    let action = FaultAction::Refuse { status, retry_after, should_retry: None, message: None };
    let mut fault = Fault::new(CREATE, action);
    fault.method = Some("POST".to_owned());
    fault.times = None;
    fault
}

fn is_queued(ctx: &TestContext, behind: u64) -> bool {
    let beats = ctx.beats.lock();
    beats.last().is_some_and(|b| b.phase == Phase::Queued && b.queued_behind == Some(behind))
}

#[tokio::test]
async fn runs_wait_for_their_turn_in_order_and_say_so() {
    let rig = Rig::with(one_at_once(), Arc::new(NoSecrets)).await;
    let (first, running) = rig.begin("first", json!({"command": "echo begun; sleep 2.5"}));
    rig.until("output", async || first.tail().contains("begun")).await;
    let order = "echo x";
    let (second, next) = rig.begin("second", json!({"command": order}));
    rig.until("the queue", async || is_queued(&second, 0)).await;
    let (third, last) = rig.begin("third", json!({"command": order}));
    rig.until("the queue's end", async || is_queued(&third, 1)).await;
    assert_eq!(rig.sandboxes().await.len(), 1);

    running.await.unwrap().unwrap();
    let (second, third) = (next.await.unwrap().unwrap(), last.await.unwrap().unwrap());
    let started = |result: &serde_json::Value| result["startedAt"].as_str().unwrap().to_owned();
    let ended = |result: &serde_json::Value| result["endedAt"].as_str().unwrap().to_owned();
    assert!(ended(&second) <= started(&third), "one at a time: {second:#} {third:#}");
    rig.finish().await;
}

#[tokio::test]
async fn creations_keep_to_the_fleets_rate() {
    let rate = Rate { interval: Duration::from_millis(700), burst: 1 };
    let limits = AdmissionLimits { at_once: None, rate: Some(rate) };
    let admission = AdmissionConfig { limits, ..AdmissionConfig::default() };
    let rig = Rig::with(Config { admission, ..Config::default() }, Arc::new(NoSecrets)).await;
    let began = Instant::now();
    let runs: Vec<_> =
        ["a", "b", "c"].map(|name| rig.begin(name, json!({"command": "true"})).1).into();
    for run in runs {
        run.await.unwrap().unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(1400), "{:?}", began.elapsed());
    rig.finish().await;
}

#[tokio::test]
async fn who_waits_too_long_is_told_to_come_back_and_keeps_its_place() {
    let mut config = one_at_once();
    config.admission.wait = Duration::from_millis(500);
    let rig = Rig::with(config, Arc::new(NoSecrets)).await;
    let (first, running) = rig.begin("first", json!({"command": "echo begun; sleep 3"}));
    rig.until("output", async || first.tail().contains("begun")).await;
    let (_, waited) = rig.begin("second", json!({"command": "true"}));
    let refused = failure(waited.await.unwrap());
    assert_eq!(refused.kind, FailureType::SandboxCapacity, "{refused:?}");
    assert!(refused.retry_after.is_some_and(|after| after <= Duration::from_secs(5)));
    let other = failure(rig.begin("third", json!({"command": "true"})).1.await.unwrap());
    assert_eq!(other.details.unwrap()["queuedBehind"], 1, "the second one keeps its place");
    running.await.unwrap().unwrap();
    let input = json!({"runId": ACCOUNT, "command": "true"});
    for activity in ["second", "third"] {
        let ctx = TestContext::attempt(activity, 2);
        rig.worker().execute(&ctx, input.clone()).await.unwrap();
    }
    rig.finish().await;
}

#[tokio::test]
async fn the_room_of_a_worker_that_died_is_free_when_its_lease_ends() {
    let mut config = one_at_once();
    config.lease = LeaseLengths { max: Duration::from_secs(3), ..LeaseLengths::default() };
    let rig = Rig::with(config.clone(), Arc::new(NoSecrets)).await;
    let input = json!({"runId": ACCOUNT, "command": "sleep 60"});
    dies_at(&rig, "sandbox.bound:abort", "dead", &input).await;
    let (waiting, next) = rig.begin("next", json!({"command": "echo done"}));
    rig.until("the queue", async || is_queued(&waiting, 0)).await;
    assert_eq!(next.await.unwrap().unwrap()["stdout"], "done\n");
    rig.shut_down().await;
}

#[tokio::test]
async fn a_provider_that_is_down_is_left_alone_by_the_whole_fleet_and_probed_once() {
    let breaker = BreakerSettings {
        failures: 3,
        pause: Duration::from_millis(1500),
        ..BreakerSettings::default()
    };
    let rig = Rig::with(Config { breaker, ..Config::default() }, Arc::new(NoSecrets)).await;
    let input = json!({"command": "echo done"});
    rig.fault(refusing(503, None));
    for activity in ["a", "b", "c"] {
        let down = failure(rig.begin(activity, input.clone()).1.await.unwrap());
        assert_eq!(down.kind, FailureType::SandboxUnavailable);
    }
    for activity in ["d", "e", "f"] {
        let spared = failure(rig.begin(activity, input.clone()).1.await.unwrap());
        assert_eq!(spared.kind, FailureType::SandboxUnavailable);
        assert!(spared.kind.is_retryable());
        assert!(spared.retry_after.is_some_and(|after| after <= breaker.pause), "{spared:?}");
    }
    assert_eq!(rig.mend(), 3, "the provider was asked by those before it opened alone");

    tokio::time::sleep(breaker.pause).await;
    // Held back, the probe is still out when the others ask.
    let mut slow = Fault::new(CREATE, FaultAction::Delay { ms: 800 });
    slow.method = Some("POST".to_owned());
    slow.times = None;
    rig.fault(slow);
    let runs: Vec<_> = ["g", "h", "i"].map(|activity| rig.begin(activity, input.clone()).1).into();
    let mut done = 0;
    for run in runs {
        match run.await.unwrap() {
            Ok(_) => done += 1,
            ending => assert_eq!(failure(ending).kind, FailureType::SandboxUnavailable),
        }
    }
    assert_eq!((done, rig.mend()), (1, 1), "one was the probe");
    for activity in ["d", "e", "f"] {
        let mut input = input.clone();
        input["runId"] = json!(ACCOUNT);
        let ctx = TestContext::attempt(activity, 2);
        let result = rig.worker().execute(&ctx, input).await.unwrap();
        assert_eq!(result["stdout"], "done\n", "{result:#}");
    }
    rig.shut_down().await;
}

#[tokio::test]
async fn a_storm_of_limits_is_passed_on_with_the_providers_delay_and_is_no_outage() {
    let breaker = BreakerSettings { failures: 1, ..BreakerSettings::default() };
    let rig = Rig::with(Config { breaker, ..Config::default() }, Arc::new(NoSecrets)).await;
    let input = json!({"command": "echo done"});
    rig.fault(refusing(429, Some(7)));
    for activity in ["a", "b", "c"] {
        let limited = failure(rig.begin(activity, input.clone()).1.await.unwrap());
        assert_eq!(limited.kind, FailureType::SandboxRateLimited, "{limited:?}");
        assert_eq!(limited.retry_after, Some(Duration::from_secs(7)));
    }
    assert_eq!(rig.mend(), 3);
    let mut input = input;
    input["runId"] = json!(ACCOUNT);
    for activity in ["a", "b", "c"] {
        let ctx = TestContext::attempt(activity, 2);
        rig.worker().execute(&ctx, input.clone()).await.unwrap();
    }
    rig.finish().await;
}
