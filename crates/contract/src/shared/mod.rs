//! Sandboxes that several activities of one workflow share.
//!
//! `openSandbox` makes one; commands name it by `sandboxId`; it ends by `closeSandbox`, when the
//! workflow that opened it closes, or at the first of its own limits. Only the account that opened
//! it can use it: for any other its id names nothing (`SandboxNotFound`).

mod files;
mod life;
mod open;

pub use files::{
    DownloadFilesInput, DownloadFilesResult, InstallPackagesInput, InstallPackagesResult,
    InstallReport, UploadFilesInput, UploadFilesResult, UploadedFile,
};
pub use life::{CloseReason, CloseSandboxResult, SandboxHealth, SharedSandboxInput, SharedState};
pub use open::{OpenSandboxInput, OpenSandboxResult};

use serde_json::Value;

use crate::reader::Reader;
use crate::{AccountId, ExecuteInput, Problems};

/// The account of an input that has none: such an input is refused, this is never used.
fn nobody() -> AccountId {
    ExecuteInput::of_command("").run_id
}

/// The account and the sandbox that every activity on an open sandbox names.
fn read_place(reader: &mut Reader<'_, '_>) -> (AccountId, String) {
    reader.require("runId");
    reader.require("sandboxId");
    let account = reader.account("runId").unwrap_or_else(nobody);
    (account, reader.string("sandboxId", 64).unwrap_or_default())
}

/// Reads `value` with `read`; every problem at once.
fn parse<T>(value: &Value, read: impl FnOnce(&mut Reader<'_, '_>) -> T) -> Result<T, Problems> {
    let mut problems = Problems::default();
    let mut reader = Reader::new(value, "", &mut problems);
    let input = read(&mut reader);
    reader.finish();
    problems.or(input)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Limits;

    #[test]
    fn every_bad_field_is_named_at_once() {
        let fields = |problems: Problems| -> Vec<String> {
            problems.iter().map(|problem| problem.field.clone()).collect()
        };
        let open = json!({"runId": "r", "idleTimeoutMs": 5, "maxLifetimeMs": 86_400_001_u64,
            "maxConcurrent": 0, "sandboxID": "x"});
        let open = OpenSandboxInput::parse(&open, &Limits::default()).unwrap_err();
        let expected = ["maxConcurrent", "idleTimeoutMs", "maxLifetimeMs", "sandboxID"];
        assert_eq!(fields(open), expected);
        let files = json!({"runId": "r", "files": []});
        let files = UploadFilesInput::parse(&files, &Limits::default()).unwrap_err();
        assert_eq!(fields(files), ["sandboxId", "files"]);
        let packages = json!({"runId": "r", "sandboxId": "s",
            "packages": [{"manager": "pip", "names": ["--index-url=x"]}]});
        let packages = InstallPackagesInput::parse(&packages).unwrap_err();
        assert_eq!(fields(packages), ["packages[0].names[0]"]);
    }

    #[test]
    fn what_parse_accepts_serde_reads_alike() {
        let value = json!({"runId": "r", "template": "base", "network": "none",
            "env": {"A": "b"}, "labels": {"l": "m"}, "idleTimeoutMs": 60_000,
            "files": [{"path": "a", "content": "b"}], "cost": {"maxUsd": "0.1"}});
        let parsed = OpenSandboxInput::parse(&value, &Limits::default()).unwrap();
        let read: OpenSandboxInput = serde_json::from_value(value).unwrap();
        assert_eq!(parsed, read);
    }
}
