//! Commands in one sandbox, in order: they share files, not shell state.

use airlock_contract::{BatchOutcome, ExecuteInput};

use super::{Batch, Go, Progress, is_unknown, pay};
use crate::run::{CommandEnd, Halt, Price, Run, Stop};

pub(super) async fn run(
    run: &mut Run,
    stop: Stop<'_>,
    batch: &Batch<'_>,
) -> Result<Progress, Halt> {
    let mut progress = Progress::default();
    for (index, command) in batch.numbered() {
        if progress.stopped.is_some() {
            break;
        }
        if let Some(end) = run.ended(index) {
            if run.hold.is_none() {
                stop.or(run.reserve(price(run, batch, command))).await?;
            }
            progress.ended(batch, index, end);
            continue;
        }
        match one(run, stop, batch, index, command).await {
            Ok(Some(end)) => progress.ended(batch, index, end),
            Ok(None) => progress.stopped = Some(BatchOutcome::Stopped),
            Err(halt) if is_unknown(run, index, &halt) => progress.unknown(index),
            // The sandbox went before this one was started: the files of the others are gone.
            Err(Halt::Lost) if index > 0 => progress.stopped = Some(BatchOutcome::Stopped),
            Err(halt) => return Err(halt),
        }
    }
    Ok(progress)
}

/// Runs one command; none if neither time nor money is left for it.
async fn one(
    run: &mut Run,
    stop: Stop<'_>,
    batch: &Batch<'_>,
    index: u32,
    command: &ExecuteInput,
) -> Result<Option<CommandEnd>, Halt> {
    let Some(time) = batch.time_left(run, command) else { return Ok(None) };
    let price = price(run, batch, command);
    let Go::Yes(time) = pay(run, stop, price, time).await? else { return Ok(None) };
    let mut command = command.clone();
    command.timeout_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let spec = run.spec(&command, &batch.decisions, 0);
    run.refuse_another_sandbox(index)?;
    stop.or(run.sandbox(&spec)).await?;
    run.command(stop, &command, index, true).await.map(Some)
}

/// What the batch comes to, up to the end of `command`; a long one is paid slice by slice.
fn price(run: &Run, batch: &Batch<'_>, command: &ExecuteInput) -> Price {
    let before_and_after = run.used() + run.core.around();
    let longest = run.core.longest(command);
    let held = before_and_after + longest.min(run.core.config.slice);
    batch.price(run, held, before_and_after + longest)
}
