//! Workers that die: processes of their own, which end at a named point of the way of a run.

use std::process::Stdio;
use std::time::Duration;

use airlock_budget::PriceCard;
use airlock_contract::{ExecutionId, FailureType};
use airlock_engine::{Config, RunContext as _};
use airlock_runs::{Fence, RunKey};
use airlock_sandbox_host::{Fault, FaultAction};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, Address, Rig, TestContext, failure};

/// What a worker's process is told.
const JOB: &str = "AIRLOCK_TEST_WORKER_JOB";
/// Where it dies.
const FAULTS: &str = "AIRLOCK_TEST_WORKER_FAULTS";

/// The body of a worker's process: the first attempt of one activity.
#[tokio::test]
#[ignore = "started by other tests as a process of its own"]
async fn worker_process() {
    let job: Value = serde_json::from_str(&std::env::var(JOB).unwrap()).unwrap();
    airlock_engine::faultpoint::arm(&std::env::var(FAULTS).unwrap()).unwrap();
    let mut config = Config::default();
    config.lease.max = Duration::from_secs(job["leaseSeconds"].as_u64().unwrap());
    config.admission.limits.at_once = job["atOnce"].as_u64().map(|most| most.try_into().unwrap());
    let worker = Rig::worker_at(&Address::read(&job), config).await;
    let ctx = TestContext::first(job["activity"].as_str().unwrap());
    let input = job["input"].clone();
    let ended = match job["type"].as_str() {
        Some("batch") => worker.batch(&ctx, input).await,
        _ => worker.execute(&ctx, input).await,
    };
    println!("{ended:?}");
}

/// Runs a first attempt in a process that dies at `point`; gives back once it is dead.
pub(crate) async fn dies_at(rig: &Rig, point: &str, activity: &str, input: &Value) {
    dies_in("execute", rig, point, activity, input).await;
}

/// The same with another kind of activity.
async fn dies_in(kind: &str, rig: &Rig, point: &str, activity: &str, input: &Value) {
    let lease = rig.config().lease.max.as_secs();
    let job = json!({ "type": kind, "activity": activity, "input": input, "leaseSeconds": lease,
            "atOnce": rig.config().admission.limits.at_once });
    let status = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crashes::worker_process", "--ignored", "--nocapture"])
        .env(JOB, rig.address().write(job).to_string())
        .env(FAULTS, point)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status();
    assert!(!status.await.unwrap().success(), "it ended by itself");
}

#[tokio::test]
async fn a_begun_command_whose_sandbox_is_over_gets_no_other_sandbox() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "command": "echo begun; sleep 300"});
    dies_at(&rig, "start.heard:abort", "over", &input).await;
    let first = TestContext::first("over");
    let run = RunKey::new(ACCOUNT.parse().unwrap(), ExecutionId::of(first.identity()));
    // An attempt found it gone, billed it, and died before it could say so.
    let sandboxes = rig.sandboxes().await;
    rig.client.kill(&sandboxes[0]).await.unwrap();
    let (bill, fence) = (format!("bill.{}", sandboxes[0]), Fence(first.attempt().fence_us));
    rig.runs.note(&run, fence, &bill, &json!({"slot": 0, "seconds": 1.0})).await.unwrap();

    let ctx = TestContext::attempt("over", 2);
    let unknown = failure(rig.worker().execute(&ctx, input).await);
    assert_eq!(unknown.kind, FailureType::OutcomeUnknown);
    assert!(unknown.message.contains("its sandbox is gone"), "{}", unknown.message);
    let notes = rig.runs.get(&run).await.unwrap().unwrap().notes;
    let bills = notes.keys().filter(|name| name.starts_with("bill.")).count();
    assert_eq!(bills, 1, "no other sandbox was made: {notes:?}");
    rig.finish().await;
}

