//! Leaving nothing behind: the command's processes, the sandbox, the hold, the record's outcome.
//!
//! The order is the one of what cannot wait: first the processes die, then the sandbox, then the
//! money is settled and the outcome kept. Each step can be done again. What a server keeps waiting
//! is done after the caller has its answer, for as long as the process lives; beyond that the
//! sandbox's lease, the hold's and the reaper do it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use airlock_contract::{CostReport, Failure, FailureType, Phase, Usd};
use airlock_e2b::ListQuery;
use airlock_runs::CommandState;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::money::Bill;
use super::sandbox::since;
use super::{Halt, Job, Run, Texts, now_ms};
use crate::context::Ending;
use crate::failure;

/// Longest wait for the fence, where something must be killed.
const FENCE: Duration = Duration::from_secs(1);
/// Longest wait for the wrapper's kill; then the sandbox is killed with all that is in it.
const KILL: Duration = Duration::from_secs(3);
/// Longest wait for the last output of a command that is killed.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Longest wait for the provider to kill a sandbox, and for the stores to settle, before the
/// caller is answered.
const ANSWER: Duration = Duration::from_secs(5);
/// How long tidying up goes on after the answer.
const AFTERWARDS: Duration = Duration::from_mins(10);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a run without a result ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Cancelled, with the report.
    Cancelled(Value),
    Failed(Failure),
}

/// Both streams, as a report shows them.
fn output(texts: &Texts) -> Value {
    let mut shown = json!({});
    for (name, text) in [("stdout", &texts.stdout), ("stderr", &texts.stderr)] {
        shown[name] = json!(text.kept);
        shown[format!("{name}Bytes")] = json!(text.bytes);
        shown[format!("{name}Truncated")] = json!(text.truncated);
    }
    shown
}

/// What the door is answered, and what is still to be done.
pub(super) struct Tidied {
    pub(super) ending: Ending,
    pub(super) rest: Option<Box<Rest>>,
}

/// A run whose caller is answered before all of it is tidied up.
pub(super) struct Rest {
    run: Run,
    outcome: Outcome,
}

impl Outcome {
    fn ending(self) -> Ending {
        match self {
            Self::Cancelled(report) => Ending::Cancelled(report),
            Self::Failed(failure) => failure.into(),
        }
    }

    /// What later attempts are answered with; a failure that knows the outcome is found again.
    fn kept(&self) -> Option<Value> {
        match self {
            Self::Cancelled(report) => Some(json!({ "v": 1, "cancelled": report })),
            Self::Failed(failure) if failure.kind == FailureType::OutcomeUnknown => {
                Some(json!({ "v": 1, "failure": failure }))
            }
            Self::Failed(_) => None,
        }
    }

    fn settled(&mut self, cost: &CostReport, remaining: Usd) {
        if let Self::Cancelled(report) = self {
            report["cost"] = json!(cost);
            report["budgetRemaining"] = json!(remaining);
            report["settled"] = json!(true);
        }
    }
}

impl Tidied {
    pub(super) fn done(ending: Ending) -> Self {
        Self { ending, rest: None }
    }

    pub(super) fn superseded() -> Self {
        Self::done(failure::superseded().into())
    }
}

impl Rest {
    /// Goes on until all is done, the time is up, or the process ends.
    pub(super) async fn finish(mut self: Box<Self>) {
        let draining = self.run.core.draining.clone();
        let until = Instant::now() + AFTERWARDS;
        let mut pause = Duration::from_secs(1);
        while Instant::now() < until {
            let last = tokio::select! {
                () = draining.cancelled() => true,
                () = tokio::time::sleep(pause) => false,
            };
            pause = (pause * 2).min(LONGEST_PAUSE);
            match timeout(LONGEST_PAUSE, self.run.tidy_up(&mut self.outcome)).await {
                Ok(Ok(()) | Err(Halt::Superseded)) => return,
                Ok(Err(halt)) => tracing::warn!(?halt, "a run is not tidied up yet"),
                Err(_) => tracing::warn!("a run is not tidied up yet: no answer in time"),
            }
            if last {
                break;
            }
        }
        tracing::warn!("a run was not tidied up; its leases and the reaper will");
    }
}

impl Run {
    /// Whether a later attempt holds the run, as far as that can be known at once.
    pub(super) async fn is_superseded(&self) -> bool {
        self.pulse.phase(Phase::Settling);
        matches!(timeout(FENCE, self.still_ours()).await, Ok(Err(Halt::Superseded)))
    }

    /// Ends every command that runs and reads its last output; then its sandbox goes.
    pub(super) async fn end_commands(&mut self) {
        let lanes = self.lanes.values().cloned();
        let ends = lanes.map(|lane| async move { lane.lock().await.end_command().await });
        futures_util::future::join_all(ends).await;
        self.end_command().await;
    }

    async fn end_command(&mut self) {
        if self.live.is_some() && self.following.is_some() {
            let killed = timeout(KILL, self.kill_tree()).await == Ok(true);
            let last_words = killed && {
                let read = timeout(LAST_WORDS, self.read_rest()).await;
                matches!(read, Ok(Ok(())))
            };
            if !last_words {
                tracing::warn!("a cancelled command's last output was not read");
            }
        }
        if timeout(ANSWER, self.kill_sandbox()).await.is_err() {
            tracing::warn!("the provider does not answer; the sandbox is killed when it does");
        }
    }

