//! Sandboxes that several activities share: opened, used by one command at a time, closed once.

use std::sync::Arc;
use std::time::Duration;

use airlock_budget::NewBudget;
use airlock_contract::{FailureType, Usd};
use airlock_engine::{Config, Ending, Liveness, NoSecrets, SharedTimes, StopReason};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, Rig, TestContext, failure};

/// A keeper that looks every time.
pub(crate) fn at_once() -> Config {
    let shared = SharedTimes { look: Duration::ZERO, ..SharedTimes::default() };
    Config { shared, ..Config::default() }
}

pub(crate) async fn rig() -> Rig {
    Rig::with(at_once(), Arc::new(NoSecrets)).await
}

/// Opens a sandbox, with `more` in the input; its id.
pub(crate) async fn open(rig: &Rig, activity: &str, more: Value) -> String {
    let mut input = json!({"runId": ACCOUNT});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let opened = rig.worker().open_sandbox(&TestContext::first(activity), input).await.unwrap();
    opened["sandboxId"].as_str().unwrap().to_owned()
}

/// Runs a command in it.
async fn run(rig: &Rig, activity: &str, id: &str, command: &str) -> Result<Value, Ending> {
    let input = json!({"runId": ACCOUNT, "sandboxId": id, "command": command});
    rig.worker().execute(&TestContext::first(activity), input).await
}

async fn close(rig: &Rig, id: &str) -> Value {
    let input = json!({"runId": ACCOUNT, "sandboxId": id});
    let ctx = TestContext::first("close");
    serde_json::to_value(rig.worker().close_sandbox(&ctx, &input).await.unwrap()).unwrap()
}

async fn health(rig: &Rig, id: &str) -> Value {
    let input = json!({"runId": ACCOUNT, "sandboxId": id});
    serde_json::to_value(rig.worker().sandbox_health(&input).await.unwrap()).unwrap()
}

/// A command that runs on; the task that follows it and its attempt.
async fn begin(
    rig: &Rig,
    activity: &str,
    id: &str,
) -> (Arc<TestContext>, tokio::task::JoinHandle<Result<Value, Ending>>) {
    let ctx = Arc::new(TestContext::first(activity));
    let input = json!({"runId": ACCOUNT, "sandboxId": id, "command": LONG});
    let (worker, attempt) = (rig.worker(), ctx.clone());
    let running = tokio::spawn(async move { worker.execute(&*attempt, input).await });
    rig.until("output", async || ctx.tail().contains("begun")).await;
    (ctx, running)
}

/// Says how often it was started, and goes on until it is ended.
const LONG: &str = "echo start >> starts; echo begun; sleep 321";

#[tokio::test]
async fn commands_share_files_environment_and_what_they_leave_running() {
    let rig = rig().await;
    let id = open(
        &rig,
        "open",
        json!({"env": {"GREETING": "hi there"}, "labels": {"team": "a"},
            "files": [{"path": "in/first", "content": "one\n"}]}),
    )
    .await;
    let held = rig.balance().await.reserved;
    assert!(held > Usd::ZERO);
    assert_eq!(rig.runs.lease_count().await.unwrap(), 0, "it is not the opener's any more");

    let first = "cat in/first; echo \"$GREETING\" > said; sleep 300 & echo $! > child";
    let first = run(&rig, "first", &id, first).await.unwrap();
    assert_eq!((&first["stdout"], &first["exitCode"]), (&json!("one\n"), &json!(0)), "{first:#}");
    assert_eq!(first["sandboxId"], json!(id));
    let second = run(&rig, "second", &id, "cat said; kill -0 $(cat child) && echo lives");
    assert_eq!(second.await.unwrap()["stdout"], json!("hi there\nlives\n"));

    let batch =
        json!({"runId": ACCOUNT, "sandboxId": id, "commands": ["echo b > b", "cat b said"]});
    let batch = rig.worker().batch(&TestContext::first("batch"), batch).await.unwrap();
    assert_eq!(batch["results"][1]["result"]["stdout"], json!("b\nhi there\n"), "{batch:#}");

    let healthy = health(&rig, &id).await;
    assert_eq!((&healthy["state"], &healthy["running"]), (&json!("open"), &json!(true)));
    assert_eq!(healthy["commandsRunning"], json!(0), "{healthy:#}");
    assert_eq!(rig.balance().await.spent, Usd::ZERO, "it is booked when it closes");

    let closed = close(&rig, &id).await;
    assert_eq!(closed["reason"], json!("closed"), "{closed:#}");
    rig.assert_clean().await;
    assert_eq!(rig.runs.shared().count().await.unwrap(), 0);
    let spent = rig.balance().await.spent;
    assert_eq!(json!(spent), closed["cost"]["spentUsd"]);
    assert!(spent > Usd::ZERO && spent <= held);
    let gone = failure(run(&rig, "late", &id, "true").await);
    assert_eq!(gone.kind, FailureType::SandboxNotFound);
    assert_eq!(health(&rig, &id).await["state"], json!("closed"));
    rig.finish().await;
}

