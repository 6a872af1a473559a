//! Workers that die: processes of their own, which end at a named point of the way of a run.

use std::process::Stdio;
use std::time::Duration;

use airlock_budget::PriceCard;
use airlock_contract::ExecutionId;
use airlock_engine::{Config, RunContext as _};
use airlock_runs::RunKey;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, Address, Rig, TestContext};

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
    let lease = rig.config().lease.max.as_secs();
    let job = json!({ "type": "execute", "activity": activity, "input": input, "leaseSeconds": lease,
            "atOnce": rig.config().admission.limits.at_once });
    let status = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crashes::worker_process", "--ignored", "--nocapture"])
        .env(JOB, rig.address().write(job).to_string())
        .env(FAULTS, format!("{point}:abort"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status();
    assert!(!status.await.unwrap().success(), "it ended by itself");
}

#[tokio::test]
async fn a_worker_killed_after_the_sandbox_charges_once_and_not_for_the_time_after() {
    let rig = Rig::new().await;
    let input = json!({"runId": ACCOUNT, "command": "echo x >> starts; sleep 1.2; cat starts"});
    dies_at(&rig, "kill.after", "bill", &input).await;
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
