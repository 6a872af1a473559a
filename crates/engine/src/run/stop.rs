//! When an attempt must stop, and when it only looks so.
//!
//! A heartbeat that does not get through ends as "timed out" or "not found", and that may mean two
//! things: Temporal has given the attempt up, or Temporal cannot be reached. The first is no
//! business of this attempt any more. In an outage nobody else can come either, so whoever walked
//! away would leave a live command to its sandbox's lease. So Temporal is asked, again and again;
//! until it answers, the attempt goes on as if nothing had been said: it follows the command,
//! renews the lease, and records the end. The fence keeps it from harm if another attempt was there
//! first, and a recorded end answers the next attempt at once.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;

use super::Halt;
use crate::context::{Liveness, RunContext, StopReason};

/// Between two questions to a Temporal that does not answer.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// What a store that answers at all needs for an answer.
const GRACE: Duration = Duration::from_secs(1);

/// Whether an attempt must stop; filled by [`Orders::hear`].
#[derive(Debug, Default)]
pub(crate) struct Orders {
    reason: watch::Sender<Option<StopReason>>,
}

impl Orders {
    /// Listens to `ctx`. Never resolves: it is to be polled beside the attempt's work.
    pub(crate) async fn hear(&self, ctx: &dyn RunContext) -> Infallible {
        let reason = ctx.stopped().await;
        if matches!(reason, StopReason::NotFound | StopReason::TimedOut) {
            while ctx.liveness().await == Liveness::Unknown {
                tracing::warn!(?reason, "Temporal does not answer: the attempt goes on meanwhile");
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
        self.reason.send_replace(Some(reason));
        std::future::pending().await
    }

    /// What the steps of the attempt of `ctx` look at.
    pub(crate) fn stop<'o>(&'o self, ctx: &'o dyn RunContext) -> Stop<'o> {
        Stop { orders: self, ctx }
    }
}

/// Lets a step see that the attempt must stop.
#[derive(Clone, Copy)]
pub(crate) struct Stop<'o> {
    orders: &'o Orders,
    ctx: &'o dyn RunContext,
}

impl<'o> Stop<'o> {
    /// The attempt.
    pub(crate) const fn context(self) -> &'o dyn RunContext {
        self.ctx
    }

    /// Whether it must stop now.
    pub(crate) fn check(self) -> Result<(), Halt> {
        match *self.orders.reason.borrow() {
            Some(reason) => Err(Halt::Stopped(reason)),
            None => Ok(()),
        }
    }

    /// Does `step`, or lets go of it at once when the attempt must stop.
    pub(crate) async fn or<T>(
        self,
        step: impl Future<Output = Result<T, Halt>> + Send,
    ) -> Result<T, Halt> {
        let step = Box::pin(step);
        tokio::select! {
            biased;
            reason = self.wait() => Err(Halt::Stopped(reason)),
            done = step => done,
        }
    }

    /// Does `step`, even if the attempt must stop, as long as that takes no time to speak of: what
    /// the claim says is needed to end what an earlier attempt left running.
    pub(crate) async fn or_soon<T>(
        self,
        step: impl Future<Output = Result<T, Halt>> + Send,
    ) -> Result<T, Halt> {
        let step = Box::pin(step);
        let too_late = async {
            let reason = self.wait().await;
            tokio::time::sleep(GRACE).await;
            reason
        };
        tokio::select! {
            biased;
            done = step => done,
            reason = too_late => Err(Halt::Stopped(reason)),
        }
    }

    /// Resolves when it must. Cancel-safe.
    pub(crate) async fn wait(self) -> StopReason {
        let mut told = self.orders.reason.subscribe();
        loop {
            if let Some(reason) = *told.borrow_and_update() {
                return reason;
            }
            // The sender is borrowed by this very value, so it is there.
            if told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
