//! What each command of a batch cost: parts that add up to what the batch was charged.

use std::collections::BTreeMap;
use std::time::Duration;

use airlock_contract::CostReport;

use super::{Batch, Item, Progress};
use crate::run::{Run, billed};

/// The cost of each command that ended, by its index.
///
/// In one sandbox a command is charged from the end of the one before it to its own; the last one
/// also with what came after. In sandboxes of their own each is charged its own. Prices count
/// whole seconds, so a command's part is what the sum grew by with it.
pub(super) fn of(run: &Run, batch: &Batch<'_>, progress: &Progress) -> BTreeMap<u32, CostReport> {
    let seconds = if batch.input.shared_sandbox {
        in_order(run, progress)
    } else {
        let begun = progress.items.iter().filter(|(_, item)| item.end.is_some());
        begun.map(|(index, _)| (*index, run.billed_of(*index).as_secs_f64())).collect()
    };
    let prices = &run.core.prices;
    let template = run.core.template(batch.input.template.as_ref());
    let cost = |seconds: f64| {
        let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        if time.is_zero() { airlock_contract::Usd::ZERO } else { prices.cost(&template, time) }
    };
    let mut so_far = 0.0;
    let share = |(index, seconds): (u32, f64)| {
        let before = cost(so_far);
        so_far += seconds;
        let command = batch.commands.get(usize::try_from(index).ok()?)?;
        let price = batch.price_of(run, command);
        let report = CostReport {
            reserved_usd: run.worst_case(&price),
            spent_usd: price.fee.saturating_add(cost(so_far).saturating_sub(before)),
            seconds: (seconds * 1000.0).round() / 1000.0,
            drift_seconds: None,
            price_digest: prices.digest().to_owned(),
        };
        Some((index, report))
    };
    seconds.into_iter().filter_map(share).collect()
}

fn in_order(run: &Run, progress: &Progress) -> Vec<(u32, f64)> {
    let total = billed(&run.bills).as_secs_f64();
    let ended = |(index, item): (&u32, &Item)| Some((*index, item.end.as_ref()?.metered_seconds));
    let ends: Vec<(u32, f64)> = progress.items.iter().filter_map(ended).collect();
    let mut before = 0.0;
    let last = ends.len().saturating_sub(1);
    ends.into_iter()
        .enumerate()
        .map(|(position, (index, end))| {
            let end = if position == last { total } else { end.clamp(before, total.max(before)) };
            let seconds = end - before;
            before = end;
            (index, seconds.max(0.0))
        })
        .collect()
}
