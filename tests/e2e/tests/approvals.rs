//! What the policy wants a person to see first, answered through every door; and the audit log of it.

use serde_json::{Value, json};

use crate::harness::{Stack, call};

/// The policy wants a person to see it: what it deletes is outside the workspace.
const COMMAND: &str = "rm -rf ../other; echo done";

/// Runs the command and returns the id of the approval that it needs.
fn asked(stack: &Stack, account: &str) -> String {
    let input = json!({"runId": account, "command": COMMAND});
    let (kind, failure) = stack.activity("safeExecuteCode", &input).failure();
    assert_eq!(kind, "ApprovalRequired", "{failure:#}");
    let (_, list) = call(stack, "GET", "/api/v1/safety/approvals", None);
    let waiting = list["approvals"].as_array().expect("a list");
    let failure = failure.to_string();
    let ids =
        waiting.iter().filter(|one| one["run_id"] == account).filter_map(|one| one["id"].as_str());
    ids.into_iter().find(|id| failure.contains(id)).expect("the failure names a request").to_owned()
}

fn run_with(stack: &Stack, account: &str, id: &str) -> crate::harness::Answer {
    let input = json!({"runId": account, "command": COMMAND, "approvalId": id});
    stack.activity("safeExecuteCode", &input)
}

fn cli(stack: &Stack, arguments: &[&str]) -> (Option<i32>, String) {
    let ready = stack.ready_file();
    let from = ["--from", ready.to_str().expect("a UTF-8 path")];
    let output = stack.airlock(&[arguments, &from].concat());
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_person_answers_by_command_line_http_or_activity() {
    let stack = Stack::with(&[], &[("AIRLOCK_ADMIN_TASK_QUEUE", "airlock-admin")]);
    let account = stack.budget("1.00");

    // By command line. Not before it is answered, once after.
    let id = asked(&stack, &account);
    assert_eq!(run_with(&stack, &account, &id).failure().0, "ApprovalRequired");
    let (code, shown) = cli(&stack, &["approvals", "list"]);
    assert!(code == Some(0) && shown.contains(&id) && shown.contains("rm -rf"), "{shown}");
    let by = ["--by", "ann", "--reason", "looked at it"];
    let (code, shown) = cli(&stack, &[&["approvals", "approve", &id][..], &by].concat());
    assert!(code == Some(0) && shown.contains("granted"), "{shown}");
    let result = run_with(&stack, &account, &id).ok();
    assert_eq!(result["stdout"], "done\n", "{result:#}");
    assert_eq!(run_with(&stack, &account, &id).failure().0, "ApprovalInvalid", "it opens once");
    let (code, shown) = cli(&stack, &["approvals", "show", &id]);
    assert!(code == Some(0) && shown.contains("used") && shown.contains("ann"), "{shown}");

    // By HTTP.
    let id = asked(&stack, &account);
    let path = |answer: &str| format!("/api/v1/safety/approvals/{id}/{answer}");
    let (status, problem) = call(&stack, "POST", &path("reject"), Some(json!({"reason": "no"})));
    assert!(status == 422 && problem.to_string().contains("\"by\""), "{problem:#}");
    let body = json!({"by": "bob", "reason": "not today"});
    let (status, answered) = call(&stack, "POST", &path("reject"), Some(body.clone()));
    assert_eq!((status, &answered["state"]), (200, &json!("rejected")), "{answered:#}");
    assert_eq!(call(&stack, "POST", &path("reject"), Some(body.clone())).0, 200, "the same again");
    assert_eq!(call(&stack, "POST", &path("approve"), Some(body.clone())).0, 409);
    let nothing = format!("/api/v1/safety/approvals/{}/approve", "0".repeat(32));
    assert_eq!(call(&stack, "POST", &nothing, Some(body)).0, 404);
    assert_eq!(run_with(&stack, &account, &id).failure().0, "ApprovalInvalid");

    // By activity, on the admin queue alone; asked for ahead of the run.
    let ahead = json!({"runId": account, "command": COMMAND});
    let requested = stack.activity("requestApproval", &ahead).ok();
    assert_eq!(requested["required"], json!(true), "{requested:#}");
    let id = requested["approval"]["id"].as_str().expect("an id");
    let answer = json!({"approvalId": id, "answer": "approve", "by": "eve"});
    let resolved = stack.activity_on("airlock-admin", "resolveApproval", &answer).ok();
    assert_eq!(resolved["state"], json!("granted"), "{resolved:#}");
    assert_eq!(run_with(&stack, &account, id).ok()["exitCode"], json!(0));
    let harmless = json!({"runId": account, "command": "ls"});
    assert_eq!(stack.activity("requestApproval", &harmless).ok()["required"], json!(false));
    stack.assert_clean(&account);
    audited(&stack, &account);
}

/// Every answer is in the log, with who gave it, and the log is whole.
fn audited(stack: &Stack, account: &str) {
    let path = format!("/api/v1/safety/audit?run_id={account}&kind=approval&limit=50");
    let (status, log) = call(stack, "GET", &path, None);
    assert_eq!(status, 200, "{log:#}");
    let records = log["records"].as_array().expect("records");
    let told = |kind: &str, by: &str| {
        records.iter().any(|one| one["kind"] == kind && one["data"]["by"] == by)
    };
    for (kind, by) in
        [("approval.granted", "ann"), ("approval.rejected", "bob"), ("approval.granted", "eve")]
    {
        assert!(told(kind, by), "{kind} by {by}: {log:#}");
    }
    let (code, shown) = cli(stack, &["audit", "tail", "--kind", "approval", "--json"]);
    assert_eq!(code, Some(0), "{shown}");
    let last: Value = serde_json::from_str(shown.lines().last().expect("a record")).expect("JSON");
    let (code, shown) = cli(stack, &["audit", "verify"]);
    assert!(code == Some(0) && shown.contains("intact"), "{shown}");
    let text = |name: &str| last[name].as_str().expect("a text").to_owned();
    let receipt = format!("{}:{}:{}", text("writer"), last["sequence"], text("hash"));
    assert_eq!(cli(stack, &["audit", "verify", "--receipt", &receipt]).0, Some(0));
    let other = format!("{}:{}:{}", text("writer"), 1_000_000, text("hash"));
    let (code, shown) = cli(stack, &["audit", "verify", "--receipt", &other]);
    assert!(code == Some(1) && shown.contains("is not here"), "{shown}");
    let (code, exported) = cli(stack, &["audit", "export"]);
    assert!(code == Some(0) && exported.lines().count() > 5, "{exported}");
}
