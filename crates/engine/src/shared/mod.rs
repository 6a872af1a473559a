//! Sandboxes that several activities share.
//!
//! ```text
//! openSandbox ──> a run like any other, up to its sandbox; then the sandbox gets a record of its own
//! commands    ──> take a seat, run, give the seat back; the sandbox stays
//! closeSandbox ─> closing ─> kill ─> book ─> closed          (the keeper does the same)
//! ```
//!
//! **Who answers for it.** Until it is registered, the opener's run, its lease and the reaper, as
//! for any sandbox. From then on its record ([`airlock_runs::shared`]) and the keeper (`keeper.rs`),
//! a part of the reaper's pass: it asks Temporal whether the workflow is open, renews the sandbox
//! while it is, and closes it when it is not. Any worker can be the keeper, none keeps anything in
//! memory, so a worker that dies takes nothing with it. If every worker is gone, the sandbox ends
//! with its lease, which is minutes.
//!
//! **What it costs.** One hold for its whole life, raised a slice at a time: by the keeper while it
//! is idle, by a command before it starts (`cover`), never beyond what the account, its own
//! `cost.maxUsd` and its longest life allow. The provider is never asked for time that is not paid.
//! Commands book only their own fees.
//!
//! **Commands.** At most `maxConcurrent` have a seat. A seat is an execution's, so a retry on any
//! worker has it still; one whose activity Temporal calls closed is freed by whoever wants it next,
//! after its processes are ended and its run is fenced off. What ends a command - cancellation, a
//! failure for good - ends its process tree and not the sandbox. Children that a command leaves
//! behind live on.
//!
//! | killed between | what is left | who goes on |
//! |---|---|---|
//! | creation and registration | the opener's lease | its next attempt, else the reaper |
//! | registration and the agenda | the opener's finished run and lease | its next attempt, else the reaper puts it on the agenda |
//! | seat and start | the seat | the next attempt; else whoever wants the seat |
//! | `closing`, kill, booking, `closed` | a record that is closing | anybody: every step can be done again, and books the same |
//! | two workers close at once | | both do every step; the first end and cost stand |

mod borrow;
mod close;
mod evict;
mod files;
mod health;
mod keeper;
mod open;
mod packages;
mod pay;

use std::time::Duration;

use airlock_contract::{BatchInput, ExecuteInput, Failure, FailureType, Problems};

pub(crate) use borrow::Borrowed;
pub(crate) use files::{download, upload};
pub(crate) use keeper::Keeper;
pub(crate) use open::open;
pub(crate) use packages::install;

/// How shared sandboxes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedTimes {
    /// Sandbox time that is paid for and asked for at once while it is idle. Default 10 minutes: as
    /// long as a fleet may be down without losing an idle sandbox.
    pub slice: Duration,
    /// Between two looks of the keeper at one sandbox, at least. Default 20 s.
    pub look: Duration,
}

impl Default for SharedTimes {
    fn default() -> Self {
        Self { slice: Duration::from_mins(10), look: Duration::from_secs(20) }
    }
}

/// What a command in a shared sandbox cannot choose for itself.
pub(crate) fn check(input: &ExecuteInput, problems: &mut Problems) {
    if input.sandbox_id.is_none() {
        return;
    }
    for (field, is_given) in
        [("template", input.template.is_some()), ("network", input.network.is_some())]
    {
        if is_given {
            problems.add(field, OWN);
        }
    }
}

/// The same for a batch: its commands share the one sandbox that there is.
pub(crate) fn check_batch(batch: &BatchInput, problems: &mut Problems) {
    if batch.sandbox_id.is_none() {
        return;
    }
    for (field, is_given) in
        [("template", batch.template.is_some()), ("network", batch.network.is_some())]
    {
        if is_given {
            problems.add(field, OWN);
        }
    }
    if !batch.shared_sandbox {
        problems.add("sharedSandbox", "must be true with sandboxId: all run in that sandbox");
    }
}

const OWN: &str = "is the sandbox's own, given to openSandbox; leave it out";

/// No such sandbox for this account. Another account's is not told apart from none.
fn not_found() -> Failure {
    Failure::new(
        FailureType::SandboxNotFound,
        "sandboxId names no sandbox that Airlock opened for this runId; open one with openSandbox",
    )
}

/// It was, and is not any more.
fn closed() -> Failure {
    Failure::new(
        FailureType::SandboxNotFound,
        "the shared sandbox is closed; sandboxHealth says why, openSandbox opens another",
    )
}

/// Milliseconds of `duration`.
fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// `count` milliseconds; none below zero.
fn from_ms(count: i64) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0))
}
