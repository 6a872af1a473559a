//! What can go wrong with the audit log.

use std::path::PathBuf;

/// Why a record was not written or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No required sink took the record: do not do what was to be recorded. The record may appear
    /// in the log all the same.
    #[error("the audit log cannot be written")]
    Unavailable,
    /// The event is larger than a record may be.
    #[error("an audit record of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Size of the record.
        bytes: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// The file of the log cannot be opened, written or read.
    #[error("the audit file {} cannot be used", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Redis does not answer.
    #[error("the audit stream cannot be used")]
    Redis(#[from] redis::RedisError),
    /// A sink did not answer in time.
    #[error("an audit sink did not answer in time")]
    TimedOut,
}
