//! What one attempt gives its handler.

use std::fmt;
use std::sync::Arc;

use airlock_contract::{Heartbeat, Phase, RunIdentity};
use airlock_engine::{Attempt, Liveness, RunContext, StopReason};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;

use super::beat::Beats;
use super::stop::StopSignal;
use crate::connection::Connection;
use crate::liveness;

/// One attempt, as its handler sees it. Cheap to clone; all clones are the same attempt.
///
/// It holds nothing of core, so a context that outlives its attempt keeps no worker alive.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    identity: RunIdentity,
    attempt: Attempt,
    previous: Option<Value>,
    beats: Arc<Beats>,
    shown: Mutex<Option<Shown>>,
    stop: StopSignal,
    connection: Connection,
}

/// The parts of a heartbeat whose change is worth a call of its own.
#[derive(Clone, PartialEq, Eq)]
struct Shown {
    phase: Phase,
    command_index: u32,
    sandbox_id: Option<String>,
}

impl Context {
    pub(super) fn new(
        (identity, attempt): (RunIdentity, Attempt),
        previous: Option<Value>,
        beats: Arc<Beats>,
        stop: StopSignal,
        connection: Connection,
    ) -> Self {
        let shown = Mutex::new(None);
        let inner = Inner { identity, attempt, previous, beats, shown, stop, connection };
        Self { inner: Arc::new(inner) }
    }

    /// The details that the attempt before left: a hint, not a record.
    pub fn previous_details(&self) -> Option<&Value> {
        self.inner.previous.as_ref()
    }

    /// Records any details; `urgent` ones are sent at once, others at the attempt's pace.
    pub fn record(&self, details: &Value, urgent: bool) {
        self.inner.beats.record(details, urgent);
    }
}

#[async_trait]
impl RunContext for Context {
    fn identity(&self) -> &RunIdentity {
        &self.inner.identity
    }

    fn attempt(&self) -> &Attempt {
        &self.inner.attempt
    }

    fn heartbeat(&self, beat: &Heartbeat) {
        let shown = Some(Shown {
            phase: beat.phase,
            command_index: beat.command_index,
            sandbox_id: beat.sandbox_id.clone(),
        });
        let changed = std::mem::replace(&mut *self.inner.shown.lock(), shown.clone()) != shown;
        match serde_json::to_value(beat) {
            Ok(details) => self.inner.beats.record(&details, changed),
            Err(error) => tracing::warn!(%error, "a heartbeat is not JSON, not sent"),
        }
    }

    async fn stopped(&self) -> StopReason {
        self.inner.stop.stopped().await
    }

    async fn liveness(&self) -> Liveness {
        liveness::of(&self.inner.connection, &self.inner.identity).await
    }

    async fn liveness_of(&self, identity: &RunIdentity) -> Liveness {
        liveness::of(&self.inner.connection, identity).await
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("identity", &self.inner.identity)
            .field("attempt", &self.inner.attempt)
            .field("stop", &self.inner.stop.reason())
            .finish_non_exhaustive()
    }
}
