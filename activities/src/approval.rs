//! The activities on approvals.

use airlock_engine::{Ending, Engine};
use serde_json::Value;

use crate::activities::json;
use crate::runtime::Context;

/// `requestApproval`: `ExecuteInput` or `BatchInput` -> `RequestedApproval`.
pub(crate) async fn request_approval(
    engine: Engine,
    context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.request_approval(&context, &input).await)
}

/// `resolveApproval`: `ResolveApprovalInput` -> `ApprovalStatus`. On the admin queue: an agent's
/// workflow must not approve itself.
pub(crate) async fn resolve_approval(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.approval_desk().resolve(&input).await)
}

/// `listApprovals`: `ListApprovalsInput` -> `ApprovalList`. On the admin queue: it shows every
/// tenant.
pub(crate) async fn list_approvals(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.approval_desk().list(&input).await)
}
