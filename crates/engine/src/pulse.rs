//! Heartbeats from the first instant of an attempt to its end.
//!
//! Every step writes what it knows into one [`Pulse`]; a ticker beside the steps sends it, so a
//! step that waits for minutes - a sandbox that is slow to come - beats as well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use airlock_contract::{ExecutionId, Heartbeat, Phase, Usd};
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
    /// Cost so far of each command that runs beside others; the sum is shown.
    costs: Arc<Mutex<BTreeMap<u32, Usd>>>,
    /// The end of the output of each that runs; what is shown has a part of each.
    tails: Arc<Mutex<BTreeMap<u32, String>>>,
    lane: u32,
}

impl Pulse {
    pub(crate) fn new(execution: ExecutionId, commands: usize) -> Self {
        let mut beat = Heartbeat::new(execution, Phase::Claiming);
        beat.command_count = u32::try_from(commands).unwrap_or(u32::MAX);
        Self {
            beat: Arc::new(Mutex::new(beat)),
            began: Instant::now(),
            changed: Arc::default(),
            costs: Arc::default(),
            tails: Arc::default(),
            lane: 0,
        }
    }

    /// The same heartbeats, from a command that runs beside others.
    pub(crate) fn lane(&self, lane: u32) -> Self {
        Self { lane, ..self.clone() }
    }

    /// What this command has cost so far.
    pub(crate) fn cost(&self, cost: Usd) {
        let mut costs = self.costs.lock();
        costs.insert(self.lane, cost);
        let sum = costs.values().copied().fold(Usd::ZERO, Usd::saturating_add);
        self.note(|beat| beat.cost_usd = sum);
    }

    /// The end of what this command has written.
    pub(crate) fn output(&self, tail: String) {
        let mut tails = self.tails.lock();
        tails.insert(self.lane, tail);
        let shown = together(&tails);
        self.note(|beat| beat.tail = shown);
    }

    /// The command of `lane` writes no more.
    pub(crate) fn close_lane(&self, lane: u32) {
        self.tails.lock().remove(&lane);
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

/// One output as it is; several with the command's index before each and an equal part of each.
fn together(tails: &BTreeMap<u32, String>) -> String {
    let mut written = tails.iter().filter(|(_, tail)| !tail.is_empty());
    if let (Some((_, only)), None) = (written.next(), written.next()) {
        return only.clone();
    }
    let part = (Heartbeat::MAX_TAIL_BYTES / tails.len().max(1)).saturating_sub(16);
    let mut shown = String::new();
    for (index, tail) in tails.iter().filter(|(_, tail)| !tail.is_empty()) {
        let from = tail.ceil_char_boundary(tail.len().saturating_sub(part));
        if !shown.is_empty() && !shown.ends_with('\n') {
            shown.push('\n');
        }
        let _ = write!(shown, "[{index}] {}", &tail[from..]);
    }
    shown
}
