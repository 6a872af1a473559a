//! `safeExecuteBatch`: several commands, decided together, run in one sandbox or in one each.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::execute::{read_network, read_template};
use crate::reader::Reader;
use crate::{
    AccountId, CodeInput, CostInput, CostReport, ExecuteInput, ExecuteResult, FileInput, Limits,
    NetworkInput, PackageInput, Problems, Usd,
};

/// Input of `safeExecuteBatch`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchInput {
    /// The budget account of all of them.
    pub run_id: AccountId,
    /// The commands, in order.
    pub commands: Vec<BatchCommand>,
    /// Start no more commands after the first that fails; those that run already end by
    /// themselves. Default true.
    #[serde(default = "yes")]
    pub stop_on_failure: bool,
    /// How many at once, at most 20. Default 1; more needs `sharedSandbox` false.
    #[serde(default = "one")]
    pub max_parallel: u32,
    /// One sandbox for all: they share files, not shell state. Default true.
    #[serde(default = "yes")]
    pub shared_sandbox: bool,
    /// Milliseconds for the whole batch; absent: the sum of the commands' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Sandbox template of the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// A shared sandbox that was opened for the same account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<String>,
    /// Narrows the policy's network allowlist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkInput>,
    /// The granted approval that this batch uses up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// Decide, price and plan; run nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// One command of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum BatchCommand {
    /// A command line with defaults.
    Line(String),
    /// With settings of its own.
    Full(Box<BatchCommandInput>),
}

/// One command of a batch with settings of its own: what `safeExecuteCode` takes, without what is
/// the batch's (`runId`, `template`, `sandboxId`, `network`, `approvalId`, `dryRun`).
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchCommandInput {
    /// Shell command line, run by `/bin/bash -l -c`; at most 64 KiB. This or `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// A program instead of a command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeInput>,
    /// Milliseconds for the command alone. Default 60000.
    #[serde(default = "ExecuteInput::default_timeout_ms")]
    pub timeout_ms: u64,
    /// Working directory. Default: the user's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Environment of the command.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Standard input of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Environment from the worker's side: name -> `env:NAME` or `file:PATH`. Values never enter
    /// the history and are always redacted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_env: BTreeMap<String, String>,
    /// Files to put in first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileInput>,
    /// Packages to install first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<PackageInput>,
    /// Paths or globs to bring back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// What kind of action it is. Default `execute_code`.
    #[serde(default = "ExecuteInput::default_action_type")]
    pub action_type: String,
    /// Fee and cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostInput>,
    /// Copied to the audit record and the sandbox's metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

/// How the batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BatchOutcome {
    /// Every command ran.
    Completed,
    /// It stopped early: a failure, the time or the budget.
    Stopped,
    /// Of one command it is not known whether it ran; nothing after it was started.
    OutcomeUnknown,
}

/// How one command of a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BatchItemOutcome {
    /// Exit code 0.
    Completed,
    /// Another exit code.
    Failed,
    /// Not started.
    Skipped,
    /// Stopped at its time.
    TimedOut,
    /// Killed by the sandbox or its limits.
    Killed,
    /// It may have run.
    OutcomeUnknown,
}

/// One command's place in the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchItem {
    /// Position in `commands`, from 0.
    pub index: u32,
    /// How it ended.
    pub outcome: BatchItemOutcome,
    /// What came of it, if it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ExecuteResult>,
}

/// Output of `safeExecuteBatch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchResult {
    /// How the batch ended.
    pub outcome: BatchOutcome,
    /// One item a command, in order.
    pub results: Vec<BatchItem>,
    /// How many ended with exit code 0.
    pub succeeded: u32,
    /// How many ran and did not.
    pub failed: u32,
    /// How many were not started.
    pub skipped: u32,
    /// What all of it cost.
    pub cost: CostReport,
    /// What the account has left.
    pub budget_remaining: Usd,
}