#[tokio::test]
async fn files_go_in_and_come_back_whole_and_clean() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({})).await;
    let worker = rig.worker();
    let put = json!({"runId": ACCOUNT, "sandboxId": id, "files": [
        {"path": "bin/tool", "content": "#!/bin/sh\necho tool\n", "mode": "755"},
        {"path": "raw", "contentBase64": STANDARD.encode([0_u8, 255, 7])}]});
    let done = worker.upload_files(&TestContext::first("put"), put).await.unwrap();
    assert_eq!(done["files"][1]["bytes"], json!(3), "{done:#}");
    let made = "./bin/tool; echo 'password=correct-horse-battery-7' > note; \
        head -c 2000000 /dev/zero > large; mkdir d; echo 1 > d/a; echo 2 > d/b";
    assert_eq!(run(&rig, "make", &id, made).await.unwrap()["stdout"], json!("tool\n"));

    let get = |paths: Value| json!({"runId": ACCOUNT, "sandboxId": id, "paths": paths});
    let fetch = get(json!(["raw", "note", "d/*", "absent"]));
    let got = worker.download_files(&TestContext::first("get"), fetch).await.unwrap();
    let content = |i: usize| {
        let text = got["files"][i]["contentBase64"].as_str().unwrap();
        STANDARD.decode(text).unwrap()
    };
    assert_eq!(content(0), [0, 255, 7]);
    let note = String::from_utf8(content(1)).unwrap();
    assert!(note.contains("[REDACTED:") && !note.contains("correct-horse"), "{note}");
    assert_eq!((got["files"][2]["path"].as_str(), content(2)), (Some("d/a"), b"1\n".to_vec()));
    assert_eq!(got["files"][4]["omitted"], json!("no such file"), "{got:#}");
    let large = get(json!(["note", "large"]));
    let large = failure(worker.download_files(&TestContext::first("large"), large).await);
    assert_eq!(large.kind, FailureType::ResultTooLarge);
    assert_eq!(large.details.unwrap()["bytes"], json!(2_000_000));
    close(&rig, &id).await;
    rig.finish().await;
}

#[tokio::test]
async fn packages_are_installed_under_the_policy_and_what_fails_is_a_result() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({})).await;
    let worker = rig.worker();
    let input = |name: &str| {
        json!({"runId": ACCOUNT, "sandboxId": id,
            "packages": [{"manager": "npm", "names": [name]}]})
    };
    let (first, second) = (TestContext::first("npm"), TestContext::attempt("npm", 2));
    let failed = worker.install_packages(&first, input("no-such-thing")).await.unwrap();
    assert_eq!(failed["installed"], json!(false), "{failed:#}");
    assert_ne!(failed["installs"][0]["exitCode"], json!(0));
    assert_eq!(failed["decision"]["allowed"], json!(true));
    let again = worker.install_packages(&second, input("no-such-thing")).await.unwrap();
    assert_eq!(again, failed, "the result stands");
    let bad = worker.install_packages(&TestContext::first("bad"), input("--registry=x")).await;
    assert_eq!(failure(bad).kind, FailureType::InvalidInput);
    assert_eq!(health(&rig, &id).await["commandsRunning"], json!(0));
    close(&rig, &id).await;
    rig.finish().await;
}

