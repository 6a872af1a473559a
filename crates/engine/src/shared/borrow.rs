//! Using a shared sandbox: a seat in it, time that is paid for, and giving the seat back.

use std::time::Duration;

use airlock_contract::{Failure, FailureType, Phase, SharedState};
use airlock_runs::CommandState;
use airlock_runs::shared::{Enter, Fixed, Seat, SharedRecord};
use airlock_runs::{BoundSandbox, Error as RunsError};
use serde_json::json;

use super::evict::end_processes;
use super::pay::covers_until;
use super::{closed, from_ms, ms, not_found};
use crate::context::Liveness;
use crate::run::{
    AHEAD, Halt, Job, Live, Paid, Run, Stop, is_gone, is_refusal, now_ms, rfc3339, since,
};

/// How often a seat is asked for again after one was freed.
const TRIES: usize = 3;
/// When whoever found no seat should try again.
const BUSY_AGAIN: Duration = Duration::from_secs(5);
/// A command is not begun for less than this.
const LEAST: Duration = Duration::from_secs(1);

/// The shared sandbox that a run uses.
#[derive(Clone, Debug)]
pub(crate) struct Borrowed {
    pub(crate) record: SharedRecord,
    /// Until when the seat is ours if nobody renews it, in milliseconds since 1970.
    seat_until_ms: i64,
    /// Until when the command may run, in milliseconds since 1970.
    needed_until_ms: i64,
    /// Whether the budget has refused a further slice.
    refused: bool,
}

impl Borrowed {
    fn new(record: SharedRecord, seat_until_ms: i64) -> Self {
        Self { record, seat_until_ms, needed_until_ms: 0, refused: false }
    }

    pub(crate) fn fixed(&self) -> &Fixed {
        &self.record.fixed
    }
}

impl Run {
    /// Takes a seat in the shared sandbox, or finds the one of an earlier attempt, and connects.
    pub(crate) async fn enter_shared(&mut self, stop: Stop<'_>, id: &str) -> Result<(), Halt> {
        if self.borrowed.is_some() {
            return Ok(());
        }
        self.pulse.phase(Phase::Creating);
        let mut freed = 0;
        let (record, until) = loop {
            let (now, until) = (now_ms(), now_ms().saturating_add(ms(self.silence())));
            let shared = self.core.runs.shared();
            let account = &self.key.account;
            match shared.enter(account, id, &self.identity, self.fence, until, now).await? {
                Enter::In(record) => break (*record, until),
                Enter::Busy(seats) if freed < TRIES && self.free_dead(stop, id, &seats).await? => {
                    freed += 1;
                }
                other => return Err(self.no_seat(id, other)),
            }
        };
        self.connect_shared(record, until).await
    }

    /// Connects to the shared sandbox for something that needs no seat.
    pub(crate) async fn visit_shared(&mut self, id: &str) -> Result<(), Halt> {
        self.pulse.phase(Phase::Creating);
        match self.core.runs.shared().touch(&self.key.account, id, now_ms()).await? {
            Enter::In(record) => self.connect_shared(*record, i64::MAX).await,
            other => Err(self.no_seat(id, other)),
        }
    }

    /// Remembers the shared sandbox of a command that ended in an earlier attempt, so that its seat
    /// is given back. It may be closed by now.
    pub(crate) async fn recall_shared(&mut self, id: &str) -> Result<(), Halt> {
        let record = self.core.runs.shared().get(&self.key.account, id).await?;
        self.borrowed = record.map(|record| Borrowed::new(record, i64::MAX));
        Ok(())
    }

