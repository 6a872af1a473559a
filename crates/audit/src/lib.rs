//! The audit log: hash-chained records in Redis streams and JSON Lines files.
//!
//! Each process is one **writer** with one chain: every record holds the hash of the one before,
//! so none can be changed, removed or put between others without [`verify()`] seeing it. A restart
//! begins a new chain with a new writer id.
//!
//! A record is one line of JSON: its fields in alphabetical order without spaces, then the hash.
//!
//! ```text
//! {"at":"...","data":{...},"executionId":"...","kind":"...","prevHash":"...","runId":"...",
//!  "sequence":1,"v":1,"writer":"...","hash":"<SHA-256 of the line without this field>"}
//! ```
//!
//! Invariants:
//! - the order of a chain is its sequence, 1, 2, 3..., in every sink;
//! - [`Log::append`] answers `Ok` only after a required sink has the record; it fails closed;
//! - a record whose writing failed or was interrupted is written again, the same, before the next.
//!
//! What a chain alone cannot show is that its newest records were cut off, or that somebody wrote
//! all of it anew. Receipts can: each result carries one into Temporal's history, and
//! [`Verifier::expecting`] holds a chain to them.
//!
//! Records are written as they are given: redact them first.
//!
//! ```no_run
//! # async fn example() -> Result<(), airlock_audit::Error> {
//! use airlock_audit::{Event, Log, Reader, Sink};
//!
//! let log = Log::new(vec![Sink::file("audit.jsonl", true).await?]);
//! let receipt = log.append(Event::new("policy.decided").with("outcome", "deny")).await?;
//! assert_eq!(receipt.sequence, 1);
//! assert!(Reader::file("audit.jsonl").verify(None).await?.is_intact());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod canonical;
mod error;
mod log;
mod read;
mod record;
mod sink;
mod verify;

pub use error::Error;
pub use log::Log;
pub use read::{Filter, Reader};
pub use record::{Event, MAX_RECORD_BYTES, Record, Sealed};
pub use sink::{RedisOptions, Sink};
pub use verify::{ChainReport, Fault, Span, Verification, Verifier, verify};
