//! The activities as workflows see them: a name and two types.
//!
//! ```ignore
//! let result = ctx.execute_activity(SafeExecuteCode, ExecuteInput::of_command("npm test"), options);
//! ```

use airlock_contract::{
    BudgetStatus, CanSpend, CanSpendInput, CheckPolicyInput, CloseSandboxResult, CreateBudgetInput,
    DownloadFilesInput, DownloadFilesResult, ExecuteInput, ExecuteResult, GetBudgetInput,
    InstallPackagesInput, InstallPackagesResult, OpenSandboxInput, OpenSandboxResult,
    PolicyDecision, SandboxHealth as Health, SharedSandboxInput, SpendBudgetInput,
    UploadFilesInput, UploadFilesResult, names,
};
use serde_json::Value;
use temporalio_workflow::common::ActivityDefinition;

/// One activity: a marker type with its name, input and output.
macro_rules! activity {
    ($(#[$doc:meta])* $marker:ident = $name:expr, $input:ty => $output:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $marker;

        impl ActivityDefinition for $marker {
            type Input = $input;
            type Output = $output;

            fn name(&self) -> &str {
                $name
            }
        }
    };
}

activity! {
    /// Runs one command or program in a sandbox.
    SafeExecuteCode = names::SAFE_EXECUTE_CODE, ExecuteInput => ExecuteResult
}
activity! {
    /// Runs several commands. A `BatchInput` and a `BatchResult` as JSON: a command may be written
    /// as a plain string.
    SafeExecuteBatch = names::SAFE_EXECUTE_BATCH, Value => Value
}
activity! {
    /// Decides; never fails for a denial.
    CheckPolicy = names::CHECK_POLICY, CheckPolicyInput => PolicyDecision
}
activity! {
    /// Decides; a denial is the failure `PolicyDenied`.
    EnforcePolicy = names::ENFORCE_POLICY, CheckPolicyInput => PolicyDecision
}
activity! {
    /// Makes a budget account.
    CreateBudget = names::CREATE_BUDGET, CreateBudgetInput => BudgetStatus
}
activity! {
    /// Spends directly.
    SpendBudget = names::SPEND_BUDGET, SpendBudgetInput => BudgetStatus
}
activity! {
    /// Asks without spending.
    CanSpendBudget = names::CAN_SPEND, CanSpendInput => CanSpend
}
activity! {
    /// Reads an account.
    GetBudget = names::GET_BUDGET, GetBudgetInput => BudgetStatus
}

activity! {
    /// Opens a sandbox that several activities share.
    OpenSandbox = names::OPEN_SANDBOX, OpenSandboxInput => OpenSandboxResult
}
activity! {
    /// Removes a shared sandbox and books it.
    CloseSandbox = names::CLOSE_SANDBOX, SharedSandboxInput => CloseSandboxResult
}
activity! {
    /// Puts files into a shared sandbox.
    UploadFiles = names::UPLOAD_FILES, UploadFilesInput => UploadFilesResult
}
activity! {
    /// Brings files of a shared sandbox back whole.
    DownloadFiles = names::DOWNLOAD_FILES, DownloadFilesInput => DownloadFilesResult
}
activity! {
    /// Installs packages in a shared sandbox.
    InstallPackages = names::INSTALL_PACKAGES, InstallPackagesInput => InstallPackagesResult
}
activity! {
    /// Looks at a shared sandbox.
    SandboxHealth = names::SANDBOX_HEALTH, SharedSandboxInput => Health
}

/// An activity by name, JSON in and out: what a workflow passes through unread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json(pub(crate) &'static str);

impl ActivityDefinition for Json {
    type Input = Value;
    type Output = Value;

    fn name(&self) -> &str {
        self.0
    }
}