    /// After the claim. An attempt that goes on where an earlier one stopped has its seat at once, so
    /// that whatever ends it can end what that one left running. `is_over`: nothing is left to run.
    pub(crate) async fn resume_shared(
        &mut self,
        stop: Stop<'_>,
        id: Option<&str>,
        is_over: bool,
    ) -> Result<(), Halt> {
        match id {
            Some(id) if self.resumed && is_over => self.recall_shared(id).await,
            Some(id) if self.resumed => self.enter_shared(stop, id).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Takes a seat, if the input names a shared sandbox.
    pub(crate) async fn borrow_shared(
        &mut self,
        stop: Stop<'_>,
        id: Option<&str>,
    ) -> Result<(), Halt> {
        match id {
            Some(id) => self.enter_shared(stop, id).await,
            None => Ok(()),
        }
    }

    /// Looks at the shared sandbox that a plan would use.
    pub(crate) async fn plan_shared(&mut self, id: Option<&str>) -> Result<(), Halt> {
        let Some(id) = id else { return Ok(()) };
        self.recall_shared(id).await?;
        match &self.borrowed {
            None => Err(not_found().into()),
            Some(borrowed) if borrowed.record.state != SharedState::Open => Err(closed().into()),
            Some(_) => Ok(()),
        }
    }

    /// Whether a command of it may be running, or have run unseen.
    fn has_unknown_end(&self) -> bool {
        let unknown = |(index, state): (&u32, &CommandState)| {
            *index < Job::FIRST_SETUP && *state == CommandState::Starting
        };
        self.commands.iter().any(unknown)
    }

    async fn connect_shared(&mut self, record: SharedRecord, until: i64) -> Result<(), Halt> {
        let id = record.fixed.sandbox.clone();
        self.borrowed = Some(Borrowed::new(record, until));
        // Time for the first calls; a command pays for its own before it starts.
        self.cover(self.core.config.margins.setup).await?;
        let Some(Borrowed { record, .. }) = &self.borrowed else { return Err(Halt::Lost) };
        let paid = from_ms(record.paid_until_ms() - now_ms());
        let length = self.silence().min(paid).max(LEAST);
        let sandbox = match self.core.e2b.connect(&id, Some(length)).await {
            Ok(sandbox) => sandbox,
            Err(error) if is_gone(&error) => return Err(Halt::Lost),
            Err(error) => return Err(crate::failure::sandbox(&error).into()),
        };
        let bound = BoundSandbox {
            id: id.clone(),
            template: record.fixed.template.clone(),
            access_token: String::new(),
            domain: sandbox.domain().map(str::to_owned),
            slot: 0,
            lease_until_ms: record.lease_until_ms.max(now_ms().saturating_add(ms(length))),
            workflow: None,
            identity: None,
            created_at_ms: record.fixed.created_at_ms,
        };
        let lease_until = bound.lease_until_ms;
        self.core.prolonged(&record.fixed, lease_until).await.map_err(gone)?;
        self.pulse.note(|beat| {
            beat.sandbox_id = Some(id);
            beat.lease_until = rfc3339(lease_until);
        });
        self.live = Some(Live { sandbox, bound, killed_at_ms: None });
        Ok(())
    }

    /// Frees the first seat whose activity is closed; whether there was one.
    async fn free_dead(&self, stop: Stop<'_>, id: &str, seats: &[Seat]) -> Result<bool, Halt> {
        let Some(record) = self.core.runs.shared().get(&self.key.account, id).await? else {
            return Ok(false);
        };
        for seat in seats {
            let before = self.core.holder(&record.fixed, seat).await?;
            if stop.context().liveness_of(&seat.identity).await == Liveness::Closed {
                return self.core.evict(&record.fixed, seat, before).await;
            }
        }
        Ok(false)
    }

    fn no_seat(&self, id: &str, entered: Enter) -> Halt {
        match entered {
            // What runs in it, or ran, is gone with it.
            Enter::Missing | Enter::Closed if self.has_unknown_end() => Halt::Lost,
            Enter::Missing => not_found().into(),
            Enter::In(_) | Enter::Closed => closed().into(),
            Enter::Superseded => Halt::Superseded,
            Enter::Busy(seats) => busy(id, &seats).into(),
        }
    }

    /// Pays for the first slice of `need` from now on, in a shared sandbox; how much of `need` there
    /// is before the sandbox reaches its end. A sandbox of the run's own is paid for already.
    pub(crate) async fn cover(&mut self, need: Duration) -> Result<Duration, Halt> {
        let Some(borrowed) = &mut self.borrowed else { return Ok(need) };
        let now = now_ms();
        let left = since(now, borrowed.fixed().closes_at_ms);
        if left < LEAST {
            return Err(closed().into());
        }
        // What comes after a command may reach beyond: it is ended by then, and its output collected.
        let need = need.min(left);
        borrowed.needed_until_ms = now.saturating_add(ms(need));
        self.pay_until(now.saturating_add(ms(need.min(self.core.config.slice)))).await?;
        Ok(need)
    }

    /// Pays for the shared sandbox until `until_ms`, and for what comes after a command.
    async fn pay_until(&mut self, until_ms: i64) -> Result<(), Halt> {
        let after = ms(self.core.config.margins.cleanup);
        let Some(borrowed) = &mut self.borrowed else { return Ok(()) };
        let record = &mut borrowed.record;
        let wanted = covers_until(&record.fixed, until_ms.saturating_add(after));
        if wanted > record.covers_ms {
            self.core.pay(record, wanted).await?;
            record.covers_ms = wanted;
            record.held = self.core.shared_cost(&record.fixed, wanted);
        }
        Ok(())
    }

    /// Sees to it that the time to come is held, as for a sandbox of the run's own.
    pub(crate) async fn pay_on_shared(&mut self) -> Result<Paid, Halt> {
        let Some(borrowed) = &self.borrowed else { return Ok(Paid::On) };
        let record = &borrowed.record;
        let after = ms(self.core.config.margins.cleanup);
        let usable = record.paid_until_ms().saturating_sub(after);
        if usable >= borrowed.needed_until_ms {
            return Ok(Paid::On);
        }
        let slice = self.core.config.slice;
        let left = since(now_ms(), usable);
        if !(left.is_zero() || (left <= slice / AHEAD && !borrowed.refused)) {
            return Ok(Paid::On);
        }
        let until = usable.max(now_ms()).saturating_add(ms(slice)).min(borrowed.needed_until_ms);
        let (refused, paid) = match self.pay_until(until).await {
            Ok(()) => (false, Paid::On),
            Err(Halt::Failed(failure)) => {
                tracing::info!(reason = %failure.message, "no further slice of the budget");
                let over = if left.is_zero() { Paid::Over } else { Paid::On };
                (is_refusal(failure.kind), over)
            }
            Err(halt) => return Err(halt),
        };
        if let Some(borrowed) = &mut self.borrowed {
            borrowed.refused = refused;
        }
        Ok(paid)
    }

    /// Renews the seat and the sandbox's life once a third of the seat's lease is over. Also notices
    /// that a later attempt has taken over.
    pub(crate) async fn stay_shared(&mut self) -> Result<(), Halt> {
        let length = self.silence();
        let (Some(borrowed), Some(live)) = (&mut self.borrowed, &mut self.live) else {
            return Ok(());
        };
        let seat_left = since(now_ms(), borrowed.seat_until_ms);
        let life_left = since(now_ms(), live.bound.lease_until_ms);
        let is_short = life_left <= length / 3
            && borrowed.record.paid_until_ms() > live.bound.lease_until_ms + ms(LEAST);
        if seat_left > length.mul_f32(0.67) && !is_short {
            return Ok(());
        }
        let (now, until) = (now_ms(), now_ms().saturating_add(ms(length)));
        let shared = self.core.runs.shared();
        let fixed = borrowed.fixed().clone();
        let execution = &self.key.execution;
        let covers = shared.stay(&fixed, execution, self.fence, until, now).await.map_err(gone)?;
        borrowed.seat_until_ms = until;
        borrowed.record.covers_ms = borrowed.record.covers_ms.max(covers);
        let alive_until = until.min(borrowed.record.paid_until_ms());
        if alive_until <= live.bound.lease_until_ms {
            return Ok(());
        }
        match self.core.e2b.refresh(&fixed.sandbox, from_ms(alive_until - now)).await {
            Ok(()) => {}
            Err(error) if error.is_retryable() => {
                tracing::warn!(error = %error, "a shared sandbox was not prolonged; tried again");
                return Ok(());
            }
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(crate::failure::sandbox(&error).into()),
        }
        live.bound.lease_until_ms = alive_until;
        self.pulse.note(|beat| beat.lease_until = rfc3339(alive_until));
        self.core.prolonged(&fixed, alive_until).await.map_err(gone)
    }

    /// Ends what this run may have left running in the shared sandbox and gives its seat back. The
    /// sandbox stays.
    ///
    /// A seat whose processes could not be ended stays taken: whoever wants it next tries again.
    pub(crate) async fn leave_shared(&mut self) -> Result<(), Halt> {
        let Some(borrowed) = &self.borrowed else { return Ok(()) };
        self.still_ours().await?;
        let unended = self.commands.values().any(|state| *state == CommandState::Starting);
        if let (true, Some(live)) = (unended, self.live.take()) {
            let user = &self.core.config.user;
            match end_processes(&live.sandbox, self.execution(), user).await {
                Ok(()) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "processes in a shared sandbox were not ended");
                    return Ok(());
                }
            }
        }
        self.live = None;
        let (fixed, shared) = (borrowed.fixed(), self.core.runs.shared());
        Ok(shared.leave(fixed, self.execution(), self.fence, now_ms()).await?)
    }

    /// The failure of a run whose shared sandbox is gone before anything was started in it.
    pub(crate) fn lost_shared(&self) -> Option<Failure> {
        self.borrowed.as_ref().map(|_| closed())
    }
}

/// A record that is gone, or a sandbox that is closed, is lost to whoever uses it.
fn gone(error: RunsError) -> Halt {
    match error {
        RunsError::Missing => Halt::Lost,
        error => error.into(),
    }
}

fn busy(id: &str, seats: &[Seat]) -> Failure {
    let with: Vec<_> = seats
        .iter()
        .map(|seat| {
            json!({ "executionId": seat.execution, "workflowId": seat.identity.workflow_id,
                "activityId": seat.identity.activity_id })
        })
        .collect();
    Failure::new(
        FailureType::SandboxBusy,
        "the shared sandbox runs another command; this is tried again. To run several at once, \
         open it with a larger maxConcurrent",
    )
    .with_details(&json!({ "sandboxId": id, "busyWith": with }))
    .with_retry_after(Some(BUSY_AGAIN))
}
