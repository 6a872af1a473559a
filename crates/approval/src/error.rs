//! What can go wrong with an approval.

use crate::Approval;

/// Why a call did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no approval with this id, or not any more.
    #[error("there is no such approval")]
    NotFound,
    /// Nobody has answered yet.
    #[error("the approval has not been answered yet")]
    Pending,
    /// It was rejected.
    #[error("the approval was rejected")]
    Rejected,
    /// It was not answered or not used in time.
    #[error("the approval has expired: ask for a new one")]
    Expired,
    /// It was given for something else.
    #[error("the approval was given for another action, account or policy")]
    WrongDigest,
    /// Another execution has used it.
    #[error("the approval was used by another execution: each opens the way once")]
    UsedByAnother,
    /// It has the opposite answer already, which stands.
    #[error("the approval was already answered")]
    AlreadyAnswered(Box<Approval>),
    /// The call itself is wrong; the text names the field.
    #[error("{0}")]
    InvalidInput(&'static str),
    /// What is stored cannot be read.
    #[error("the approval cannot be read: {0}")]
    Corrupt(&'static str),
    /// Redis did not answer. The same call again is safe.
    #[error("the approval store does not answer")]
    Unavailable(#[from] redis::RedisError),
}
