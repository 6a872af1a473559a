//! Workers that come and go: killed, drained, started before their servers.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::{Stack, airlock, wait_until};

/// Prints ten numbered lines over five seconds, and notes each start outside of its output.
const COUNT: &str = "echo started >> starts; \
    for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; sleep 0.5; done; cat starts; exit 4";

/// What it must have printed, whoever followed it.
fn expected() -> String {
    let lines = (1..=10).map(|i| format!("line {i}\n"));
    lines.chain(["started\n".to_owned()]).collect()
}

/// A worker of its own on the stack.
struct Worker(Child);

impl Worker {
    fn start(stack: &Stack) -> Self {
        let child = Command::new(airlock())
            .args(["worker", "--grace-seconds", "5", "--from"])
            .arg(stack.ready_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("airlock worker starts"))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("a pid"));
        kill(pid, signal).expect("the worker lives");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts the counting command and waits until its third line is seen in a heartbeat.
fn begin(stack: &Stack, id: &str) -> String {
    let account = stack.budget("1.00");
    let input = json!({"runId": account, "command": COUNT});
    stack.start_activity("safeExecuteCode", id, &input);
    wait_until("the command to run", || stack.heartbeat(id).contains("line 3"));
    account
}

/// The whole output, the right code, one start, one charge: as if nothing had happened.
fn assert_whole(stack: &Stack, id: &str, account: &str) -> Value {
    let result = stack.activity_answer(id).ok();
    assert_eq!(result["stdout"], json!(expected()), "{result:#}");
    assert_eq!((&result["exitCode"], &result["status"]), (&json!(4), &json!("completed")));
    assert_eq!(result["reattached"], json!(true), "{result:#}");
    stack.assert_clean(account);
    let status = stack.activity("getBudget", &json!({"runId": account})).ok();
    assert_eq!(status["spent"], result["cost"]["spentUsd"], "charged once: {status}");
    result
}

#[test]
fn a_killed_worker_loses_nothing() {
    let stack = Stack::with(&["--no-worker"], &[]);
    let first = Worker::start(&stack);
    let account = begin(&stack, "killed");
    first.signal(Signal::SIGKILL);
    let second = Worker::start(&stack);
    let result = assert_whole(&stack, "killed", &account);
    assert!(result["attempt"].as_u64() >= Some(2), "{result:#}");
    drop((first, second));
}

#[test]
fn a_drained_worker_hands_over() {
    let stack = Stack::with(&["--no-worker"], &[]);
    let mut first = Worker::start(&stack);
    let account = begin(&stack, "drained");
    let _second = Worker::start(&stack);
    first.signal(Signal::SIGTERM);
    assert_eq!(first.0.wait().expect("it ends").code(), Some(0));
    assert_whole(&stack, "drained", &account);
}

#[test]
fn a_worker_waits_for_its_servers_and_says_so() {
    // A port that nothing listens on: bound once, then let go.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port().to_string();
    drop(listener);
    let log = tempfile::NamedTempFile::new().expect("a file");
    let mut child = Command::new(airlock())
        .args(["worker", "--e2b-api-key", "e2b_0", "--http-listen", "off", "--redis-host"])
        .args(["127.0.0.1", "--redis-port", &port])
        .stderr(log.reopen().expect("a second handle"))
        .spawn()
        .expect("airlock worker starts");
    let said = || std::fs::read_to_string(log.path()).unwrap_or_default();
    wait_until("two tries", || said().matches("cannot use Redis yet").count() >= 2);
    assert!(said().contains(&port), "the address is named: {}", said());
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("it lives");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{}", said());
}
