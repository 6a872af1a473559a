//! The ledger on every Redis and Valkey server found.

mod accounts;
mod circuit;
mod holds;
mod parents;
mod support;
