//! The activities that run commands.

use airlock_engine::{Ending, Engine};
use serde_json::Value;

use crate::runtime::Context;

/// `safeExecuteCode`: `ExecuteInput` -> `ExecuteResult`.
pub(crate) async fn safe_execute_code(
    engine: Engine,
    context: Context,
    input: Value,
) -> Result<Value, Ending> {
    engine.execute(&context, input).await
}

/// `safeExecuteBatch`: `BatchInput` -> `BatchResult`.
pub(crate) async fn safe_execute_batch(
    engine: Engine,
    context: Context,
    input: Value,
) -> Result<Value, Ending> {
    engine.batch(&context, input).await
}
