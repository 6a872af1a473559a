//! Raising what is held for a shared sandbox.

use airlock_budget::{Error as BudgetError, HoldKey};
use airlock_contract::{Failure, Usd};
use airlock_runs::Error as RunsError;
use airlock_runs::shared::{Fixed, SharedRecord};

use super::{closed, from_ms, not_found};
use crate::engine::Core;
use crate::run::{Halt, PROVIDER, creation_key, now_ms};
use crate::{failure, metrics};

impl Core {
    /// What `covers_ms` milliseconds of a sandbox come to.
    pub(super) fn shared_cost(&self, fixed: &Fixed, covers_ms: i64) -> Usd {
        fixed.fee.saturating_add(self.prices.cost(&fixed.template, from_ms(covers_ms)))
    }

    /// Holds what `covers_ms` milliseconds from the sandbox's creation come to, and writes it down.
    /// Less than what is held already changes nothing.
    ///
    /// The ledger is raised first: whoever is interrupted in between holds more than the record
    /// says, which closing gives back.
    ///
    /// # Errors
    /// `BudgetExceeded` for the account's limit and for the sandbox's own, `SandboxNotFound` if it
    /// is paid off already.
    pub(super) async fn pay(&self, record: &SharedRecord, covers_ms: i64) -> Result<(), Halt> {
        let fixed = &record.fixed;
        let total = self.shared_cost(fixed, covers_ms);
        if let Some(max) = fixed.max.filter(|max| total > *max) {
            let rest = max.saturating_sub(fixed.fee).or_zero();
            let time = self.prices.affordable(&fixed.template, rest);
            return Err(failure::over_cap(total, max, time).into());
        }
        let hold = HoldKey::new(fixed.account.clone(), fixed.execution.as_str());
        let left = from_ms(fixed.created_at_ms.saturating_add(covers_ms) - now_ms());
        match self.ledger.extend(&hold, total, left + self.config.margins.late).await {
            Ok(_) => {}
            Err(BudgetError::Conflict { .. } | BudgetError::UnknownHold { .. }) => {
                return Err(closed().into());
            }
            Err(error) => return Err(Halt::Failed(self.shared_refused(error, fixed))),
        }
        metrics::reserved(total.saturating_sub(record.held).or_zero());
        match self.runs.shared().paid(fixed, covers_ms, total).await {
            Ok(()) => Ok(()),
            Err(airlock_runs::Error::Missing) => Err(not_found().into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Records until when a sandbox lives, and keeps its room among the fleet's as long.
    pub(super) async fn prolonged(&self, fixed: &Fixed, until_ms: i64) -> Result<(), RunsError> {
        self.runs.shared().prolonged(fixed, until_ms).await?;
        if self.config.admission.limits.is_unlimited() {
            return Ok(());
        }
        let (room, lease) = (room(fixed), from_ms(until_ms - now_ms()));
        if let Err(error) = self.admission.renew(PROVIDER, &room, lease).await {
            tracing::warn!(error = %error, "a shared sandbox's room was not kept; tried again");
        }
        Ok(())
    }

    /// Gives back the room that a sandbox had.
    pub(super) async fn leave_shared_room(&self, fixed: &Fixed) {
        if self.config.admission.limits.is_unlimited() {
            return;
        }
        if let Err(error) = self.admission.release(PROVIDER, &room(fixed)).await {
            tracing::warn!(error = %error, "its room is free again when its lease ends");
        }
    }

    /// A refusal that says how much longer the rest would buy.
    fn shared_refused(&self, error: BudgetError, fixed: &Fixed) -> Failure {
        let rest = match &error {
            BudgetError::Exceeded { status, .. } => Some(status.remaining),
            _ => None,
        };
        let mut failure = failure::budget(error);
        if let (Some(rest), Some(details)) =
            (rest, failure.details.as_mut().and_then(|details| details.as_object_mut()))
        {
            let time = self.prices.affordable(&fixed.template, rest).as_secs();
            details.insert("affordableSeconds".to_owned(), time.into());
        }
        failure
    }
}

/// Its name among those who have room.
fn room(fixed: &Fixed) -> String {
    creation_key(&fixed.execution, fixed.slot)
}

/// How much sandbox time, from creation, reaches until `until_ms`.
pub(super) const fn covers_until(fixed: &Fixed, until_ms: i64) -> i64 {
    until_ms.saturating_sub(fixed.created_at_ms)
}