#[tokio::test]
async fn only_the_account_that_opened_it_can_use_it() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({})).await;
    let worker = rig.worker();
    // One of the same family has its keys in the same slot.
    for other in ["team/run-2", "else"] {
        rig.ledger.create(&NewBudget::new(other.parse().unwrap(), Usd::MAX)).await.unwrap();
        let input = json!({"runId": other, "sandboxId": id});
        let closing = worker.close_sandbox(&TestContext::first("close"), &input).await;
        assert_eq!(closing.unwrap_err().kind, FailureType::SandboxNotFound);
        let looking = worker.sandbox_health(&input).await;
        assert_eq!(looking.unwrap_err().kind, FailureType::SandboxNotFound);
        let mut running = input.clone();
        running["command"] = json!("true");
        let running = worker.execute(&TestContext::first("run"), running).await;
        assert_eq!(failure(running).kind, FailureType::SandboxNotFound);
        let mut putting = input.clone();
        putting["files"] = json!([{"path": "a", "content": "b"}]);
        let putting = worker.upload_files(&TestContext::first("put"), putting).await;
        assert_eq!(failure(putting).kind, FailureType::SandboxNotFound);
    }
    for hostile in ["", "{x}", "../x", "a b", &"x".repeat(64)] {
        let input = json!({"runId": ACCOUNT, "sandboxId": hostile});
        let looking = worker.sandbox_health(&input).await;
        assert_eq!(looking.unwrap_err().kind, FailureType::SandboxNotFound, "{hostile:?}");
    }
    let input = json!({"runId": ACCOUNT, "sandboxId": id, "command": "true", "network": "none"});
    let own = worker.execute(&TestContext::first("own"), input).await;
    assert_eq!(failure(own).kind, FailureType::InvalidInput, "the network is the sandbox's");
    close(&rig, &id).await;
    rig.finish().await;
}

#[tokio::test]
async fn one_command_at_a_time_unless_asked_otherwise() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({})).await;
    let (ctx, running) = begin(&rig, "long", &id).await;
    let busy = failure(run(&rig, "second", &id, "true").await);
    assert_eq!(busy.kind, FailureType::SandboxBusy);
    assert!(busy.retry_after.is_some() && busy.kind.is_retryable());
    assert_eq!(busy.details.unwrap()["busyWith"][0]["activityId"], json!("long"));
    let wide = open(&rig, "wide", json!({"maxConcurrent": 2})).await;
    let (other, beside) = begin(&rig, "beside", &wide).await;
    assert_eq!(run(&rig, "third", &wide, "echo x").await.unwrap()["stdout"], json!("x\n"));
    ctx.stop(StopReason::Cancelled);
    other.stop(StopReason::Cancelled);
    for task in [running, beside] {
        assert!(matches!(task.await.unwrap(), Err(Ending::Cancelled(_))));
    }
    let free = run(&rig, "fourth", &id, "pgrep -fc 'sleep 32[1]'; cat starts").await.unwrap();
    assert_eq!(free["stdout"], json!("0\nstart\n"), "the command is ended, the sandbox is not");
    close(&rig, &id).await;
    close(&rig, &wide).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_later_attempt_has_the_seat_still_and_starts_nothing_twice() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({})).await;
    let (first, running) = begin(&rig, "kept", &id).await;
    first.stop(StopReason::WorkerShutdown);
    assert_eq!(failure(running.await.unwrap()).kind, FailureType::WorkerDraining);
    let busy = failure(run(&rig, "other", &id, "true").await);
    assert_eq!(busy.kind, FailureType::SandboxBusy, "the command runs on");
    let second = Arc::new(TestContext::attempt("kept", 2));
    let input = json!({"runId": ACCOUNT, "sandboxId": id, "command": LONG});
    let (worker, attempt) = (rig.worker(), second.clone());
    let running = tokio::spawn(async move { worker.execute(&*attempt, input).await });
    rig.until("output", async || second.tail().contains("begun")).await;
    second.stop(StopReason::Cancelled);
    assert!(matches!(running.await.unwrap(), Err(Ending::Cancelled(_))));
    let starts = run(&rig, "look", &id, "cat starts; pgrep -fc 'sleep 32[1]'").await.unwrap();
    assert_eq!(starts["stdout"], json!("start\n0\n"), "{starts:#}");
    close(&rig, &id).await;
    rig.finish().await;
}

