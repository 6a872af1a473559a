//! Commands that each have a sandbox of their own, some of them side by side.
//!
//! Each runs in a lane: the same attempt at the same run, with a sandbox and a command of its own.
//! The run keeps the lanes, and a future for each is only the work in it: let go of it, and the run
//! still knows what runs, to hand it over or to end it.
//!
//! What an earlier attempt began comes first, whatever happened to the others: it runs already.
//! Once the batch is stopped nothing more is begun, and what runs comes to its end.

use std::sync::Arc;
use std::time::Duration;

use airlock_contract::{BatchOutcome, ExecuteInput, Failure, FailureType};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Mutex;

use super::{Batch, Go, Progress, is_unknown, pay};
use crate::run::{self, CommandEnd, Halt, Run, SandboxSpec, Stop};

/// What a lane came to.
struct Done {
    index: u32,
    ended: Result<CommandEnd, Halt>,
    is_unknown: bool,
}

pub(super) async fn run(
    run: &mut Run,
    stop: Stop<'_>,
    batch: &Batch<'_>,
) -> Result<Progress, Halt> {
    run.spread_out();
    let mut progress = Progress::default();
    let mut waiting = queue(run, batch, &mut progress);
    // The first failure that another attempt may get over; what runs comes to its end before.
    let mut failed = None;
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < at_once(batch)
            && let Some(index) = waiting.pop()
        {
            let is_open = progress.stopped.is_none() && failed.is_none();
            if !is_open && !run.has_begun(index) {
                continue;
            }
            match open(run, stop, batch, index).await? {
                Some(work) => running.push(work),
                None => progress.stopped = Some(BatchOutcome::Stopped),
            }
        }
        let Some(Done { index, ended, is_unknown }) = running.next().await else { break };
        // A lane that was told to stop stays open: what becomes of its command is decided for all.
        if let Err(halt @ (Halt::Stopped(_) | Halt::Superseded | Halt::Over(_))) = ended {
            return Err(halt);
        }
        run.close_lane(index).await;
        match ended {
            Ok(end) => progress.ended(batch, index, end),
            Err(_) if is_unknown => progress.unknown(index),
            Err(Halt::Lost) => failed = failed.or_else(|| Some(Halt::Failed(lost()))),
            Err(Halt::Failed(failure)) if failure.kind.is_retryable() => {
                failed = failed.or(Some(Halt::Failed(failure)));
            }
            Err(halt) => return Err(halt),
        }
    }
    let is_open = |index| run.has_begun(index) && !progress.items.contains_key(&index);
    let is_left = progress.stopped.is_none() || batch.numbered().any(|(index, _)| is_open(index));
    match failed {
        Some(halt) if is_left => Err(halt),
        // Of what another attempt could do, the batch begins nothing any more.
        _ => Ok(progress),
    }
}

/// The commands that are to be run, the next one last; what has ended for good is progress.
fn queue(run: &Run, batch: &Batch<'_>, progress: &mut Progress) -> Vec<u32> {
    let (mut begun, mut rest) = (Vec::new(), Vec::new());
    for (index, _) in batch.numbered() {
        match run.ended(index) {
            Some(end) if !run.has_sandbox(index) => progress.ended(batch, index, end),
            _ if run.has_begun(index) => begun.push(index),
            _ => rest.push(index),
        }
    }
    begun.extend(rest);
    begun.reverse();
    begun
}

fn at_once(batch: &Batch<'_>) -> usize {
    usize::try_from(batch.input.max_parallel).unwrap_or(1).max(1)
}

/// Pays for command `index` and opens its lane; none if neither time nor money is left for it.
async fn open<'s>(
    run: &mut Run,
    stop: Stop<'s>,
    batch: &Batch<'_>,
    index: u32,
) -> Result<Option<impl Future<Output = Done> + Send + use<'s>>, Halt> {
    let at = usize::try_from(index).unwrap_or(usize::MAX);
    let Some(command) = batch.commands.get(at) else { return Ok(None) };
    let mut command = command.clone();
    let mut price = batch.price_of(run, &command);
    // What the command's sandboxes have cost before is paid on top of a new one.
    price.covers += run.billed_of(index);
    price.total = price.covers;
    let covers = run.open_time(index) + price.covers;
    let whole = batch.price(run, covers, covers);
    if run.has_begun(index) {
        if run.hold.is_none() {
            stop.or(run.reserve(whole)).await?;
        }
    } else {
        let Some(time) = batch.time_left(run, &command) else { return Ok(None) };
        let Go::Yes(time) = pay(run, stop, whole, time).await? else { return Ok(None) };
        command.timeout_ms = millis(time);
    }
    let spec = run.spec(&command, &batch.decisions, index);
    let lane = run.open_lane(index, price);
    Ok(Some(work(lane, stop, command, spec, index)))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Runs one command to its end, and its sandbox's.
async fn work(
    lane: Arc<Mutex<Run>>,
    stop: Stop<'_>,
    command: ExecuteInput,
    spec: SandboxSpec,
    index: u32,
) -> Done {
    let mut run = lane.lock_owned().await;
    let mut ended = Box::pin(one(&mut run, stop, &command, &spec, index)).await;
    let is_unknown = ended.as_ref().is_err_and(|halt| is_unknown(&run, index, halt));
    // Whatever came of the command, its sandbox has done its work.
    if (ended.is_ok() || is_unknown || matches!(ended, Err(Halt::Lost)))
        && let Err(halt) = Box::pin(run.end_sandbox_with(&run::Patience::new(), stop)).await
    {
        ended = Err(halt);
    }
    Done { index, ended, is_unknown }
}

async fn one(
    run: &mut Run,
    stop: Stop<'_>,
    command: &ExecuteInput,
    spec: &SandboxSpec,
    index: u32,
) -> Result<CommandEnd, Halt> {
    if let Some(end) = run.ended(index) {
        return Ok(end);
    }
    run.refuse_another_sandbox(index)?;
    stop.or(run.sandbox(spec)).await?;
    run.command(stop, command, index, false).await
}

fn lost() -> Failure {
    Failure::new(
        FailureType::SandboxUnavailable,
        "a sandbox went away before its command was started; the next attempt gets another",
    )
}
