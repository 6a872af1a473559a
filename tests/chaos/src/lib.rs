//! The crash matrix: runs in which something dies, hangs or crawls at a named point, judged from
//! outside.
//!
//! ```text
//!  one run:   activity ──> Temporal (shared, or its own where it is to die)
//!                             │ proxy
//!                          worker, stopped at a fault point ──proxy──> Redis of its own
//!                             │ proxy
//!                          sandbox host of its own ──> sandbox ──> chaos-work
//!                                                                     │ a FIFO of the template
//!                          the harness counts starts and ends <───────┘
//! ```
//!
//! Every run has its own Redis, sandbox host, task queue and workers, so no run can hide what another
//! one did. What is believed: the bytes that the command itself sent out of its sandbox, the
//! ledger's records, the host's list of sandboxes, and what Temporal says the activity came to.
//! What the worker says about itself is compared with these and believed in nothing.
//!
//! - [`Fault`] and [`plan`](fault::plan): what is done, and where.
//! - [`Rig`]: the processes of one run.
//! - [`attempt`](run::attempt): one run from its start to its [`Report`].
//! - [`Tally`](tally::Tally): the table.
#![forbid(unsafe_code)]

pub mod fault;
pub mod judge;
pub mod process;
pub mod proxy;
pub mod rig;
pub mod run;
pub mod servers;
pub mod starts;
pub mod tally;
pub mod template;
pub mod trouble;

pub use fault::{Case, Fault};
pub use judge::Report;
pub use rig::{House, Rig};
pub use trouble::{Result, Trouble};
