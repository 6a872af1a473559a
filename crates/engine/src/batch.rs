//! `safeExecuteBatch`: several commands, decided together, run in order.
//!
//! All are decided before any runs. One reservation is raised a command at a time. The end of each
//! command is kept in the run record, so a retry goes on at the first command without one. A
//! command of which nobody knows how it ended stops the batch, and so does a lost sandbox.

use std::time::Duration;

use airlock_contract::{
    BatchInput, BatchItem, BatchItemOutcome, BatchOutcome, BatchResult, ExecuteInput, Failure,
    FailureType, PolicyDecision, Problems, RunStatus,
};
use airlock_runs::CommandState;
use serde_json::{Value, json};

use crate::context::{Ending, RunContext};
use crate::engine::Engine;
use crate::execute::{Work, check, drive};
use crate::run::{self, CommandEnd, Halt, Price, Run, Stop, now_ms};

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
        let parsed = BatchInput::parse(&input, limits).map_err(Failure::from)?;
        drop(input);
        let mut problems = Problems::default();
        for (i, command) in parsed.runs().enumerate() {
            check(&command, &format!("commands[{i}]."), &mut problems);
        }
        if parsed.max_parallel > 1 {
            problems.add("maxParallel", "above 1 is not offered by this version; leave it out");
        }
        problems.or(()).map_err(Failure::from)?;
        run::refuse_shared(parsed.sandbox_id.as_deref())?;
        let count = parsed.commands.len();
        let mut run = Run::new(self.core.clone(), ctx, parsed.run_id.clone(), count);
        // Both streams of all commands share what a batch may hold.
        let share = self.core.config.output.batch / (2 * count.max(1));
        run.stream_cap = run.stream_cap.min(share).max(MIN_STREAM);
        drive(run, ctx, Work::Batch(Box::new(parsed))).await
    }
}

/// What became of the commands so far.
struct Progress {
    items: Vec<BatchItem>,
    stopped: Option<BatchOutcome>,
}

/// Whether the next command may be started.
enum Go {
    Yes(Duration),
    Stop,
}

/// A batch, step by step.
pub(crate) async fn run(run: &mut Run, stop: Stop<'_>, input: &BatchInput) -> Result<Value, Halt> {
    let inputs: Vec<ExecuteInput> = input.runs().collect();
    if input.dry_run {
        return plan(run, input, &inputs).await;
    }
    let canonical = serde_json::to_value(input).unwrap_or_default();
    if let Some(outcome) = stop.or(run.claim(&canonical)).await? {
        return Err(Halt::Over(Box::new(run::replay(&outcome))));
    }
    let decisions = stop.or(run.decide(&inputs)).await?;
    stop.or(run.approve(&inputs, &decisions, input.approval_id.as_deref())).await?;
    let mut progress = Progress { items: Vec::with_capacity(inputs.len()), stopped: None };
    for (index, command) in (0..).zip(&inputs) {
        let decision = decisions.get(index as usize);
        let Some(decision) = decision else { break };
        step(run, stop, input, index, command, &decisions, decision, &mut progress).await?;
    }
    finish(run, stop, input, progress).await
}

#[expect(clippy::too_many_arguments, reason = "one command and the batch around it")]
async fn step(
    run: &mut Run,
    stop: Stop<'_>,
    batch: &BatchInput,
    index: u32,
    command: &ExecuteInput,
    decisions: &[PolicyDecision],
    decision: &PolicyDecision,
    progress: &mut Progress,
) -> Result<(), Halt> {
    if progress.stopped.is_some() {
        progress.items.push(item(index, BatchItemOutcome::Skipped));
        return Ok(());
    }
    let known = run.ended(index);
    let slot = if batch.shared_sandbox { 0 } else { index };
    let ended = match known {
        Some(end) => {
            if run.hold.is_none() {
                run.reserve(price(run, batch, command)).await?;
            }
            Ok(end)
        }
        None => match may_go(run, stop, batch, command).await? {
            Go::Stop => {
                progress.stopped = Some(BatchOutcome::Stopped);
                progress.items.push(item(index, BatchItemOutcome::Skipped));
                return Ok(());
            }
            Go::Yes(timeout) => {
                let mut command = command.clone();
                command.timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
                let spec = run.spec(&command, decisions, slot);
                run_one(run, stop, &command, index, batch.shared_sandbox, &spec).await
            }
        },
    };
    match ended {
        Ok(end) => keep(run, batch, index, command, decision, end, progress),
        Err(halt) => stopped_by(run, index, halt, progress)?,
    }
    if !batch.shared_sandbox {
        run.end_sandbox().await?;
    }
    Ok(())
}

async fn run_one(
    run: &mut Run,
    stop: Stop<'_>,
    command: &ExecuteInput,
    index: u32,
    shared: bool,
    spec: &run::SandboxSpec,
) -> Result<CommandEnd, Halt> {
    stop.or(run.sandbox(spec)).await?;
    let last_in_sandbox = !shared;
    run.command(stop, command, index, !last_in_sandbox).await
}

/// Whether time and budget are left for `command`, and how long it may run.
async fn may_go(
    run: &mut Run,
    stop: Stop<'_>,
    batch: &BatchInput,
    command: &ExecuteInput,
) -> Result<Go, Halt> {
    stop.check()?;
    let own = Duration::from_millis(command.timeout_ms);
    let timeout = match batch.timeout_ms {
        None => own,
        Some(limit) => {
            let gone = u64::try_from(now_ms().saturating_sub(run.claimed_at_ms)).unwrap_or(0);
            let left = Duration::from_millis(limit.saturating_sub(gone));
            if left.is_zero() {
                return Ok(Go::Stop);
            }
            own.min(left)
        }
    };
    let price = price(run, batch, command);
    if run.hold.is_none() {
        run.reserve(price.clone()).await?;
    }
    match run.extend(price).await {
        Ok(()) => Ok(Go::Yes(timeout)),
        // Commands that ran keep their results; there is no money for another.
        Err(Halt::Failed(failure)) if run::is_refusal(failure.kind) && run.may_have_started() => {
            Ok(Go::Stop)
        }
        Err(halt) => Err(halt),
    }
}