    /// What there was, for a caller who cancelled.
    pub(super) async fn report(&mut self) -> Value {
        let mut running = Vec::new();
        for (index, lane) in self.lanes.clone() {
            running.push((index, lane.lock().await.last_texts()));
        }
        if running.is_empty() && self.following.is_some() {
            let index = self.pulse.current().command_index;
            running.push((index, self.last_texts()));
        }
        self.close_lanes().await;
        let first = running.first().map(|(_, texts)| texts.clone());
        let texts = first.unwrap_or_else(|| self.last_texts());
        let ended = self.commands.iter().filter(|(index, _)| **index < Job::FIRST_SETUP);
        let ended: Vec<Value> = ended
            .filter_map(|(index, state)| match state {
                CommandState::Ended(end) => Some(json!({
                    "index": index, "status": end.get("status"), "exitCode": end.get("exit_code"),
                })),
                CommandState::Starting => None,
            })
            .collect();
        let mut report = json!({
            "runId": self.key.account,
            "executionId": self.execution(),
            "status": "cancelled",
            "commandsEnded": ended,
            "commandsRunning": running.into_iter().map(|(index, texts)| {
                let mut shown = output(&texts);
                shown["index"] = json!(index);
                shown
            }).collect::<Vec<_>>(),
            "cost": null,
            "settled": false,
            "attempt": self.attempt.number,
            "redactions": texts.redactions,
        });
        if let (Some(report), Some(output)) =
            (report.as_object_mut(), output(&texts).as_object_mut())
        {
            report.append(output);
        }
        report
    }

    /// What the command that is followed has written, else the one that ended last.
    fn last_texts(&mut self) -> Texts {
        if self.following.is_some() {
            return self.texts();
        }
        let mut commands = self.commands.iter().rev();
        let last = commands.find(|(index, _)| **index < Job::FIRST_SETUP).map(|(index, _)| *index);
        last.and_then(|index| self.ended(index)).map(|end| end.texts).unwrap_or_default()
    }

    /// Tidies up; what takes too long is left for after the answer.
    pub(super) async fn tidied(mut self, mut outcome: Outcome) -> Tidied {
        match timeout(ANSWER, self.tidy_up(&mut outcome)).await {
            Ok(Ok(())) => return Tidied::done(outcome.ending()),
            Ok(Err(Halt::Superseded)) => return Tidied::superseded(),
            Ok(Err(halt)) => tracing::warn!(?halt, "a run is tidied up after its answer"),
            Err(_) => tracing::warn!("a run is tidied up after its answer: a server is slow"),
        }
        let ending = outcome.clone().ending();
        Tidied { ending, rest: Some(Box::new(Rest { run: self, outcome })) }
    }

    /// Ends the sandbox, settles and keeps the outcome.
    async fn tidy_up(&mut self, outcome: &mut Outcome) -> Result<(), Halt> {
        let (cost, remaining) = self.end_of_money().await?;
        outcome.settled(&cost, remaining);
        let Some(kept) = outcome.kept() else { return Ok(()) };
        match self.core.runs.finish(&self.key, self.fence, &kept).await {
            Ok(()) => self.pulse.phase(Phase::Done),
            Err(airlock_runs::Error::Missing) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Kills the sandbox and settles; voids if there never was one.
    async fn end_of_money(&mut self) -> Result<(CostReport, Usd), Halt> {
        self.close_lanes().await;
        self.end_sandboxes().await?;
        self.remember_hold();
        self.end_creation().await?;
        if self.hold.is_none() && !self.asked.hold {
            return Ok((CostReport::default(), Usd::ZERO));
        }
        let was_used = self.borrowed.is_some() && self.may_have_started();
        if self.bills.is_empty() && !was_used {
            self.void().await?;
            let status = self.core.ledger.get(&self.key.account).await?;
            return Ok((CostReport::default(), status.remaining));
        }
        let (cost, remaining, _) = self.settle().await?;
        Ok((cost, remaining))
    }

    /// Waits for a sandbox that is on its way, and kills those that were created and not bound.
    async fn end_creation(&mut self) -> Result<(), Halt> {
        let asked = self.asked.sandbox.load(Ordering::Relaxed);
        self.on_their_way.extend(self.creating.take());
        while let Some((slot, creation)) = self.on_their_way.last_mut() {
            let slot = *slot;
            if asked {
                // What came of it is found by its labels, or there is nothing to be found.
                drop(creation.await);
            }
            self.on_their_way.pop();
            self.leave_room(slot).await;
        }
        if asked || self.resumed {
            self.end_unbound().await?;
        }
        Ok(())
    }

    async fn end_unbound(&mut self) -> Result<(), Halt> {
        let execution = self.execution().to_string();
        let metadata = [("executionId".to_owned(), execution)].into();
        let query = ListQuery { metadata, ..ListQuery::default() };
        for info in self.core.e2b.list(&query).await? {
            // A later attempt may have taken it over meanwhile.
            self.still_ours().await?;
            self.core.e2b.kill(&info.id).await?;
            let time = since(info.started_at.as_millisecond(), now_ms());
            self.note_bill(&info.id, Bill::metered(self.slot(0), time, None)).await?;
        }
        Ok(())
    }
}
