//! What a caller learns when a person must approve, and how it is answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reader::Reader;
use crate::{AccountId, PolicyDecision, Problems};

/// An approval that is waited for; the details of the failure `ApprovalRequired`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRequest {
    /// Present it as `approvalId` once it is granted.
    pub id: String,
    /// Digest of exactly what would be approved: account, action, command, files, policy.
    pub digest: String,
    /// RFC 3339; afterwards it is void.
    pub expires_at: String,
    /// How a person answers it.
    pub how_to_answer: String,
}

/// Where an approval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ApprovalState {
    /// Waits for an answer.
    Pending,
    /// Granted and not used yet.
    Granted,
    /// Rejected.
    Rejected,
    /// Granted and used.
    Used,
    /// Not answered, or not used, in time.
    Expired,
}

impl ApprovalState {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Granted => "granted",
            Self::Rejected => "rejected",
            Self::Used => "used",
            Self::Expired => "expired",
        }
    }
}

/// An approval as those who answer it see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// 32 hex digits.
    pub id: String,
    /// Digest of exactly what would be approved.
    pub digest: String,
    /// The budget account of the action.
    pub run_id: AccountId,
    /// The execution that asked.
    pub execution_id: String,
    /// What kind of action.
    pub action_type: String,
    /// Why a person must approve it.
    pub reason: String,
    /// The commands or programs, redacted, at most 8 KiB.
    pub preview: String,
    /// The rules that asked for it, and how severe it is.
    pub details: Value,
    /// Where it is, by the clock of Redis.
    pub state: ApprovalState,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; afterwards it is void.
    pub expires_at: String,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<String>,
    /// What they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_reason: Option<String>,
    /// The execution that used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<String>,
}

/// What a person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ApprovalAnswer {
    /// It may be done, once.
    Approve,
    /// It must not be done.
    Reject,
}

/// Input of `resolveApproval`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolveApprovalInput {
    /// Which.
    pub approval_id: String,
    /// `approve` or `reject`.
    pub answer: ApprovalAnswer,
    /// Who answers, at most 256 bytes; kept in the audit log.
    pub by: String,
    /// Why, at most 2048 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Input of `listApprovals`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListApprovalsInput {
    /// Most that are answered, 1 to 1000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Answer of `listApprovals`: what waits for an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalList {
    /// The one that expires first comes first.
    pub approvals: Vec<ApprovalStatus>,
}

/// Answer of `requestApproval`. Its input is that of `safeExecuteCode` or `safeExecuteBatch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestedApproval {
    /// Whether a person must approve it first; if not, it can be run as it is.
    pub required: bool,
    /// The request to be answered, if one is required.
    pub approval: Option<ApprovalRequest>,
    /// What the policy says; of a batch, about the command that needs the approval, else the first.
    pub decision: PolicyDecision,
}

impl ResolveApprovalInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        for field in ["approvalId", "answer", "by"] {
            reader.require(field);
        }
        let approval_id = reader.string("approvalId", 128).unwrap_or_default();
        let answer = match reader.string("answer", 16).as_deref() {
            Some("reject") => ApprovalAnswer::Reject,
            Some("approve") | None => ApprovalAnswer::Approve,
            Some(_) => {
                reader.problem("answer", "must be \"approve\" or \"reject\"");
                ApprovalAnswer::Reject
            }
        };
        let by = reader.string("by", 256).unwrap_or_default();
        let reason = reader.string("reason", 2048);
        reader.finish();
        problems.or(Self { approval_id, answer, by, reason })
    }
}

impl ListApprovalsInput {
    /// Approvals answered unless asked otherwise.
    pub const DEFAULT_LIMIT: u64 = 100;

    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        let limit = reader.integer("limit", 1, 1000);
        reader.finish();
        problems.or(Self { limit })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_names_every_field_that_is_wrong() {
        let wrong = json!({"answer": "maybe", "by": 3, "because": "x"});
        let text = ResolveApprovalInput::parse(&wrong).unwrap_err().to_string();
        for field in ["approvalId", "answer", "by", "because"] {
            assert!(text.contains(field), "{field}: {text}");
        }
        let right = json!({"approvalId": "a", "answer": "reject", "by": "ann", "reason": "no"});
        let parsed = ResolveApprovalInput::parse(&right).unwrap();
        assert_eq!((parsed.answer, parsed.by.as_str()), (ApprovalAnswer::Reject, "ann"));
        assert!(ListApprovalsInput::parse(&json!({"limit": 0})).is_err());
    }
}
