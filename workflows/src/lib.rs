//! Workflows hosted by Airlock: deterministic, no I/O.
//!
//! [`SafeExecution`] and [`SafeExecutionBatch`] plan a run, wait for an approval if it needs one,
//! and run it; [`SandboxSession`] keeps one sandbox for its life. Everything that they do in the world is an activity; [`activities`] has the names
//! and types with which other workflows in Rust call the same activities.
//!
//! A workflow is replayed from its history, so its code may not look at clocks, randomness, files
//! or threads (`clippy.toml` here forbids the usual ones), and a change to the order of its commands
//! must be guarded with `patched`.
#![forbid(unsafe_code)]

pub mod activities;
mod approval;
mod execution;
mod options;
mod safe;
mod session;

pub use approval::{Answer, Status, WorkflowPhase};
pub use safe::{SafeExecution, SafeExecutionBatch};
pub use session::{SandboxSession, SessionPhase, SessionStatus};
