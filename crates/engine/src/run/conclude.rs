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
//! What must be done to the end runs as a task of the engine: it goes on if the door drops the
//! future that waits for it.

use std::time::Duration;

use airlock_contract::{CostReport, Failure, FailureType, Phase, Usd};
use airlock_e2b::ListQuery;
use airlock_runs::CommandState;
use serde_json::{Value, json};

use super::money::Bill;
use super::sandbox::since;
use super::{Halt, Job, Run, now_ms};
use crate::context::{Ending, Liveness, RunContext, StopReason};
use crate::{failure, metrics};

/// Longest wait for the last output of a command that is killed.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl Run {
    /// Ends the attempt as `halt` asks for.
    pub(crate) async fn conclude(self, halt: Halt, ctx: &dyn RunContext) -> Result<Value, Ending> {
        match halt {
            Halt::Over(ending) => *ending,
            Halt::Superseded => Err(failure::superseded().into()),
            Halt::Stopped(StopReason::Cancelled) => Err(self.detached(Self::cancel).await),
            Halt::Stopped(reason @ (StopReason::NotFound | StopReason::TimedOut)) => {
                match ctx.liveness().await {
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

    /// Runs `work` as a task of the engine and waits for it.
    async fn detached<W, F>(self, work: W) -> Ending
    where
        W: FnOnce(Self) -> F,
        F: Future<Output = Ending> + Send + 'static,
    {
        let core = self.core.clone();
        let task = core.tasks.spawn(work(self));
        match task.await {
            Ok(ending) => ending,
            Err(error) => failure::internal("cleaning up", &error).into(),
        }
    }

    /// Cancelled: kill the process tree, settle, report what there was.
    async fn cancel(mut self) -> Ending {
        self.pulse.phase(Phase::Settling);
        if let Err(Halt::Superseded) = self.still_ours().await {
            return failure::superseded().into();
        }
        if self.live.is_some() && self.following.is_some() {
            self.kill_tree().await;
            let last_words = tokio::time::timeout(LAST_WORDS, self.read_rest()).await;
            if !matches!(last_words, Ok(Ok(()))) {
                tracing::debug!("a cancelled command's last output was not read");
            }
        }
        let texts = self.texts();
        let (cost, remaining) = match self.end_of_money().await {
            Ok(money) => money,
            // The next attempt, or the reaper, settles.
            Err(halt) => return self.halted_again(halt),
        };
        let ended: Vec<Value> = self
            .commands
            .iter()
            .filter(|(index, _)| **index < Job::FIRST_SETUP)
            .filter_map(|(index, state)| match state {
                CommandState::Ended(end) => Some(json!({
                    "index": index, "status": end.get("status"), "exitCode": end.get("exit_code"),
                })),
                CommandState::Starting => None,
            })
            .collect();
        let report = json!({
            "runId": self.key.account,
            "executionId": self.execution(),
            "status": "cancelled",
            "stdout": texts.stdout.kept,
            "stderr": texts.stderr.kept,
            "stdoutBytes": texts.stdout.bytes,
            "stderrBytes": texts.stderr.bytes,
            "stdoutTruncated": texts.stdout.truncated,
            "stderrTruncated": texts.stderr.truncated,
            "redactions": texts.redactions,
            "commandsEnded": ended,
            "cost": cost,
            "budgetRemaining": remaining,
            "attempt": self.attempt.number,
        });
        if let Err(halt) = self.finish(&json!({ "v": 1, "cancelled": report })).await {
            tracing::warn!(?halt, "the outcome of a cancelled run was not kept");
        }
        Ending::Cancelled(report)
    }

    /// The sandbox is gone. If a command was started in it, nobody knows what it did.
    async fn lost(mut self) -> Ending {
        let started = self
            .commands
            .iter()
            .any(|(index, s)| *index < Job::FIRST_SETUP && *s == CommandState::Starting);
        if started {
            let failure = self.outcome_unknown("its sandbox is gone");
            return Box::pin(self.give_up(failure)).await;
        }
        if let Err(halt) = self.end_sandbox().await {
            return self.halted_again(halt);
        }
        Failure::new(
            FailureType::SandboxUnavailable,
            "the sandbox went away before the command was started; the next attempt gets another",
        )
        .into()
    }

    /// Failed for good: nothing may stay behind.
    async fn give_up(mut self, failure: Failure) -> Ending {
        if let Err(Halt::Superseded) = self.still_ours().await {
            return failure::superseded().into();
        }
        if let Err(halt) = self.end_of_money().await {
            tracing::warn!(?halt, "a failed run was not cleaned up; leases and the reaper will");
        }
        if failure.kind == FailureType::OutcomeUnknown
            && let Err(halt) = self.finish(&json!({ "v": 1, "failure": failure })).await
        {
            tracing::warn!(?halt, "an unknown outcome was not kept");
        }
        failure.into()
    }

    /// Kills the sandbox and settles; voids if there never was one.
    async fn end_of_money(&mut self) -> Result<(CostReport, Usd), Halt> {
        self.end_sandbox().await?;
        if self.hold.is_none() {
            return Ok((CostReport::default(), Usd::ZERO));
        }
        if self.resumed {
            self.end_unbound().await?;
        }
        if self.bills.is_empty() {
            self.void().await?;
            let status = self.core.ledger.get(&self.key.account).await?;
            return Ok((CostReport::default(), status.remaining));
        }
        let (cost, remaining, _) = self.settle().await?;
        Ok((cost, remaining))
    }

    /// Kills sandboxes that an earlier attempt created and did not manage to bind.
    async fn end_unbound(&mut self) -> Result<(), Halt> {
        let execution = self.execution().to_string();
        let metadata = [("executionId".to_owned(), execution)].into();
        let query = ListQuery { metadata, ..ListQuery::default() };
        for info in self.core.e2b.list(&query).await? {
            // A later attempt may have taken it over meanwhile.
            self.still_ours().await?;
            self.core.e2b.kill(&info.id).await?;
            let seconds = since(info.started_at.as_millisecond(), now_ms()).as_secs_f64();
            self.bill(&info.id, Bill { slot: self.slot(0), seconds }).await?;
        }
        Ok(())
    }

    async fn still_ours(&self) -> Result<(), Halt> {
        Ok(self.core.runs.check(&self.key, self.fence).await?)
    }

    fn halted_again(&self, halt: Halt) -> Ending {
        match halt {
            Halt::Failed(failure) => failure.into(),
            Halt::Superseded => failure::superseded().into(),
            Halt::Stopped(reason) => hand_over(reason),
            Halt::Over(ending) => match *ending {
                Ok(_) => failure::internal("cleaning up", self.execution()).into(),
                Err(ending) => ending,
            },
            Halt::Lost => failure::internal("cleaning up", self.execution()).into(),
        }
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
