//! An approval as a reader sees it, and what it is asked with.

use std::collections::HashMap;
use std::time::Duration;

use airlock_contract::{AccountId, ApprovalRequest, ApprovalStatus, ExecutionId};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Error, State};

/// The digest that an approval is bound to: SHA-256, hex, over account, arguments and policy.
///
/// `args_digest` covers everything that will be done (action, command, files, directory...), and
/// `policy_digest` the policy that asked: after a change of policy, ask again.
pub fn approval_digest(account: &AccountId, args_digest: &str, policy_digest: &str) -> String {
    hash(&["airlock.approval.v1", account.as_str(), args_digest, policy_digest])
}

/// What to ask for. Everything in it is shown to people: redact it first.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRequest {
    /// The account that the action is for.
    pub account: AccountId,
    /// The execution that asks.
    pub execution: ExecutionId,
    /// Digest of everything that will be done.
    pub args_digest: String,
    /// Digest of the policy that asked for the approval.
    pub policy_digest: String,
    /// What kind of action, such as `deploy`.
    pub action_type: String,
    /// Why an approval is needed, in one sentence.
    pub reason: String,
    /// The command or program as a person should see it; longer than 8 KiB is cut.
    pub preview: String,
    /// More facts, such as rule ids and effects; at most 64 KiB as JSON.
    pub details: Value,
    /// How long it may be answered and used.
    pub ttl: Duration,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Present it as `approvalId` once it is granted: 32 hex digits.
    pub id: String,
    /// What it is bound to, see [`approval_digest`].
    pub digest: String,
    /// The account that the action is for.
    pub account: AccountId,
    /// The execution that asked.
    pub execution: String,
    /// What kind of action.
    pub action_type: String,
    /// Why an approval is needed.
    pub reason: String,
    /// The command or program as a person should see it.
    pub preview: String,
    /// More facts.
    pub details: Value,
    /// Where it is, by Redis's clock at the time of reading.
    pub state: State,
    /// When it was asked for, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it is void, in milliseconds since 1970.
    pub expires_at_ms: i64,
    /// Who answered.
    pub answered_by: Option<String>,
    /// When, in milliseconds since 1970.
    pub answered_at_ms: Option<i64>,
    /// What they said.
    pub answer_reason: Option<String>,
    /// The execution that used it.
    pub used_by: Option<String>,
}

impl NewRequest {
    /// The longest preview, in bytes.
    pub const MAX_PREVIEW_BYTES: usize = 8 * 1024;
    /// The most details, in bytes of JSON.
    pub const MAX_DETAILS_BYTES: usize = 64 * 1024;

    /// What the approval will be bound to.
    pub fn digest(&self) -> String {
        approval_digest(&self.account, &self.args_digest, &self.policy_digest)
    }

    /// The id: the same for the same digest in the same execution.
    pub(crate) fn id(&self) -> String {
        let mut id = hash(&["airlock.approval.id.v1", &self.digest(), self.execution.as_str()]);
        id.truncate(Approval::ID_DIGITS);
        id
    }

    /// The fields as they are stored.
    pub(crate) fn fields(&self) -> Result<Vec<(&'static str, String)>, Error> {
        let details = self.details.to_string();
        if details.len() > Self::MAX_DETAILS_BYTES {
            return Err(Error::InvalidInput("details: at most 64 KiB of JSON"));
        }
        Ok(vec![
            ("v", "1".to_owned()),
            ("digest", self.digest()),
            ("account", self.account.to_string()),
            ("execution", self.execution.to_string()),
            ("action", cut(&self.action_type, 64).to_owned()),
            ("reason", cut(&self.reason, 2048).to_owned()),
            ("preview", cut(&self.preview, Self::MAX_PREVIEW_BYTES).to_owned()),
            ("details", details),
        ])
    }
}

impl Approval {
    /// Length of an id.
    pub(crate) const ID_DIGITS: usize = 32;

