//! How a run that gives no result ends: handed over, given up, or cancelled.
//!
//! | halted by | sandbox | hold | answer |
//! |---|---|---|---|
//! | pause, reset, worker shutdown, retryable failure | runs on | stays | retryable failure |
//! | not found, timed out | asks Temporal: open as above, closed as cancelled | | |
//! | cancelled | killed | settled | cancelled, with what there was |
//! | failure for good | killed | settled, or voided if nothing was created | the failure |
//! | a later attempt | not touched | not touched | nobody listens |
//!
//! What must be done to the end (`tidy.rs`) runs as a task of the engine: it goes on if the door
//! drops the future that waits for it.

use std::time::Duration;

use airlock_contract::{Failure, FailureType};
use airlock_runs::CommandState;
use serde_json::Value;

use super::tidy::{Outcome, Tidied};
use super::{Halt, Job, Run};
use crate::context::{Ending, Liveness, RunContext, StopReason};
use crate::{failure, metrics};

/// Longest wait for Temporal's word on whether the activity is open.
const ANSWER: Duration = Duration::from_secs(15);

impl Run {
    /// Ends the attempt as `halt` asks for.
    pub(crate) async fn conclude(self, halt: Halt, ctx: &dyn RunContext) -> Result<Value, Ending> {
        match halt {
            Halt::Over(ending) => *ending,
            Halt::Superseded => Err(failure::superseded().into()),
            Halt::Stopped(StopReason::Cancelled) => Err(self.detached(Self::cancel).await),
            Halt::Stopped(reason @ (StopReason::NotFound | StopReason::TimedOut)) => {
                let asked = tokio::time::timeout(ANSWER, ctx.liveness()).await;
                match asked.unwrap_or(Liveness::Unknown) {
                    Liveness::Closed => Err(self.detached(Self::cancel).await),
                    Liveness::Open | Liveness::Unknown => Err(hand_over(reason)),
                }
            }
            Halt::Stopped(reason) => Err(hand_over(reason)),
            Halt::Lost => Err(self.detached(Self::lost).await),
            Halt::Failed(failure) if failure.kind.is_retryable() => Err(failure.into()),
            Halt::Failed(failure) => Err(self.detached(move |run| run.give_up(failure)).await),
        }
    }

    /// Runs `work` as a task of the engine and waits for its answer; what is left to be tidied up
    /// then is done without anybody waiting.
    async fn detached<W, F>(self, work: W) -> Ending
    where
        W: FnOnce(Self) -> F,
        F: Future<Output = Tidied> + Send + 'static,
    {
        let core = self.core.clone();
        let (tell, told) = tokio::sync::oneshot::channel();
        let work = work(self);
        core.tasks.spawn(async move {
            let Tidied { ending, rest } = work.await;
            // Nobody may be waiting any more.
            let _unheard = tell.send(ending);
            if let Some(rest) = rest {
                rest.finish().await;
            }
        });
        told.await.unwrap_or_else(|error| failure::internal("cleaning up", &error).into())
    }

    /// Cancelled: kill the process tree, settle, report what there was.
    ///
    /// Nothing keeps the kill waiting: that Temporal told this attempt to cancel says that it is
    /// the last one, so a store that does not answer is not waited for.
    async fn cancel(mut self) -> Tidied {
        if self.is_superseded().await {
            return Tidied::superseded();
        }
        self.end_commands().await;
        let report = self.report().await;
        self.tidied(Outcome::Cancelled(report)).await
    }

    /// The sandbox is gone. If a command was started in it, nobody knows what it did.
    async fn lost(mut self) -> Tidied {
        let started = self
            .commands
            .iter()
            .any(|(index, s)| *index < Job::FIRST_SETUP && *s == CommandState::Starting);
        if started {
            let failure = self.outcome_unknown("its sandbox is gone");
            return Box::pin(self.give_up(failure)).await;
        }
        if let Some(failure) = self.lost_shared() {
            return Box::pin(self.give_up(failure)).await;
        }
        let failure = Failure::new(
            FailureType::SandboxUnavailable,
            "the sandbox went away before the command was started; the next attempt gets another",
        );
        match self.end_sandbox().await {
            Ok(()) => Tidied::done(failure.into()),
            Err(Halt::Superseded) => Tidied::superseded(),
            Err(halt) => {
                tracing::warn!(?halt, "a lost sandbox was not billed; the next attempt does it");
                Tidied::done(failure.into())
            }
        }
    }

    /// Failed for good: nothing may stay behind.
    async fn give_up(self, failure: Failure) -> Tidied {
        if self.is_superseded().await {
            return Tidied::superseded();
        }
        self.tidied(Outcome::Failed(failure)).await
    }
}

fn hand_over(reason: StopReason) -> Ending {
    let failure = failure::hand_over(reason);
    metrics::hand_over(failure.kind.as_str());
    failure.into()
}

/// The outcome that an earlier attempt kept.
pub(crate) fn replay(outcome: &Value) -> Result<Value, Ending> {
    if let Some(result) = outcome.get("result") {
        return Ok(result.clone());
    }
    if let Some(report) = outcome.get("cancelled") {
        return Err(Ending::Cancelled(report.clone()));
    }
    let failure = outcome.get("failure").cloned().map(serde_json::from_value::<Failure>);
    match failure {
        Some(Ok(failure)) => Err(failure.into()),
        Some(Err(_)) | None => {
            Err(failure::internal("a kept outcome", &"of an unknown shape").into())
        }
    }
}
