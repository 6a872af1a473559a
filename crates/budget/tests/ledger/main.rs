//! The ledger on every Redis and Valkey server found.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails, in its helpers too; the output says on which server"
)]

mod accounts;
mod alerts;
mod circuit;
mod cluster;
mod commands;
mod concurrency;
mod holds;
mod killed;
mod model;
mod outages;
mod parents;
mod periods;
mod random;
mod support;
