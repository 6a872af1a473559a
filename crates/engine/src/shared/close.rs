//! Ending a shared sandbox, whoever decided it: `closeSandbox`, the keeper, or a lost sandbox.

use airlock_audit::Event;
use airlock_budget::{Error as BudgetError, HoldKey};
use airlock_contract::{
    CloseReason, CloseSandboxResult, CostReport, Failure, Receipt, SharedSandboxInput, SharedState,
    Usd,
};
use airlock_runs::shared::{Ended, SharedRecord};
use serde_json::{Value, json};

use super::{from_ms, not_found};
use crate::context::RunContext;
use crate::engine::{Core, Engine};
use crate::pulse::Pulse;
use crate::run::{Halt, now_ms, rfc3339, since};
use crate::{failure, metrics};

impl Engine {
    /// Closes a shared sandbox, whatever runs in it, and books what its life cost: a
    /// `SharedSandboxInput` as JSON to a `CloseSandboxResult`. However often and by however many it
    /// is called, it is booked once and the answer is the same.
    ///
    /// Goes on to its end if the future is dropped.
    ///
    /// # Errors
    /// `SandboxNotFound` if the account opened no such sandbox, or it is forgotten.
    pub async fn close_sandbox(
        &self,
        ctx: &dyn RunContext,
        input: &Value,
    ) -> Result<CloseSandboxResult, Failure> {
        self.core.check_names(input)?;
        let input = SharedSandboxInput::parse(input)?;
        let pulse = Pulse::new(airlock_contract::ExecutionId::of(ctx.identity()), 1);
        pulse.phase(airlock_contract::Phase::Settling);
        let core = self.core.clone();
        let task = self.core.tasks.spawn(async move { core.close(&input).await });
        let closed = pulse.during(ctx, task).await;
        closed.unwrap_or_else(|error| Err(failure::internal("closing a sandbox", &error)))
    }
}

impl Core {
    async fn close(&self, input: &SharedSandboxInput) -> Result<CloseSandboxResult, Failure> {
        let shared = self.runs.shared();
        let record = shared.get(&input.run_id, &input.sandbox_id).await.map_err(store)?;
        let record = record.ok_or_else(not_found)?;
        let closing = shared.closing(&record.fixed, CloseReason::Closed, None).await;
        let record = closing.map_err(store)?.ok_or_else(not_found)?;
        self.wind_up(&record).await.map_err(refused)
    }

    /// Takes a sandbox that is closing to its end: kill, book, forget. Every step can be done
    /// again, and by several at once.
    pub(super) async fn wind_up(&self, record: &SharedRecord) -> Result<CloseSandboxResult, Halt> {
        let (fixed, shared) = (&record.fixed, self.runs.shared());
        let ended = match record.ended {
            Some(ended) if record.state == SharedState::Closed => ended,
            _ => {
                let existed = self.e2b.kill(&fixed.sandbox).await?;
                let ended = self.end_of(record, existed);
                shared.ended(fixed, ended).await.map_err(gone)?
            }
        };
        self.leave_shared_room(fixed).await;
        let remaining = self.settle_shared(record, ended.cost).await?;
        let first = record.state != SharedState::Closed
            && shared.closed(fixed, self.config.remember).await.map_err(gone)?;
        let reason = record.reason.unwrap_or(CloseReason::Closed);
        let receipt = if first { self.tell_closed(record, reason, ended).await } else { None };
        Ok(CloseSandboxResult {
            run_id: fixed.account.clone(),
            sandbox_id: fixed.sandbox.clone(),
            reason,
            opened_at: rfc3339(fixed.created_at_ms),
            closed_at: rfc3339(ended.at_ms),
            cost: CostReport {
                reserved_usd: record.held,
                spent_usd: ended.cost,
                seconds: seconds(record, ended.at_ms),
                drift_seconds: None,
                price_digest: self.prices.digest().to_owned(),
            },
            budget_remaining: remaining,
            receipt,
        })
    }

    /// Charged until now if it was there, else until its lease ended, never more than was held.
    fn end_of(&self, record: &SharedRecord, existed: bool) -> Ended {
        let last = if existed { record.paid_until_ms() } else { record.lease_until_ms };
        let at_ms = now_ms().min(last).max(record.fixed.created_at_ms);
        let cost = self.shared_cost(&record.fixed, at_ms - record.fixed.created_at_ms);
        Ended { at_ms, cost: cost.min(record.held) }
    }

    /// Books the whole life once; what the account has left.
    async fn settle_shared(&self, record: &SharedRecord, cost: Usd) -> Result<Usd, Halt> {
        let fixed = &record.fixed;
        let hold = HoldKey::new(fixed.account.clone(), fixed.execution.as_str());
        let what = format!("shared sandbox {}", fixed.sandbox);
        match self.ledger.settle(&hold, cost, &what).await {
            Ok(settled) => {
                if !settled.replayed {
                    metrics::spent(cost);
                }
                return Ok(settled.status.remaining);
            }
            // The account was removed, or the hold is forgotten: there is nothing to book it on.
            Err(
                BudgetError::Conflict { .. }
                | BudgetError::UnknownHold { .. }
                | BudgetError::NotFound { .. },
            ) => tracing::debug!(sandbox = %fixed.sandbox, "there is no hold to settle"),
            Err(error) => return Err(error.into()),
        }
        match self.ledger.get(&fixed.account).await {
            Ok(status) => Ok(status.remaining),
            Err(BudgetError::NotFound { .. }) => Ok(Usd::ZERO),
            Err(error) => Err(error.into()),
        }
    }

    /// The audit log's line. What is closed stays closed without it.
    async fn tell_closed(
        &self,
        record: &SharedRecord,
        reason: CloseReason,
        ended: Ended,
    ) -> Option<Receipt> {
        let fixed = &record.fixed;
        let why = json!(reason);
        metrics::shared_closed(why.as_str().unwrap_or_default());
        tracing::info!(sandbox = %fixed.sandbox, account = %fixed.account, reason = %why,
            "shared sandbox closed");
        let event = Event::new("sandbox.closed")
            .for_account(&fixed.account)
            .of_execution(&fixed.execution)
            .with("sandboxId", fixed.sandbox.as_str())
            .with("reason", why)
            .with("spentUsd", json!(ended.cost))
            .with("seconds", json!(seconds(record, ended.at_ms)));
        let told = tokio::time::timeout(failure::AUDIT_PATIENCE, self.audit.append(event)).await;
        if let Ok(Ok(receipt)) = told {
            return Some(receipt);
        }
        tracing::error!(sandbox = %fixed.sandbox, "its end is not in the audit log");
        None
    }
}

/// How long it was there by `at_ms`.
pub(super) fn seconds(record: &SharedRecord, at_ms: i64) -> f64 {
    let lived = since(record.fixed.created_at_ms, at_ms);
    from_ms(i64::try_from(lived.as_millis()).unwrap_or(i64::MAX)).as_secs_f64()
}

/// The record went away while it was closed: whoever closed it is done.
fn gone(error: airlock_runs::Error) -> Halt {
    match error {
        airlock_runs::Error::Missing => not_found().into(),
        error => error.into(),
    }
}

fn store(error: airlock_runs::Error) -> Failure {
    refused(gone(error))
}

/// Outside of a run there is nothing to halt but the call.
pub(super) fn refused(halt: Halt) -> Failure {
    match halt {
        Halt::Failed(failure) => failure,
        Halt::Lost => not_found(),
        other => failure::internal("a shared sandbox", &format_args!("{other:?}")),
    }
}
