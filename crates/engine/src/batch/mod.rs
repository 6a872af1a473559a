//! `safeExecuteBatch`: several commands, decided together.
//!
//! All are decided before any runs. They share one sandbox and run in order (`together.rs`), or each
//! has a sandbox of its own and some run side by side (`apart.rs`). One reservation is raised a
//! command at a time. The end of each command is kept in the run record, so a retry takes over what
//! runs and goes on with what was not started. A command of which nobody knows how it ended stops
//! the batch, and so does a lost sandbox that is shared.

mod apart;
mod costs;
mod together;

use std::collections::BTreeMap;
use std::time::Duration;

use airlock_contract::{
    BatchInput, BatchItem, BatchItemOutcome, BatchOutcome, BatchResult, ExecuteInput, Failure,
    FailureType, PolicyDecision, Problems, RunStatus, Usd,
};
use airlock_runs::CommandState;
use serde_json::{Value, json};

use crate::context::{Ending, RunContext};
use crate::engine::Engine;
use crate::execute::{Work, check, drive};
use crate::metrics;
use crate::run::{self, CommandEnd, Halt, Price, Run, Stop, now_ms};
use crate::shared;

/// The least of each stream that is kept, however many commands there are.
const MIN_STREAM: usize = 512;

impl Engine {
    /// Runs a batch: a `BatchInput` as JSON to a `BatchResult` as JSON.
    ///
    /// Dropping the future hands the batch over, as with [`Engine::execute`].
    ///
    /// # Errors
    /// A failure as the contract lists them, or the report of a cancelled run.
    pub async fn batch(&self, ctx: &dyn RunContext, input: Value) -> Result<Value, Ending> {
        let limits = &self.core.config.limits;
        self.core.check_names(&input)?;
        let parsed = BatchInput::parse(&input, limits).map_err(Failure::from)?;
        drop(input);
        let mut problems = Problems::default();
        for (i, command) in parsed.runs().enumerate() {
            check(&command, &format!("commands[{i}]."), &mut problems);
        }
        shared::check_batch(&parsed, &mut problems);
        problems.or(()).map_err(Failure::from)?;
        let count = parsed.commands.len();
        let mut run = Run::new(self.core.clone(), ctx, parsed.run_id.clone(), count);
        // Both streams of all commands share what a batch may hold.
        let share = self.core.config.output.batch / (2 * count.max(1));
        run.stream_cap = run.stream_cap.min(share).max(MIN_STREAM);
        drive(run, ctx, Work::Batch(Box::new(parsed))).await
    }
}

/// A batch, and what the policy said of its commands.
struct Batch<'b> {
    input: &'b BatchInput,
    commands: Vec<ExecuteInput>,
    decisions: Vec<PolicyDecision>,
}

/// What became of the commands so far.
#[derive(Default)]
struct Progress {
    items: BTreeMap<u32, Item>,
    stopped: Option<BatchOutcome>,
}

/// What became of one command.
struct Item {
    outcome: BatchItemOutcome,
    end: Option<CommandEnd>,
}

/// Whether the next command may be started.
enum Go {
    Yes(Duration),
    Stop,
}

/// A batch, step by step.
pub(crate) async fn run(run: &mut Run, stop: Stop<'_>, input: &BatchInput) -> Result<Value, Halt> {
    let commands: Vec<ExecuteInput> = input.runs().collect();
    let sandbox_id = input.sandbox_id.as_deref();
    if input.dry_run {
        run.plan_shared(sandbox_id).await?;
        return plan(run, &Batch { input, commands, decisions: Vec::new() }).await;
    }
    let canonical = serde_json::to_value(input).unwrap_or_default();
    if let Some(outcome) = stop.or_soon(run.claim(&canonical)).await? {
        return Err(Halt::Over(Box::new(run::replay(&outcome))));
    }
    let is_over = (0..).zip(&commands).all(|(index, _)| run.ended(index).is_some());
    run.resume_shared(stop, sandbox_id, is_over).await?;
    let decisions = stop.or(run.decide(&commands)).await?;
    stop.or(run.approve(&commands, &decisions, input.approval_id.as_deref())).await?;
    let batch = Batch { input, commands, decisions };
    batch.check_caps(run)?;
    stop.check()?;
    run.borrow_shared(stop, sandbox_id).await?;
    let progress = if input.shared_sandbox {
        together::run(run, stop, &batch).await?
    } else {
        apart::run(run, stop, &batch).await?
    };
    finish(run, stop, &batch, progress).await
}

