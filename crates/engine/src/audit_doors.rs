//! Reading the audit log.

use airlock_audit::{Filter, Sealed};
use airlock_contract::{AuditRecord, AuditRecords, Failure, ReadAuditInput};
use serde_json::Value;

use crate::engine::Engine;
use crate::failure;

impl Engine {
    /// The newest records that fit, the oldest of them first.
    ///
    /// # Errors
    /// `InvalidInput`, `AuditUnavailable`.
    pub async fn read_audit(&self, input: &Value) -> Result<AuditRecords, Failure> {
        let ReadAuditInput { run_id, execution_id, kind, limit } = ReadAuditInput::parse(input)?;
        let Some(reader) = self.core.audit.reader() else {
            return Ok(AuditRecords { records: Vec::new() });
        };
        let limit = usize::try_from(limit.unwrap_or(ReadAuditInput::DEFAULT_LIMIT));
        let filter = Filter { run_id, execution_id, kind };
        let found = reader.tail(limit.unwrap_or(usize::MAX), &filter).await;
        let found = found.map_err(|error| failure::audit(&error))?;
        Ok(AuditRecords { records: found.into_iter().map(record).collect() })
    }
}

fn record(sealed: Sealed) -> AuditRecord {
    let record = sealed.record;
    AuditRecord {
        writer: record.writer,
        sequence: record.sequence,
        at: record.at,
        kind: record.kind,
        run_id: record.run_id,
        execution_id: record.execution_id,
        data: record.data,
        hash: sealed.hash,
    }
}