    /// Whether `id` can be one: it comes from callers and becomes part of a key.
    pub(crate) fn is_id(id: &str) -> bool {
        id.len() == Self::ID_DIGITS && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// As callers see it in the failure `ApprovalRequired`.
    pub fn to_contract(&self) -> ApprovalRequest {
        let id = &self.id;
        ApprovalRequest {
            id: id.clone(),
            digest: self.digest.clone(),
            expires_at: rfc3339(self.expires_at_ms),
            how_to_answer: format!(
                "run `airlock approvals approve {id}` (or `reject {id}`), or POST to \
                 /api/v1/safety/approvals/{id}/approve (or /reject); then run the same action \
                 again with approvalId {id}"
            ),
        }
    }

    /// As those who answer it see it.
    pub fn to_status(&self) -> ApprovalStatus {
        ApprovalStatus {
            id: self.id.clone(),
            digest: self.digest.clone(),
            run_id: self.account.clone(),
            execution_id: self.execution.clone(),
            action_type: self.action_type.clone(),
            reason: self.reason.clone(),
            preview: self.preview.clone(),
            details: self.details.clone(),
            state: self.state,
            created_at: rfc3339(self.created_at_ms),
            expires_at: rfc3339(self.expires_at_ms),
            answered_by: self.answered_by.clone(),
            answered_at: self.answered_at_ms.map(rfc3339),
            answer_reason: self.answer_reason.clone(),
            used_by: self.used_by.clone(),
        }
    }

    /// Reads the stored fields; `now_ms` by the same clock that set the expiry.
    pub(crate) fn read(
        id: &str,
        now_ms: i64,
        fields: &HashMap<String, String>,
    ) -> Result<Self, Error> {
        let text = |name: &'static str| fields.get(name).cloned().ok_or(Error::Corrupt(name));
        let optional = |name: &str| fields.get(name).cloned();
        let time = |name: &'static str| {
            fields.get(name).and_then(|text| text.parse().ok()).ok_or(Error::Corrupt(name))
        };
        let expires_at_ms = time("expires")?;
        let state = match text("state")?.as_str() {
            "granted" if fields.contains_key("used_by") => State::Used,
            "rejected" => State::Rejected,
            "granted" | "pending" if now_ms >= expires_at_ms => State::Expired,
            "granted" => State::Granted,
            "pending" => State::Pending,
            _ => return Err(Error::Corrupt("state")),
        };
        Ok(Self {
            id: id.to_owned(),
            digest: text("digest")?,
            account: text("account")?.parse().map_err(|_| Error::Corrupt("account"))?,
            execution: text("execution")?,
            action_type: text("action")?,
            reason: text("reason")?,
            preview: text("preview")?,
            details: serde_json::from_str(&text("details")?)
                .map_err(|_| Error::Corrupt("details"))?,
            state,
            created_at_ms: time("created")?,
            expires_at_ms,
            answered_by: optional("by"),
            answered_at_ms: optional("answered").and_then(|text| text.parse().ok()),
            answer_reason: optional("answer").filter(|reason| !reason.is_empty()),
            used_by: optional("used_by"),
        })
    }
}

/// SHA-256, hex, over length-prefixed parts.
fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// The beginning of `text`, at most `limit` bytes, cut between characters.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Milliseconds since 1970 as RFC 3339.
pub(crate) fn rfc3339(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|at| format!("{at:.3}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_each_part_and_on_where_parts_end() {
        let of =
            |account: &str, args, policy| approval_digest(&account.parse().unwrap(), args, policy);
        let base = of("a", "bc", "d");
        for other in [of("ab", "c", "d"), of("a", "b", "cd"), of("x", "bc", "d"), of("a", "bc", "")]
        {
            assert_ne!(base, other);
        }
        assert_eq!(base, of("a", "bc", "d"));
    }

    #[test]
    fn only_32_lower_case_hex_digits_are_an_id() {
        assert!(Approval::is_id(&"0f".repeat(16)));
        for bad in
            ["", "0f", &"0F".repeat(16), &"0g".repeat(16), &format!("{{{}}}", "0".repeat(30))]
        {
            assert!(!Approval::is_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_preview_is_cut_between_characters() {
        assert_eq!(cut("aä", 2), "a");
        assert_eq!(cut("aä", 3), "aä");
        assert_eq!(cut("", 3), "");
    }
}
