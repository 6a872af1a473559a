//! The door for Temporal: activities polled through core, one thin function each.
//!
//! [`connect`] finds the server, [`run`] serves the engine's activities on it until it is told to
//! stop, and [`client`] is the other side, for the command line. Everything that names a Temporal
//! type stays in this crate, and what it exports are boxed futures, so that the program that calls
//! them links fast.
#![forbid(unsafe_code)]

pub mod client;
mod connect;
mod connection;
mod error;
mod liveness;
mod profile;
mod run;
pub mod runtime;

pub use connect::{ConnectOptions, connect};
pub use connection::Connection;
pub use error::Error;
pub use liveness::liveness;
pub use run::{Options, Queue, run_queues};
