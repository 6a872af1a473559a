//! `safeExecuteCode`: one command or program, and what came of it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reader::{Reader, text};
use crate::{AccountId, ExecutionId, PolicyDecision, Problems, Usd};

/// What a deployment allows; inputs are held to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time that one command may ask for, in milliseconds. Default one hour.
    pub max_timeout_ms: u64,
    /// Most bytes of all uploaded files together. Default 1 MiB: Temporal ends near 2 MB.
    pub max_files_bytes: usize,
    /// Most commands in a batch. Default 100.
    pub max_batch_commands: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_timeout_ms: 3_600_000, max_files_bytes: 1024 * 1024, max_batch_commands: 100 }
    }
}

/// Input of `safeExecuteCode`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecuteInput {
    /// The budget account.
    pub run_id: AccountId,
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
    /// Sandbox template. Default from configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// A shared sandbox that was opened for the same account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<String>,
    /// Narrows the policy's network allowlist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkInput>,
    /// What kind of action it is. Default `execute_code`.
    #[serde(default = "ExecuteInput::default_action_type")]
    pub action_type: String,
    /// The granted approval that this run uses up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// Fee and cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostInput>,
    /// Decide, price and plan; run nothing, spend nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Copied to the audit record and the sandbox's metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A program: its language and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CodeInput {
    /// One of [`CodeInput::LANGUAGES`].
    pub language: String,
    /// At most 1 MiB.
    pub source: String,
}

/// A file to put into the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileInput {
    /// Absolute, or relative to the user's home.
    pub path: String,
    /// Text. This or `contentBase64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Bytes as standard base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// Permission bits in octal, such as `"0755"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum PackageManager {
    Pip,
    Npm,
    Apt,
    Cargo,
}

/// Packages to install before the command runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageInput {
    /// Which manager.
    pub manager: PackageManager,
    /// Package names, with a version where the manager takes one; validated.
    pub names: Vec<String>,
}

/// Narrows the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NetworkInput {
    /// `"none"`.
    Word(String),
    /// Hosts that may be reached.
    Allow {
        /// `host`, `*.host`, CIDR or `host:port`.
        allow: Vec<String>,
    },
}

/// Fee and cap of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CostInput {
    /// Added to the metered cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_usd: Option<Usd>,
    /// The run may not cost more, whatever the budget has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd: Option<Usd>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RunStatus {
    /// The command ended by itself, with whatever exit code.
    Completed,
    /// It was stopped at `timeoutMs`.
    TimedOut,
    /// The sandbox or its limits killed it.
    Killed,
    /// The budget did not cover another slice.
    OutOfBudget,
    /// Nothing ran: `dryRun`.
    DryRun,
}

/// What a run cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostReport {
    /// The worst case that was held.
    pub reserved_usd: Usd,
    /// What was booked.
    pub spent_usd: Usd,
    /// Sandbox seconds that were charged.
    pub seconds: f64,
    /// What the provider's own times say more than the worker's clock, in seconds; already in
    /// `seconds` unless the clocks disagree by minutes. Absent where the provider did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_seconds: Option<f64>,
    /// Digest of the price card.
    pub price_digest: String,
}

/// A file that came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Where it was.
    pub path: String,
    /// Its size in the sandbox.
    pub bytes: u64,
    /// SHA-256 of what is returned, hex.
    pub sha256: String,
    /// Its bytes; absent if it was too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// Why there is no content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<String>,
}

/// Ties a result to the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The writer's chain.
    pub writer: String,
    /// Position in the chain.
    pub sequence: u64,
    /// Hash of the record, hex.
    pub hash: String,
}

/// What a `dryRun` would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Template that would be used.
    pub template: String,
    /// Worst case that would be held.
    pub worst_case_usd: Usd,
    /// Whether the budget covers it now.
    pub covered: bool,
    /// What would happen, step by step.
    pub steps: Vec<String>,
}

