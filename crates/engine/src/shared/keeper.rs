//! The keeper: renews shared sandboxes while their workflow is open, and closes them when it is not.
//!
//! A part of the reaper's pass, so one process of a fleet does it at a time; done twice, it does no
//! harm. For each sandbox that it is time to look at:
//!
//! | what it finds | what it does |
//! |---|---|
//! | somebody was closing it | takes the closing to its end |
//! | a seat whose lease ended, of an activity that Temporal calls closed | frees it |
//! | the workflow is closed | closes it |
//! | it reached its longest life, and what ran in it was collected | closes it |
//! | nobody uses it, and nobody did for its idle time | closes it |
//! | what is paid for ends soon | pays for another slice; if that is refused and nobody uses it, closes it |
//! | its lease ends soon | renews it, up to what is paid for |
//!
//! A workflow of which Temporal says nothing now counts as open. A sandbox that a standalone activity
//! opened has no workflow: it lives by its idle time and its longest life.

use std::time::Duration;

use airlock_contract::{CloseReason, FailureType, SharedState};
use airlock_runs::shared::{Due, SharedRecord};
use futures_util::{StreamExt as _, stream};

use super::pay::covers_until;
use super::{from_ms, ms};
use crate::context::Liveness;
use crate::engine::Core;
use crate::reaper::{LivenessSource, ReapReport, Reaped};
use crate::run::{Halt, is_gone, now_ms};

/// Sandboxes that one pass looks at, at most.
const PAGE: usize = 1000;
/// How many are looked at side by side.
const WIDTH: usize = 8;
/// Longest wait for an answer of Temporal.
const ANSWER: Duration = Duration::from_secs(15);
/// A sandbox that cannot be paid for any longer is closed at most this long before the end.
const GRACE: Duration = Duration::from_secs(90);

/// One pass over the shared sandboxes.
pub(crate) struct Keeper<'k> {
    pub(crate) core: &'k Core,
    pub(crate) source: &'k dyn LivenessSource,
    /// Says what would be closed, and changes nothing.
    pub(crate) is_dry: bool,
}

/// What became of one sandbox.
enum Verdict {
    Closed,
    Kept,
}

