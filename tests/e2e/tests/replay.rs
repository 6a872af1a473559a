//! A workflow that runs for days is replayed by whatever version its worker has by then: histories
//! that were recorded before must lead today's code to the same commands.

use std::path::PathBuf;

use airlock_workflows::{SafeExecution, SafeExecutionBatch, SandboxSession};
use serde_json::json;
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

use crate::harness::{Stack, workspace};

/// Set to record the histories anew, after a change that old runs need not survive.
const RECORD: &str = "AIRLOCK_RECORD_HISTORIES";

fn folder() -> PathBuf {
    workspace().join("workflows/tests/histories")
}

/// Replays one history; nothing is run.
fn replay(name: &str, json: &[u8]) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let options = WorkflowReplayerOptions::new()
            .register_workflow::<SafeExecution>()
            .and_then(|options| options.register_workflow::<SafeExecutionBatch>())
            .and_then(|options| options.register_workflow::<SandboxSession>())
            .expect("three workflows")
            .build();
        let replayer = WorkflowReplayer::new(options).expect("a replayer");
        let history = WorkflowHistory::from_json(json).expect("a history");
        let replayed = replayer.replay_workflow(history).await;
        assert!(replayed.is_ok(), "{name}: {:?}", replayed.err());
    });
}

#[test]
fn recorded_histories_replay() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).expect("recorded histories") {
        let path = entry.expect("an entry").path();
        replay(&path.display().to_string(), &std::fs::read(&path).expect("a file"));
        count += 1;
    }
    assert!(count >= 3, "{count} histories");
}

#[test]
fn histories_of_today_replay() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    let command = json!({"runId": account, "command": "echo one"}).to_string();
    let batch = json!({"runId": account, "commands": ["echo one", "echo two"]}).to_string();
    for (kind, input) in [("safeExecution", &command), ("safeExecutionBatch", &batch)] {
        let ran = stack.temporal(&[
            "workflow",
            "execute",
            "--type",
            kind,
            "--task-queue",
            "airlock",
            "--workflow-id",
            kind,
            "--input",
            input,
        ]);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
    let account = json!({"runId": account}).to_string();
    let steps: [&[&str]; 4] = [
        &["start", "--type", "sandboxSession", "--task-queue", "airlock", "--input", &account],
        &["update", "execute", "--name", "execute", "--input", "{\"command\": \"echo one\"}"],
        &["signal", "--name", "close"],
        &["result"],
    ];
    for step in steps {
        let all = [&["workflow"], step, &["--workflow-id", "sandboxSession"]].concat();
        let ran = stack.temporal(&all);
        assert!(ran.status.success(), "{step:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    for kind in ["safeExecution", "safeExecutionBatch", "sandboxSession"] {
        let shown = stack.temporal(&["workflow", "show", "--workflow-id", kind, "-o", "json"]);
        replay(kind, &shown.stdout);
        if std::env::var_os(RECORD).is_some() {
            std::fs::create_dir_all(folder()).expect("a folder");
            std::fs::write(folder().join(format!("{kind}.json")), &shown.stdout).expect("a file");
        }
    }
}
