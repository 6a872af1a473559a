//! Audit records as readers see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::reader::Reader;
use crate::{AccountId, ExecutionId, Problems};

/// Which records to read: the newest that fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadAuditInput {
    /// Only of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<AccountId>,
    /// Only of this execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<ExecutionId>,
    /// Only of this kind, such as `policy.decided`, or of kinds that begin with it and a dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Most that are answered, 1 to 1000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// One record of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// The chain it is in: one for each process that writes.
    pub writer: String,
    /// Its place in the chain, from 1.
    pub sequence: u64,
    /// RFC 3339.
    pub at: String,
    /// What happened.
    pub kind: String,
    /// The budget account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<AccountId>,
    /// The execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<ExecutionId>,
    /// The facts.
    pub data: Map<String, Value>,
    /// Its hash, as in a receipt.
    pub hash: String,
}

/// The records that were asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecords {
    /// The oldest first.
    pub records: Vec<AuditRecord>,
}

impl ReadAuditInput {
    /// Records answered unless asked otherwise.
    pub const DEFAULT_LIMIT: u64 = 100;

    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        let run_id = reader.account("runId");
        let execution_id = reader.string("executionId", 64).and_then(|id| {
            id.parse::<ExecutionId>()
                .map_err(|wrong| reader.problem("executionId", wrong.to_string()))
                .ok()
        });
        let kind = reader.string("kind", 100);
        let limit = reader.integer("limit", 1, 1000);
        reader.finish();
        problems.or(Self { run_id, execution_id, kind, limit })
    }
}
