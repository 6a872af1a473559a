//! The runtime on a real Temporal server: what arrives at a handler, and what comes of its answers.
//!
//! The server is `temporal server start-dev`, started on a free port and killed at the end.

mod server;
mod standalone;
mod worker;
mod workflow;
