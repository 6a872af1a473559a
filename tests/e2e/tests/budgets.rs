//! Budgets as activities: what each answers, and what each refuses.

use serde_json::json;

use crate::harness::Stack;

#[test]
fn accounts_from_the_activities() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    let of = |more: serde_json::Value| {
        let mut input = json!({"runId": account});
        input.as_object_mut().expect("an object").extend(more.as_object().expect("fields").clone());
        input
    };

    // The same again is the same account; another limit is a conflict.
    let again = stack.activity("createBudget", &of(json!({"limit": 1}))).ok();
    assert_eq!(again["limit"], json!(1));
    let (kind, _) = stack.activity("createBudget", &of(json!({"limit": 2}))).failure();
    assert_eq!(kind, "Conflict");

    let spend = of(json!({"amount": "0.25", "idempotencyKey": "k1"}));
    assert_eq!(stack.activity("spendBudget", &spend).ok()["spent"], json!(0.25));
    assert_eq!(stack.activity("spendBudget", &spend).ok()["spent"], json!(0.25), "booked once");
    let other = of(json!({"amount": "0.26", "idempotencyKey": "k1"}));
    assert_eq!(stack.activity("spendBudget", &other).failure().0, "Conflict");

    let can = stack.activity("canSpend", &of(json!({"amount": 0.75}))).ok();
    assert_eq!(can, json!({"canSpend": true, "remaining": 0.75}));
    let can = stack.activity("canSpend", &of(json!({"amount": 0.750_000_001}))).ok();
    assert_eq!(can["canSpend"], json!(false));

    let (kind, failure) = stack.activity("spendBudget", &of(json!({"amount": 0.8}))).failure();
    assert_eq!(kind, "BudgetExceeded", "{failure:#}");

    for bad in
        [json!({"amount": -1}), json!({"amount": "NaN"}), json!({"amount": "1e400"}), json!({})]
    {
        let (kind, failure) = stack.activity("spendBudget", &of(bad)).failure();
        assert_eq!(kind, "InvalidInput", "{failure:#}");
        assert!(failure.to_string().contains("amount"), "{failure:#}");
    }
    stack.assert_clean(&account);
}

#[test]
fn decisions_from_the_activities() {
    let stack = Stack::start();
    let check =
        |command: &str| json!({"actionType": "execute_code", "context": {"command": command}});
    let decision = stack.activity("checkPolicy", &check("rm -rf /etc")).ok();
    assert_eq!((&decision["allowed"], &decision["outcome"]), (&json!(false), &json!("deny")));
    assert_eq!(decision["effects"][0]["kind"], json!("fs.delete"), "{decision:#}");
    let (kind, _) = stack.activity("enforcePolicy", &check("rm -rf /etc")).failure();
    assert_eq!(kind, "PolicyDenied");
    let allowed = stack.activity("enforcePolicy", &check("npm test")).ok();
    assert_eq!(allowed["allowed"], json!(true));
    let unknown = json!({"actionType": "execute_cod", "context": {"command": "ls"}});
    let (kind, failure) = stack.activity("checkPolicy", &unknown).failure();
    assert_eq!(kind, "InvalidInput");
    assert!(failure.to_string().contains("execute_code"), "{failure:#}");
}

#[test]
fn only_the_admin_queue_deletes_accounts() {
    let stack = Stack::with(&[], &[("AIRLOCK_ADMIN_TASK_QUEUE", "airlock-admin")]);
    let account = stack.budget("1.00");
    let input = json!({"runId": account});
    // An agent's workflow reaches the main queue alone.
    let (kind, _) = stack.activity("deleteBudget", &input).failure();
    assert_eq!(kind, "InvalidInput");
    let deleted = stack.activity_on("airlock-admin", "deleteBudget", &input).ok();
    assert_eq!(deleted, json!({"runId": account, "deleted": true}));
    let (kind, _) = stack.activity("getBudget", &input).failure();
    assert_eq!(kind, "BudgetNotFound");
}

#[test]
fn only_the_admin_queue_raises_limits_and_sees_all_accounts() {
    let stack = Stack::with(&[], &[("AIRLOCK_ADMIN_TASK_QUEUE", "airlock-admin")]);
    let account = stack.budget("1.00");
    let input = json!({"runId": account, "amount": "0.50", "idempotencyKey": "t1"});
    let of = json!({"runId": account});
    for (kind, input) in [
        ("topUpBudget", &input),
        ("resetCircuit", &of),
        ("getBudgetLedger", &of),
        ("listBudgets", &json!({})),
    ] {
        assert_eq!(stack.activity(kind, input).failure().0, "InvalidInput", "{kind}");
    }
    let admin = |kind: &str, input| stack.activity_on("airlock-admin", kind, input);
    assert_eq!(admin("topUpBudget", &input).ok()["limit"], json!(1.5));
    assert_eq!(admin("topUpBudget", &input).ok()["limit"], json!(1.5), "counted once");
    let other = json!({"runId": account, "amount": "0.51", "idempotencyKey": "t1"});
    assert_eq!(admin("topUpBudget", &other).failure().0, "Conflict");
    let bad = json!({"runId": "a{", "amount": 0});
    let (kind, failure) = admin("topUpBudget", &bad).failure();
    assert_eq!(kind, "InvalidInput");
    let text = failure.to_string();
    assert!(text.contains("runId") && text.contains("amount"), "{failure:#}");
    assert_eq!(admin("resetCircuit", &of).ok()["circuit"], json!("closed"));
    let ledger = admin("getBudgetLedger", &of).ok();
    assert_eq!(ledger["entries"][0]["kind"], json!("toppedUp"), "{ledger:#}");
    let family = json!({"family": account});
    let listed = admin("listBudgets", &family).ok();
    assert_eq!(listed["budgets"][0]["runId"], json!(account), "{listed:#}");
}

#[test]
fn callers_hold_settle_and_void_for_work_of_their_own() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    let hold = |amount: &str| json!({"runId": account, "holdId": "model-call-1", "amount": amount});
    let reserved = stack.activity("reserveBudget", &hold("0.40")).ok();
    assert_eq!(reserved["budget"]["reserved"], json!(0.4), "{reserved:#}");
    let again = stack.activity("reserveBudget", &hold("0.40")).ok();
    assert_eq!(again["budget"]["reserved"], json!(0.4), "counted once");
    assert_eq!(stack.activity("reserveBudget", &hold("0.50")).failure().0, "Conflict");
    assert_eq!(stack.activity("extendBudget", &hold("2.00")).failure().0, "BudgetExceeded");
    assert_eq!(stack.activity("extendBudget", &hold("0.60")).ok()["amount"], json!(0.6));
    let settled = stack.activity("settleBudget", &hold("0.25")).ok();
    assert_eq!((&settled["booked"], &settled["held"]), (&json!(0.25), &json!(0.6)));
    let replayed = stack.activity("settleBudget", &hold("0.25")).ok();
    assert_eq!(replayed["replayed"], json!(true));
    let void = json!({"runId": account, "holdId": "model-call-1"});
    assert_eq!(stack.activity("voidBudget", &void).failure().0, "Conflict");
    let other = json!({"runId": account, "holdId": "model-call-2", "amount": "0.1"});
    stack.activity("reserveBudget", &other).ok();
    let void = json!({"runId": account, "holdId": "model-call-2"});
    assert_eq!(stack.activity("voidBudget", &void).ok()["reserved"], json!(0));
    assert_eq!(stack.activity("getBudget", &json!({"runId": account})).ok()["spent"], json!(0.25));
}
