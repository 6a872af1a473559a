//! What a caller learns when a person must approve.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
