//! The engine: each use case once - execute, batch, decisions, budgets. Knows no Temporal and no
//! HTTP; a door gives it a [`RunContext`] and JSON, and gets JSON or a failure.
//!
//! The promise it keeps for a run: a command is started at most once, costs no more than was held
//! for it, shows no secret, leaves no sandbox behind, and its result survives the death of this
//! process. Everything that lasts is in the run record, the ledger and the sandbox; an attempt
//! that dies at any point leaves what the next one needs.
//!
//! - [`Engine`] is made of [`Parts`]; it reads no environment.
//! - The way of one run is in `run/`, a file a step.
//! - Sandboxes that several activities share are in `shared/`.
//! - What nobody comes back for is ended by `reaper.rs`.
//! - The wrapper that runs in the sandbox is `wrapper.sh`.
//! - Every error becomes a failure in `failure.rs`.
#![forbid(unsafe_code)]

mod alerts;
mod approval_doors;
mod audit_doors;
mod batch;
mod clean;
mod config;
mod context;
mod desk;
mod doors;
mod engine;
mod execute;
mod failure;
pub mod faultpoint;
mod ledger_doors;
pub mod metrics;
mod plan;
mod pulse;
mod reaper;
mod run;
mod secrets;
mod shared;

pub use airlock_runs::{AdmissionLimits, BreakerSettings, Rate};
pub use alerts::Alerts;
pub use approval_doors::ApprovalDesk;
pub use config::{AdmissionConfig, AutoCreate, Config, LeaseLengths, Margins, OutputCaps};
pub use context::{Attempt, Ending, Liveness, RunContext, StopReason};
pub use desk::Desk;
pub use doors::{decide, invalid_input};
pub use engine::{Engine, Parts};
pub use failure::budget as budget_failure;
pub use reaper::{LivenessSource, ReapReport, Reaped};
pub use run::redacted;
pub use secrets::{NoSecrets, SecretSource};
pub use shared::SharedTimes;
