//! Which activity is which use case of the engine, and on which task queue.

use airlock_contract::{Failure, FailureType, names};
use airlock_engine::{Ending, Engine};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use crate::runtime::{Context, Registry};
use crate::{approval, budget, execute, policy, shared};

/// The activities of the main task queue.
pub(crate) fn main_queue(engine: &Engine) -> Registry {
    Registry::new()
        .with(names::SAFE_EXECUTE_CODE, with(engine, execute::safe_execute_code))
        .with(names::SAFE_EXECUTE_BATCH, with(engine, execute::safe_execute_batch))
        .with(names::CHECK_POLICY, with(engine, policy::check_policy))
        .with(names::ENFORCE_POLICY, with(engine, policy::enforce_policy))
        .with(names::CREATE_BUDGET, with(engine, budget::create_budget))
        .with(names::SPEND_BUDGET, with(engine, budget::spend_budget))
        .with(names::CAN_SPEND, with(engine, budget::can_spend))
        .with(names::GET_BUDGET, with(engine, budget::get_budget))
        .with(names::REQUEST_APPROVAL, with(engine, approval::request_approval))
        .with(names::OPEN_SANDBOX, with(engine, shared::open_sandbox))
        .with(names::CLOSE_SANDBOX, with(engine, shared::close_sandbox))
        .with(names::UPLOAD_FILES, with(engine, shared::upload_files))
        .with(names::DOWNLOAD_FILES, with(engine, shared::download_files))
        .with(names::INSTALL_PACKAGES, with(engine, shared::install_packages))
        .with(names::SANDBOX_HEALTH, with(engine, shared::sandbox_health))
        .with(names::RESERVE_BUDGET, with(engine, budget::reserve_budget))
        .with(names::EXTEND_BUDGET, with(engine, budget::extend_budget))
        .with(names::SETTLE_BUDGET, with(engine, budget::settle_budget))
        .with(names::VOID_BUDGET, with(engine, budget::void_budget))
}

/// The activities of the admin task queue.
pub(crate) fn admin_queue(engine: &Engine) -> Registry {
    Registry::new()
        .with(names::DELETE_BUDGET, with(engine, budget::delete_budget))
        .with(names::TOP_UP_BUDGET, with(engine, budget::top_up_budget))
        .with(names::RESET_CIRCUIT, with(engine, budget::reset_circuit))
        .with(names::LIST_BUDGETS, with(engine, budget::list_budgets))
        .with(names::GET_BUDGET_LEDGER, with(engine, budget::get_budget_ledger))
        .with(names::RESOLVE_APPROVAL, with(engine, approval::resolve_approval))
        .with(names::LIST_APPROVALS, with(engine, approval::list_approvals))
}

/// `activity` with its engine. However it ends, the engine looks at the answer once more before it
/// goes into a history.
fn with<A, R>(
    engine: &Engine,
    activity: A,
) -> impl Fn(Context, Value) -> Ended + Send + Sync + 'static
where
    A: Fn(Engine, Context, Value) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Value, Ending>> + Send + 'static,
{
    let engine = engine.clone();
    move |context, input| {
        let ended = activity(engine.clone(), context, input);
        let engine = engine.clone();
        Box::pin(async move { engine.clean_ending(ended.await) })
    }
}

type Ended = BoxFuture<'static, Result<Value, Ending>>;

/// An output of the engine as JSON.
pub(crate) fn json<T: Serialize>(output: Result<T, Failure>) -> Result<Value, Ending> {
    let unshowable = |error: serde_json::Error| {
        tracing::error!(%error, "an output is not JSON");
        Ending::from(Failure::new(FailureType::Internal, "the output cannot be shown as JSON"))
    };
    serde_json::to_value(output?).map_err(unshowable)
}