impl BatchInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value, limits: &Limits) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        reader.require("commands");
        let run_id = reader.account("runId");
        let commands = reader
            .list("commands", limits.max_batch_commands, |value, at, problems| {
                Some(BatchCommand::read(value, at, limits, problems))
            })
            .unwrap_or_default();
        if commands.is_empty() && reader.value("commands").is_some() {
            reader.problem("commands", "must name at least one command");
        }
        let shared_sandbox = reader.boolean("sharedSandbox").unwrap_or(true);
        let max_parallel = reader.integer("maxParallel", 1, 20).unwrap_or(1);
        if max_parallel > 1 && shared_sandbox {
            reader.problem("maxParallel", "above 1 needs sharedSandbox false");
        }
        let max_timeout = limits.max_timeout_ms.saturating_mul(limits.max_batch_commands as u64);
        let input = Self {
            run_id: run_id.unwrap_or_else(|| ExecuteInput::of_command("").run_id),
            commands,
            stop_on_failure: reader.boolean("stopOnFailure").unwrap_or(true),
            max_parallel: u32::try_from(max_parallel).unwrap_or(1),
            shared_sandbox,
            timeout_ms: reader.integer("timeoutMs", 1, max_timeout),
            template: read_template(&mut reader),
            sandbox_id: reader.string("sandboxId", 64),
            network: read_network(&mut reader),
            approval_id: reader.string("approvalId", 128),
            dry_run: reader.boolean("dryRun").unwrap_or(false),
        };
        reader.finish();
        problems.or(input)
    }

    /// The commands as single runs, each with what the batch says for all of them.
    pub fn runs(&self) -> impl Iterator<Item = ExecuteInput> + '_ {
        self.commands.iter().map(|command| {
            let own = match command {
                BatchCommand::Full(input) => (**input).clone().into(),
                BatchCommand::Line(line) => ExecuteInput::of_command(line.clone()),
            };
            ExecuteInput {
                run_id: self.run_id.clone(),
                template: self.template.clone(),
                sandbox_id: self.sandbox_id.clone(),
                network: self.network.clone(),
                dry_run: self.dry_run,
                ..own
            }
        })
    }
}

impl BatchCommand {
    fn read(value: &Value, at: &str, limits: &Limits, problems: &mut Problems) -> Self {
        if value.is_string() {
            let max = ExecuteInput::MAX_COMMAND_BYTES;
            let line = crate::reader::text(value, at, max, problems).unwrap_or_default();
            if line.trim().is_empty() {
                problems.add(at, "must not be empty");
            }
            return Self::Line(line);
        }
        Self::Full(Box::new(ExecuteInput::read_in_batch(value, at, limits, problems).into()))
    }
}

impl From<ExecuteInput> for BatchCommandInput {
    fn from(input: ExecuteInput) -> Self {
        Self {
            command: input.command,
            code: input.code,
            timeout_ms: input.timeout_ms,
            cwd: input.cwd,
            env: input.env,
            stdin: input.stdin,
            secret_env: input.secret_env,
            files: input.files,
            packages: input.packages,
            artifacts: input.artifacts,
            action_type: input.action_type,
            cost: input.cost,
            labels: input.labels,
        }
    }
}

impl From<BatchCommandInput> for ExecuteInput {
    fn from(input: BatchCommandInput) -> Self {
        Self {
            command: input.command,
            code: input.code,
            timeout_ms: input.timeout_ms,
            cwd: input.cwd,
            env: input.env,
            stdin: input.stdin,
            secret_env: input.secret_env,
            files: input.files,
            packages: input.packages,
            artifacts: input.artifacts,
            action_type: input.action_type,
            cost: input.cost,
            labels: input.labels,
            ..Self::of_command(String::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strings_and_objects_mix_and_take_the_batch_settings() {
        let value = json!({"runId": "r", "commands": ["ls", {"command": "pwd", "timeoutMs": 5}],
            "template": "base"});
        let batch = BatchInput::parse(&value, &Limits::default()).unwrap();
        let runs: Vec<ExecuteInput> = batch.runs().collect();
        assert_eq!(runs[0].command.as_deref(), Some("ls"));
        assert_eq!((runs[1].timeout_ms, runs[1].template.as_deref()), (5, Some("base")));
        assert!(batch.stop_on_failure && batch.shared_sandbox);
    }

    #[test]
    fn a_command_of_a_batch_takes_what_a_single_run_takes_but_what_is_the_batchs() {
        let properties = |schema: schemars::Schema| schema.to_value()["properties"].clone();
        let own = properties(schemars::schema_for!(BatchCommandInput));
        let mut single = properties(schemars::schema_for!(ExecuteInput));
        for batchs in ["runId", "template", "sandboxId", "network", "approvalId", "dryRun"] {
            assert!(single.as_object_mut().unwrap().remove(batchs).is_some(), "{batchs}");
        }
        assert_eq!(own, single);
    }

    #[test]
    fn what_has_a_default_is_not_required_by_the_schema() {
        let schema = schemars::schema_for!(BatchInput).to_value();
        assert_eq!(schema["required"], json!(["runId", "commands"]));
        assert_eq!(schema["properties"]["maxParallel"]["default"], 1);
    }

    #[test]
    fn problems_carry_the_index_of_the_command() {
        let value = json!({"runId": "r", "commands": ["", {"comand": "x", "runId": "y"}],
            "maxParallel": 2});
        let problems = BatchInput::parse(&value, &Limits::default()).unwrap_err();
        let fields: Vec<&str> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "commands[0]",
                "commands[1].command",
                "commands[1].comand",
                "commands[1].runId",
                "maxParallel"
            ]
        );
    }
}
