//! One attempt at one run: what it knows, and the steps it goes through.
//!
//! ```text
//! claim -> decide -> approve -> reserve -> sandbox -> prepare -> start -> follow -> collect -> close
//! ```
//!
//! Each step finds what an earlier attempt left and goes on from there, so a retry passes the same
//! way. A [`Run`] owns everything that it needs: its last steps can outlive whoever asked for them.
//!
//! A process may die at any instant, so a step may be let go of at any instant too: when the
//! attempt must stop, [`Stop::or`] drops the step that is under way, however long its server would
//! have kept it waiting, and `conclude.rs` goes on from what is known to have been asked for. What
//! comes after a command's end is not dropped: its result is worth waiting for ([`Patience`]).

mod approve;
mod artifacts;
mod capture;
mod claim;
mod close;
mod conclude;
mod create;
mod decide;
mod follow;
mod job;
mod lanes;
mod launch;
mod money;
mod network;
mod prepare;
mod sandbox;
mod slices;
mod stop;
mod tidy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use airlock_contract::{AccountId, ExecutionId, Failure, FailureType, Phase, RunIdentity};
use airlock_redaction::Redactor;
use airlock_runs::{CommandState, Fence, RunKey};
use serde_json::Value;
use tokio::sync::Mutex;

pub(crate) use approve::hosts_of;
pub(crate) use artifacts::omitted;
pub(crate) use capture::Texts;
pub(crate) use conclude::replay;
use create::OnItsWay;
pub(crate) use create::{PROVIDER, creation_key};
pub use decide::redacted;
pub(crate) use decide::{decide, denied};
pub(crate) use job::{Job, Owner, Place};
pub(crate) use launch::{CommandEnd, owner_of};
pub(crate) use money::{Bills, Hold, Noted, Price, billed, bills};
pub(crate) use network::network;
pub(crate) use prepare::content_of;
pub(crate) use sandbox::{Live, SandboxSpec, is_gone, since};
pub(crate) use slices::{AHEAD, Paid, is_refusal};
pub(crate) use stop::{Orders, Stop};

use crate::context::{Attempt, Ending, RunContext, StopReason};
use crate::engine::Core;
use crate::faultpoint::{Point, reach};
use crate::pulse::Pulse;
use crate::shared::Borrowed;
use capture::Capture;

/// Why a run does not go on.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It failed.
    Failed(Failure),
    /// The attempt was told to stop.
    Stopped(StopReason),
    /// A later attempt holds the run: touch nothing.
    Superseded,
    /// The sandbox is gone.
    Lost,
    /// It is over already: this is its outcome.
    Over(Box<Result<Value, Ending>>),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<airlock_e2b::Error> for Halt {
    fn from(error: airlock_e2b::Error) -> Self {
        if sandbox::is_gone(&error) {
            return Self::Lost;
        }
        Self::Failed(crate::failure::sandbox(&error))
    }
}

impl From<airlock_runs::Error> for Halt {
    fn from(error: airlock_runs::Error) -> Self {
        crate::failure::runs(error)
    }
}

impl From<airlock_budget::Error> for Halt {
    fn from(error: airlock_budget::Error) -> Self {
        Self::Failed(crate::failure::budget(error))
    }
}

/// Patience with a store that does not answer, once a command has ended: doing a step again is
/// harmless, and another attempt would meet the same store.
pub(crate) struct Patience(Instant);

impl Patience {
    /// How long a store may not answer.
    const LASTS: Duration = Duration::from_mins(3);

    pub(crate) fn new() -> Self {
        Self(Instant::now() + Self::LASTS)
    }

    /// Waits a moment before the step that failed with `halt` is done again.
    ///
    /// # Errors
    /// `halt`, if doing it again does not help or would last too long.
    pub(crate) async fn again(&self, stop: Stop<'_>, halt: Halt) -> Result<(), Halt> {
        match &halt {
            Halt::Failed(failure)
                if failure.kind == FailureType::BudgetStoreUnavailable
                    && Instant::now() < self.0 => {}
            _ => return Err(halt),
        }
        stop.or(async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok(())
        })
        .await
    }
}

