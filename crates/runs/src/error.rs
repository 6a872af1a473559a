//! What can go wrong with a run record.

/// Why a call did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A later attempt holds the run. Nothing was written; stop, and touch only what this attempt
    /// alone created.
    #[error("a later attempt holds this run")]
    Superseded,
    /// The same execution was claimed with another input.
    #[error("this execution was claimed with another input")]
    Conflict,
    /// There is no record: it expired, was evicted, or was never claimed. What the run did before
    /// is not known.
    #[error("the run has no record")]
    Missing,
    /// The call does not fit the state of the record: a bug of the caller.
    #[error("{0}")]
    OutOfOrder(&'static str),
    /// A result or note is larger than the record may keep.
    #[error("{bytes} bytes do not fit into the run record (at most {limit})")]
    TooLarge {
        /// Size of what was to be kept, as JSON.
        bytes: usize,
        /// The most that is kept.
        limit: usize,
    },
    /// The store was written by a newer version of Airlock.
    #[error(
        "the store has schema version {found}, this version of Airlock knows up to {supported}: \
         upgrade Airlock or use another AIRLOCK_REDIS_PREFIX"
    )]
    NewerSchema {
        /// Version found in the store.
        found: u32,
        /// The newest version that this build knows.
        supported: u32,
    },
    /// The record cannot be read: something else wrote under this prefix.
    #[error("the run record cannot be read: {0}")]
    Corrupt(&'static str),
    /// Redis did not answer, or not with what was asked. The write may have been done; the same
    /// call again is safe.
    #[error("the run store does not answer")]
    Unavailable(#[from] redis::RedisError),
}
