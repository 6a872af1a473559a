//! The command line: what it prints, and the codes that it exits with.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::{Stack, airlock};

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(airlock())
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("airlock runs");
    child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn check_and_redact_and_schema_need_no_server() {
    let allowed = run(&["check", "--", "npm test"], "");
    assert_eq!(allowed.status.code(), Some(0), "{}", text(&allowed.stderr));
    let denied = run(&["check", "--json", "--", "rm -rf /"], "");
    assert_eq!(denied.status.code(), Some(3), "{}", text(&denied.stderr));
    let decision: Value = serde_json::from_slice(&denied.stdout).expect("JSON");
    assert_eq!(decision["outcome"], json!("deny"));

    let lines =
        "{\"id\": 1, \"command\": \"ls\"}\n{\"id\": 2, \"command\": \"mkfs.xfs /dev/sda\"}\n";
    let many = run(&["check", "--jsonl"], lines);
    assert_eq!(many.status.code(), Some(0), "{}", text(&many.stderr));
    let outcomes: Vec<Value> =
        text(&many.stdout).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(outcomes[0]["decision"]["outcome"], json!("allow"));
    assert_eq!(
        (&outcomes[1]["id"], &outcomes[1]["decision"]["outcome"]),
        (&json!(2), &json!("deny"))
    );
    let broken = run(&["check", "--jsonl"], "not json\n");
    assert_ne!(broken.status.code(), Some(0));
    assert!(text(&broken.stderr).contains("line 1"), "{}", text(&broken.stderr));

    let redacted = run(&["redact"], "PASSWORD=correct-horse-7 and text\n");
    assert_eq!(redacted.status.code(), Some(0));
    let out = text(&redacted.stdout);
    assert!(!out.contains("correct-horse-7") && out.contains("and text"), "{out}");

    let schema = run(&["schema"], "");
    let schema: Value = serde_json::from_slice(&schema.stdout).expect("JSON");
    assert!(schema["activities"]["safeExecuteCode"]["input"].is_object());
}

#[test]
fn wrong_calls_and_configurations_have_their_codes() {
    let cases: &[(&[&str], i32, &str)] = &[
        (&["frobnicate"], 2, "frobnicate"),
        (&["check"], 2, "command"),
        (&["worker", "--config", "/no/such.toml"], 64, "/no/such.toml"),
        (&["worker"], 64, "E2B_API_KEY"),
        (&["worker", "--e2b-api-key", "k", "--redis-url", "http://x"], 64, "REDIS_URL"),
        (&["worker", "--e2b-api-key", "k", "--http-listen", "0.0.0.0:1"], 64, "AIRLOCK_HTTP_TOKEN"),
        (&["worker", "--from", "/no/such.json"], 64, "/no/such.json"),
        (&["dev", "--ports", "nonsense"], 2, "--ports"),
        (&["schema", "nope"], 2, "safeExecuteCode"),
    ];
    for (arguments, code, says) in cases {
        let output = run(arguments, "");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn exec_budget_doctor_and_sandboxes_on_a_stack() {
    let stack = Stack::start();
    let ready = stack.ready_file();
    let ready = ready.to_str().expect("a UTF-8 path");

    let made = stack.airlock(&["budget", "create", "cli-1", "0.50", "--json", "--from", ready]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let spent = stack.airlock(&["budget", "spend", "cli-1", "0.10", "--json", "--from", ready]);
    let status: Value = serde_json::from_slice(&spent.stdout).expect("JSON");
    assert_eq!(status["spent"], json!(0.1), "{}", text(&spent.stderr));
    let over = stack.airlock(&["budget", "spend", "cli-1", "9", "--from", ready]);
    assert_eq!(over.status.code(), Some(3), "{}", text(&over.stderr));
    let bad = stack.airlock(&["budget", "spend", "cli-1", "lots", "--from", ready]);
    assert_eq!(bad.status.code(), Some(2), "{}", text(&bad.stderr));
    let budget = |rest: &[&str]| {
        let done = stack.airlock(&[&["budget"], rest, &["--json", "--from", ready]].concat());
        assert!(done.status.success(), "{rest:?}: {}", text(&done.stderr));
        serde_json::from_slice::<Value>(&done.stdout).expect("JSON")
    };
    assert_eq!(budget(&["reserve", "cli-1", "h", "0.2"])["amount"], json!(0.2));
    assert_eq!(budget(&["extend", "cli-1", "h", "0.3"])["budget"]["reserved"], json!(0.3));
    assert_eq!(budget(&["settle", "cli-1", "h", "0.1"])["budget"]["spent"], json!(0.2));
    assert_eq!(budget(&["void", "cli-1", "none"])["reserved"], json!(0));
    assert_eq!(budget(&["top-up", "cli-1", "0.10"])["limit"], json!(0.6));
    let no = stack.airlock(&["budget", "can-spend", "cli-1", "9", "--from", ready]);
    assert_eq!(no.status.code(), Some(3), "{}", text(&no.stderr));

    let exec = |rest: &[&str]| {
        let arguments =
            [&["exec", "--quiet", "--run-id", "cli-1", "--from", ready, "--"], rest].concat();
        stack.airlock(&arguments)
    };
    let ok = exec(&["echo out; echo err >&2; exit 5"]);
    assert_eq!(ok.status.code(), Some(5), "{}", text(&ok.stderr));
    assert_eq!(text(&ok.stdout), "out\n");
    assert!(text(&ok.stderr).contains("err"), "{}", text(&ok.stderr));
    let refused = exec(&["shutdown -h now"]);
    assert_eq!(refused.status.code(), Some(126), "{}", text(&refused.stderr));
    let nothing =
        stack.airlock(&["exec", "--quiet", "--run-id", "x y", "--from", ready, "--", "ls"]);
    assert_eq!(nothing.status.code(), Some(125), "{}", text(&nothing.stderr));

    let doctor = stack.airlock(&["doctor", "--json", "--from", ready]);
    assert!(doctor.status.success(), "{}{}", text(&doctor.stdout), text(&doctor.stderr));
    let gone = stack.airlock(&["budget", "delete", "cli-1", "--from", ready]);
    assert!(gone.status.success(), "{}", text(&gone.stderr));
    let missing = stack.airlock(&["budget", "get", "cli-1", "--from", ready]);
    assert_eq!(missing.status.code(), Some(1), "{}", text(&missing.stderr));
    assert!(stack.sandboxes().is_empty());
}

#[test]
fn the_stack_stops_whole_and_its_demo_tells_its_story() {
    let mut stack = Stack::start();
    let address = stack.address().to_owned();
    assert_eq!(stack.stop(), Some(0), "{}", stack.log());
    assert!(std::net::TcpStream::connect(&address).is_err(), "Temporal lives on");

    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(airlock())
        .args(["dev", "--demo", "--headless", "--ports", "auto", "--data-dir"])
        .arg(folder.path())
        .current_dir(crate::harness::workspace())
        .output()
        .expect("airlock runs");
    let story = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{story}");
    for part in ["allowed", "denied", "over budget", "[REDACTED:", "batch"] {
        assert!(story.to_lowercase().contains(&part.to_lowercase()), "{part}: {story}");
    }
}