/// Output of `safeExecuteCode`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecuteResult {
    /// The budget account.
    pub run_id: AccountId,
    /// This execution.
    pub execution_id: ExecutionId,
    /// How it ended.
    pub status: RunStatus,
    /// Exit code; null if there is none.
    pub exit_code: Option<i32>,
    /// Signal that ended it, such as `SIGKILL`.
    pub signal: Option<String>,
    /// Redacted standard output: head and tail, the cut marked.
    pub stdout: String,
    /// Redacted standard error.
    pub stderr: String,
    /// Bytes that the command wrote to standard output.
    pub stdout_bytes: u64,
    /// Bytes that the command wrote to standard error.
    pub stderr_bytes: u64,
    /// Whether `stdout` is not all of it.
    pub stdout_truncated: bool,
    /// Whether `stderr` is not all of it.
    pub stderr_truncated: bool,
    /// How long the command ran.
    pub duration_ms: u64,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// The sandbox it ran in.
    pub sandbox_id: Option<String>,
    /// The template it ran in.
    pub template: String,
    /// What the policy said.
    pub decision: PolicyDecision,
    /// What it cost.
    pub cost: CostReport,
    /// What the account has left.
    pub budget_remaining: Usd,
    /// Alert thresholds that this run crossed, in percent.
    pub budget_warnings: Vec<u8>,
    /// What was redacted: kind -> how often.
    pub redactions: BTreeMap<String, u64>,
    /// Files that came back.
    pub artifacts: Vec<Artifact>,
    /// The attempt that finished it.
    pub attempt: u32,
    /// Whether that attempt took the command over from an earlier one.
    pub reattached: bool,
    /// Place in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// Only with `dryRun`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

impl CodeInput {
    /// Languages that are accepted.
    pub const LANGUAGES: [&'static str; 9] =
        ["python", "javascript", "typescript", "bash", "sh", "r", "ruby", "go", "perl"];
    /// Longest program, in bytes.
    pub const MAX_SOURCE_BYTES: usize = 1024 * 1024;

    pub(crate) fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let mut reader = Reader::new(value, path, problems);
        reader.require("language");
        reader.require("source");
        let choices = Self::LANGUAGES.map(|language| (language, language));
        let language = reader.one_of("language", &choices);
        let source = reader.string("source", Self::MAX_SOURCE_BYTES);
        reader.finish();
        Some(Self { language: language?.to_owned(), source: source? })
    }
}

impl ExecuteInput {
    /// Longest command line, in bytes.
    pub const MAX_COMMAND_BYTES: usize = 64 * 1024;
    /// Longest standard input, in bytes.
    pub const MAX_STDIN_BYTES: usize = 1024 * 1024;
    const MAX_ENTRIES: usize = 200;

    /// Milliseconds that a command has if it says nothing.
    pub const fn default_timeout_ms() -> u64 {
        60_000
    }

    /// The action type if none is given.
    pub fn default_action_type() -> String {
        "execute_code".to_owned()
    }

    /// Reads the input of `safeExecuteCode`; every problem at once.
    pub fn parse(value: &Value, limits: &Limits) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        let run_id = reader.account("runId");
        let mut input = Self::read_common(&mut reader, limits);
        input.template = read_template(&mut reader);
        input.sandbox_id = reader.string("sandboxId", 64);
        input.network = read_network(&mut reader);
        input.approval_id = reader.string("approvalId", 128);
        input.dry_run = reader.boolean("dryRun").unwrap_or(false);
        reader.finish();
        if let Some(run_id) = run_id {
            input.run_id = run_id;
        }
        problems.or(input)
    }

    /// One command of a batch: no account, template, sandbox or network of its own.
    pub(crate) fn read_in_batch(
        value: &Value,
        path: &str,
        limits: &Limits,
        problems: &mut Problems,
    ) -> Self {
        let mut reader = Reader::new(value, path, problems);
        let input = Self::read_common(&mut reader, limits);
        reader.finish();
        input
    }

    /// The fields that a single run and a command of a batch share.
    fn read_common(reader: &mut Reader<'_, '_>, limits: &Limits) -> Self {
        let mut input = Self::of_command(String::new());
        input.command = reader.string("command", Self::MAX_COMMAND_BYTES);
        let code_at = reader.at("code");
        let has_code = reader.value("code");
        input.code = has_code.and_then(|v| CodeInput::read(v, &code_at, reader.problems()));
        match (reader.value("command").is_some(), has_code.is_some()) {
            (false, false) => reader.problem("command", "is required, or code instead of it"),
            (true, true) => reader.problem("code", "and command exclude each other; give one"),
            _ if input.command.as_deref().is_some_and(|c| c.trim().is_empty()) => {
                reader.problem("command", "must not be empty");
            }
            _ => {}
        }
        let max = limits.max_timeout_ms;
        input.timeout_ms = reader
            .integer("timeoutMs", 1, max)
            .unwrap_or_else(|| Self::default_timeout_ms().min(max));
        input.cwd = reader.string("cwd", 4096);
        input.env = reader.map("env", Self::MAX_ENTRIES, 128 * 1024, env_name);
        input.stdin = reader.string("stdin", Self::MAX_STDIN_BYTES);
        input.secret_env = read_secret_env(reader);
        input.files = read_files(reader, limits);
        input.packages = reader.list("packages", 20, read_package).unwrap_or_default();
        input.artifacts = reader
            .list("artifacts", 100, |value, at, problems| text(value, at, 4096, problems))
            .unwrap_or_default();
        input.action_type =
            reader.string("actionType", 64).unwrap_or_else(Self::default_action_type);
        input.cost = read_cost(reader);
        input.labels = reader.map("labels", 50, 256, label_name);
        input
    }

    /// A run of `command` with defaults everywhere else, on the account `default`.
    pub fn of_command(command: impl Into<String>) -> Self {
        Self {
            run_id: "default".parse().unwrap_or_else(|_| unreachable!("a valid name")),
            command: Some(command.into()),
            code: None,
            timeout_ms: Self::default_timeout_ms(),
            cwd: None,
            env: BTreeMap::new(),
            stdin: None,
            secret_env: BTreeMap::new(),
            files: Vec::new(),
            packages: Vec::new(),
            artifacts: Vec::new(),
            template: None,
            sandbox_id: None,
            network: None,
            action_type: Self::default_action_type(),
            approval_id: None,
            cost: None,
            dry_run: false,
            labels: BTreeMap::new(),
        }
    }
}