#[tokio::test]
async fn an_attempt_that_is_cancelled_before_it_looks_ends_what_the_one_before_left() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({})).await;
    let (first, running) = begin(&rig, "left", &id).await;
    first.stop(StopReason::WorkerShutdown);
    running.await.unwrap().unwrap_err();
    let second = TestContext::attempt("left", 2);
    second.stop(StopReason::Cancelled);
    let input = json!({"runId": ACCOUNT, "sandboxId": id, "command": LONG});
    let ended = rig.worker().execute(&second, input).await;
    assert!(matches!(ended, Err(Ending::Cancelled(_))), "{ended:?}");
    let after = run(&rig, "after", &id, "pgrep -fc 'sleep 32[1]'").await.unwrap();
    assert_eq!(after["stdout"], json!("0\n"), "{after:#}");
    close(&rig, &id).await;
    rig.finish().await;
}

#[tokio::test]
async fn the_seat_of_a_closed_activity_is_freed_and_its_worker_fenced_off() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({})).await;
    let (_old, cut_off) = begin(&rig, "dead", &id).await;
    let input = json!({"runId": ACCOUNT, "sandboxId": id,
        "command": "pgrep -fc 'sleep 32[1]'; cat starts"});
    let next = TestContext::first("next");
    for unsure in [Liveness::Open, Liveness::Unknown] {
        next.set_others(unsure);
        let busy = rig.worker().execute(&next, input.clone()).await;
        assert_eq!(failure(busy).kind, FailureType::SandboxBusy, "{unsure:?}");
    }
    let next = TestContext::attempt("next", 2);
    next.set_others(Liveness::Closed);
    let result = rig.worker().execute(&next, input).await.unwrap();
    assert_eq!(result["stdout"], json!("0\nstart\n"), "{result:#}");
    // The worker that was cut off from Temporal is told so by the record, and ends nothing.
    assert_eq!(failure(cut_off.await.unwrap()).kind, FailureType::ActivityReset);
    close(&rig, &id).await;
    rig.finish().await;
}

#[tokio::test]
async fn closing_again_and_at_once_by_several_is_one_closing() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({"cost": {"feeUsd": "0.01"}})).await;
    let all = futures_util::future::join_all((0..4).map(|_| close(&rig, &id))).await;
    let spent = rig.balance().await.spent;
    for closed in all.iter().chain([&close(&rig, &id).await]) {
        assert_eq!(closed["cost"], all[0]["cost"]);
        assert_eq!(closed["closedAt"], all[0]["closedAt"]);
    }
    assert_eq!(json!(spent), all[0]["cost"]["spentUsd"]);
    assert!(spent > "0.01".parse().unwrap(), "the fee is in it");
    rig.finish().await;
}

#[tokio::test]
async fn a_sandbox_that_goes_away_is_said_so_and_booked_once() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({})).await;
    let (_ctx, running) = begin(&rig, "in-it", &id).await;
    rig.client.kill(&id).await.unwrap();
    let lost = failure(running.await.unwrap());
    assert_eq!(lost.kind, FailureType::OutcomeUnknown, "{lost:?}");
    let next = failure(run(&rig, "next", &id, "true").await);
    assert_eq!(next.kind, FailureType::SandboxNotFound, "{next:?}");
    assert_eq!(health(&rig, &id).await["running"], json!(false));
    close(&rig, &id).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_command_is_stopped_at_the_sandboxs_longest_life_and_one_too_dear_is_not_begun() {
    let rig = rig().await;
    let id = open(&rig, "open", json!({"maxLifetimeMs": 6000})).await;
    let result = run(&rig, "late", &id, "sleep 60").await.unwrap();
    assert_eq!(result["status"], json!("timedOut"), "{result:#}");
    close(&rig, &id).await;
    let capped = open(&rig, "capped", json!({"cost": {"maxUsd": "0.024"}})).await;
    let input = json!({"runId": ACCOUNT, "sandboxId": capped, "command": "true",
        "timeoutMs": 3_600_000});
    let dear = failure(rig.worker().execute(&TestContext::first("dear"), input).await);
    assert_eq!(dear.kind, FailureType::BudgetExceeded, "{dear:?}");
    let cheap = run(&rig, "cheap", &capped, "echo ok").await.unwrap();
    assert_eq!(cheap["stdout"], json!("ok\n"), "a refusal leaves no seat behind");
    close(&rig, &capped).await;
    rig.finish().await;
}
