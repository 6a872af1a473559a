//! Why an attempt must stop: set once, heard by any number of waiters.

use airlock_engine::StopReason;
use tokio::sync::watch;

/// The side that decides.
#[derive(Debug)]
pub(super) struct Stopper(watch::Sender<Option<StopReason>>);

/// The side that listens.
#[derive(Clone, Debug)]
pub(super) struct StopSignal(watch::Receiver<Option<StopReason>>);

/// A connected pair.
pub(super) fn stop_signal() -> (Stopper, StopSignal) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), StopSignal(receiver))
}

impl Stopper {
    /// Says why to stop. Only the first reason counts; later ones are dropped.
    pub(super) fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }
}

impl StopSignal {
    /// The reason so far.
    pub(super) fn reason(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    /// Resolves with the first reason; never, if the attempt ends without one. Cancel-safe.
    pub(super) async fn stopped(&self) -> StopReason {
        let mut receiver = self.0.clone();
        let reason = receiver.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
        match reason {
            Some(reason) => reason,
            // The attempt is answered already: nobody will say anything any more.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stands_and_every_waiter_hears_it() {
        let (stopper, signal) = stop_signal();
        assert_eq!(signal.reason(), None);
        stopper.stop(StopReason::Paused);
        stopper.stop(StopReason::Cancelled);
        assert_eq!(signal.stopped().await, StopReason::Paused);
        assert_eq!(signal.clone().stopped().await, StopReason::Paused);
    }

    #[tokio::test]
    async fn nothing_is_heard_when_the_attempt_ended_without_a_reason() {
        let (stopper, signal) = stop_signal();
        drop(stopper);
        let heard =
            tokio::time::timeout(std::time::Duration::from_millis(50), signal.stopped()).await;
        assert!(heard.is_err(), "{heard:?}");
    }
}
