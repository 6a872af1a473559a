//! An E2B-compatible sandbox host for one Linux machine.
//!
//! Two kinds of process: the **host** ([`Host`]) serves E2B's control plane and an edge on one
//! address and owns the sandboxes; **`airlock-sandbox-init`** is pid 1 of each sandbox, builds its
//! isolation and serves E2B's daemon (`envd`) inside it. Official E2B clients reach it by
//! `E2B_API_URL` and `E2B_SANDBOX_URL`, both set to the host's address.
//!
//! Isolation is that of Linux namespaces: user, mount, pid, network, ipc, uts and cgroup, with few
//! capabilities, a system call filter and cgroup limits. It keeps ordinary commands from harm and
//! from each other. It is **not** a virtual machine: a kernel bug is a way out, so hostile code at
//! scale belongs on E2B's own machines.
//!
//! Invariants:
//! - nothing runs outside isolation: what is missing is an error, what is weaker a warning;
//! - the end of a sandbox, for whatever reason, ends all its processes and cuts all its streams;
//! - the end of the host ends its sandboxes;
//! - a network rule that cannot be enforced turns the network off.

#[cfg(not(target_os = "linux"))]
compile_error!("sandboxes are made of Linux namespaces: this crate builds on Linux only");

mod boot;
mod cli;
mod config;
mod drain;
mod envd;
mod error;
pub mod faults;
#[doc(hidden)]
pub mod fuzzing;
#[allow(
    warnings,
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated from proto/ by regenerate/"
)]
mod generated;
mod host;
mod init;
mod wire;

pub use cli::{CliError, HostArgs, Template, new_api_key, serve_cli};
pub use config::{Config, Limits, Root, TemplateSource};
pub use error::Error;
pub use faults::{Fault, FaultAction};
pub use host::{Host, Probe};
pub use init::main as init_main;
