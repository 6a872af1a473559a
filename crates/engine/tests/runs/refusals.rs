//! What is refused, and that nothing happens then.

use airlock_contract::FailureType;
use serde_json::json;

use crate::support::{ACCOUNT, Rig, TestContext, failure};

#[tokio::test]
async fn bad_input_names_every_field_and_touches_nothing() {
    let rig = Rig::new().await;
    let input = json!({"comand": "ls", "timeoutMs": 0});
    let failure = failure(rig.run(input).await);
    assert_eq!(failure.kind, FailureType::InvalidInput);
    let fields = failure.details.unwrap()["fields"].to_string();
    assert!(fields.contains("comand") && fields.contains("timeoutMs"), "{fields}");
    rig.finish().await;
}

#[tokio::test]
async fn a_character_that_no_shell_takes_is_bad_input() {
    let rig = Rig::new().await;
    let failure = failure(rig.run(json!({"command": "echo a\u{0}b"})).await);
    assert_eq!(failure.kind, FailureType::InvalidInput);
    assert!(failure.message.contains("NUL"), "{}", failure.message);
    rig.finish().await;
}

#[tokio::test]
async fn a_denied_command_creates_and_holds_nothing() {
    let rig = Rig::new().await;
    let failure = failure(rig.run(json!({"command": "rm -rf /"})).await);
    assert_eq!(failure.kind, FailureType::PolicyDenied, "{failure:?}");
    assert_eq!(failure.details.unwrap()["outcome"], "deny");
    let balance = rig.balance().await;
    assert_eq!(balance.remaining, balance.limit);
    rig.finish().await;
}

#[tokio::test]
async fn over_budget_is_refused_before_anything_is_created() {
    let rig = Rig::new().await;
    let input = json!({"command": "echo hi", "cost": {"feeUsd": "1.5"}});
    let failure = failure(rig.run(input).await);
    assert_eq!(failure.kind, FailureType::BudgetExceeded);
    let details = failure.details.unwrap();
    assert_eq!(details["status"]["remaining"], 1);
    assert!(details["affordableSeconds"].is_u64(), "{details}");
    rig.finish().await;
}

#[tokio::test]
async fn over_its_own_cap_is_refused_and_says_what_the_cap_buys() {
    let rig = Rig::new().await;
    let input = json!({"command": "echo hi", "cost": {"maxUsd": "0.001"}});
    let failure = failure(rig.run(input).await);
    assert_eq!(failure.kind, FailureType::BudgetExceeded);
    assert_eq!(failure.details.unwrap()["affordableSeconds"], 33);
    rig.finish().await;
}

#[tokio::test]
async fn an_unknown_account_is_refused() {
    let rig = Rig::new().await;
    let ctx = TestContext::first("other");
    let input = json!({"runId": "nobody", "command": "echo hi"});
    let failure = failure(rig.worker().execute(&ctx, input).await);
    assert_eq!(failure.kind, FailureType::BudgetNotFound);
    rig.finish().await;
}

#[tokio::test]
async fn a_secret_that_is_not_allowed_is_refused_without_being_asked_for() {
    let rig = Rig::new().await;
    let input = json!({"command": "env", "secretEnv": {"X": "env:HOME"}});
    let failure = failure(rig.run(input).await);
    assert_eq!(failure.kind, FailureType::InvalidInput);
    assert!(failure.message.contains("allow list"), "{}", failure.message);
    rig.finish().await;
}

#[tokio::test]
async fn the_same_activity_with_another_input_is_a_conflict() {
    let rig = Rig::new().await;
    rig.run(json!({"command": "echo one"})).await.unwrap();
    let failure = failure(rig.run(json!({"command": "echo two"})).await);
    assert_eq!(failure.kind, FailureType::Conflict);
    rig.finish().await;
}

#[tokio::test]
async fn what_needs_an_approval_runs_once_a_person_has_given_it() {
    let rig = Rig::new().await;
    let command = "curl -s https://unlisted.example/x";
    let input = json!({"runId": ACCOUNT, "command": command});
    let asked = failure(rig.worker().execute(&TestContext::first("ask"), input.clone()).await);
    assert_eq!(asked.kind, FailureType::ApprovalRequired, "{asked:?}");
    let id = asked.details.unwrap()["id"].as_str().unwrap().to_owned();
    rig.assert_clean().await;

    rig.approvals.approve(&id, "a person").await.unwrap();
    let mut granted = input.clone();
    granted["approvalId"] = json!(id);
    let ctx = TestContext::first("granted");
    let result = rig.worker().execute(&ctx, granted.clone()).await.unwrap();
    assert_eq!(result["status"], "completed", "{result:#}");

    let again = failure(rig.worker().execute(&TestContext::first("again"), granted).await);
    assert_eq!(again.kind, FailureType::ApprovalInvalid, "each opens once");
    rig.finish().await;
}
