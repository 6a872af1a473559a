//! The reaper: ends what nobody comes back for.
//!
//! A sandbox whose lease ended was renewed by nobody: its worker died, or is cut off. That alone is
//! no reason to end it, since a later attempt may come and take it over. So the reaper asks, and
//! only a run that Temporal calls closed, or does not know, is ended: its sandbox is killed, its
//! hold settled up to the end of the lease, its lease dropped. What is open, or cannot be asked
//! about, is looked at again a minute later.
//!
//! The reaper acts as an attempt: it claims the run record with a fence just above the one that it
//! read *before* it asked. An attempt that came meanwhile has a higher fence, and then the reaper
//! stops; an old attempt that lives on is superseded, and touches nothing any more.
//!
//! Every step can be done again: a pass that dies at any point leaves the lease, and the next pass
//! kills what is gone and settles the same amount. So two reapers do no harm; seats keep them from
//! doing the work twice.

use std::time::Duration;

use airlock_audit::Event;
use airlock_budget::{Error as BudgetError, HoldKey};
use airlock_contract::{
    AccountId, ExecutionId, Failure, FailureType, RunIdentity, SharedState, Usd,
};
use airlock_runs::{Claim, CommandState, Error as RunsError, Fence, Leadership, Lease, Record};
use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

use crate::context::Liveness;
use crate::engine::{Core, Engine};
use crate::run::{Halt, Job, Noted, billed, bills, now_ms, since};
use crate::shared::Keeper;
use crate::{failure, metrics};

/// Leases that one pass looks at, at most.
const MOST: usize = 1000;
/// What was left alone is looked at again after this.
const AGAIN: Duration = Duration::from_mins(1);
/// Longest wait for an answer about one run.
const ANSWER: Duration = Duration::from_secs(15);
/// How long the right to reap lasts if it is not renewed, which each lease does.
const TERM: Duration = Duration::from_mins(1);
/// The record of a run that is ended lives on for at least this long.
const REMEMBER: Duration = Duration::from_hours(1);
/// Longest wait for the audit log.
const AUDIT: Duration = Duration::from_secs(10);

/// Knows whether anybody will come back for a run.
#[async_trait]
pub trait LivenessSource: Send + Sync {
    /// The Temporal namespace it can be asked about; leases of others are not looked at.
    fn namespace(&self) -> &str;

    /// Whether the activity of `identity` is open. [`Liveness::Unknown`] if it cannot be said now.
    async fn liveness(&self, identity: &RunIdentity) -> Liveness;

    /// Whether the workflow of `identity` is open, or another run of its chain is: one that it
    /// continued as, or was reset or retried to. [`Liveness::Unknown`] if it cannot be said now.
    async fn workflow(&self, identity: &RunIdentity) -> Liveness;
}

/// What one pass came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReapReport {
    /// Whether it was done here; false if another process was at it.
    pub led: bool,
    /// Expired leases that were looked at.
    pub looked: u64,
    /// Sandboxes that were ended: killed, or gone already and tidied up. In a dry run: would be.
    pub killed: u64,
    /// Left alone, because their activity is open or nobody could say.
    pub kept: u64,
    /// Not ended because a server did not answer; the next pass tries again.
    pub failed: u64,
    /// Shared sandboxes that were looked at.
    pub shared_looked: u64,
    /// Shared sandboxes that were closed. In a dry run: would be.
    pub shared_closed: u64,
    /// Holds that were returned because their own lease ended.
    pub swept: u64,
    /// What `killed` and `shared_closed` count.
    pub ended: Vec<Reaped>,
}

/// A sandbox that was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reaped {
    /// The sandbox.
    pub sandbox_id: String,
    /// The account it was paid from.
    pub run_id: AccountId,
    /// The run it worked for.
    pub execution_id: ExecutionId,
}

impl Engine {
    /// One pass: ends the sandboxes and returns the holds that nobody comes back for. At most one
    /// process of a fleet is at it at a time; the others get a report that says `led: false`.
    ///
    /// # Errors
    /// `BudgetStoreUnavailable` if the leases cannot be read.
    pub async fn reap(&self, source: &dyn LivenessSource) -> Result<ReapReport, Failure> {
        let seat = self.core.runs.leadership(&format!("reaping.{}", source.namespace()));
        if !seat.acquire(TERM).await.map_err(store)? {
            return Ok(ReapReport::default());
        }
        let pass = Pass { core: &self.core, source, seat: Some(&seat) };
        let report = pass.run().await;
        if let Err(error) = seat.release().await {
            tracing::warn!(error = %error, "the reaper's seat stays taken until its term ends");
        }
        report
    }

    /// What [`Engine::reap`] would do. Changes nothing.
    ///
    /// # Errors
    /// As [`Engine::reap`].
    pub async fn reap_dry_run(&self, source: &dyn LivenessSource) -> Result<ReapReport, Failure> {
        Pass { core: &self.core, source, seat: None }.run().await
    }

