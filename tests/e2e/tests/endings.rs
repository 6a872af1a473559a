//! How runs end: each ending as a caller sees it, and that nothing is left behind.

use serde_json::{Value, json};

use crate::harness::{Stack, wait_until};

fn run(account: &str, command: &str) -> Value {
    json!({"runId": account, "command": command})
}

#[test]
fn results_are_results_whatever_the_exit_code() {
    let stack = Stack::start();
    let account = stack.budget("1.00");

    let hello = stack.activity("safeExecuteCode", &run(&account, "echo hello; pwd; id -un")).ok();
    assert_eq!(hello["status"], json!("completed"));
    assert_eq!(hello["exitCode"], json!(0));
    assert_eq!(hello["stdout"], json!("hello\n/home/user\nuser\n"));
    assert_eq!(hello["stdoutBytes"], json!(22));
    assert_eq!(hello["decision"]["outcome"], json!("allow"));
    assert!(hello["cost"]["spentUsd"].as_f64().expect("a cost") > 0.0, "{hello}");
    assert!(hello["cost"]["spentUsd"].as_f64() <= hello["cost"]["reservedUsd"].as_f64(), "{hello}");

    let failing = stack.activity("safeExecuteCode", &run(&account, "echo no >&2; exit 7")).ok();
    assert_eq!(failing["status"], json!("completed"));
    assert_eq!(failing["exitCode"], json!(7));
    assert_eq!(failing["stderr"], json!("no\n"));

    let slow = json!({"runId": account, "command": "echo before; sleep 60", "timeoutMs": 1000});
    let slow = stack.activity("safeExecuteCode", &slow).ok();
    assert_eq!(slow["status"], json!("timedOut"));
    assert_eq!(slow["stdout"], json!("before\n"));

    let code = json!({"runId": account, "code": {"language": "python", "source": "print(6 * 7)"}});
    assert_eq!(stack.activity("safeExecuteCode", &code).ok()["stdout"], json!("42\n"));

    let flood = run(&account, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end");
    let flood = stack.activity("safeExecuteCode", &flood).ok();
    assert_eq!(flood["stdoutBytes"], json!(3_000_009));
    assert_eq!(flood["stdoutTruncated"], json!(true));
    let text = flood["stdout"].as_str().expect("text");
    assert!(text.len() < 80_000 && text.ends_with("the end\n"), "{}", text.len());

    stack.assert_clean(&account);
}

#[test]
fn a_secret_in_the_output_reaches_nobody() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    let secret = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    // The token is put together in the sandbox: it stands nowhere in the input.
    let (head, tail) = secret.split_at(10);
    let command = format!("A={head}; B={tail}; printf 'token %s\\n' \"$A$B\"; echo \"$A$B\" >&2");
    let answer = stack.activity("safeExecuteCode", &run(&account, &command)).ok();
    assert!(!answer.to_string().contains(&secret), "{answer}");
    assert!(answer["stdout"].as_str().expect("text").starts_with("token [REDACTED:"), "{answer}");
    let redactions = answer["redactions"].as_object().expect("counts");
    assert_eq!(redactions.values().filter_map(Value::as_u64).sum::<u64>(), 2);
    assert!(!stack.log().contains(&secret), "the log holds the secret");
    stack.assert_clean(&account);
}

#[test]
fn refusals_cost_nothing_and_are_not_retried() {
    let stack = Stack::start();
    let account = stack.budget("0.001");

    let denied = stack.activity("safeExecuteCode", &run(&account, "rm -rf --no-preserve-root /"));
    let (kind, failure) = denied.failure();
    assert_eq!(kind, "PolicyDenied", "{failure:#}");
    assert_eq!(failure["failure"]["applicationFailureInfo"]["nonRetryable"], json!(true));
    assert!(
        failure.to_string().contains("fs.delete"),
        "the decision is in the details: {failure:#}"
    );

    let long = json!({"runId": account, "command": "true", "timeoutMs": 3_600_000});
    let (kind, failure) = stack.activity("safeExecuteCode", &long).failure();
    assert_eq!(kind, "BudgetExceeded", "{failure:#}");

    let nobody = json!({"runId": "nobody-made-this"});
    let (kind, _) = stack.activity("getBudget", &nobody).failure();
    assert_eq!(kind, "BudgetNotFound");

    let bad = json!({"runId": account, "comand": "ls", "timeoutMs": "soon"});
    let (kind, failure) = stack.activity("safeExecuteCode", &bad).failure();
    assert_eq!(kind, "InvalidInput");
    let text = failure.to_string();
    for field in ["comand", "timeoutMs", "did you mean"] {
        assert!(text.contains(field), "{field}: {failure:#}");
    }

    let (kind, _) = stack.activity("noSuchActivity", &json!({})).failure();
    assert_eq!(kind, "InvalidInput");

    let status = stack.activity("getBudget", &json!({"runId": account})).ok();
    assert_eq!((&status["spent"], &status["reserved"]), (&json!(0), &json!(0)), "{status}");
    stack.assert_clean(&account);
}

#[test]
fn a_batch_stops_at_its_first_failure() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    let batch = json!({"runId": account,
        "commands": ["echo one > f", {"command": "cat f; exit 3"}, "echo never"]});
    let result = stack.activity("safeExecuteBatch", &batch).ok();
    assert_eq!(result["outcome"], json!("stopped"), "{result:#}");
    let outcomes: Vec<&Value> =
        result["results"].as_array().expect("a list").iter().map(|r| &r["outcome"]).collect();
    assert_eq!(outcomes, [&json!("completed"), &json!("failed"), &json!("skipped")]);
    assert_eq!(result["results"][1]["result"]["stdout"], json!("one\n"), "files are shared");
    assert_eq!(
        (&result["succeeded"], &result["failed"], &result["skipped"]),
        (&json!(1), &json!(1), &json!(1))
    );

    let refused = json!({"runId": account, "commands": ["echo one", "mkfs.ext4 /dev/sda1"]});
    let (kind, _) = stack.activity("safeExecuteBatch", &refused).failure();
    assert_eq!(kind, "PolicyDenied");
    stack.assert_clean(&account);
}

#[test]
fn a_cancelled_run_is_killed_and_settled() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    let id = "to-be-cancelled";
    let input = json!({"runId": account, "command": "echo begun; sleep 300 & sleep 300; echo no"});
    stack.start_activity("safeExecuteCode", id, &input);
    wait_until("the command to run", || stack.heartbeat(id).contains("begun"));
    let cancelled = stack.temporal(&["activity", "cancel", "--activity-id", id]);
    assert!(cancelled.status.success());
    wait_until("the activity to end", || {
        stack.describe(id)["info"]["status"] == json!("ACTIVITY_EXECUTION_STATUS_CANCELED")
    });
    let outcome = stack.describe(id).to_string();
    assert!(outcome.contains("begun"), "partial output is handed back: {outcome}");
    stack.assert_clean(&account);
    let status = stack.activity("getBudget", &json!({"runId": account})).ok();
    assert!(status["spent"].as_f64().expect("spent") > 0.0, "time that ran is paid: {status}");
}
