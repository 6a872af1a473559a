//! `openSandbox`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InstallReport, nobody, parse};
use crate::execute::{
    env_name, label_name, read_cost, read_files, read_network, read_package, read_template,
};
use crate::{
    AccountId, CostInput, CostReport, ExecutionId, FileInput, Limits, NetworkInput, PackageInput,
    PolicyDecision, Problems, Receipt, Usd,
};

/// Input of `openSandbox`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenSandboxInput {
    /// The budget account that pays for the sandbox, and the only one that can use it.
    pub run_id: AccountId,
    /// Sandbox template. Default from configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Narrows the policy's network allowlist, for everything that runs in the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkInput>,
    /// Environment of every command in it. No secrets: it is kept with the sandbox.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Copied to the audit record and the sandbox's metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Files to put in first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileInput>,
    /// Packages to install first; what came of them is in the result's `installs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<PackageInput>,
    /// The sandbox is closed once nothing has used it for so many milliseconds. Default 15 minutes.
    #[serde(default = "OpenSandboxInput::default_idle_timeout_ms")]
    pub idle_timeout_ms: u64,
    /// The sandbox is closed so many milliseconds after its creation; a command that would run
    /// longer is stopped by then. Default one hour, at most a day.
    #[serde(default = "OpenSandboxInput::default_max_lifetime_ms")]
    pub max_lifetime_ms: u64,
    /// How many commands may run in it at once; one more is `SandboxBusy`. Default 1.
    #[serde(default = "OpenSandboxInput::default_max_concurrent")]
    pub max_concurrent: u32,
    /// A fee for the sandbox, and the most that it may cost over its whole life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostInput>,
    /// The granted approval that this opening uses up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
}

/// Output of `openSandbox`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenSandboxResult {
    /// The budget account.
    pub run_id: AccountId,
    /// This execution.
    pub execution_id: ExecutionId,
    /// Names the sandbox in commands and in `closeSandbox`.
    pub sandbox_id: String,
    /// The template it was made from.
    pub template: String,
    /// RFC 3339.
    pub opened_at: Option<String>,
    /// RFC 3339; until when it lives if no worker renews it. Workers do while its workflow is open.
    pub lease_until: Option<String>,
    /// RFC 3339; when it is closed at the latest.
    pub closes_at: Option<String>,
    /// Milliseconds without use after which it is closed.
    pub idle_timeout_ms: u64,
    /// How many commands may run in it at once.
    pub max_concurrent: u32,
    /// Whether every one of `packages` was installed.
    pub installed: bool,
    /// What came of `packages`, up to the first that could not be installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub installs: Vec<InstallReport>,
    /// What the policy said about what was put in.
    pub decision: PolicyDecision,
    /// What is held for it now; it is raised as the sandbox lives on, and booked when it closes.
    pub cost: CostReport,
    /// What the account has left.
    pub budget_remaining: Usd,
    /// Alert thresholds that this opening crossed, in percent.
    pub budget_warnings: Vec<u8>,
    /// Place in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

impl OpenSandboxInput {
    /// Longest life that can be asked for, in milliseconds: a day.
    pub const MAX_LIFETIME_MS: u64 = 24 * 3600 * 1000;
    /// Shortest life and idle time, in milliseconds.
    pub const MIN_LIFETIME_MS: u64 = 1000;
    /// Most commands at once.
    pub const MAX_CONCURRENT: u32 = 20;

    const fn default_idle_timeout_ms() -> u64 {
        15 * 60 * 1000
    }

    const fn default_max_lifetime_ms() -> u64 {
        3600 * 1000
    }

    const fn default_max_concurrent() -> u32 {
        1
    }

    /// Reads the input; every problem at once.
    pub fn parse(value: &Value, limits: &Limits) -> Result<Self, Problems> {
        parse(value, |reader| {
            reader.require("runId");
            let (min, max) = (Self::MIN_LIFETIME_MS, Self::MAX_LIFETIME_MS);
            let most = u64::from(Self::MAX_CONCURRENT);
            let at_once = reader.integer("maxConcurrent", 1, most);
            Self {
                run_id: reader.account("runId").unwrap_or_else(nobody),
                template: read_template(reader),
                network: read_network(reader),
                env: reader.map("env", 200, 128 * 1024, env_name),
                labels: reader.map("labels", 50, 256, label_name),
                files: read_files(reader, limits),
                packages: reader.list("packages", 20, read_package).unwrap_or_default(),
                idle_timeout_ms: reader
                    .integer("idleTimeoutMs", min, max)
                    .unwrap_or_else(Self::default_idle_timeout_ms),
                max_lifetime_ms: reader
                    .integer("maxLifetimeMs", min, max)
                    .unwrap_or_else(Self::default_max_lifetime_ms),
                max_concurrent: at_once
                    .and_then(|count| u32::try_from(count).ok())
                    .unwrap_or_else(Self::default_max_concurrent),
                cost: read_cost(reader),
                approval_id: reader.string("approvalId", 128),
            }
        })
    }
}
