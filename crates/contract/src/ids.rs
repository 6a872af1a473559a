//! Who a run belongs to and which run it is.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A budget account: the contract's `runId`, a name of 1-200 characters of `[A-Za-z0-9._:/@-]`.
///
/// Not Temporal's run id. The part up to the first `/` is the account's [family](Self::family),
/// which a parent account must share.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[A-Za-z0-9._:/@-]{1,200}$"))]
pub struct AccountId(String);

/// A name that cannot be an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 200 characters of A-Z a-z 0-9 . _ : / @ -")]
pub struct InvalidAccountId;

impl AccountId {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 200;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name up to its first `/`: accounts of one family share a Redis hash slot.
    pub fn family(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<Self, InvalidAccountId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:/@-".contains(&b);
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        // A family may not be empty: it names the hash slot.
        if fits && text.bytes().all(allowed) && !text.starts_with('/') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAccountId)
        }
    }
}

impl TryFrom<String> for AccountId {
    type Error = InvalidAccountId;
    fn try_from(text: String) -> Result<Self, InvalidAccountId> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What makes one activity execution the same over its retries and resets.
///
/// The attempt number is not in it: a reset puts it back to 1. The first scheduled time is,
/// because a workflow may use one activity id twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunIdentity {
    /// Temporal namespace.
    pub namespace: String,
    /// Workflow id; empty for a standalone activity.
    pub workflow_id: String,
    /// Workflow run id; for a standalone activity its own run id.
    pub run_id: String,
    /// Activity id.
    pub activity_id: String,
    /// When the activity was first scheduled, in microseconds since 1970 (UTC).
    pub scheduled_at_us: i64,
}

/// The identity of one execution: 64 lower-case hex digits.
///
/// Keys the reservation, the sandbox's creation, the command's once-lock and the audit records.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct ExecutionId(String);

/// A text that cannot be an execution's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 64 lower-case hex digits")]
pub struct InvalidExecutionId;

impl ExecutionId {
    /// SHA-256 over the length-prefixed parts of `identity`.
    pub fn of(identity: &RunIdentity) -> Self {
        let mut hash = Sha256::new();
        let scheduled = identity.scheduled_at_us.to_be_bytes();
        let parts: [&[u8]; 5] = [
            identity.namespace.as_bytes(),
            identity.workflow_id.as_bytes(),
            identity.run_id.as_bytes(),
            identity.activity_id.as_bytes(),
            &scheduled,
        ];
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hex::encode(hash.finalize()))
    }

    /// The 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people to read.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for ExecutionId {
    type Err = InvalidExecutionId;

    fn from_str(text: &str) -> Result<Self, InvalidExecutionId> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidExecutionId)
        }
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_are_held_to_their_alphabet() {
        for good in ["run-123", "team/a/b", "a@b.c:1", &"x".repeat(200)] {
            assert!(good.parse::<AccountId>().is_ok(), "{good}");
        }
        for bad in ["", "/x", "a b", "a{b}", "ä", "a\n", &"x".repeat(201)] {
            assert_eq!(bad.parse::<AccountId>(), Err(InvalidAccountId), "{bad:?}");
        }
        assert_eq!("team/a/b".parse::<AccountId>().unwrap().family(), "team");
    }

    #[test]
    fn parts_of_an_identity_cannot_run_into_each_other() {
        let identity = |workflow: &str, run: &str| RunIdentity {
            namespace: "default".into(),
            workflow_id: workflow.into(),
            run_id: run.into(),
            activity_id: "1".into(),
            scheduled_at_us: 7,
        };
        let first = ExecutionId::of(&identity("ab", "c"));
        assert_ne!(first, ExecutionId::of(&identity("a", "bc")));
        assert_eq!(first, ExecutionId::of(&identity("ab", "c")));
        assert_eq!(first.as_str().len(), 64);
    }
}