impl Batch<'_> {
    fn numbered(&self) -> impl Iterator<Item = (u32, &ExecuteInput)> {
        (0..).zip(&self.commands)
    }

    /// Sandbox time of one command at most, with a sandbox around it if it has its own.
    fn time_of(&self, run: &Run, command: &ExecuteInput) -> Duration {
        let around = if self.input.shared_sandbox { Duration::ZERO } else { run.core.around() };
        run.core.longest(command) + around
    }

    /// What one command may come to by itself.
    fn price_of(&self, run: &Run, command: &ExecuteInput) -> Price {
        let (time, cost) = (self.time_of(run, command), command.cost.clone().unwrap_or_default());
        Price {
            template: run.core.template(self.input.template.as_ref()),
            covers: time,
            total: time,
            fee: cost.fee_usd.unwrap_or_default(),
            max: cost.max_usd,
        }
    }

    /// The price of all that was begun and of more time.
    fn price(&self, run: &Run, covers: Duration, total: Duration) -> Price {
        Price {
            template: run.core.template(self.input.template.as_ref()),
            covers,
            total,
            fee: self.fees(|_| true),
            max: None,
        }
    }

    /// The fees of some of the commands.
    fn fees(&self, which: impl Fn(u32) -> bool) -> Usd {
        let fees = self.numbered().filter(|(index, _)| which(*index));
        fees.filter_map(|(_, command)| command.cost.as_ref()?.fee_usd)
            .fold(Usd::ZERO, Usd::saturating_add)
    }

    /// Whether each command's worst case is within its own `cost.maxUsd`.
    fn check_caps(&self, run: &Run) -> Result<(), Halt> {
        for (index, command) in self.numbered() {
            let Err(Halt::Failed(mut failure)) = run.within_cap(&self.price_of(run, command))
            else {
                continue;
            };
            failure.message = format!("commands[{index}]: {}", failure.message);
            if let Some(details) = failure.details.as_mut() {
                details["commandIndex"] = json!(index);
            }
            return Err(failure.into());
        }
        Ok(())
    }

    /// How long `command` may run, within the time that the batch has left.
    fn time_left(&self, run: &Run, command: &ExecuteInput) -> Option<Duration> {
        let own = Duration::from_millis(command.timeout_ms);
        let Some(limit) = self.input.timeout_ms else { return Some(own) };
        let gone = u64::try_from(now_ms().saturating_sub(run.claimed_at_ms)).unwrap_or(0);
        let left = Duration::from_millis(limit.saturating_sub(gone));
        (!left.is_zero()).then(|| own.min(left))
    }
}

/// Raises the reservation to `price` for a command that may run for `time`.
async fn pay(run: &mut Run, stop: Stop<'_>, price: Price, time: Duration) -> Result<Go, Halt> {
    if run.hold.is_none() {
        stop.or(run.reserve(price.clone())).await?;
    }
    match stop.or(run.extend(price)).await {
        Ok(()) => Ok(Go::Yes(time)),
        // Commands that ran keep their results; there is no money for another.
        Err(Halt::Failed(failure)) if run::is_refusal(failure.kind) && run.has_work() => {
            Ok(Go::Stop)
        }
        Err(halt) => Err(halt),
    }
}

impl Progress {
    fn ended(&mut self, batch: &Batch<'_>, index: u32, end: CommandEnd) {
        let outcome = match end.status {
            RunStatus::Completed if end.exit_code == Some(0) => BatchItemOutcome::Completed,
            RunStatus::TimedOut => BatchItemOutcome::TimedOut,
            RunStatus::Killed => BatchItemOutcome::Killed,
            RunStatus::Completed | RunStatus::OutOfBudget | RunStatus::DryRun => {
                BatchItemOutcome::Failed
            }
        };
        if outcome != BatchItemOutcome::Completed && batch.input.stop_on_failure {
            self.stopped.get_or_insert(BatchOutcome::Stopped);
        }
        self.items.insert(index, Item { outcome, end: Some(end) });
    }

    fn unknown(&mut self, index: u32) {
        self.stopped = Some(BatchOutcome::OutcomeUnknown);
        self.items.insert(index, Item { outcome: BatchItemOutcome::OutcomeUnknown, end: None });
    }