    /// The seat of the process that reaps again and again, one a namespace: so that a fleet of any
    /// size makes no more passes than one worker would.
    pub fn reaper_seat(&self, namespace: &str) -> Leadership {
        self.core.runs.leadership(&format!("reaper.{namespace}"))
    }
}

/// One pass.
struct Pass<'p> {
    core: &'p Core,
    source: &'p dyn LivenessSource,
    /// The right to change things; a dry run has none.
    seat: Option<&'p Leadership>,
}

/// What became of one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ended,
    Kept,
}

impl Pass<'_> {
    async fn run(&self) -> Result<ReapReport, Failure> {
        let mut report = ReapReport { led: true, ..ReapReport::default() };
        let ours = |lease: &Lease| {
            lease.identity.as_ref().is_none_or(|i| i.namespace == self.source.namespace())
        };
        let leases = self.core.runs.expired_leases(now_ms(), MOST, ours).await;
        for lease in leases.map_err(store)? {
            if let Some(seat) = self.seat
                && !seat.acquire(TERM).await.map_err(store)?
            {
                tracing::warn!("another process took over the reaping");
                return Ok(report);
            }
            self.look_at(&lease, &mut report).await;
        }
        let keeper = Keeper { core: self.core, source: self.source, is_dry: self.seat.is_none() };
        keeper.run(&mut report).await.map_err(halted)?;
        if self.seat.is_some() {
            report.swept = self.core.ledger.sweep().await.map_err(failure::budget)?;
        }
        Ok(report)
    }

    /// Looks at one lease; trouble with it is no reason not to look at the next.
    async fn look_at(&self, lease: &Lease, report: &mut ReapReport) {
        report.looked += 1;
        let verdict = self.judge(lease).await;
        match &verdict {
            Ok(Verdict::Ended) => {
                report.killed += 1;
                report.ended.push(Reaped {
                    sandbox_id: lease.sandbox_id.clone(),
                    run_id: lease.run.account.clone(),
                    execution_id: lease.run.execution.clone(),
                });
            }
            Ok(Verdict::Kept) | Err(Halt::Superseded) => report.kept += 1,
            Err(halt) => {
                tracing::warn!(?halt, sandbox = %lease.sandbox_id, "an orphan was not ended yet");
                report.failed += 1;
            }
        }
        if self.seat.is_none() {
            return;
        }
        metrics::reaped(match &verdict {
            Ok(Verdict::Ended) => "killed",
            Ok(Verdict::Kept) | Err(Halt::Superseded) => "kept",
            Err(_) => "failed",
        });
        if !matches!(verdict, Ok(Verdict::Ended)) {
            let again = now_ms().saturating_add(i64::try_from(AGAIN.as_millis()).unwrap_or(0));
            if let Err(error) = self.core.runs.postpone_lease(lease, again).await {
                tracing::warn!(error = %error, "a lease is looked at again with the next pass");
            }
        }
    }

    async fn judge(&self, lease: &Lease) -> Result<Verdict, Halt> {
        if self.is_shared(lease).await? {
            return Ok(Verdict::Kept);
        }
        // Read first, asked then: whoever claims the run in between has a higher fence than this.
        let record = self.core.runs.get(&lease.run).await?;
        if self.ask(lease, record.as_ref()).await != Liveness::Closed {
            return Ok(Verdict::Kept);
        }
        if self.seat.is_some() {
            if let Some(record) = record {
                self.end(lease, record).await?;
            } else {
                self.core.e2b.kill(&lease.sandbox_id).await?;
                self.core.runs.remove_lease(lease).await?;
            }
            self.tell(lease).await;
        }
        Ok(Verdict::Ended)
    }

    /// Whether the sandbox has got a record of its own: then its opener's lease is out of date, and
    /// the keeper looks after it.
    async fn is_shared(&self, lease: &Lease) -> Result<bool, Halt> {
        let shared = self.core.runs.shared();
        let Some(record) = shared.get(&lease.run.account, &lease.sandbox_id).await? else {
            return Ok(false);
        };
        if self.seat.is_some() {
            if record.state != SharedState::Closed {
                shared.schedule(&record.fixed, now_ms()).await?;
            }
            self.core.runs.remove_lease(lease).await?;
        }
        Ok(true)
    }

    async fn ask(&self, lease: &Lease, record: Option<&Record>) -> Liveness {
        match &lease.identity {
            Some(identity) => tokio::time::timeout(ANSWER, self.source.liveness(identity))
                .await
                .unwrap_or(Liveness::Unknown),
            // The record outlives every attempt, so without one none will come.
            None if record.is_none() => Liveness::Closed,
            None => Liveness::Unknown,
        }
    }

    /// Ends a run that nobody comes back for.
    async fn end(&self, lease: &Lease, record: Record) -> Result<(), Halt> {
        let (core, run) = (self.core, &lease.run);
        let fence = Fence(record.fence.0.saturating_add(1));
        let record = match core.runs.claim(run, fence, &record.input_digest, REMEMBER).await? {
            Claim::Started(claimed) | Claim::Resumed(claimed) => claimed,
            Claim::Finished(_) => record,
        };
        // Registered before the claim, it is the keeper's; after it, nobody can register it.
        if self.is_shared(lease).await? {
            return Ok(());
        }
        core.e2b.kill(&lease.sandbox_id).await?;
        let bound = &record.sandboxes;
        if bound.is_empty() || bound.values().any(|bound| bound.id == lease.sandbox_id) {
            // Nobody comes back for the run, so for none of its sandboxes.
            for other in bound.values().filter(|bound| bound.id != lease.sandbox_id) {
                core.e2b.kill(&other.id).await?;
            }
            self.settle(lease, &record).await?;
            self.close(lease, &record, fence).await?;
            for slot in bound.keys() {
                core.runs.unbind_sandbox(run, fence, *slot).await?;
            }
        }
        Ok(core.runs.remove_lease(lease).await?)
    }

    /// Books what the run came to until the ends of its leases, and never more than was held.
    async fn settle(&self, lease: &Lease, record: &Record) -> Result<(), Halt> {
        let hold = HoldKey::new(lease.run.account.clone(), lease.run.execution.as_str());
        let ledger = &self.core.ledger;
        let booked = match Noted::read(record) {
            Some(noted) => {
                let time = charged(lease, record);
                let cost = self.core.prices.cost(&lease.template, time);
                let actual = noted.fee.saturating_add(cost).min(noted.amount);
                let what = format!("execution {}, reaped", lease.run.execution.short());
                ledger
                    .settle_forgotten(&hold, actual, &what)
                    .await
                    .map(|settled| if settled.replayed { Usd::ZERO } else { actual })
            }
            None => ledger.void(&hold).await.map(|_| Usd::ZERO),
        };
        match booked {
            Ok(amount) => metrics::spent(amount),
            // An attempt settled or voided it before, or the account is gone.
            Err(
                BudgetError::Conflict { .. }
                | BudgetError::UnknownHold { .. }
                | BudgetError::NotFound { .. },
            ) => tracing::debug!(sandbox = %lease.sandbox_id, "there is no hold to settle"),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// What was started and cannot be looked at any more has an unknown outcome, for good.
    async fn close(&self, lease: &Lease, record: &Record, fence: Fence) -> Result<(), Halt> {
        let started = record
            .commands
            .iter()
            .any(|(index, state)| *index < Job::FIRST_SETUP && *state == CommandState::Starting);
        if !started || record.outcome.is_some() {
            return Ok(());
        }
        let failure = Failure::new(
            FailureType::OutcomeUnknown,
            "the command may have run: its activity was closed and its sandbox is removed; it is \
             not run again, look at what it changed before you do",
        )
        .with_details(&json!({
            "executionId": lease.run.execution, "sandboxId": lease.sandbox_id,
        }));
        let outcome = json!({ "v": 1, "failure": failure });
        match self.core.runs.finish(&lease.run, fence, &outcome).await {
            Ok(()) | Err(RunsError::Missing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The audit log's line. What is ended stays ended without it.
    async fn tell(&self, lease: &Lease) {
        tracing::info!(sandbox = %lease.sandbox_id, account = %lease.run.account, "orphan ended");
        let event = Event::new("sandbox.reaped")
            .for_account(&lease.run.account)
            .of_execution(&lease.run.execution)
            .with("sandboxId", lease.sandbox_id.as_str());
        let told = tokio::time::timeout(AUDIT, self.core.audit.append(event)).await;
        if !matches!(told, Ok(Ok(_))) {
            tracing::error!(sandbox = %lease.sandbox_id, "its end is not in the audit log");
        }
    }
}

/// Time in all sandboxes of the run. What is not billed is charged until the end of its lease.
fn charged(lease: &Lease, record: &Record) -> Duration {
    let bills = bills(record);
    let alive = |id: &str, from_ms: i64, until_ms: i64| {
        if bills.contains_key(id) { Duration::ZERO } else { since(from_ms, until_ms.min(now_ms())) }
    };
    let unbilled: Duration = if record.sandboxes.is_empty() {
        alive(&lease.sandbox_id, lease.created_at_ms, lease.until_ms)
    } else {
        let bound = record.sandboxes.values();
        bound.map(|bound| alive(&bound.id, bound.created_at_ms, bound.lease_until_ms)).sum()
    };
    billed(&bills) + unbilled
}

fn store(error: RunsError) -> Failure {
    halted(failure::runs(error))
}

fn halted(halt: Halt) -> Failure {
    match halt {
        Halt::Failed(failure) => failure,
        other => failure::internal("reaping", &format_args!("{other:?}")),
    }
}
