//! What a door (Temporal, a test, a command line) gives one run.
//!
//! The engine knows no Temporal: an attempt's identity, fence, deadline, heartbeats and the reason
//! why it must stop come through [`RunContext`].

use std::time::{Duration, SystemTime};

use airlock_contract::{Failure, Heartbeat, RunIdentity};
use async_trait::async_trait;
use serde_json::Value;

/// One attempt of one activity.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// From 1; a reset puts it back to 1, so it identifies nothing.
    pub number: u32,
    /// This attempt's own scheduled time in microseconds since 1970: the fence. It rises with
    /// every attempt and every reset.
    pub fence_us: i64,
    /// How long Temporal waits for a heartbeat; none if the caller set none.
    pub heartbeat_timeout: Option<Duration>,
    /// When this attempt times out.
    pub deadline: Option<SystemTime>,
    /// The last heartbeat of the attempt before, if there was one and it can be read: a hint, which
    /// counts only where the run record is gone.
    pub previous: Option<Heartbeat>,
    /// Workflow type; none for a standalone activity.
    pub workflow_type: Option<String>,
    /// The activity type.
    pub activity_type: String,
    /// The task queue it came from.
    pub task_queue: String,
}

/// Why an attempt must stop. It decides what happens to the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The workflow or a client asked for it: kill, settle, report what there was.
    Cancelled,
    /// Paused: hand over; the command keeps running.
    Paused,
    /// Reset: hand over to the next attempt.
    Reset,
    /// Temporal no longer knows this attempt: ask Temporal; closed means kill, else hand over.
    NotFound,
    /// The attempt timed out: the same.
    TimedOut,
    /// The worker stops: hand over.
    WorkerShutdown,
}

/// Whether anybody will come back for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// The activity is open: another attempt may come.
    Open,
    /// The activity is closed or unknown to Temporal: nobody will come.
    Closed,
    /// Temporal could not be asked: treat as open.
    Unknown,
}

/// What the engine needs from the outside for one attempt.
#[async_trait]
pub trait RunContext: Send + Sync {
    /// The same over all attempts.
    fn identity(&self) -> &RunIdentity;
    /// This attempt.
    fn attempt(&self) -> &Attempt;
    /// Records progress. Returns at once; the door decides when it is sent.
    fn heartbeat(&self, beat: &Heartbeat);
    /// Resolves when the attempt must stop, with the first reason; pending otherwise. May be
    /// awaited by several tasks and more than once.
    async fn stopped(&self) -> StopReason;
    /// Asks whether the activity is still open. Used after [`StopReason::NotFound`] and
    /// [`StopReason::TimedOut`].
    async fn liveness(&self) -> Liveness;
    /// Asks whether another activity is still open: the one that has the shared sandbox which this
    /// one wants. A door that cannot ask says [`Liveness::Unknown`], and the other keeps it.
    async fn liveness_of(&self, identity: &RunIdentity) -> Liveness {
        let _ = identity;
        Liveness::Unknown
    }
}

/// How a run that gives no result ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// It failed; the type says whether a retry can help.
    Failed(Failure),
    /// It was cancelled, as asked; with what there was (redacted): partial output, cost.
    Cancelled(Value),
}

impl From<Failure> for Ending {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
