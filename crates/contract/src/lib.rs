//! The public face of Airlock: what other people's workflows, scripts and dashboards depend on.
//!
//! Inputs, results, failure types, effect kinds and activity names, as plain serde types with
//! JSON Schema. Nothing here does I/O. Names, fields and failure types change only with a major
//! version.
//!
//! Invariants:
//! - an input is read by its `parse`, which finds **every** problem at once ([`Problems`]),
//!   names each field, and offers the nearest known name for an unknown one;
//! - money is [`Usd`], whole nano-dollars; a float never takes part in arithmetic;
//! - a [`Failure`] carries a message fit for a permanent history: no secret, no foreign error text.
#![forbid(unsafe_code)]

mod approval;
mod audit;
mod batch;
mod budget;
mod decision;
mod execute;
mod failure;
mod heartbeat;
mod hold;
mod ids;
mod ledger;
mod money;
pub mod names;
mod problems;
mod reader;
pub mod schema;
mod shared;

pub use approval::{
    ApprovalAnswer, ApprovalList, ApprovalRequest, ApprovalState, ApprovalStatus,
    ListApprovalsInput, RequestedApproval, ResolveApprovalInput,
};
pub use audit::{AuditRecord, AuditRecords, ReadAuditInput};
pub use batch::{
    BatchCommand, BatchCommandInput, BatchInput, BatchItem, BatchItemOutcome, BatchOutcome,
    BatchResult,
};
pub use budget::{
    BudgetStatus, CanSpend, CanSpendInput, Circuit, CreateBudgetInput, DeleteBudgetInput,
    DeletedBudget, GetBudgetInput, Period, SpendBudgetInput,
};
pub use decision::{
    Certainty, CheckPolicyInput, Effect, EffectKind, Mode, PolicyContext, PolicyDecision,
    PolicyOutcome, Severity,
};
pub use execute::{
    Artifact, CodeInput, CostInput, CostReport, ExecuteInput, ExecuteResult, FileInput, Limits,
    NetworkInput, PackageInput, PackageManager, Plan, Receipt, RunStatus,
};
pub use failure::{Failure, FailureType};
pub use heartbeat::{Heartbeat, Phase};
pub use hold::{BudgetHold, BudgetSettlement, HoldBudgetInput, SettleBudgetInput, VoidBudgetInput};
pub use ids::{AccountId, ExecutionId, InvalidAccountId, InvalidExecutionId, RunIdentity};
pub use ledger::{
    BudgetLedger, BudgetLedgerInput, BudgetList, LedgerEntry, LedgerEntryKind, ListBudgetsInput,
    ResetCircuitInput, TopUpBudgetInput,
};
pub use money::{InvalidAmount, Usd};
pub use problems::{Problem, Problems};
pub use shared::{
    CloseReason, CloseSandboxResult, DownloadFilesInput, DownloadFilesResult, InstallPackagesInput,
    InstallPackagesResult, InstallReport, OpenSandboxInput, OpenSandboxResult, SandboxHealth,
    SharedSandboxInput, SharedState, UploadFilesInput, UploadFilesResult, UploadedFile,
};
