//! The door for Temporal: activities polled through core, one thin function each.
//!
//! [`connect()`] finds the server, [`run()`] serves the engine's activities on it until it is told to
//! stop, and [`client`] is the other side, for the command line. Everything that names a Temporal
//! type stays in this crate, and what it exports are boxed futures, so that the program that calls
//! them links fast.
#![forbid(unsafe_code)]

mod activities;
mod approval;
mod budget;
pub mod client;
mod connect;
mod connection;
mod error;
mod execute;
mod liveness;
mod policy;
mod profile;
mod run;
pub mod runtime;
mod shared;
mod workflow_host;

pub use connect::{ConnectOptions, connect};
pub use connection::Connection;
pub use error::Error;
pub use liveness::{liveness, workflow_liveness};
pub use run::{Options, Queue, run, run_queues};
pub use workflow_host::{WorkflowOptions, WorkflowSet, run_workflows};
