//! The policy gate: may this command run?
//!
//! A command is read by a real shell parser, evaluated without running it, and lowered to typed
//! [`Effect`]s: files deleted, hosts reached, statements sent to a database. Rules of a policy, a
//! TOML document, speak of effects; the strictest rule decides. The gate is pure: no I/O, no
//! clock, and the same request gives the same [`Decision`].
//!
//! Every byte of a request is hostile. Length, nesting and work are capped, nothing panics, and
//! what could not be analysed is an outcome of its own with a reason code.
//!
//! What no command gate can see - scripts on disk, `make`, child processes - is named in
//! [`Decision::unseen`]; the sandbox is the second wall.
//!
//! ```
//! use airlock_policy::{Gate, Outcome, Request};
//!
//! let gate = Gate::builtin();
//! let decision = gate.decide(&Request::command("rm -rf / --no-preserve-root"));
//! assert_eq!(decision.outcome, Outcome::Deny);
//! assert_eq!(gate.decide(&Request::command("rm -rf ./build")).outcome, Outcome::Allow);
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![allow(
    clippy::match_same_arms,
    reason = "a match over command names keeps one arm for each family"
)]
#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "paths are Linux paths, where case counts"
)]

mod action;
mod analyse;
mod code;
mod decision;
mod document;
mod effect;
mod effects;
mod eval;
mod gate;
mod glob;
mod hosts;
mod nearest;
mod network;
mod paths;
mod policy;
mod request;
mod rules;
mod shell;

/// The longest command or source that is analysed, in bytes.
pub const MAX_COMMAND_BYTES: usize = 65_536;

pub use action::{Action, UnknownAction};
pub use decision::{Decision, Mode, Outcome, Severity};
pub use document::LoadError;
pub use effect::{Certainty, Effect, EffectKind};
pub use gate::{DEFAULT_POLICY, Example, Gate};
pub use hosts::HostPattern;
pub use network::{Egress, Gap, NetworkPolicy};
pub use policy::{Origin, Warning};
pub use request::{Code, Package, Request};
pub use rules::{Approvals, Rule, Switch};
