//! The runtime on a real Temporal server: what arrives at a handler, and what comes of its answers.
//!
//! The server is `temporal server start-dev`, started on a free port and killed at the end.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

mod connecting;
mod server;
mod standalone;
mod worker;
mod workflow;