impl Keeper<'_> {
    /// Looks at what it is time to look at, and adds to `report`.
    pub(crate) async fn run(&self, report: &mut ReapReport) -> Result<(), Halt> {
        let due = self.core.runs.shared().due(now_ms(), PAGE).await?;
        let ours = due.into_iter().filter(|due| due.namespace == self.source.namespace());
        let mut looks = stream::iter(ours)
            .map(|due| async move {
                let verdict = self.look_at(&due).await;
                (due, verdict)
            })
            .buffer_unordered(WIDTH);
        while let Some((due, verdict)) = looks.next().await {
            report.shared_looked += 1;
            match verdict {
                Ok(Verdict::Kept) => {}
                Ok(Verdict::Closed) => {
                    report.shared_closed += 1;
                    report.ended.extend(self.reaped(&due).await);
                }
                Err(halt) => {
                    tracing::warn!(?halt, sandbox = %due.sandbox, "a shared sandbox was not kept");
                    report.failed += 1;
                }
            }
        }
        Ok(())
    }

    async fn reaped(&self, due: &Due) -> Option<Reaped> {
        let record = self.core.runs.shared().get(&due.account, &due.sandbox).await.ok()??;
        Some(Reaped {
            sandbox_id: due.sandbox.clone(),
            run_id: due.account.clone(),
            execution_id: record.fixed.execution,
        })
    }

    async fn look_at(&self, due: &Due) -> Result<Verdict, Halt> {
        let shared = self.core.runs.shared();
        let verdict = match shared.get(&due.account, &due.sandbox).await? {
            None => self.forgotten(due).await,
            Some(record) => self.judge(record).await,
        };
        let is_over = matches!(verdict, Ok(Verdict::Closed));
        if !is_over && !self.is_dry {
            let again = now_ms().saturating_add(ms(self.core.config.shared.look));
            shared.postpone(due, again).await?;
        }
        verdict
    }

    /// Its record is lost, so nobody can use it or say what it costs.
    async fn forgotten(&self, due: &Due) -> Result<Verdict, Halt> {
        if !self.is_dry {
            self.core.e2b.kill(&due.sandbox).await?;
            self.core.runs.shared().forget(due).await?;
        }
        Ok(Verdict::Closed)
    }

    async fn judge(&self, record: SharedRecord) -> Result<Verdict, Halt> {
        let reason = match record.state {
            SharedState::Closed => {
                self.core.runs.shared().closed(&record.fixed, self.core.config.remember).await?;
                return Ok(Verdict::Kept);
            }
            SharedState::Closing => record.reason.unwrap_or(CloseReason::Closed),
            SharedState::Open => {
                let record = self.without_dead(record).await?;
                let reason = match self.over(&record).await {
                    Some(reason) => Some(reason),
                    None if self.is_dry => None,
                    None => self.renew(&record).await?,
                };
                match reason {
                    Some(reason) => return self.close(&record, reason).await,
                    None => return Ok(Verdict::Kept),
                }
            }
        };
        self.close(&record, reason).await
    }

    async fn close(&self, record: &SharedRecord, reason: CloseReason) -> Result<Verdict, Halt> {
        if self.is_dry {
            return Ok(Verdict::Closed);
        }
        // Who came since is not thrown out for the sandbox having been idle before.
        let unless_used = match reason {
            CloseReason::Idle | CloseReason::OutOfBudget => Some(record.used_at_ms),
            CloseReason::Closed
            | CloseReason::WorkflowClosed
            | CloseReason::Expired
            | CloseReason::Lost => None,
        };
        let closing = self.core.runs.shared().closing(&record.fixed, reason, unless_used).await?;
        let Some(record) = closing else { return Ok(Verdict::Kept) };
        self.core.wind_up(&record).await?;
        Ok(Verdict::Closed)
    }

    /// Frees the seats that nobody comes back for.
    async fn without_dead(&self, record: SharedRecord) -> Result<SharedRecord, Halt> {
        let mut freed = false;
        for seat in record.seats.iter().filter(|seat| seat.until_ms < now_ms()) {
            let before = self.core.holder(&record.fixed, seat).await?;
            let answer = tokio::time::timeout(ANSWER, self.source.liveness(&seat.identity)).await;
            if answer == Ok(Liveness::Closed) && !self.is_dry {
                freed |= self.core.evict(&record.fixed, seat, before).await?;
            }
        }
        if !freed {
            return Ok(record);
        }
        let fixed = &record.fixed;
        let again = self.core.runs.shared().get(&fixed.account, &fixed.sandbox).await?;
        Ok(again.unwrap_or(record))
    }

    /// Why it should not go on, whatever the budget says.
    async fn over(&self, record: &SharedRecord) -> Option<CloseReason> {
        let (fixed, now) = (&record.fixed, now_ms());
        // A command that was stopped by then may still be collected.
        let after = if record.seats.is_empty() { 0 } else { ms(self.core.config.margins.cleanup) };
        if now >= fixed.closes_at_ms.saturating_add(after) {
            return Some(CloseReason::Expired);
        }
        let idle = i64::try_from(fixed.idle_ms).unwrap_or(i64::MAX);
        if record.seats.is_empty() && now.saturating_sub(record.used_at_ms) >= idle {
            return Some(CloseReason::Idle);
        }
        if fixed.owner.workflow_id.is_empty() {
            return None;
        }
        let answer = tokio::time::timeout(ANSWER, self.source.workflow(&fixed.owner)).await;
        (answer == Ok(Liveness::Closed)).then_some(CloseReason::WorkflowClosed)
    }

    /// Pays for another slice and prolongs its life; why it cannot go on, if it cannot.
    async fn renew(&self, record: &SharedRecord) -> Result<Option<CloseReason>, Halt> {
        let slice = self.core.config.shared.slice;
        let now = now_ms();
        let soon = now.saturating_add(ms(slice / 2));
        let mut paid = record.paid_until_ms();
        if paid < soon.min(record.fixed.closes_at_ms) {
            let until = now.saturating_add(ms(slice)).min(record.fixed.closes_at_ms);
            let covers = covers_until(&record.fixed, until);
            match self.core.pay(record, covers).await {
                Ok(()) => paid = record.fixed.created_at_ms.saturating_add(covers),
                Err(Halt::Failed(failure)) if is_broke(failure.kind) => {
                    let grace = ms(GRACE.min(slice / 4));
                    if record.seats.is_empty() && paid <= now.saturating_add(grace) {
                        return Ok(Some(CloseReason::OutOfBudget));
                    }
                }
                Err(halt) => return Err(halt),
            }
        }
        let until = now.saturating_add(ms(slice)).min(paid);
        if record.lease_until_ms >= soon || until <= record.lease_until_ms {
            return Ok(None);
        }
        match self.core.e2b.refresh(&record.fixed.sandbox, from_ms(until - now)).await {
            Ok(()) => {
                self.core.prolonged(&record.fixed, until).await?;
                Ok(None)
            }
            Err(error) if is_gone(&error) => Ok(Some(CloseReason::Lost)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Refusals of the budget that waiting does not cure.
fn is_broke(kind: FailureType) -> bool {
    matches!(
        kind,
        FailureType::BudgetExceeded | FailureType::CircuitOpen | FailureType::BudgetNotFound
    )
}