/// One attempt at one run.
pub(crate) struct Run {
    pub(crate) core: Arc<Core>,
    pub(crate) key: RunKey,
    pub(crate) fence: Fence,
    pub(crate) identity: RunIdentity,
    pub(crate) attempt: Attempt,
    pub(crate) pulse: Pulse,
    /// The deployment's redactor with this run's own secrets on top.
    pub(crate) redactor: Redactor,
    /// Whether an earlier attempt claimed the run.
    pub(crate) resumed: bool,
    /// Commands that were recorded as starting or ended.
    pub(crate) commands: BTreeMap<u32, CommandState>,
    /// What sandboxes that are over are charged for.
    pub(crate) bills: Bills,
    /// What an earlier attempt, or this one, holds.
    pub(crate) held: Option<Noted>,
    pub(crate) hold: Option<Hold>,
    /// First claim, in milliseconds since 1970.
    pub(crate) claimed_at_ms: i64,
    pub(crate) live: Option<Live>,
    /// Other sandboxes that an earlier attempt bound, by slot.
    pub(crate) found: BTreeMap<u32, Live>,
    /// The shared sandbox that it uses: `live` is that one then, and not the run's to end.
    pub(crate) borrowed: Option<Borrowed>,
    /// A sandbox on its way. It is let go of with the run: a later attempt finds what came of it.
    pub(crate) creating: Option<OnItsWay>,
    /// Those of lanes that were closed meanwhile.
    pub(crate) on_their_way: Vec<OnItsWay>,
    /// What this attempt has asked for, whatever came of it.
    pub(crate) asked: Asked,
    /// When the provider says that the bound sandbox began, once it was asked.
    pub(crate) provider_start_ms: Option<i64>,
    /// When a renewal of its lease was tried last.
    pub(crate) renewal: Option<Instant>,
    /// The command that is being followed.
    pub(crate) following: Option<Following>,
    /// Commands that run side by side, by index. Locked by their work, as long as there is any.
    pub(crate) lanes: BTreeMap<u32, Arc<Mutex<Run>>>,
    /// How much time is paid for in each of them.
    pub(crate) lane_time: BTreeMap<u32, Duration>,
    /// Whether a person approved it.
    pub(crate) approved: bool,
    /// How long an approval counts, where the policy says so.
    pub(crate) approval_ttl: Option<Duration>,
    /// Whether a command of an earlier attempt was taken over.
    pub(crate) reattached: bool,
    /// Bytes of each output stream that are kept.
    pub(crate) stream_cap: usize,
}

/// What an attempt has asked for, which may be there although no answer came.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// A sandbox, of the provider.
    pub(crate) sandbox: Arc<AtomicBool>,
    /// A hold, of the ledger.
    pub(crate) hold: bool,
}

/// The command that is being followed, and what it has written so far.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) place: job::Place,
    pub(crate) user: String,
    pub(crate) capture: Box<Capture>,
    /// When the sandbox gave the last sign of life.
    pub(crate) heard_at: Instant,
}

impl Run {
    pub(crate) fn new(
        core: Arc<Core>,
        ctx: &dyn RunContext,
        account: AccountId,
        commands: usize,
    ) -> Self {
        let identity = ctx.identity().clone();
        let execution = ExecutionId::of(&identity);
        let redactor = core.redactor();
        let stream_cap = core.config.output.stream;
        Self {
            key: RunKey::new(account, execution.clone()),
            fence: Fence(ctx.attempt().fence_us),
            attempt: ctx.attempt().clone(),
            pulse: Pulse::new(execution, commands),
            identity,
            redactor,
            resumed: false,
            commands: BTreeMap::new(),
            bills: Bills::new(),
            held: None,
            hold: None,
            claimed_at_ms: now_ms(),
            live: None,
            found: BTreeMap::new(),
            borrowed: None,
            creating: None,
            on_their_way: Vec::new(),
            lanes: BTreeMap::new(),
            lane_time: BTreeMap::new(),
            asked: Asked::default(),
            provider_start_ms: None,
            renewal: None,
            following: None,
            approved: false,
            approval_ttl: None,
            reattached: false,
            stream_cap,
            core,
        }
    }

    /// This execution, the same over all attempts.
    pub(crate) fn execution(&self) -> &ExecutionId {
        &self.key.execution
    }

    /// Enters a phase: in the next heartbeat, and in the record. A store that does not answer keeps
    /// nobody from going on: what comes next and matters is written by itself.
    pub(crate) async fn phase(&self, phase: Phase) -> Result<(), Halt> {
        self.pulse.phase(phase);
        match self.core.runs.set_phase(&self.key, self.fence, phase).await {
            Err(airlock_runs::Error::Unavailable(source)) => {
                tracing::warn!(error = %source, ?phase, "the phase is not recorded");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// The result that an earlier attempt kept for a command.
    pub(crate) fn ended(&self, index: u32) -> Option<CommandEnd> {
        match self.commands.get(&index) {
            Some(CommandState::Ended(value)) => serde_json::from_value(value.clone()).ok(),
            Some(CommandState::Starting) | None => None,
        }
    }

    /// Whether any command may have been started.
    pub(crate) fn may_have_started(&self) -> bool {
        !self.commands.is_empty()
    }

    /// Keeps the outcome; later attempts are answered with it.
    pub(crate) async fn finish(&self, stop: Stop<'_>, outcome: &Value) -> Result<(), Halt> {
        reach(Point::RecordBefore).await;
        let patience = Patience::new();
        while let Err(error) = self.core.runs.finish(&self.key, self.fence, outcome).await {
            patience.again(stop, error.into()).await?;
        }
        reach(Point::RecordAfter).await;
        self.pulse.phase(Phase::Done);
        Ok(())
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// RFC 3339 from milliseconds since 1970.
pub(crate) fn rfc3339(ms: i64) -> Option<String> {
    jiff::Timestamp::from_millisecond(ms).ok().map(|instant| instant.to_string())
}
