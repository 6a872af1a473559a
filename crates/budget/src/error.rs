//! Why the ledger refuses.

use airlock_contract::{AccountId, BudgetStatus, Usd};

/// Why an operation was not done. Nothing was counted, except that [`Error::Unavailable`] does not
/// know.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such account, or it has expired. It may be a parent of the one asked for.
    #[error("budget account {account} does not exist; create it first")]
    NotFound {
        /// The account that is missing.
        account: AccountId,
    },
    /// The amount is more than what is left.
    #[error(
        "budget account {} has {} USD left and {needed} USD are needed",
        status.run_id, status.remaining
    )]
    Exceeded {
        /// The account that has too little: the one asked for or one above it.
        status: Box<BudgetStatus>,
        /// What was asked for.
        needed: Usd,
    },
    /// The circuit breaker refuses all spending until a top-up or a reset.
    #[error("the circuit breaker of budget account {} is open; top it up or reset it", status.run_id)]
    CircuitOpen {
        /// The account whose circuit is open: the one asked for or one above it.
        status: Box<BudgetStatus>,
    },
    /// The same id or name came with other arguments, or its end is decided already.
    #[error("{reason}")]
    Conflict {
        /// What stands in the way, and what to do.
        reason: String,
    },
    /// There is no hold of this id: it was never made, it was voided, or it ended so long ago that
    /// its record is gone.
    #[error("budget account {account} has no hold {id}")]
    UnknownHold {
        /// The account.
        account: AccountId,
        /// The hold's id.
        id: String,
    },
    /// An amount that the ledger cannot take.
    #[error("{amount} USD {reason}")]
    InvalidAmount {
        /// The amount.
        amount: Usd,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An id, a lease or another argument that the ledger cannot take.
    #[error("{field} {reason}")]
    InvalidArgument {
        /// The argument.
        field: &'static str,
        /// What is wrong with it, as the end of a sentence that starts with the field.
        reason: String,
    },
    /// A parent account of another family.
    #[error(
        "{parent} cannot pay for {account}: both must have the same name up to the first \"/\""
    )]
    FamilyMismatch {
        /// The account.
        account: AccountId,
        /// The parent it was to have.
        parent: AccountId,
    },
    /// Redis does not answer as it should. The operation may have been done or not: calling again
    /// with the same id finds out and is safe.
    #[error("the budget store is unavailable")]
    Unavailable(#[source] redis::RedisError),
}

impl From<redis::RedisError> for Error {
    fn from(source: redis::RedisError) -> Self {
        Self::Unavailable(source)
    }
}
