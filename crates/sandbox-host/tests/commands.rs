//! Commands in a sandbox, spoken to in raw HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test says what it found by failing"
)]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::rig;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_as_the_user_and_ends_with_its_exit_code() {
    let rig = rig().await;
    let sandbox = rig.create(json!({"envVars": {"GREETING": "hello"}})).await;
    let output = sandbox.sh("echo $GREETING; id -un >&2; pwd; exit 3").await;
    assert_eq!(output.stdout, "hello\n/home/user\n");
    assert_eq!(output.stderr, "user\n");
    assert_eq!(output.exit, Some(3));
    assert_eq!(output.error, None);
    let zero = sandbox.sh("true").await;
    assert_eq!(zero.end, json!({"exited": true, "status": "exit status 0"}));
    let root = sandbox.run("root", "id -u; pwd").await;
    assert_eq!(root.stdout, "0\n/root\n");
    rig.end().await;
}

/// A daemon that knows no name for the signal must still collect the process, and those after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_time_signal_ends_one_command_and_no_more() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let ended = sandbox.sh("kill -40 $$").await;
    assert_eq!(ended.end["exitCode"], json!(-1), "{ended:?}");
    assert_eq!(ended.end["status"], json!("signal: signal 40"), "{ended:?}");
    for _ in 0..5 {
        assert_eq!(sandbox.sh("true").await.exit, Some(0));
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_starts_are_told_apart() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let start = |user: &'static str, process| {
        let sandbox = sandbox.clone();
        async move {
            let body = json!({"process": process, "stdin": false});
            sandbox.open(user, "/process.Process/Start", body, None).await.collect().await
        }
    };
    let missing = start("user", json!({"cmd": "no-such-program"})).await;
    assert_eq!((missing.exit, missing.error), (Some(127), None));
    assert!(missing.stderr.contains("no-such-program"), "{}", missing.stderr);
    let directory = start("user", json!({"cmd": "true", "cwd": "/nowhere"})).await;
    assert_eq!(directory.error.as_deref(), Some("invalid_argument"));
    let closed = start("user", json!({"cmd": "true", "cwd": "/root"})).await;
    // As upstream's daemon says it: the working directory is an argument.
    assert_eq!(closed.error.as_deref(), Some("invalid_argument"));
    let user = start("nobody-knows", json!({"cmd": "true"})).await;
    assert_eq!(user.error.as_deref(), Some("unauthenticated"));
    let mut stranger = sandbox.clone();
    stranger.token = "0".repeat(64);
    let (status, body) = stranger.unary("user", "/process.Process/List", json!({})).await;
    assert_eq!((status.as_u16(), body["code"].as_i64()), (401, Some(401)));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_kills_the_process_and_ends_the_stream() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let body = json!({"process": {"cmd": "sleep", "args": ["600"]}});
    let began = Instant::now();
    let output =
        sandbox.open("user", "/process.Process/Start", body, Some(500)).await.collect().await;
    assert_eq!(output.error.as_deref(), Some("deadline_exceeded"));
    assert!(began.elapsed() < Duration::from_secs(5));
    let (_, list) = sandbox.unary("user", "/process.Process/List", json!({})).await;
    assert_eq!(list, json!({}));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_can_be_found_joined_fed_and_killed() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let body = json!({"process": {"cmd": "cat"}, "tag": "mine"});
    let mut first = sandbox.open("user", "/process.Process/Start", body, None).await;
    let pid = first.pid().await;
    let (_, list) = sandbox.unary("user", "/process.Process/List", json!({})).await;
    assert_eq!(list["processes"][0]["pid"].as_u64(), Some(pid));
    assert_eq!(list["processes"][0]["tag"], "mine");
    let tag = json!({"process": {"tag": "mine"}});
    let mut second = sandbox.open("user", "/process.Process/Connect", tag, None).await;
    assert_eq!(second.pid().await, pid);
    let input = json!({"process": {"pid": pid}, "input": {"stdin": "aGVsbG8K"}});
    let (status, _) = sandbox.unary("user", "/process.Process/SendInput", input.clone()).await;
    assert_eq!(status, 200);
    for stream in [&mut first, &mut second] {
        let (_, message) = stream.next().await.unwrap();
        assert_eq!(message["event"]["data"]["stdout"], "aGVsbG8K");
    }
    let selector = json!({"process": {"pid": pid}});
    for _ in 0..2 {
        let (status, _) =
            sandbox.unary("user", "/process.Process/CloseStdin", selector.clone()).await;
        if status != 200 {
            break;
        }
    }
    assert_eq!(first.collect().await.exit, Some(0));
    assert_eq!(second.collect().await.exit, Some(0));
    // The end is kept for those who come late; a process that never was is not found.
    let late = sandbox.open("user", "/process.Process/Connect", selector.clone(), None).await;
    let late = late.collect().await;
    assert_eq!((late.pid, late.exit), (pid, Some(0)));
    let never = json!({"process": {"pid": 99_999}});
    let never = sandbox.open("user", "/process.Process/Connect", never, None).await;
    assert_eq!(never.collect().await.error.as_deref(), Some("not_found"));
    let (status, body) = sandbox.unary("user", "/process.Process/SendInput", input).await;
    assert_eq!((status.as_u16(), body["code"].as_str()), (404, Some("not_found")));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_one_process_and_output_keeps_it_running() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let mut stream = sandbox.start("user", "sleep 2; echo never").await;
    let pid = stream.pid().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    let signal = json!({"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"});
    let (status, body) = sandbox.unary("user", "/process.Process/SendSignal", signal).await;
    assert_eq!(status, 200, "{body}");
    let output = stream.collect().await;
    // The sleep lives on and holds the output open.
    assert!(began.elapsed() > Duration::from_secs(1));
    assert_eq!(output.end["status"], "signal: killed");
    assert_eq!(output.exit, Some(-1));
    assert_eq!(output.stdout, "");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_does_not_stop_the_command() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let mut stream = sandbox.start("user", "sleep 0.5; echo done > /tmp/done; seq 100000").await;
    stream.pid().await;
    drop(stream);
    let began = Instant::now();
    while sandbox.read("/tmp/done").await.1 != b"done\n" {
        assert!(began.elapsed() < Duration::from_secs(10), "the command stopped");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_echoes_resizes_and_ends() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let body = json!({
        "process": {"cmd": "/bin/sh", "args": ["-i"], "envs": {"TERM": "xterm"}},
        "pty": {"size": {"cols": 80, "rows": 24}},
    });
    let mut stream = sandbox.open("user", "/process.Process/Start", body, None).await;
    let pid = stream.pid().await;
    let size = json!({"process": {"pid": pid}, "pty": {"size": {"cols": 100, "rows": 40}}});
    assert_eq!(sandbox.unary("user", "/process.Process/Update", size).await.0, 200);
    // "stty size; exit 7\n"
    let input = json!({"process": {"pid": pid}, "input": {"pty": "c3R0eSBzaXplOyBleGl0IDcK"}});
    assert_eq!(sandbox.unary("user", "/process.Process/SendInput", input).await.0, 200);
    let mut text = Vec::new();
    let end = loop {
        let (flags, message) = stream.next().await.unwrap();
        assert_eq!(flags, 0, "{message}");
        if let Some(data) = message["event"]["data"]["pty"].as_str() {
            use base64::Engine as _;
            text.extend(base64::prelude::BASE64_STANDARD.decode(data).unwrap());
        }
        if !message["event"]["end"].is_null() {
            break message["event"]["end"].clone();
        }
    };
    assert!(
        String::from_utf8_lossy(&text).contains("40 100"),
        "{}",
        String::from_utf8_lossy(&text)
    );
    assert_eq!(end["exitCode"], 7);
    rig.end().await;
}
