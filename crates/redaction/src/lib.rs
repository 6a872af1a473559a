//! Redactor: streaming, linear-time removal of secrets from output.
//!
//! Secrets are found by their shape (`ghp_...`), by the name they stand under
//! (`password = ...`), by where they stand (`https://user:...@host`), or because this
//! process knows them (environment values, in every usual encoding), and are replaced by
//! `[REDACTED:kind]`.
//!
//! Invariants, each held by a test:
//! - the output of a [`Stream`] does not depend on how its bytes were cut;
//! - at most 16 KiB are held back, usually under 128 bytes;
//! - time is linear in the input, whatever the input;
//! - redacting twice changes nothing;
//! - nothing but a marker is ever added.
//!
//! ```
//! use airlock_redaction::Redactor;
//!
//! let redactor = Redactor::builtin();
//! assert_eq!(
//!     redactor.redact("postgres://app:hx7Tq9pL@db:5432/app"),
//!     "postgres://app:[REDACTED:url_password]@db:5432/app",
//! );
//! ```
#![forbid(unsafe_code)]

mod class;
mod compiled;
mod context;
mod custom;
mod error;
#[cfg(test)]
mod examples;
mod frequency;
mod gate;
mod index;
mod json;
mod known;
mod lists;
pub mod logs;
mod names;
#[cfg(test)]
mod page;
mod pem;
mod redactor;
mod report;
mod scan;
mod shape;
mod shapes;
mod special;
mod text;
mod words;
mod work;

pub use custom::CustomPattern;
pub use error::Error;
pub use known::Refusal;
pub use names::is_secret_name;
pub use redactor::{Builder, Redactor, Stream};
pub use report::{Found, MOST_FOUND, Report};
