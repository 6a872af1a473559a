//! Commands that write in every way there is, too much of it, or nothing.

use std::sync::Arc;
use std::time::Duration;

use airlock_engine::{Config, NoSecrets, OutputCaps};
use serde_json::json;

use crate::support::{Rig, TestContext};

#[tokio::test]
async fn output_by_name_and_by_tee_arrives_where_it_was_sent() {
    let rig = Rig::new().await;
    let command = "echo one > /dev/stdout; echo two | tee /dev/stderr; echo three > /dev/stderr; \
                   echo four >> /dev/stdout; echo five >&2; echo six > /dev/fd/1";
    let result = rig.run(json!({"command": command})).await.unwrap();
    assert_eq!(result["stdout"], "one\ntwo\nfour\nsix\n", "{result:#}");
    assert_eq!(result["stderr"], "two\nthree\nfive\n");
    rig.finish().await;
}

#[tokio::test]
async fn a_command_ends_with_its_shell_whatever_it_leaves_behind() {
    let rig = Rig::new().await;
    let command = "sleep 300 & nohup sleep 300 >/dev/null 2>&1 & (setsid sleep 300 &); echo done";
    let result = rig.run(json!({"command": command, "timeoutMs": 60_000})).await.unwrap();
    assert_eq!((&result["stdout"], &result["exitCode"]), (&json!("done\n"), &json!(0)));
    assert!(result["durationMs"].as_u64().unwrap() < 30_000, "{result:#}");
    rig.finish().await;
}

#[tokio::test]
async fn a_command_that_closes_its_output_and_lives_on_is_waited_for() {
    let rig = Rig::new().await;
    let command = "echo first; exec >&- 2>&-; sleep 1.5; echo lost; exit 7";
    let result = rig.run(json!({"command": command})).await.unwrap();
    assert_eq!((&result["stdout"], &result["exitCode"]), (&json!("first\n"), &json!(7)));
    assert!(result["durationMs"].as_u64().unwrap() >= 1500, "{result:#}");
    rig.finish().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_counted_and_shown_as_what_they_are_not() {
    let rig = Rig::new().await;
    let command = r"printf 'ok \377\376 \000 end\n'; printf '\303' >&2";
    let result = rig.run(json!({"command": command})).await.unwrap();
    let stdout = result["stdout"].as_str().unwrap();
    assert!(stdout.starts_with("ok \u{fffd}") && stdout.ends_with(" end\n"), "{stdout:?}");
    assert_eq!((&result["stdoutBytes"], &result["stderrBytes"]), (&json!(12), &json!(1)));
    assert_eq!(result["stdoutTruncated"], false, "{result:#}");
    rig.finish().await;
}

#[tokio::test]
async fn a_full_disk_keeps_neither_the_exit_code_nor_the_output_away() {
    let rig = Rig::new().await;
    let command = "echo begun; cat /dev/zero > fill 2>/dev/null; cat /dev/zero > /tmp/fill \
                   2>/dev/null; echo full; exit 9";
    let result = rig.run(json!({"command": command})).await.unwrap();
    assert_eq!((&result["status"], &result["exitCode"]), (&json!("completed"), &json!(9)));
    let stdout = result["stdout"].as_str().unwrap();
    assert!(stdout.starts_with("begun\n"), "{result:#}");
    rig.finish().await;
}

#[tokio::test]
async fn a_command_that_says_nothing_for_long_beats_and_ends_right() {
    let rig = Rig::new().await;
    let (ctx, running) = rig.begin("silent", json!({"command": "sleep 4; echo late"}));
    let result = running.await.unwrap().unwrap();
    assert_eq!(result["stdout"], "late\n");
    assert!(ctx.longest_silence() < Duration::from_secs(3), "{:?}", ctx.longest_silence());
    rig.finish().await;
}

#[tokio::test]
async fn what_the_spool_does_not_hold_is_counted_and_its_end_is_kept() {
    let output = OutputCaps { spool: 64 * 1024, stream: 4096, ..OutputCaps::default() };
    let rig = Rig::with(Config { output, ..Config::default() }, Arc::new(NoSecrets)).await;
    let command =
        "echo first; head -c 30000000 /dev/zero | tr '\\0' x; echo; echo last; echo err >&2";
    let result = rig.run(json!({"command": command})).await.unwrap();
    assert_eq!(result["stdoutBytes"], 30_000_012, "{result:#}");
    assert_eq!(
        (&result["stdoutTruncated"], &result["stderrTruncated"]),
        (&json!(true), &json!(false))
    );
    let stdout = result["stdout"].as_str().unwrap();
    assert!(stdout.starts_with("first\n") && stdout.ends_with("last\n"), "{stdout}");
    assert_eq!(result["stderr"], "err\n");
    rig.finish().await;
}

/// Scaled: what a command prints beyond its spool passes no process of ours, so more of it costs
/// the engine nothing.
#[tokio::test]
async fn a_flood_is_bounded_in_memory() {
    let rig = Rig::new().await;
    let warm = rig.run(json!({"command": "head -c 20000000 /dev/urandom"})).await.unwrap();
    assert_eq!(warm["stdoutBytes"], 20_000_000);
    let before = peak_kib();
    let ctx = TestContext::first("flood");
    let input =
        json!({"runId": crate::support::ACCOUNT, "command": "head -c 1000000000 /dev/zero"});
    let result = rig.worker().execute(&ctx, input).await.unwrap();
    assert_eq!(result["stdoutBytes"], 1_000_000_000, "{result:#}");
    let grown = peak_kib() - before;
    assert!(grown < 32 * 1024, "{grown} KiB more for fifty times the output");
    assert!(ctx.longest_silence() < Duration::from_secs(3), "{:?}", ctx.longest_silence());
    rig.finish().await;
}

/// The most memory that this process has had, the sandbox host's part included.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
