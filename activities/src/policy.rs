//! The activities that decide and run nothing.

use airlock_engine::{Ending, Engine};
use serde_json::Value;

use crate::activities::json;
use crate::runtime::Context;

/// `checkPolicy`: `CheckPolicyInput` -> `PolicyDecision`, also for a denial.
pub(crate) async fn check_policy(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.check_policy(&input).await)
}

/// `enforcePolicy`: the same; a denial is the failure `PolicyDenied`.
pub(crate) async fn enforce_policy(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.enforce_policy(&input).await)
}