pub(crate) fn env_name(name: &str) -> Result<(), &'static str> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if first && rest && name.len() <= 256 {
        Ok(())
    } else {
        Err("is no variable name: letters, digits and _, not starting with a digit")
    }
}

pub(crate) fn label_name(name: &str) -> Result<(), &'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err("is no label name: 1 to 64 characters of A-Z a-z 0-9 . _ / -")
    }
}

fn read_secret_env(reader: &mut Reader<'_, '_>) -> BTreeMap<String, String> {
    let map = reader.map("secretEnv", 50, 4096, env_name);
    for (name, reference) in &map {
        let known = ["env:", "file:"]
            .iter()
            .any(|p| reference.strip_prefix(p).is_some_and(|rest| !rest.is_empty()));
        if !known {
            reader.problem(
                &format!("secretEnv.{name}"),
                "must be a reference, env:NAME or file:PATH, never the value itself",
            );
        }
    }
    map
}

pub(crate) fn read_template(reader: &mut Reader<'_, '_>) -> Option<String> {
    let template = reader.string("template", 128)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:/-".contains(&b);
    if template.is_empty() || !template.bytes().all(allowed) {
        reader.problem("template", "must be 1 to 128 characters of A-Z a-z 0-9 . _ : / -");
        return None;
    }
    Some(template)
}

pub(crate) fn read_network(reader: &mut Reader<'_, '_>) -> Option<NetworkInput> {
    let value = reader.value("network")?;
    match value {
        Value::String(word) if word == "none" => Some(NetworkInput::Word(word.clone())),
        Value::Object(_) => {
            let at = reader.at("network");
            let mut nested = Reader::new(value, &at, reader.problems());
            nested.require("allow");
            let allow = nested.list("allow", 200, |v, at, problems| text(v, at, 253, problems));
            nested.finish();
            allow.map(|allow| NetworkInput::Allow { allow })
        }
        _ => {
            reader.problem("network", "must be \"none\" or {\"allow\": [hosts]}");
            None
        }
    }
}

pub(crate) fn read_cost(reader: &mut Reader<'_, '_>) -> Option<CostInput> {
    let value = reader.value("cost")?;
    let at = reader.at("cost");
    let mut nested = Reader::new(value, &at, reader.problems());
    let cost = CostInput { fee_usd: nested.usd("feeUsd"), max_usd: nested.usd("maxUsd") };
    nested.finish();
    Some(cost)
}

pub(crate) fn read_files(reader: &mut Reader<'_, '_>, limits: &Limits) -> Vec<FileInput> {
    let files = reader.list("files", 100, read_file).unwrap_or_default();
    let total: usize = files
        .iter()
        .map(|f| f.content.as_ref().or(f.content_base64.as_ref()).map_or(0, String::len))
        .sum();
    if total > limits.max_files_bytes {
        let limit = limits.max_files_bytes;
        reader.problem("files", format!("hold {total} bytes together; the limit is {limit}"));
    }
    files
}

