//! Each use case once: execute, batch, budgets, decisions; knows no Temporal and no HTTP.
#![forbid(unsafe_code)]

mod context;

pub use context::{Attempt, Ending, Liveness, RunContext, StopReason};
