//! End to end: a real Temporal server, a real Redis, real sandboxes, the real program.
//!
//! Each test starts a stack of its own with `airlock dev` on free ports, in a temporary folder,
//! and stops it; after each, no sandbox is left and the ledger balances.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says why and ends"
)]

mod approvals;
mod budgets;
mod canary;
mod cli;
mod clients;
mod endings;
mod harness;
mod http;
mod policy;
mod shared;
mod workers;
