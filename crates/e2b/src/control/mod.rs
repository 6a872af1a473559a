//! The control plane: creating, finding, prolonging and ending sandboxes over REST.
//!
//! # What is tried again
//!
//! A call that is harmless to repeat is tried again on a refused connection, a cut, a timeout and
//! on 429, 502, 503 and 504, with the provider's `Should-Retry` and `Retry-After` above our own
//! backoff, and never past the call's deadline. Creation is harmless to repeat only with an
//! idempotency key on an API that knows it (v2); else it is repeated only where nothing was done:
//! a connection that never stood, or a rate limit.
//!
//! # Versions
//!
//! Creation, connection and listing use v2 and go over to v1 when v2 is answered by 404 or 405,
//! as older self-hosted clusters do. Because 404 also means an unknown template or sandbox, one
//! success of v2 ends that for good.

mod call;
mod client;
mod list;
mod types;
pub(crate) mod wire;

pub use client::Client;
pub use types::{CreateSandbox, ListQuery, Metric, Network, Order, SandboxInfo, SandboxState};
