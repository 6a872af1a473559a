//! `sandboxHealth`: what there is to know about a shared sandbox, also after it was closed.

use airlock_contract::{CostReport, Failure, SandboxHealth, SharedSandboxInput, SharedState};
use airlock_e2b::SandboxState;
use airlock_runs::shared::SharedRecord;
use serde_json::Value;

use super::close::{refused, seconds};
use super::not_found;
use crate::engine::{Core, Engine};
use crate::failure;
use crate::run::{is_gone, now_ms, rfc3339};

impl Engine {
    /// A `SharedSandboxInput` as JSON to a `SandboxHealth`. Looking does not count as use.
    ///
    /// # Errors
    /// `SandboxNotFound` if the account opened no such sandbox, or it is forgotten.
    pub async fn sandbox_health(&self, input: &Value) -> Result<SandboxHealth, Failure> {
        self.core.check_names(input)?;
        let input = SharedSandboxInput::parse(input)?;
        let record = self.core.runs.shared().get(&input.run_id, &input.sandbox_id).await;
        let record = record.map_err(|error| refused(error.into()))?.ok_or_else(not_found)?;
        let running = record.state == SharedState::Open && self.core.answers(&record).await?;
        Ok(self.core.health_of(&record, running))
    }
}

impl Core {
    async fn answers(&self, record: &SharedRecord) -> Result<bool, Failure> {
        match self.e2b.get(&record.fixed.sandbox).await {
            Ok(info) => Ok(info.state == SandboxState::Running),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(failure::sandbox(&error)),
        }
    }

    fn health_of(&self, record: &SharedRecord, running: bool) -> SandboxHealth {
        let fixed = &record.fixed;
        let until = record.ended.map_or_else(now_ms, |ended| ended.at_ms);
        let spent = match record.ended {
            Some(ended) => ended.cost,
            None => self.shared_cost(fixed, until - fixed.created_at_ms).min(record.held),
        };
        SandboxHealth {
            run_id: fixed.account.clone(),
            sandbox_id: fixed.sandbox.clone(),
            state: record.state,
            running,
            reason: record.reason,
            template: fixed.template.clone(),
            commands_running: u32::try_from(record.seats.len()).unwrap_or(u32::MAX),
            max_concurrent: fixed.seats,
            opened_at: rfc3339(fixed.created_at_ms),
            last_used_at: rfc3339(record.used_at_ms),
            lease_until: rfc3339(record.lease_until_ms),
            paid_until: rfc3339(record.paid_until_ms()),
            closes_at: rfc3339(fixed.closes_at_ms),
            idle_timeout_ms: fixed.idle_ms,
            cost: CostReport {
                reserved_usd: record.held,
                spent_usd: spent,
                seconds: seconds(record, until),
                drift_seconds: None,
                price_digest: self.prices.digest().to_owned(),
            },
        }
    }
}
