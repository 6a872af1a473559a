//! The activities on budget accounts.

use airlock_contract::ExecutionId;
use airlock_engine::{Ending, Engine, RunContext as _};
use serde_json::Value;

use crate::activities::json;
use crate::runtime::Context;

/// `createBudget`: `CreateBudgetInput` -> `BudgetStatus`. Never changes an account that exists.
pub(crate) async fn create_budget(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.create_budget(&input).await)
}

/// `spendBudget`: `SpendBudgetInput` -> `BudgetStatus`. Without a key of the caller's own the
/// activity's execution is the key, so that its retries book once.
pub(crate) async fn spend_budget(
    engine: Engine,
    context: Context,
    input: Value,
) -> Result<Value, Ending> {
    let key = ExecutionId::of(context.identity());
    json(engine.spend_budget(&input, Some(key.as_str())).await)
}

/// `canSpend`: `CanSpendInput` -> `CanSpend`.
pub(crate) async fn can_spend(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.can_spend(&input).await)
}

/// `getBudget`: `GetBudgetInput` -> `BudgetStatus`.
pub(crate) async fn get_budget(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.get_budget(&input).await)
}

/// `reserveBudget`: `HoldBudgetInput` -> `BudgetHold`.
pub(crate) async fn reserve_budget(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.reserve_budget(&input).await)
}

/// `extendBudget`: `HoldBudgetInput` -> `BudgetHold`.
pub(crate) async fn extend_budget(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.extend_budget(&input).await)
}

/// `settleBudget`: `SettleBudgetInput` -> `BudgetSettlement`.
pub(crate) async fn settle_budget(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.settle_budget(&input).await)
}

/// `voidBudget`: `VoidBudgetInput` -> `BudgetStatus`.
pub(crate) async fn void_budget(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.void_budget(&input).await)
}

/// `deleteBudget`: `DeleteBudgetInput` -> `DeletedBudget`. On the admin queue.
///
/// A retry after a lost answer finds no account and fails with `BudgetNotFound`.
pub(crate) async fn delete_budget(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.delete_budget(&input).await)
}

/// `topUpBudget`: `TopUpBudgetInput` -> `BudgetStatus`. On the admin queue. Without a key of the
/// caller's own the activity's execution is the key, so that its retries count once.
pub(crate) async fn top_up_budget(
    engine: Engine,
    context: Context,
    input: Value,
) -> Result<Value, Ending> {
    let key = ExecutionId::of(context.identity());
    json(engine.top_up_budget(&input, Some(key.as_str())).await)
}

/// `resetCircuit`: `ResetCircuitInput` -> `BudgetStatus`. On the admin queue.
pub(crate) async fn reset_circuit(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.reset_circuit(&input).await)
}

/// `listBudgets`: `ListBudgetsInput` -> `BudgetList`. On the admin queue: it shows every tenant.
pub(crate) async fn list_budgets(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.list_budgets(&input).await)
}

/// `getBudgetLedger`: `BudgetLedgerInput` -> `BudgetLedger`. On the admin queue.
pub(crate) async fn get_budget_ledger(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.budget_ledger(&input).await)
}
