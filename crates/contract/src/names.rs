//! Names on the wire: task queues, activity types, workflow types.

/// The task queue of the main activities and workflows, unless configured.
pub const TASK_QUEUE: &str = "airlock";
/// The task queue of what an agent's workflow must not do for itself; off unless configured.
pub const ADMIN_TASK_QUEUE: &str = "airlock-admin";

/// Runs one command or program. `ExecuteInput` -> `ExecuteResult`.
pub const SAFE_EXECUTE_CODE: &str = "safeExecuteCode";
/// Runs commands in order or in parallel. `BatchInput` -> `BatchResult`.
pub const SAFE_EXECUTE_BATCH: &str = "safeExecuteBatch";
/// Decides and never fails for a denial. `CheckPolicyInput` -> `PolicyDecision`.
pub const CHECK_POLICY: &str = "checkPolicy";
/// Decides; a denial is the failure `PolicyDenied`. `CheckPolicyInput` -> `PolicyDecision`.
pub const ENFORCE_POLICY: &str = "enforcePolicy";
/// Makes a budget account. `CreateBudgetInput` -> `BudgetStatus`.
pub const CREATE_BUDGET: &str = "createBudget";
/// Spends directly. `SpendBudgetInput` -> `BudgetStatus`.
pub const SPEND_BUDGET: &str = "spendBudget";
/// Asks without spending. `CanSpendInput` -> `CanSpend`.
pub const CAN_SPEND: &str = "canSpend";
/// Reads an account. `GetBudgetInput` -> `BudgetStatus`.
pub const GET_BUDGET: &str = "getBudget";
/// Asks for an approval ahead of a run. `ExecuteInput` or `BatchInput` -> `RequestedApproval`.
pub const REQUEST_APPROVAL: &str = "requestApproval";
/// Answers an approval. `ResolveApprovalInput` -> `ApprovalStatus`. On the admin queue.
pub const RESOLVE_APPROVAL: &str = "resolveApproval";
/// What waits for an answer. `ListApprovalsInput` -> `ApprovalList`. On the admin queue.
pub const LIST_APPROVALS: &str = "listApprovals";
/// Opens a sandbox that several activities share. `OpenSandboxInput` -> `OpenSandboxResult`.
pub const OPEN_SANDBOX: &str = "openSandbox";
/// Removes a shared sandbox and books it. `SharedSandboxInput` -> `CloseSandboxResult`.
pub const CLOSE_SANDBOX: &str = "closeSandbox";
/// Puts files into a shared sandbox. `UploadFilesInput` -> `UploadFilesResult`.
pub const UPLOAD_FILES: &str = "uploadFiles";
/// Brings files back whole. `DownloadFilesInput` -> `DownloadFilesResult`.
pub const DOWNLOAD_FILES: &str = "downloadFiles";
/// Installs packages in a shared sandbox. `InstallPackagesInput` -> `InstallPackagesResult`.
pub const INSTALL_PACKAGES: &str = "installPackages";
/// Looks at a shared sandbox. `SharedSandboxInput` -> `SandboxHealth`.
pub const SANDBOX_HEALTH: &str = "sandboxHealth";
/// Holds an amount. `HoldBudgetInput` -> `BudgetHold`.
pub const RESERVE_BUDGET: &str = "reserveBudget";
/// Raises a hold and pushes its lease. `HoldBudgetInput` -> `BudgetHold`.
pub const EXTEND_BUDGET: &str = "extendBudget";
/// Books what a hold came to. `SettleBudgetInput` -> `BudgetSettlement`.
pub const SETTLE_BUDGET: &str = "settleBudget";
/// Returns a hold whole. `VoidBudgetInput` -> `BudgetStatus`.
pub const VOID_BUDGET: &str = "voidBudget";
/// Removes an account. `DeleteBudgetInput` -> `DeletedBudget`. On the admin queue.
pub const DELETE_BUDGET: &str = "deleteBudget";
/// Raises a limit. `TopUpBudgetInput` -> `BudgetStatus`. On the admin queue.
pub const TOP_UP_BUDGET: &str = "topUpBudget";
/// Lets an open circuit try again. `ResetCircuitInput` -> `BudgetStatus`. On the admin queue.
pub const RESET_CIRCUIT: &str = "resetCircuit";
/// The accounts there are. `ListBudgetsInput` -> `BudgetList`. On the admin queue.
pub const LIST_BUDGETS: &str = "listBudgets";
/// What happened on an account. `BudgetLedgerInput` -> `BudgetLedger`. On the admin queue.
pub const GET_BUDGET_LEDGER: &str = "getBudgetLedger";

/// Activities on the main queue.
pub const MAIN_ACTIVITIES: [&str; 19] = [
    SAFE_EXECUTE_CODE,
    SAFE_EXECUTE_BATCH,
    CHECK_POLICY,
    ENFORCE_POLICY,
    CREATE_BUDGET,
    SPEND_BUDGET,
    CAN_SPEND,
    GET_BUDGET,
    REQUEST_APPROVAL,
    OPEN_SANDBOX,
    CLOSE_SANDBOX,
    UPLOAD_FILES,
    DOWNLOAD_FILES,
    INSTALL_PACKAGES,
    SANDBOX_HEALTH,
    RESERVE_BUDGET,
    EXTEND_BUDGET,
    SETTLE_BUDGET,
    VOID_BUDGET,
];
/// Activities on the admin queue.
pub const ADMIN_ACTIVITIES: [&str; 7] = [
    DELETE_BUDGET,
    TOP_UP_BUDGET,
    RESET_CIRCUIT,
    LIST_BUDGETS,
    GET_BUDGET_LEDGER,
    RESOLVE_APPROVAL,
    LIST_APPROVALS,
];

/// Plans, waits for an approval if one is needed, runs `safeExecuteCode`.
pub const SAFE_EXECUTION: &str = "safeExecution";
/// The same for a batch.
pub const SAFE_EXECUTION_BATCH: &str = "safeExecutionBatch";
/// One sandbox for its life; each update runs a command in it.
pub const SANDBOX_SESSION: &str = "sandboxSession";