/// What the batch comes to, up to the end of `command`.
fn price(run: &Run, batch: &BatchInput, command: &ExecuteInput) -> Price {
    let alive = run.live.as_ref().map_or(Duration::ZERO, run::Live::age);
    let so_far = run::billed(&run.bills) + alive;
    let longest = run.core.longest(command);
    let before_and_after = so_far + run.core.around();
    Price {
        template: run.core.template(batch.template.as_ref()),
        covers: before_and_after + longest.min(run.core.config.slice),
        total: before_and_after + longest,
        fee: fees(batch),
        max: None,
    }
}

/// The fees of all commands, held from the beginning.
fn fees(batch: &BatchInput) -> airlock_contract::Usd {
    batch
        .runs()
        .filter_map(|input| input.cost?.fee_usd)
        .fold(airlock_contract::Usd::ZERO, airlock_contract::Usd::saturating_add)
}

fn keep(
    run: &Run,
    batch: &BatchInput,
    index: u32,
    command: &ExecuteInput,
    decision: &PolicyDecision,
    end: CommandEnd,
    progress: &mut Progress,
) {
    let outcome = match end.status {
        RunStatus::Completed if end.exit_code == Some(0) => BatchItemOutcome::Completed,
        RunStatus::TimedOut => BatchItemOutcome::TimedOut,
        RunStatus::Killed => BatchItemOutcome::Killed,
        RunStatus::Completed | RunStatus::OutOfBudget | RunStatus::DryRun => {
            BatchItemOutcome::Failed
        }
    };
    if outcome != BatchItemOutcome::Completed && batch.stop_on_failure {
        progress.stopped = Some(BatchOutcome::Stopped);
    }
    let mut result = run.blank(command, decision.clone());
    end.fill(&mut result);
    progress.items.push(BatchItem { index, outcome, result: Some(result) });
}

/// A command that gave no end: its outcome is unknown, or the sandbox went before it was started.
fn stopped_by(run: &mut Run, index: u32, halt: Halt, progress: &mut Progress) -> Result<(), Halt> {
    let started = run.commands.get(&index) == Some(&CommandState::Starting);
    let unknown = match &halt {
        Halt::Failed(failure) => failure.kind == FailureType::OutcomeUnknown,
        Halt::Lost => started,
        Halt::Stopped(_) | Halt::Superseded | Halt::Over(_) => false,
    };
    if unknown {
        progress.stopped = Some(BatchOutcome::OutcomeUnknown);
        progress.items.push(item(index, BatchItemOutcome::OutcomeUnknown));
        return Ok(());
    }
    if matches!(halt, Halt::Lost) && !progress.items.is_empty() {
        progress.stopped = Some(BatchOutcome::Stopped);
        progress.items.push(item(index, BatchItemOutcome::Skipped));
        return Ok(());
    }
    Err(halt)
}

fn item(index: u32, outcome: BatchItemOutcome) -> BatchItem {
    BatchItem { index, outcome, result: None }
}

async fn finish(
    run: &mut Run,
    stop: Stop<'_>,
    batch: &BatchInput,
    progress: Progress,
) -> Result<Value, Halt> {
    let outcome = progress.stopped.unwrap_or(BatchOutcome::Completed);
    if run.hold.is_none()
        && let Some(first) = batch.runs().next()
    {
        run.reserve(price(run, batch, &first)).await?;
    }
    let word = serde_json::to_value(outcome).unwrap_or_default();
    let closed = run.close(stop, word.as_str().unwrap_or_default()).await?;
    let count = |wanted: &[BatchItemOutcome]| {
        let matching = progress.items.iter().filter(|item| wanted.contains(&item.outcome));
        u32::try_from(matching.count()).unwrap_or(u32::MAX)
    };
    let succeeded = count(&[BatchItemOutcome::Completed]);
    let skipped = count(&[BatchItemOutcome::Skipped]);
    let total = u32::try_from(progress.items.len()).unwrap_or(u32::MAX);
    let mut result = BatchResult {
        outcome,
        succeeded,
        failed: total - succeeded - skipped,
        skipped,
        results: progress.items,
        cost: closed.cost,
        budget_remaining: closed.remaining,
    };
    for item in &mut result.results {
        if let Some(result) = &mut item.result {
            result.budget_remaining = closed.remaining;
            result.receipt.clone_from(&closed.receipt);
        }
    }
    let value = serde_json::to_value(&result).unwrap_or_default();
    run.finish(stop, &json!({ "v": 1, "result": value })).await?;
    Ok(value)
}

/// `dryRun`: every command with its plan.
async fn plan(run: &mut Run, batch: &BatchInput, inputs: &[ExecuteInput]) -> Result<Value, Halt> {
    let longest: Duration = inputs.iter().map(|input| run.core.longest(input)).sum();
    let total = longest + run.core.around();
    let price = Price {
        template: run.core.template(batch.template.as_ref()),
        covers: total,
        total,
        fee: fees(batch),
        max: None,
    };
    let results = run.plans(inputs, &price).await?;
    let remaining = results.first().map(|result| result.budget_remaining).unwrap_or_default();
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
        budget_remaining: remaining,
    };
    Ok(serde_json::to_value(result).unwrap_or_default())
}
