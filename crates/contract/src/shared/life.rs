//! `closeSandbox` and `sandboxHealth`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{parse, read_place};
use crate::{AccountId, CostReport, Problems, Receipt, Usd};

/// Input of `closeSandbox` and of `sandboxHealth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharedSandboxInput {
    /// The budget account that opened it.
    pub run_id: AccountId,
    /// The sandbox.
    pub sandbox_id: String,
}

/// Why a shared sandbox was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CloseReason {
    /// `closeSandbox` was called.
    Closed,
    /// The workflow that opened it closed without closing it.
    WorkflowClosed,
    /// Nothing used it for `idleTimeoutMs`.
    Idle,
    /// It reached `maxLifetimeMs`.
    Expired,
    /// The budget, or its own `cost.maxUsd`, did not cover another slice of time.
    OutOfBudget,
    /// It went away by itself: the provider ended it, or no worker renewed it.
    Lost,
}

/// Output of `closeSandbox`: the same however often it is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloseSandboxResult {
    /// The budget account.
    pub run_id: AccountId,
    /// The sandbox.
    pub sandbox_id: String,
    /// What closed it: not always this call.
    pub reason: CloseReason,
    /// RFC 3339.
    pub opened_at: Option<String>,
    /// RFC 3339.
    pub closed_at: Option<String>,
    /// What its whole life cost. Fees of commands are in their own results.
    pub cost: CostReport,
    /// What the account has left.
    pub budget_remaining: Usd,
    /// Place in the audit log; only of the call that closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// Where a shared sandbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SharedState {
    /// It can be used.
    Open,
    /// It is being removed.
    Closing,
    /// It is removed and paid.
    Closed,
}

/// Output of `sandboxHealth`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxHealth {
    /// The budget account.
    pub run_id: AccountId,
    /// The sandbox.
    pub sandbox_id: String,
    /// What Airlock says of it.
    pub state: SharedState,
    /// Whether it answers now.
    pub running: bool,
    /// Why it was closed, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CloseReason>,
    /// The template it was made from.
    pub template: String,
    /// Commands that have it now.
    pub commands_running: u32,
    /// How many commands may run in it at once.
    pub max_concurrent: u32,
    /// RFC 3339.
    pub opened_at: Option<String>,
    /// RFC 3339; when a command or a file activity used it last.
    pub last_used_at: Option<String>,
    /// RFC 3339; until when it lives if no worker renews it.
    pub lease_until: Option<String>,
    /// RFC 3339; until when what is held pays for it. Workers raise it.
    pub paid_until: Option<String>,
    /// RFC 3339; when it is closed at the latest.
    pub closes_at: Option<String>,
    /// Milliseconds without use after which it is closed.
    pub idle_timeout_ms: u64,
    /// What is held for it and what it has cost so far.
    pub cost: CostReport,
}

impl SharedSandboxInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        parse(value, |reader| {
            let (run_id, sandbox_id) = read_place(reader);
            Self { run_id, sandbox_id }
        })
    }
}
