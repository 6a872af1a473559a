//! Why a host or a sandbox could not be started.

use std::io;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// What was asked for.
        address: std::net::SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The program that becomes the first process of each sandbox is missing.
    #[error(
        "{} is missing: install airlock-sandbox-init beside this program, or set its path",
        path.display()
    )]
    InitMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// This machine cannot isolate sandboxes, and nothing is run without isolation.
    #[error("this machine cannot isolate sandboxes: {reason}")]
    NoIsolation {
        /// What is missing, and how to get it.
        reason: String,
    },
    /// A fault rule of the configuration is wrong.
    #[error("faults")]
    Faults(#[source] crate::faults::FaultError),
    /// A sandbox could not be built.
    #[error("cannot build a sandbox: {reason}")]
    Build {
        /// The init's own words.
        reason: String,
    },
    /// A system call failed.
    #[error("{step}")]
    System {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}
