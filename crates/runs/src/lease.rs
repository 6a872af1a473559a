//! The lease of a sandbox: the fleet's promise to remove it.

use airlock_contract::{AccountId, ExecutionId, RunIdentity};
use serde::{Deserialize, Serialize};

use crate::{BoundSandbox, RunKey};

/// What the reaper needs to know about a sandbox that nobody renewed. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run it works for.
    pub run: RunKey,
    /// Which of the run's sandboxes it is.
    pub slot: u32,
    /// The provider's id of the sandbox.
    pub sandbox_id: String,
    /// Template it was created from.
    pub template: String,
    /// Domain of the sandbox, if it is not the client's.
    pub domain: Option<String>,
    /// The workflow it works for, as people name it.
    pub workflow: Option<String>,
    /// The activity it works for.
    pub identity: Option<RunIdentity>,
    /// When the sandbox was created, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When the lease ends, in milliseconds since 1970.
    pub until_ms: i64,
    /// The member of the sorted set, as written: a later version may add fields.
    member: String,
}

/// A lease as a member of the sorted set. It must not change over renewals, so the end of the
/// lease is the score.
#[derive(Serialize, Deserialize)]
struct Member {
    account: AccountId,
    execution: ExecutionId,
    #[serde(default, skip_serializing_if = "is_first")]
    slot: u32,
    sandbox: String,
    template: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<RunIdentity>,
    created: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_first(slot: &u32) -> bool {
    *slot == 0
}

impl Lease {
    /// The lease of `sandbox`, which works for `run`.
    pub fn of(run: &RunKey, sandbox: &BoundSandbox) -> Self {
        let member = Member {
            account: run.account.clone(),
            execution: run.execution.clone(),
            slot: sandbox.slot,
            sandbox: sandbox.id.clone(),
            template: sandbox.template.clone(),
            domain: sandbox.domain.clone(),
            workflow: sandbox.workflow.clone(),
            identity: sandbox.identity.clone(),
            created: sandbox.created_at_ms,
        };
        let text = serde_json::to_string(&member).unwrap_or_default();
        Self::from_member(member, text, sandbox.lease_until_ms)
    }

    /// Reads a member; none if it is not one of ours.
    pub(crate) fn read(text: String, until_ms: i64) -> Option<Self> {
        let member = serde_json::from_str(&text).ok()?;
        Some(Self::from_member(member, text, until_ms))
    }

    pub(crate) fn member(&self) -> &str {
        &self.member
    }

    fn from_member(member: Member, text: String, until_ms: i64) -> Self {
        Self {
            run: RunKey { account: member.account, execution: member.execution },
            slot: member.slot,
            sandbox_id: member.sandbox,
            template: member.template,
            domain: member.domain,
            workflow: member.workflow,
            identity: member.identity,
            created_at_ms: member.created,
            until_ms,
            member: text,
        }
    }
}
