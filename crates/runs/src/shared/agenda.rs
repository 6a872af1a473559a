//! Which shared sandboxes somebody must look at, and when: so that one that nobody uses is found.

use airlock_contract::AccountId;
use serde::{Deserialize, Serialize};

use super::Fixed;

/// A shared sandbox that it is time to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// The account that opened it.
    pub account: AccountId,
    /// The sandbox.
    pub sandbox: String,
    /// The Temporal namespace of its workflow.
    pub namespace: String,
    /// The member of the sorted set, as written: a later version may add fields.
    #[serde(skip)]
    pub(super) member: String,
}

impl Due {
    /// The entry of `fixed`; it must not change over its life.
    pub fn of(fixed: &Fixed) -> Self {
        let due = Self {
            account: fixed.account.clone(),
            sandbox: fixed.sandbox.clone(),
            namespace: fixed.owner.namespace.clone(),
            member: String::new(),
        };
        let member = serde_json::to_string(&due).unwrap_or_default();
        Self { member, ..due }
    }

    /// Reads a member; none if it is not one of ours.
    pub(super) fn read(member: String) -> Option<Self> {
        let due: Self = serde_json::from_str(&member).ok()?;
        Some(Self { member, ..due })
    }
}
