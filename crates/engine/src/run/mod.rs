//! One attempt at one run: what it knows, and the steps it goes through.
//!
//! ```text
//! claim -> decide -> approve -> reserve -> sandbox -> prepare -> start -> follow -> collect -> close
//! ```
//!
//! Each step finds what an earlier attempt left and goes on from there, so a retry passes the same
//! way. A [`Run`] owns everything that it needs: its last steps can outlive whoever asked for them.
//! Steps are never dropped half-way by a stop: they look at [`Stop`] between their calls, and only
//! waiting for the command ends at once.

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
mod launch;
mod money;
mod network;
mod prepare;
mod sandbox;
mod slices;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use airlock_contract::{AccountId, ExecutionId, Failure, Phase, RunIdentity};
use airlock_redaction::Redactor;
use airlock_runs::{CommandState, Fence, RunKey};
use futures_util::FutureExt as _;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use approve::hosts_of;
pub(crate) use capture::Texts;
pub(crate) use conclude::replay;
use create::Created;
pub(crate) use create::PROVIDER;
pub(crate) use decide::{decide, denied, redacted};
pub(crate) use job::Job;
pub(crate) use launch::CommandEnd;
pub(crate) use money::{Bills, Hold, Noted, Price, billed, bills};
pub(crate) use network::network;
pub(crate) use sandbox::{Live, SandboxSpec, refuse_shared, since};
pub(crate) use slices::is_refusal;

use crate::context::{Attempt, Ending, RunContext, StopReason};
use crate::engine::Core;
use crate::faultpoint::{Point, reach};
use crate::pulse::Pulse;
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

/// Lets a step see that the attempt must stop.
#[derive(Clone, Copy)]
pub(crate) struct Stop<'c>(pub(crate) &'c dyn RunContext);

impl Stop<'_> {
    /// Whether it must stop now.
    pub(crate) fn check(self) -> Result<(), Halt> {
        match self.0.stopped().now_or_never() {
            Some(reason) => Err(Halt::Stopped(reason)),
            None => Ok(()),
        }
    }

    /// Resolves when it must.
    pub(crate) async fn wait(self) -> StopReason {
        self.0.stopped().await
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
    /// A sandbox on its way. It is let go of with the run: a later attempt finds what came of it.
    pub(crate) creating: Option<AbortOnDropHandle<Result<Created, Halt>>>,
    /// When a renewal of its lease was tried last.
    pub(crate) renewal: Option<Instant>,
    /// The command that is being followed.
    pub(crate) following: Option<Following>,
    /// Whether a person approved it.
    pub(crate) approved: bool,
    /// How long an approval counts, where the policy says so.
    pub(crate) approval_ttl: Option<Duration>,
    /// Whether a command of an earlier attempt was taken over.
    pub(crate) reattached: bool,
    /// Bytes of each output stream that are kept.
    pub(crate) stream_cap: usize,
}

/// The command that is being followed, and what it has written so far.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) place: job::Place,
    pub(crate) user: String,
    pub(crate) capture: Capture,
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
            creating: None,
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

    /// Enters a phase: in the next heartbeat, and in the record.
    pub(crate) async fn phase(&self, phase: Phase) -> Result<(), Halt> {
        self.pulse.phase(phase);
        self.core.runs.set_phase(&self.key, self.fence, phase).await?;
        Ok(())
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
    pub(crate) async fn finish(&self, outcome: &Value) -> Result<(), Halt> {
        reach(Point::RecordBefore).await;
        self.core.runs.finish(&self.key, self.fence, outcome).await?;
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
