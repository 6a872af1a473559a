//! The use cases on budget accounts, by way of the [`Desk`].

use std::sync::Arc;

use airlock_contract::{
    BudgetHold, BudgetLedger, BudgetList, BudgetSettlement, BudgetStatus, CanSpend, DeletedBudget,
    Failure,
};
use serde_json::Value;

use crate::desk::Desk;
use crate::engine::Engine;

macro_rules! by_desk {
    ($($(#[$doc:meta])* $name:ident => $method:ident($($key:ident)?) -> $answer:ty;)*) => {
        impl Engine {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// Those of the [`Desk`]'s operation.
                pub async fn $name(
                    &self,
                    input: &Value,
                    $($key: Option<&str>,)?
                ) -> Result<$answer, Failure> {
                    self.desk().$method(input $(, $key)?).await
                }
            )*
        }
    };
}

by_desk! {
    /// Makes an account.
    create_budget => create() -> BudgetStatus;
    /// Reads an account.
    get_budget => get() -> BudgetStatus;
    /// Asks without spending.
    can_spend => can_spend() -> CanSpend;
    /// Holds an amount for work of the caller's own.
    reserve_budget => reserve() -> BudgetHold;
    /// Raises a hold and pushes its lease.
    extend_budget => extend() -> BudgetHold;
    /// Books what a hold came to.
    settle_budget => settle() -> BudgetSettlement;
    /// Returns a hold whole.
    void_budget => void() -> BudgetStatus;
    /// Raises a limit; the key is for callers that gave none.
    top_up_budget => top_up(default_key) -> BudgetStatus;
    /// Lets an open circuit try one spending.
    reset_circuit => reset_circuit() -> BudgetStatus;
    /// Removes an account.
    delete_budget => delete() -> DeletedBudget;
    /// The accounts there are.
    list_budgets => list() -> BudgetList;
    /// What happened on an account.
    budget_ledger => history() -> BudgetLedger;
}

impl Engine {
    pub(crate) fn desk(&self) -> Desk {
        Desk::new(self.core.ledger.clone(), Arc::clone(&self.core.audit), "worker")
    }
}