#[tokio::test]
async fn a_worker_killed_after_the_sandbox_charges_once_and_not_for_the_time_after() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "command": "echo x >> starts; sleep 1.2; cat starts"});
    dies_at(&rig, "kill.after:abort", "bill", &input).await;
    assert_eq!(rig.sandboxes().await, Vec::<String>::new(), "the sandbox is gone already");
    assert_eq!(rig.runs.lease_count().await.unwrap(), 1, "and not forgotten");

    let ctx = TestContext::attempt("bill", 2);
    let run = RunKey::new(ACCOUNT.parse().unwrap(), ExecutionId::of(ctx.identity()));
    let bills = async || {
        let notes = rig.runs.get(&run).await.unwrap().unwrap().notes;
        notes.into_iter().filter(|(name, _)| name.starts_with("bill.")).collect::<Vec<_>>()
    };
    let noted = bills().await;
    let result = rig.worker().execute(&ctx, input).await.unwrap();
    assert_eq!(result["stdout"], "x\n", "{result:#}");
    let bills = bills().await;
    assert_eq!((bills.len(), &bills), (1, &noted), "what was noted before the end stands");
    let time = Duration::from_secs_f64(bills[0].1["seconds"].as_f64().unwrap());
    assert_eq!(rig.balance().await.spent, PriceCard::e2b().cost("base", time));
    rig.finish().await;
}

/// Four commands, two at a time, of which each counts its starts in a file that outlives its
/// sandbox's worker; the worker dies where the first of them, or the third, is.
#[tokio::test]
async fn a_parallel_batch_goes_on_wherever_its_worker_died() {
    for point in [
        "sandbox.created:abort:2",
        "sandbox.bound:abort:2",
        "start.noted:abort:2",
        "start.called:abort:3",
        "follow.ended:abort",
        "end.kept:abort",
        "end.kept:abort:3",
        "kill.after:abort:2",
        "kill.billed:abort",
        "kill.unbound:abort:3",
        "settle.booked:abort",
        "record.before:abort",
    ] {
        println!("dies at {point}");
        let rig = Rig::new().await;
        let one = "echo x >> starts; sleep 0.4; cat starts";
        let input = json!({"runId": ACCOUNT, "sharedSandbox": false, "maxParallel": 2,
            "commands": [one, one, one, one]});
        dies_in("batch", &rig, point, "batch", &input).await;
        let ctx = TestContext::attempt("batch", 2);
        let result = rig.worker().batch(&ctx, input).await.unwrap();
        assert_eq!(result["outcome"], "completed", "{point}: {result:#}");
        let mut items = 0.0;
        for item in result["results"].as_array().unwrap() {
            assert_eq!(item["result"]["stdout"], "x\n", "{point}: started once: {result:#}");
            items += item["result"]["cost"]["spentUsd"].as_f64().unwrap();
        }
        let spent = result["cost"]["spentUsd"].as_f64().unwrap();
        assert!((items - spent).abs() < 1e-9, "{point}: {result:#}");
        let booked = serde_json::to_value(rig.balance().await.spent).unwrap();
        assert_eq!(booked, result["cost"]["spentUsd"], "{point}: charged once");
        rig.finish().await;
    }
}

/// The provider still works at a creation when the next attempt asks for the same.
#[tokio::test]
async fn a_creation_that_outlives_its_asker_gives_no_second_sandbox() {
    let rig = Rig::new().await;
    let mut slow = Fault::new("/v2/sandboxes", FaultAction::Stall { at: 0, ms: 1500 });
    slow.method = Some("POST".to_owned());
    rig.fault(slow);
    let (ctx, running) = rig.begin("late", json!({"command": "echo done"}));
    rig.until("creation", async || rig.asked() == 1).await;
    running.abort();
    let _ = running.await;
    let next = TestContext::attempt("late", 2);
    let input = json!({"runId": ACCOUNT, "command": "echo done"});
    let result = rig.worker().execute(&next, input).await.unwrap();
    assert_eq!(result["stdout"], "done\n", "{result:#}");
    drop(ctx);
    tokio::time::sleep(Duration::from_secs(2)).await;
    rig.finish().await;
}