    /// What is not known to have begun is skipped.
    fn skip_rest(&mut self, batch: &Batch<'_>) {
        for (index, _) in batch.numbered() {
            let skipped = || Item { outcome: BatchItemOutcome::Skipped, end: None };
            self.items.entry(index).or_insert_with(skipped);
        }
    }

    fn count(&self, wanted: BatchItemOutcome) -> u32 {
        let matching = self.items.values().filter(|item| item.outcome == wanted);
        u32::try_from(matching.count()).unwrap_or(u32::MAX)
    }
}

/// Whether `halt` leaves it open what command `index` did.
fn is_unknown(run: &Run, index: u32, halt: &Halt) -> bool {
    match halt {
        Halt::Failed(failure) => failure.kind == FailureType::OutcomeUnknown,
        Halt::Lost => run.commands.get(&index) == Some(&CommandState::Starting),
        Halt::Stopped(_) | Halt::Superseded | Halt::Over(_) => false,
    }
}

async fn finish(
    run: &mut Run,
    stop: Stop<'_>,
    batch: &Batch<'_>,
    mut progress: Progress,
) -> Result<Value, Halt> {
    progress.skip_rest(batch);
    if run.hold.is_none() {
        let time = run.core.around();
        stop.or(run.reserve(batch.price(run, time, time))).await?;
    }
    let begun = |index: u32| {
        progress.items.get(&index).is_some_and(|i| i.outcome != BatchItemOutcome::Skipped)
    };
    if let Some(hold) = &mut run.hold {
        hold.price.fee = batch.fees(begun);
    }
    let outcome = progress.stopped.unwrap_or(BatchOutcome::Completed);
    let word = serde_json::to_value(outcome).unwrap_or_default();
    let closed = run.close(stop, word.as_str().unwrap_or_default()).await?;
    metrics::batch(outcome);
    let (succeeded, skipped) =
        (progress.count(BatchItemOutcome::Completed), progress.count(BatchItemOutcome::Skipped));
    let total = u32::try_from(progress.items.len()).unwrap_or(u32::MAX);
    let mut costs = costs::of(run, batch, &progress);
    let results = progress.items.into_iter().map(|(index, item)| {
        let result = item.end.and_then(|end| {
            let at = usize::try_from(index).ok()?;
            let (command, decision) = (batch.commands.get(at)?, batch.decisions.get(at)?);
            let mut result = run.blank(command, decision.clone());
            end.fill(&mut result);
            result.cost = costs.remove(&index).unwrap_or_default();
            result.budget_remaining = closed.remaining;
            result.receipt.clone_from(&closed.receipt);
            Some(result)
        });
        BatchItem { index, outcome: item.outcome, result }
    });
    let result = BatchResult {
        outcome,
        succeeded,
        failed: total - succeeded - skipped,
        skipped,
        results: results.collect(),
        cost: closed.cost,
        budget_remaining: closed.remaining,
    };
    let value = serde_json::to_value(&result).unwrap_or_default();
    run.finish(stop, &json!({ "v": 1, "result": value })).await?;
    Ok(value)
}

/// `dryRun`: every command with its plan.
async fn plan(run: &mut Run, batch: &Batch<'_>) -> Result<Value, Halt> {
    let commands: Duration = batch.commands.iter().map(|c| batch.time_of(run, c)).sum();
    let around = if batch.input.shared_sandbox { run.core.around() } else { Duration::ZERO };
    let price = batch.price(run, commands + around, commands + around);
    let results = run.plans(&batch.commands, &price).await?;
    let budget_remaining = results.first().map(|r| r.budget_remaining).unwrap_or_default();
    let items: Vec<BatchItem> = (0..)
        .zip(results)
        .map(|(index, result)| BatchItem {
            index,
            outcome: BatchItemOutcome::Skipped,
            result: Some(result),
        })
        .collect();
    let skipped = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let result = BatchResult {
        outcome: BatchOutcome::Completed,
        results: items,
        succeeded: 0,
        failed: 0,
        skipped,
        cost: airlock_contract::CostReport {
            price_digest: run.core.prices.digest().to_owned(),
            ..airlock_contract::CostReport::default()
        },
        budget_remaining,
    };
    Ok(serde_json::to_value(result).unwrap_or_default())
}
