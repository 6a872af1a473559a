//! `safeExecuteBatch`: several commands, decided together, run in one sandbox.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::execute::{read_network, read_template};
use crate::reader::Reader;
use crate::{
    AccountId, CostReport, ExecuteInput, ExecuteResult, Limits, NetworkInput, Problems, Usd,
};

/// Input of `safeExecuteBatch`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchInput {
    /// The budget account of all of them.
    pub run_id: AccountId,
    /// The commands, in order.
    pub commands: Vec<BatchCommand>,
    /// Stop at the first that fails. Default true.
    pub stop_on_failure: bool,
    /// How many at once. Default 1; more needs `sharedSandbox` false.
    pub max_parallel: u32,
    /// One sandbox for all: they share files, not shell state. Default true.
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
    pub dry_run: bool,
}

/// One command of a batch: a plain string, or [`ExecuteInput`] without what the batch gives.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum BatchCommand {
    /// A command line with defaults.
    Line(String),
    /// With settings of its own; `runId`, `template`, `network` and `sandboxId` are the batch's.
    Full(Box<ExecuteInput>),
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
        let mut input = Self {
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
        input.hand_down();
        problems.or(input)
    }

    /// Gives each command what the batch says for all of them.
    fn hand_down(&mut self) {
        for command in &mut self.commands {
            if let BatchCommand::Full(input) = command {
                input.run_id = self.run_id.clone();
                input.template.clone_from(&self.template);
                input.sandbox_id.clone_from(&self.sandbox_id);
                input.network.clone_from(&self.network);
                input.dry_run = self.dry_run;
            }
        }
    }

    /// The commands as single runs.
    pub fn runs(&self) -> impl Iterator<Item = ExecuteInput> + '_ {
        self.commands.iter().map(|command| match command {
            BatchCommand::Full(input) => (**input).clone(),
            BatchCommand::Line(line) => ExecuteInput {
                run_id: self.run_id.clone(),
                template: self.template.clone(),
                sandbox_id: self.sandbox_id.clone(),
                network: self.network.clone(),
                dry_run: self.dry_run,
                ..ExecuteInput::of_command(line.clone())
            },
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
        Self::Full(Box::new(ExecuteInput::read_in_batch(value, at, limits, problems)))
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
