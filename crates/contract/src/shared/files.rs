//! `uploadFiles`, `downloadFiles` and `installPackages`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{parse, read_place};
use crate::execute::{read_files, read_package};
use crate::reader::text;
use crate::{
    AccountId, Artifact, ExecutionId, FileInput, Limits, PackageInput, PackageManager,
    PolicyDecision, Problems, RunStatus,
};

/// Input of `uploadFiles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UploadFilesInput {
    /// The budget account that opened the sandbox.
    pub run_id: AccountId,
    /// The sandbox.
    pub sandbox_id: String,
    /// The files; those that exist are replaced.
    pub files: Vec<FileInput>,
}

/// A file that was put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UploadedFile {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
}

/// Output of `uploadFiles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UploadFilesResult {
    /// The budget account.
    pub run_id: AccountId,
    /// The sandbox.
    pub sandbox_id: String,
    /// One entry a file, in order.
    pub files: Vec<UploadedFile>,
}

/// Input of `downloadFiles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DownloadFilesInput {
    /// The budget account that opened the sandbox.
    pub run_id: AccountId,
    /// The sandbox.
    pub sandbox_id: String,
    /// Paths or globs, absolute or relative to the user's home.
    pub paths: Vec<String>,
}

/// Output of `downloadFiles`. Text is redacted; a file that is too large fails the call with
/// `ResultTooLarge`, since half a file is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DownloadFilesResult {
    /// The budget account.
    pub run_id: AccountId,
    /// The sandbox.
    pub sandbox_id: String,
    /// The files, in order; one that is not there says so in `omitted`.
    pub files: Vec<Artifact>,
}

/// Input of `installPackages`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstallPackagesInput {
    /// The budget account that opened the sandbox.
    pub run_id: AccountId,
    /// The sandbox.
    pub sandbox_id: String,
    /// What to install, in order; the first that fails ends it.
    pub packages: Vec<PackageInput>,
    /// The granted approval that this installation uses up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
}

/// What came of one entry of `packages`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallReport {
    /// Which manager.
    pub manager: PackageManager,
    /// Which packages.
    pub names: Vec<String>,
    /// How the manager ended.
    pub status: RunStatus,
    /// Its exit code; null if there is none.
    pub exit_code: Option<i32>,
    /// Its redacted standard output, cut.
    pub stdout: String,
    /// Its redacted standard error, cut.
    pub stderr: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// Output of `installPackages`. A manager that fails is a result, not a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallPackagesResult {
    /// The budget account.
    pub run_id: AccountId,
    /// This execution.
    pub execution_id: ExecutionId,
    /// The sandbox.
    pub sandbox_id: String,
    /// Whether everything was installed.
    pub installed: bool,
    /// One entry an entry of `packages`, up to the first that failed.
    pub installs: Vec<InstallReport>,
    /// What the policy said.
    pub decision: PolicyDecision,
}

impl UploadFilesInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value, limits: &Limits) -> Result<Self, Problems> {
        parse(value, |reader| {
            let (run_id, sandbox_id) = read_place(reader);
            reader.require("files");
            let files = read_files(reader, limits);
            if reader.value("files").and_then(Value::as_array).is_some_and(Vec::is_empty) {
                reader.problem("files", "must name at least one file");
            }
            Self { run_id, sandbox_id, files }
        })
    }
}

impl DownloadFilesInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        parse(value, |reader| {
            let (run_id, sandbox_id) = read_place(reader);
            reader.require("paths");
            let paths = reader
                .list("paths", 100, |value, at, problems| text(value, at, 4096, problems))
                .unwrap_or_default();
            if reader.value("paths").and_then(Value::as_array).is_some_and(Vec::is_empty) {
                reader.problem("paths", "must name at least one file");
            }
            Self { run_id, sandbox_id, paths }
        })
    }
}

impl InstallPackagesInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        parse(value, |reader| {
            let (run_id, sandbox_id) = read_place(reader);
            reader.require("packages");
            let packages = reader.list("packages", 20, read_package).unwrap_or_default();
            if reader.value("packages").and_then(Value::as_array).is_some_and(Vec::is_empty) {
                reader.problem("packages", "must name at least one package");
            }
            let approval_id = reader.string("approvalId", 128);
            Self { run_id, sandbox_id, packages, approval_id }
        })
    }
}
