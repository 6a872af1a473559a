//! `BudgetTracker`: money, price card and a ledger in Redis.
//!
//! A spending is either booked at once ([`Ledger::spend`]) or held first and settled when its cost
//! is known ([`Ledger::reserve`], [`Ledger::settle`], [`Ledger::void`]). Each operation is one
//! script, so one round trip, and nothing comes between its reads and its writes.
//!
//! Invariants:
//! - `spent + reserved` of an account and of every account above it passes its limit only by a
//!   settlement that came to more than was held;
//! - an id counts once: the same call again finds the same answer, the same id with other arguments
//!   is [`Error::Conflict`];
//! - a hold lives as long as its lease, by the clock of Redis; then its amount is returned by the
//!   next operation on its family or by [`Ledger::sweep`], whichever comes first;
//! - a circuit breaker that is open refuses without writing;
//! - amounts are whole nano-USD and never take part in floating-point arithmetic outside 2^53.
//!
//! An account family (the name up to its first `/`) is one hash slot of a cluster. Works on Redis
//! from 6.2 and on Valkey.
#![forbid(unsafe_code)]

mod answer;
mod error;
mod history;
mod ledger;
mod prices;
mod reply;
mod request;
mod script;

pub use airlock_contract::{LedgerEntry, LedgerEntryKind as EntryKind};
pub use error::Error;
pub use ledger::Ledger;
pub use prices::{InvalidPrices, PriceCard, Spec};
pub use reply::{Alert, AlertNotice, AlertObserver, Reserved, Settled};
pub use request::{HoldKey, NewBudget, Settings};
