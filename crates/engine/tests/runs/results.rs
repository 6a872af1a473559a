//! What a run gives back.

use std::sync::Arc;

use airlock_engine::{Config, SecretSource};
use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::json;

use crate::support::{Rig, TestContext};

#[tokio::test]
async fn a_command_gives_its_output_and_leaves_nothing_behind() {
    let rig = Rig::new().await;
    let input = json!({
        "command": "echo out; echo err >&2; echo \"$GREETING\"; cat; pwd; id -un; exit 3",
        "env": {"GREETING": "it's me"}, "stdin": "from stdin\n",
    });
    let result = rig.run(input).await.unwrap();
    assert_eq!(result["status"], "completed", "{result:#}");
    assert_eq!(result["exitCode"], 3);
    assert_eq!(result["stdout"], "out\nit's me\nfrom stdin\n/home/user\nuser\n");
    assert_eq!(result["stderr"], "err\n");
    assert_eq!(result["stdoutBytes"], 39);
    assert_eq!(result["reattached"], false);
    assert!(result["receipt"]["hash"].is_string());
    let spent = result["cost"]["spentUsd"].as_f64().unwrap();
    let reserved = result["cost"]["reservedUsd"].as_f64().unwrap();
    assert!(spent > 0.0 && spent < reserved, "{result:#}");
    let balance = rig.balance().await;
    assert_eq!(serde_json::to_value(balance.spent).unwrap(), result["cost"]["spentUsd"]);
    assert_eq!(serde_json::to_value(balance.remaining).unwrap(), result["budgetRemaining"]);
    rig.finish().await;
}

#[tokio::test]
async fn a_secret_is_masked_in_the_result_and_in_heartbeats_however_it_is_cut() {
    let rig = Rig::new().await;
    let token = format!("ghp_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5");
    let (first, second) = token.split_at(17);
    let command = format!("printf %s {first}; sleep 1.5; printf '%s\\n' {second}; sleep 1.2");
    let ctx = TestContext::first("secret");
    let input = json!({"runId": crate::support::ACCOUNT, "command": command});
    let result = rig.worker().execute(&ctx, input).await.unwrap();
    assert!(!result.to_string().contains(second), "{result:#}");
    assert!(result["stdout"].as_str().unwrap().contains("[REDACTED:"), "{result:#}");
    assert!(result["redactions"].as_object().is_some_and(|kinds| !kinds.is_empty()));
    for beat in ctx.beats.lock().iter() {
        assert!(!beat.tail.contains(second) && !beat.tail.contains(first), "{beat:?}");
    }
    rig.finish().await;
}

/// Knows one value.
struct OneSecret;

#[async_trait]
impl SecretSource for OneSecret {
    async fn resolve(&self, reference: &str) -> Option<SecretString> {
        (reference == "env:TOKEN").then(|| SecretString::from("horse staple battery 99"))
    }
}

#[tokio::test]
async fn secret_environment_reaches_the_command_and_never_the_result() {
    let config = Config { secret_env: vec!["env:TOKEN".to_owned()], ..Config::default() };
    let rig = Rig::with(config, Arc::new(OneSecret)).await;
    let command = "[ \"$T\" = 'horse staple battery 99' ] && echo right; echo \"<$T>\"";
    let result =
        rig.run(json!({"command": command, "secretEnv": {"T": "env:TOKEN"}})).await.unwrap();
    let stdout = result["stdout"].as_str().unwrap();
    assert!(stdout.starts_with("right\n<[REDACTED"), "{stdout}");
    assert!(!result.to_string().contains("staple"));
    rig.finish().await;
}

#[tokio::test]
async fn a_flood_of_output_is_cut_marked_and_counted() {
    let rig = Rig::new().await;
    let command = "echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last";
    let result = rig.run(json!({"command": command})).await.unwrap();
    let stdout = result["stdout"].as_str().unwrap();
    assert_eq!(result["stdoutTruncated"], true);
    assert_eq!(result["stdoutBytes"], 20_000_012);
    assert!(stdout.starts_with("first\n") && stdout.ends_with("last\n"), "{}", stdout.len());
    assert!(stdout.len() <= 65 * 1024, "{}", stdout.len());
    rig.finish().await;
}

#[tokio::test]
async fn a_program_files_and_artifacts_go_in_and_come_out() {
    let rig = Rig::new().await;
    let source = "text = open('in/data.txt').read()\nopen('out.txt', 'w').write(text.upper())\n\
                  open('b.bin', 'wb').write(bytes([0, 1]))\nprint(text)";
    let input = json!({
        "code": {"language": "python", "source": source},
        "files": [
            {"path": "in/data.txt", "content": "hello"},
            {"path": "tool.sh", "contentBase64": "ZWNobyB4Cg==", "mode": "0755"},
        ],
        "artifacts": ["out.txt", "*.bin", "missing.txt", "/etc/passwd*none"],
    });
    let result = rig.run(input).await.unwrap();
    assert_eq!(result["stdout"], "hello\n", "{result:#}");
    let artifacts = result["artifacts"].as_array().unwrap();
    assert_eq!(artifacts[0]["contentBase64"], "SEVMTE8=", "{artifacts:#?}");
    assert_eq!(artifacts[1]["contentBase64"], "AAE=");
    assert_eq!(artifacts[2]["omitted"], "no such file");
    assert_eq!(artifacts[3]["omitted"], "no file matches");
    rig.finish().await;
}

#[tokio::test]
async fn a_dry_run_plans_and_spends_nothing() {
    let rig = Rig::new().await;
    let result = rig.run(json!({"command": "echo hi", "dryRun": true})).await.unwrap();
    assert_eq!(result["status"], "dryRun");
    assert_eq!(result["plan"]["covered"], true, "{result:#}");
    let balance = rig.balance().await;
    assert_eq!(balance.remaining, balance.limit);
    rig.finish().await;
}
