//! When heartbeats are sent, and with what.
//!
//! Handlers say what is new; one task an attempt sends it: at once if it matters (another phase),
//! else at the attempt's pace. At every tick of the pace the latest details are sent again, also
//! when there is nothing new, so that a handler that waits for something slow never runs into a
//! heartbeat timeout. Before the first heartbeat these are the details of the attempt before, so
//! that a keep-alive does not wipe them out.
//!
//! Each send is a call to the server (and an action on Temporal Cloud); core's own throttle is
//! off, so what is decided here is what happens.

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// Pace of an attempt whose caller set no heartbeat timeout. Cancellations arrive with the answers
/// to heartbeats, so even then there are some.
const UNHURRIED: Duration = Duration::from_secs(10);
/// However long the heartbeat timeout, a cancellation is heard after this.
const SLOWEST: Duration = Duration::from_secs(20);
/// However short the heartbeat timeout, not more calls than this.
const FASTEST: Duration = Duration::from_millis(200);
/// Details above this are not sent: the server refuses large ones and would fail the attempt.
const MAX_DETAILS_BYTES: usize = 64 * 1024;

/// A third of the heartbeat timeout, within bounds: 1 s for the 3 s that short runs ask for.
pub(super) fn pace(heartbeat_timeout: Option<Duration>) -> Duration {
    heartbeat_timeout.map_or(UNHURRIED, |timeout| (timeout / 3).clamp(FASTEST, SLOWEST))
}

/// What is to be sent next; shared by the handler's context and the sending task.
#[derive(Debug, Default)]
pub(super) struct Beats {
    latest: Mutex<Option<Vec<u8>>>,
    urgent: Notify,
}

impl Beats {
    /// Starts with the details that the attempt before left, as JSON text.
    pub(super) fn new(previous: Option<Vec<u8>>) -> Self {
        Self { latest: Mutex::new(previous), urgent: Notify::new() }
    }

    /// Takes new details; `urgent` ones are sent at once. Oversized details are dropped: the
    /// previous ones stay.
    pub(super) fn record(&self, details: &Value, urgent: bool) {
        match serde_json::to_vec(details) {
            Ok(json) if json.len() <= MAX_DETAILS_BYTES => {
                *self.latest.lock() = Some(json);
                if urgent {
                    self.urgent.notify_one();
                }
            }
            Ok(json) => tracing::warn!(bytes = json.len(), "heartbeat details too large, not sent"),
            Err(error) => tracing::warn!(%error, "heartbeat details are not JSON, not sent"),
        }
    }

    /// The details to send now.
    pub(super) fn latest(&self) -> Option<Vec<u8>> {
        self.latest.lock().clone()
    }
}

/// Says when to send. Belongs to the one task that sends.
#[derive(Debug)]
pub(super) struct Pacer {
    interval: Interval,
}

impl Pacer {
    /// The first tick is one `pace` from now: an activity that is done by then costs no call.
    pub(super) fn new(pace: Duration) -> Self {
        let mut interval = tokio::time::interval_at(Instant::now() + pace, pace);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval }
    }

    /// Resolves when the next heartbeat is due. Cancel-safe.
    pub(super) async fn due(&mut self, beats: &Beats) {
        tokio::select! {
            () = beats.urgent.notified() => self.interval.reset(),
            _ = self.interval.tick() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pace_is_a_third_of_the_timeout_within_bounds() {
        let table = [(3_000, 1_000), (20_000, 6_666), (300, 200), (600_000, 20_000)];
        for (timeout, expected) in table {
            let pace = pace(Some(Duration::from_millis(timeout)));
            assert_eq!(pace.as_millis(), expected, "{timeout} ms");
        }
        assert_eq!(pace(None), UNHURRIED);
    }

    #[tokio::test]
    async fn an_urgent_beat_goes_at_once_and_others_wait_for_the_pace() {
        let beats = Beats::new(None);
        let pace = Duration::from_millis(400);
        let mut pacer = Pacer::new(pace);
        let start = Instant::now();
        beats.record(&json!(1), false);
        pacer.due(&beats).await;
        assert!(start.elapsed() >= pace);
        beats.record(&json!(2), true);
        let urgent = Instant::now();
        pacer.due(&beats).await;
        assert!(urgent.elapsed() < pace / 2, "{:?}", urgent.elapsed());
        assert_eq!(beats.latest().as_deref(), Some(b"2".as_slice()));
        pacer.due(&beats).await;
        assert!(urgent.elapsed() >= pace);
    }

    #[test]
    fn details_of_the_attempt_before_are_kept_until_there_are_new_ones() {
        let beats = Beats::new(Some(b"\"old\"".to_vec()));
        beats.record(&json!("x".repeat(MAX_DETAILS_BYTES)), true);
        assert_eq!(beats.latest().as_deref(), Some(b"\"old\"".as_slice()));
        beats.record(&json!("new"), false);
        assert_eq!(beats.latest().as_deref(), Some(b"\"new\"".as_slice()));
    }
}
