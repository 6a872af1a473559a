//! Heartbeats from the first instant of an attempt to its end.
//!
//! Every step writes what it knows into one [`Pulse`]; a ticker beside the steps sends it, so a
//! step that waits for minutes - a sandbox that is slow to come - beats as well.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use airlock_contract::{ExecutionId, Heartbeat, Phase};
use parking_lot::Mutex;

use crate::context::RunContext;
use crate::metrics;

/// How often the engine beats; the door decides how often it is sent.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the next heartbeat says.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    beat: Arc<Mutex<Heartbeat>>,
    began: Instant,
    changed: Arc<tokio::sync::Notify>,
}

impl Pulse {
    pub(crate) fn new(execution: ExecutionId, commands: usize) -> Self {
        let mut beat = Heartbeat::new(execution, Phase::Claiming);
        beat.command_count = u32::try_from(commands).unwrap_or(u32::MAX);
        Self { beat: Arc::new(Mutex::new(beat)), began: Instant::now(), changed: Arc::default() }
    }

    /// Changes what is known; sent with the next tick.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Heartbeat)) {
        change(&mut self.beat.lock());
    }

    /// Enters a phase; sent at once.
    pub(crate) fn phase(&self, phase: Phase) {
        self.note(|beat| beat.phase = phase);
        self.changed.notify_one();
    }

    /// The phase it is in.
    pub(crate) fn current(&self) -> Heartbeat {
        let mut beat = self.beat.lock().clone();
        beat.elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        beat
    }

    fn send(&self, ctx: &dyn RunContext) {
        ctx.heartbeat(&self.current());
        metrics::heartbeat();
    }

    /// Runs `work` to its end and beats meanwhile.
    pub(crate) async fn during<F: Future>(&self, ctx: &dyn RunContext, work: F) -> F::Output {
        let mut work = pin!(work);
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                output = &mut work => return output,
                () = self.changed.notified() => self.send(ctx),
                _ = ticks.tick() => self.send(ctx),
            }
        }
    }
}
