//! The small room between Temporal and the handlers.
//!
//! A [`Registry`] maps activity types to async handlers: a [`Context`] and a JSON value in, a JSON
//! value or an [`Ending`](airlock_engine::Ending) out. The runtime polls one task queue through
//! Temporal's core, runs each task in a task of its own, and answers it exactly once. It knows
//! nothing of policy or sandboxes.
//!
//! ```text
//!   poll ──Start──> attempt ──spawn──> handler(Context, Value)
//!    │                 │  ▲                │ heartbeat, stopped, liveness
//!    └──Cancel──> stop signal              ▼
//!                      └── answer: completed, failed or cancelled
//! ```
//!
//! Invariants:
//! - one caller of the poll; its future is never dropped; it ends with core's `ShutDown`;
//! - every task is answered, also when the handler panics or ignores the drain's hard stop;
//! - heartbeats flow from the first instant until the answer, whatever the handler does;
//! - a handler learns why it must stop, and only a real cancellation is answered `Cancelled`;
//! - nothing of a panic or of a foreign error reaches the history: a correlation id does.
//!
//! Core's API promises no stability: its worker is driven in `worker` alone, what it hands out is
//! read in `start`, and what it takes is made in `answer` and `wire`.

mod answer;
mod attempt;
mod beat;
mod context;
mod registry;
mod start;
mod stop;
pub(crate) mod wire;
mod worker;

pub use context::Context;
pub use registry::{Handler, Registry};
pub use worker::QueueOptions;
pub(crate) use worker::serve;
