//! Sandboxes that several activities share, as workflows and the `temporal` command use them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, Stack};

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Starts a session and waits for its sandbox.
fn start_session(stack: &Stack, id: &str, input: &Value) -> String {
    let input = input.to_string();
    let started = stack.temporal(&[
        "workflow",
        "start",
        "--type",
        "sandboxSession",
        "--task-queue",
        "airlock",
        "--workflow-id",
        id,
        "--input",
        &input,
    ]);
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let mut sandbox = String::new();
    wait_until("the session's sandbox", || {
        let status = query(stack, id);
        status["sandboxId"].as_str().unwrap_or_default().clone_into(&mut sandbox);
        !sandbox.is_empty()
    });
    sandbox
}

/// The session's answer to `status`.
fn query(stack: &Stack, id: &str) -> Value {
    let output = stack.temporal(&[
        "workflow",
        "query",
        "--workflow-id",
        id,
        "--type",
        "status",
        "-o",
        "json",
    ]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    answer["queryResult"].as_array().and_then(|all| all.first().cloned()).unwrap_or_default()
}

/// Runs a command in the session; what `temporal` printed, and whether it went well.
fn execute(stack: &Stack, id: &str, input: &Value) -> (bool, String) {
    let input = input.to_string();
    let output = stack.temporal(&[
        "workflow",
        "update",
        "execute",
        "--workflow-id",
        id,
        "--name",
        "execute",
        "--input",
        &input,
        "-o",
        "json",
    ]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_session_runs_commands_in_one_sandbox_and_closes_it() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    let opening = json!({"runId": account, "files": [{"path": "seed", "content": "planted\n"}]});
    start_session(&stack, "session", &opening);
    let (ok, text) = execute(&stack, "session", &json!({"command": "cat seed > grown; echo one"}));
    assert!(ok && text.contains("one\\n"), "{text}");
    let (ok, text) = execute(&stack, "session", &json!({"command": "cat grown"}));
    assert!(ok && text.contains("planted\\n"), "the second finds what the first left: {text}");
    let (ok, text) = execute(&stack, "session", &json!({"command": "rm -rf /"}));
    assert!(!ok && text.contains("PolicyDenied"), "{text}");
    let (ok, text) = execute(&stack, "session", &json!({"command": "ls", "runId": "other"}));
    assert!(!ok && text.contains("the session's own"), "{text}");
    let status = query(&stack, "session");
    assert_eq!((&status["phase"], &status["commands"]), (&json!("ready"), &json!(3)), "{status}");

    let closed =
        stack.temporal(&["workflow", "signal", "--workflow-id", "session", "--name", "close"]);
    assert!(closed.status.success(), "{}", String::from_utf8_lossy(&closed.stderr));
    let output = stack.temporal(&["workflow", "result", "--workflow-id", "session", "-o", "json"]);
    let result = Answer::read(&output).ok();
    assert_eq!(result["reason"], json!("closed"), "{result:#}");
    stack.assert_clean(&account);
    let status = stack.activity("getBudget", &json!({"runId": account})).ok();
    assert_eq!(status["spent"], result["cost"]["spentUsd"], "booked once: {status}");
}

#[test]
fn an_idle_session_closes_by_itself() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    start_session(&stack, "idle", &json!({"runId": account, "idleTimeoutMs": 2000}));
    let output = stack.temporal(&["workflow", "result", "--workflow-id", "idle", "-o", "json"]);
    assert_eq!(Answer::read(&output).ok()["runId"], json!(account));
    stack.assert_clean(&account);
}

#[test]
fn what_a_terminated_workflow_left_open_is_closed_for_it() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    let sandbox = start_session(&stack, "ended", &json!({"runId": account}));
    let ended = stack.temporal(&["workflow", "terminate", "--workflow-id", "ended"]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    // The workers look by themselves; asking makes it sooner.
    let ready = stack.ready_file();
    let ready = ready.to_str().expect("a UTF-8 path");
    wait_until("the sandbox's end", || {
        stack.airlock(&["sandbox", "reap", "--from", ready]);
        stack.sandboxes().is_empty()
    });
    stack.assert_clean(&account);
    let health = json!({"runId": account, "sandboxId": sandbox});
    let health = stack.activity("sandboxHealth", &health).ok();
    assert_eq!(health["reason"], json!("workflowClosed"), "{health:#}");
}

#[test]
fn standalone_activities_share_a_sandbox_one_command_at_a_time() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    let opened = stack.activity("openSandbox", &json!({"runId": account})).ok();
    let place = |more: Value| {
        let mut input = json!({"runId": account, "sandboxId": opened["sandboxId"]});
        input.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        input
    };
    let files = place(json!({"files": [{"path": "data/in", "content": "abc"}]}));
    assert_eq!(stack.activity("uploadFiles", &files).ok()["files"][0]["bytes"], json!(3));
    let long = place(json!({"command": "sleep 8; tr a-z A-Z < data/in > data/out"}));
    stack.start_activity("safeExecuteCode", "long", &long);
    wait_until("the first command", || stack.heartbeat("long").contains("running"));
    stack.start_activity("safeExecuteCode", "next", &place(json!({"command": "cat data/out"})));
    wait_until("the refusal of the second", || {
        stack.describe("next").to_string().contains("SandboxBusy")
    });
    assert_eq!(stack.activity_answer("long").ok()["exitCode"], json!(0));
    assert_eq!(stack.activity_answer("next").ok()["stdout"], json!("ABC"), "it came to its turn");
    let got = stack.activity("downloadFiles", &place(json!({"paths": ["data/*"]}))).ok();
    assert_eq!(got["files"][1]["contentBase64"], json!("QUJD"), "{got:#}");
    let other = json!({"runId": stack.budget("1.00"), "sandboxId": opened["sandboxId"]});
    let (kind, _) = stack.activity("closeSandbox", &other).failure();
    assert_eq!(kind, "SandboxNotFound");
    let closed = stack.activity("closeSandbox", &place(json!({}))).ok();
    let again = stack.activity("closeSandbox", &place(json!({}))).ok();
    assert_eq!((&closed["cost"], &closed["closedAt"]), (&again["cost"], &again["closedAt"]));
    stack.assert_clean(&account);
}
