//! The durable record of each run in Redis: claim, fence, phase, sandbox, results, leases.
//!
//! A run is one execution of an activity, over all its attempts. Two attempts may be alive at
//! once: a worker that is cut off from Temporal still runs when the next attempt starts. The
//! record says which of them may act. Each attempt has a [`Fence`], a number that rises with
//! every attempt; the highest one that claimed the record holds it.
//!
//! Invariants:
//! - every call that writes checks the fence **in that write** (one Lua script): a superseded
//!   attempt gets [`Error::Superseded`] and writes nothing;
//! - a command is recorded as starting before it is started, once;
//! - the first result of a command, and the first outcome of a run, stand;
//! - the record outlives the lease of the sandbox bound to it;
//! - a sandbox is in the fleet's set of leases from before it is bound until it is cleaned up, so
//!   a crash anywhere leaves a lease for the reaper rather than an orphan.
//!
//! Keys: `<prefix>:{<family>}:exec:<executionId>` (hash), `<prefix>:leases` (sorted by expiry),
//! `<prefix>:{<family>}:shared:<sandbox id>` and `<prefix>:shared` ([`shared`]),
//! `<prefix>:schema`, `<prefix>:admission:{<name>}:...`, `<prefix>:leader:<name>`. The leases are in
//! another hash slot of a Cluster than the record, so they are a second call.
//!
//! [`Admission`], [`Breaker`] and [`Leadership`] are small neighbours: how fast and how many sandboxes
//! a fleet creates, whether their provider is up, and which process reaps.
//!
//! ```no_run
//! # async fn example(
//! #     conn: redis::aio::ConnectionManager,
//! #     run: airlock_runs::RunKey,
//! # ) -> Result<(), airlock_runs::Error> {
//! use airlock_runs::{Claim, Fence, Runs};
//!
//! let runs = Runs::new(conn, "airlock");
//! let fence = Fence(1_790_000_000_000_000);
//! let ttl = std::time::Duration::from_hours(24);
//! match runs.claim(&run, fence, "digest of the input", ttl).await? {
//!     Claim::Finished(outcome) => println!("done before: {outcome}"),
//!     Claim::Started(_) | Claim::Resumed(_) => {
//!         if runs.starting(&run, fence, 0).await? {
//!             // Nobody has started command 0 before.
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod admission;
mod breaker;
mod error;
mod leadership;
mod lease;
mod payload;
mod record;
mod runs;
mod schema;
mod scripts;
pub mod shared;

pub use admission::{Admission, AdmissionLimits, Admitted, Rate};
pub use breaker::{Breaker, BreakerSettings, Pass, Passage};
pub use error::Error;
pub use leadership::Leadership;
pub use lease::Lease;
pub use payload::MAX_PAYLOAD_BYTES;
pub use record::{BoundSandbox, CommandState, Fence, Record, RunKey};
pub use runs::{Bind, Claim, Runs};
pub use schema::SCHEMA_VERSION;
