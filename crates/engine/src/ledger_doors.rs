//! The use cases of those who run a fleet's budgets: top-ups, resets, lists and histories.
//!
//! What gives an account more room is in the audit log before it is done: an event without its
//! effect can be looked into, an effect without its event cannot.

use airlock_audit::Event;
use airlock_contract::{
    AccountId, BudgetLedger, BudgetLedgerInput, BudgetList, BudgetStatus, Failure, GetBudgetInput,
    ListBudgetsInput, TopUpBudgetInput,
};
use serde_json::Value;

use crate::engine::Engine;
use crate::failure;

impl Engine {
    /// Raises a limit. `default_key` makes a repeated call one top-up where the caller gave no key:
    /// an activity gives its execution id.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`, `AuditUnavailable`; `Conflict` for a key that was used for
    /// another amount.
    pub async fn top_up_budget(
        &self,
        input: &Value,
        default_key: Option<&str>,
    ) -> Result<BudgetStatus, Failure> {
        let TopUpBudgetInput { run_id, amount, idempotency_key } = TopUpBudgetInput::parse(input)?;
        let key = idempotency_key.as_deref().or(default_key);
        let event = Event::new("budget.top_up").with("amount", amount.to_string());
        self.record(event, &run_id).await?;
        self.core.ledger.top_up(&run_id, amount, key).await.map_err(failure::budget)
    }

    /// Lets an open circuit try one spending.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`, `AuditUnavailable`.
    pub async fn reset_circuit(&self, input: &Value) -> Result<BudgetStatus, Failure> {
        let GetBudgetInput { run_id } = GetBudgetInput::parse(input)?;
        self.record(Event::new("budget.reset_circuit"), &run_id).await?;
        self.core.ledger.reset_circuit(&run_id).await.map_err(failure::budget)
    }

    /// The accounts there are, of one family or of all, by name.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub async fn list_budgets(&self, input: &Value) -> Result<BudgetList, Failure> {
        let ListBudgetsInput { family, limit } = ListBudgetsInput::parse(input)?;
        let most = count(limit.unwrap_or(ListBudgetsInput::DEFAULT_LIMIT));
        let family = family.as_ref().map(AccountId::as_str);
        let found = self.core.ledger.list(family, most.saturating_add(1)).await;
        let mut budgets = found.map_err(failure::budget)?;
        let more = budgets.len() > most;
        budgets.truncate(most);
        Ok(BudgetList { budgets, more })
    }

    /// What happened on an account, the newest first.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`.
    pub async fn budget_ledger(&self, input: &Value) -> Result<BudgetLedger, Failure> {
        let BudgetLedgerInput { run_id, limit } = BudgetLedgerInput::parse(input)?;
        let most = count(limit.unwrap_or(BudgetLedgerInput::DEFAULT_LIMIT));
        let entries = self.core.ledger.history(&run_id, most).await.map_err(failure::budget)?;
        Ok(BudgetLedger { run_id, entries })
    }

    async fn record(&self, event: Event, account: &AccountId) -> Result<(), Failure> {
        let event = event.for_account(account);
        self.core.audit.append(event).await.map(drop).map_err(|error| failure::audit(&error))
    }
}

fn count(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