fn read_file(value: &Value, at: &str, problems: &mut Problems) -> Option<FileInput> {
    let mut reader = Reader::new(value, at, problems);
    reader.require("path");
    let path = reader.string("path", 4096);
    if path.as_deref() == Some("") {
        reader.problem("path", "must not be empty");
    }
    let content = reader.string("content", usize::MAX);
    let content_base64 = reader.string("contentBase64", usize::MAX);
    match (&content, &content_base64) {
        (Some(_), Some(_)) => reader.problem("content", "and contentBase64 exclude each other"),
        (None, None) => reader.problem("content", "is required, or contentBase64 instead of it"),
        (None, Some(text)) if STANDARD.decode(text).is_err() => {
            reader.problem("contentBase64", "is not standard base64 with padding");
        }
        _ => {}
    }
    let mode = reader.string("mode", 4);
    let octal = |mode: &str| (3..=4).contains(&mode.len()) && u32::from_str_radix(mode, 8).is_ok();
    if mode.as_deref().is_some_and(|mode| !octal(mode)) {
        reader.problem("mode", "must be permission bits in octal, such as \"0755\"");
    }
    reader.finish();
    Some(FileInput { path: path?, content, content_base64, mode })
}

pub(crate) fn read_package(
    value: &Value,
    at: &str,
    problems: &mut Problems,
) -> Option<PackageInput> {
    let mut reader = Reader::new(value, at, problems);
    reader.require("manager");
    reader.require("names");
    let manager = reader.one_of(
        "manager",
        &[
            ("pip", PackageManager::Pip),
            ("npm", PackageManager::Npm),
            ("apt", PackageManager::Apt),
            ("cargo", PackageManager::Cargo),
        ],
    );
    let names = reader.list("names", 100, |value, at, problems| {
        let name = text(value, at, 214, problems)?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"@/._-+=<>~!^[],:".contains(&b);
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(allowed) {
            problems.add(at, "is no package name (letters, digits, @ / . _ - and a version)");
            return None;
        }
        Some(name)
    });
    reader.finish();
    Some(PackageInput { manager: manager?, names: names? })
}

impl NetworkInput {
    /// The hosts that may be reached; empty for `"none"`.
    pub fn allowed(&self) -> &[String] {
        match self {
            Self::Word(_) => &[],
            Self::Allow { allow } => allow,
        }
    }
}

impl PackageManager {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pip => "pip",
            Self::Npm => "npm",
            Self::Apt => "apt",
            Self::Cargo => "cargo",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(value: &Value) -> Vec<String> {
        let found = ExecuteInput::parse(value, &Limits::default()).unwrap_err();
        found.iter().map(|p| format!("{} {}", p.field, p.problem)).collect()
    }

    #[test]
    fn the_shortest_input_takes_the_defaults() {
        let input = json!({"runId": "run-1", "command": "npm test"});
        let input = ExecuteInput::parse(&input, &Limits::default()).unwrap();
        let expected = ExecuteInput {
            run_id: "run-1".parse().unwrap(),
            ..ExecuteInput::of_command("npm test")
        };
        assert_eq!(input, expected);
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        let input = json!({
            "runId": "a b", "comand": "x", "timeoutMs": -5, "env": {"1X": "v", "OK": 3},
            "files": [{"path": "", "content": "a", "contentBase64": "b"}], "network": "all",
            "secretEnv": {"TOKEN": "hunter2"}, "cost": {"maxUsd": "NaN"},
            "packages": [{"manager": "pop", "names": ["--index-url=x"]}],
        });
        insta::assert_snapshot!(problems(&input).join("\n"), @r#"
        runId must be 1 to 200 characters of A-Z a-z 0-9 . _ : / @ -
        command is required, or code instead of it
        timeoutMs must be a whole number from 1 to 3600000
        env.1X is no variable name: letters, digits and _, not starting with a digit
        env.OK must be a string, not a number
        secretEnv.TOKEN must be a reference, env:NAME or file:PATH, never the value itself
        files[0].path must not be empty
        files[0].content and contentBase64 exclude each other
        packages[0].manager must be one of pip, npm, apt, cargo; did you mean "pip"?
        packages[0].names[0] is no package name (letters, digits, @ / . _ - and a version)
        cost.maxUsd is not a decimal amount of dollars, such as 0.25
        network must be "none" or {"allow": [hosts]}
        comand is not a known field; did you mean "command"?
        "#);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for value in [json!(null), json!([]), json!("ls"), json!(3)] {
            assert!(ExecuteInput::parse(&value, &Limits::default()).is_err(), "{value}");
        }
    }

    #[test]
    fn what_parse_accepts_serde_reads_alike() {
        let value = json!({"runId": "r", "code": {"language": "python", "source": "print(1)"},
            "timeoutMs": 5, "network": {"allow": ["a.example"]}, "cost": {"feeUsd": "0.001"}});
        let parsed = ExecuteInput::parse(&value, &Limits::default()).unwrap();
        let read: ExecuteInput = serde_json::from_value(value).unwrap();
        assert_eq!(parsed, read);
    }
}
