//! Approvals: a person lets one action through, once.
//!
//! A request is bound to a digest of exactly what would be approved: the account, the arguments
//! and the policy that asked. A granted approval opens the way for **one execution** with that
//! digest. The same execution may present it again on a retry; another one may not.
//!
//! Invariants:
//! - asking again for the same digest in the same execution finds the same request;
//! - a request is answered once; the first answer stands;
//! - what is not answered or not used in time is void, by Redis's clock;
//! - every step is one Lua script, so no two callers can both win.
//!
//! Keys: `<prefix>:approval:{<id>}` (hash), `<prefix>:approvals:pending` (ids sorted by expiry, in
//! another hash slot of a Cluster; [`Approvals::list`] puts right what a crash in between left),
//! `<prefix>:approval:{<id>}:sent:...` (webhooks).
//!
//! ```no_run
//! # async fn example(
//! #     conn: redis::aio::ConnectionManager,
//! #     new: airlock_approval::NewRequest,
//! # ) -> Result<(), airlock_approval::Error> {
//! use airlock_approval::{Approvals, Options};
//!
//! let approvals = Approvals::new(conn, "airlock", Options::default());
//! let asked = approvals.request(&new).await?;
//! approvals.approve(&asked.id, "ada@example.com").await?;
//! approvals.consume(&asked.id, &new.digest(), &new.execution).await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod approval;
mod approvals;
mod error;
pub mod webhook;

/// Where an approval is.
pub use airlock_contract::ApprovalState as State;
pub use approval::{Approval, NewRequest, approval_digest};
pub use approvals::{Approvals, Options};
pub use error::Error;
