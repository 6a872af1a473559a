//! The durable record of each shared sandbox: who opened it, what pays for it, who uses it now.
//!
//! A sandbox that several activities share outlives the activity that opened it, so its record is
//! a key of its own, in the account family's hash slot, beside the opener's run record. Handing a
//! sandbox over from its run to its own record is **one** script on both ([`Shared::register`]):
//! before it, the run's lease and the reaper answer for the sandbox; after it, this record does.
//!
//! Invariants:
//! - a sandbox is registered once, by the attempt that holds the opener's run; a superseded one
//!   registers nothing;
//! - `covers`, `held` and `lease` only grow, so a renewal that was lost or comes late does no harm;
//! - a **seat** is held by an execution, not by a worker: a later attempt of it takes the seat over
//!   with its higher fence, an earlier one can neither renew nor leave it. A seat whose lease ended
//!   stays taken: only who knows that its activity is closed frees it;
//! - `open` goes to `closing` to `closed` and never back; the first reason and the first end stand,
//!   so everybody who finishes a closing books the same amount;
//! - it holds no token: whoever uses the sandbox connects to it through the provider.
//!
//! Keys: `<prefix>:{<family>}:shared:<sandbox id>` (hash) and, fleet-wide, `<prefix>:shared` (sorted
//! by when somebody must look next).

mod agenda;
mod record;
mod scripts;
mod store;

pub use agenda::Due;
pub use record::{Ended, Fixed, Seat, SharedRecord};
pub use store::{Enter, Shared};
