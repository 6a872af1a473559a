//! JSON Schema of everything on the wire, for `airlock schema` and the reference page.

use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};

use crate::{
    ApprovalList, ApprovalStatus, BatchInput, BatchResult, BudgetHold, BudgetLedger,
    BudgetLedgerInput, BudgetList, BudgetSettlement, BudgetStatus, CanSpend, CanSpendInput,
    CheckPolicyInput, CloseSandboxResult, CreateBudgetInput, DeletedBudget, DownloadFilesInput,
    DownloadFilesResult, ExecuteInput, ExecuteResult, FailureType, GetBudgetInput, Heartbeat,
    HoldBudgetInput, InstallPackagesInput, InstallPackagesResult, ListApprovalsInput,
    ListBudgetsInput, OpenSandboxInput, OpenSandboxResult, PolicyDecision, RequestedApproval,
    ResetCircuitInput, ResolveApprovalInput, SandboxHealth, SettleBudgetInput, SharedSandboxInput,
    SpendBudgetInput, TopUpBudgetInput, UploadFilesInput, UploadFilesResult, VoidBudgetInput,
    names,
};

fn of<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

fn activity<I: JsonSchema, O: JsonSchema>() -> Value {
    json!({ "input": of::<I>(), "output": of::<O>() })
}

/// Activities (input and output), failure types, and heartbeat details, as one document.
pub fn document() -> Value {
    let activities = Map::from_iter([
        (names::SAFE_EXECUTE_CODE.to_owned(), activity::<ExecuteInput, ExecuteResult>()),
        (names::SAFE_EXECUTE_BATCH.to_owned(), activity::<BatchInput, BatchResult>()),
        (names::CHECK_POLICY.to_owned(), activity::<CheckPolicyInput, PolicyDecision>()),
        (names::ENFORCE_POLICY.to_owned(), activity::<CheckPolicyInput, PolicyDecision>()),
        (names::CREATE_BUDGET.to_owned(), activity::<CreateBudgetInput, BudgetStatus>()),
        (names::SPEND_BUDGET.to_owned(), activity::<SpendBudgetInput, BudgetStatus>()),
        (names::CAN_SPEND.to_owned(), activity::<CanSpendInput, CanSpend>()),
        (names::GET_BUDGET.to_owned(), activity::<GetBudgetInput, BudgetStatus>()),
        (names::REQUEST_APPROVAL.to_owned(), activity::<ExecuteInput, RequestedApproval>()),
        (names::RESOLVE_APPROVAL.to_owned(), activity::<ResolveApprovalInput, ApprovalStatus>()),
        (names::LIST_APPROVALS.to_owned(), activity::<ListApprovalsInput, ApprovalList>()),
        (names::OPEN_SANDBOX.to_owned(), activity::<OpenSandboxInput, OpenSandboxResult>()),
        (names::CLOSE_SANDBOX.to_owned(), activity::<SharedSandboxInput, CloseSandboxResult>()),
        (names::UPLOAD_FILES.to_owned(), activity::<UploadFilesInput, UploadFilesResult>()),
        (names::DOWNLOAD_FILES.to_owned(), activity::<DownloadFilesInput, DownloadFilesResult>()),
        (
            names::INSTALL_PACKAGES.to_owned(),
            activity::<InstallPackagesInput, InstallPackagesResult>(),
        ),
        (names::SANDBOX_HEALTH.to_owned(), activity::<SharedSandboxInput, SandboxHealth>()),
        (names::RESERVE_BUDGET.to_owned(), activity::<HoldBudgetInput, BudgetHold>()),
        (names::EXTEND_BUDGET.to_owned(), activity::<HoldBudgetInput, BudgetHold>()),
        (names::SETTLE_BUDGET.to_owned(), activity::<SettleBudgetInput, BudgetSettlement>()),
        (names::VOID_BUDGET.to_owned(), activity::<VoidBudgetInput, BudgetStatus>()),
        (names::DELETE_BUDGET.to_owned(), activity::<GetBudgetInput, DeletedBudget>()),
        (names::TOP_UP_BUDGET.to_owned(), activity::<TopUpBudgetInput, BudgetStatus>()),
        (names::RESET_CIRCUIT.to_owned(), activity::<ResetCircuitInput, BudgetStatus>()),
        (names::LIST_BUDGETS.to_owned(), activity::<ListBudgetsInput, BudgetList>()),
        (names::GET_BUDGET_LEDGER.to_owned(), activity::<BudgetLedgerInput, BudgetLedger>()),
    ]);
    let failures: Vec<Value> = FailureType::ALL
        .iter()
        .map(|kind| {
            json!({ "type": kind.as_str(), "retryable": kind.is_retryable(),
                "benign": kind.is_benign() })
        })
        .collect();
    json!({ "activities": activities, "failures": failures, "heartbeat": of::<Heartbeat>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_activity_has_a_schema() {
        let document = document();
        let described = document["activities"].as_object().unwrap();
        for name in names::MAIN_ACTIVITIES.iter().chain(&names::ADMIN_ACTIVITIES) {
            assert!(described.contains_key(*name), "{name}");
        }
    }
}
