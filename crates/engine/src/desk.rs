//! The use cases on budget accounts, which need nothing but a ledger and an audit log: a worker's engine
//! and the command line serve the same ones.
//!
//! What gives an account more room, or takes it away, is in the audit log before it is done: an event
//! without its effect can be looked into, an effect without its event cannot.

use std::sync::Arc;
use std::time::Duration;

use airlock_audit::{Event, Log};
use airlock_budget::{HoldKey, Ledger, NewBudget, Reserved};
use airlock_contract::{
    AccountId, BudgetHold, BudgetLedger, BudgetLedgerInput, BudgetList, BudgetSettlement,
    BudgetStatus, CanSpend, CanSpendInput, CreateBudgetInput, DeletedBudget, Failure,
    GetBudgetInput, HoldBudgetInput, ListBudgetsInput, SettleBudgetInput, SpendBudgetInput,
    TopUpBudgetInput, VoidBudgetInput,
};
use serde_json::Value;

use crate::clean::{check_names, clean_text};
use crate::failure;

/// Where accounts are made, read and changed. All inputs are the raw JSON of their contract type, so
/// that every door answers a bad one alike: with `InvalidInput`, naming every field.
#[derive(Clone, Debug)]
pub struct Desk {
    ledger: Ledger,
    audit: Arc<Log>,
    door: &'static str,
}

impl Desk {
    /// A desk; `door` is what the audit log says that changes came by.
    pub const fn new(ledger: Ledger, audit: Arc<Log>, door: &'static str) -> Self {
        Self { ledger, audit, door }
    }

    /// Makes an account.
    ///
    /// # Errors
    /// `InvalidInput`; `Conflict` if it exists with other settings.
    pub async fn create(&self, input: &Value) -> Result<BudgetStatus, Failure> {
        check_names(input)?;
        let input = CreateBudgetInput::parse(input)?;
        let plain = NewBudget::new(input.run_id, input.limit);
        let new = NewBudget {
            ttl: input.ttl_seconds.map(Duration::from_secs),
            alert_thresholds: input.alert_thresholds.unwrap_or(plain.alert_thresholds),
            parent: input.parent,
            period: input.period,
            ..plain
        };
        self.ledger.create(&new).await.map_err(failure::budget)
    }

    /// Reads an account.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`.
    pub async fn get(&self, input: &Value) -> Result<BudgetStatus, Failure> {
        check_names(input)?;
        let input = GetBudgetInput::parse(input)?;
        self.ledger.get(&input.run_id).await.map_err(failure::budget)
    }

    /// Asks without spending.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`.
    pub async fn can_spend(&self, input: &Value) -> Result<CanSpend, Failure> {
        check_names(input)?;
        let input = CanSpendInput::parse(input)?;
        self.ledger.can_spend(&input.run_id, input.amount).await.map_err(failure::budget)
    }

    /// Spends directly. `default_key` makes a repeated call one spending where the caller gave no
    /// key: an activity gives its execution id.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`, `BudgetExceeded`, `CircuitOpen`, `Conflict`.
    pub async fn spend(
        &self,
        input: &Value,
        default_key: Option<&str>,
    ) -> Result<BudgetStatus, Failure> {
        check_names(input)?;
        let input = SpendBudgetInput::parse(input)?;
        let key = input.idempotency_key.as_deref().or(default_key);
        let what = input.description.as_deref().map(clean_text);
        let what = what.as_deref();
        self.ledger.spend(&input.run_id, input.amount, key, what).await.map_err(failure::budget)
    }

    /// Holds an amount for work of the caller's own; the same hold again for the same id.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`, `BudgetExceeded`, `CircuitOpen`; `Conflict` for an id that
    /// holds another amount.
    pub async fn reserve(&self, input: &Value) -> Result<BudgetHold, Failure> {
        check_names(input)?;
        let HoldBudgetInput { run_id, hold_id, amount, lease_seconds } =
            HoldBudgetInput::parse(input)?;
        let held = self.ledger.reserve(&own(run_id, &hold_id), amount, lease(lease_seconds)).await;
        held.map(|held| shown(hold_id, held)).map_err(failure::budget)
    }

    /// Raises a hold to the amount and pushes its lease.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); `InvalidInput` also for an id that holds nothing.
    pub async fn extend(&self, input: &Value) -> Result<BudgetHold, Failure> {
        check_names(input)?;
        let HoldBudgetInput { run_id, hold_id, amount, lease_seconds } =
            HoldBudgetInput::parse(input)?;
        let held = self.ledger.extend(&own(run_id, &hold_id), amount, lease(lease_seconds)).await;
        held.map(|held| shown(hold_id, held)).map_err(failure::budget)
    }

    /// Books what a hold came to and returns the rest.
    ///
    /// # Errors
    /// `InvalidInput`, also for an id that holds nothing; `BudgetNotFound`; `Conflict` for a hold that
    /// was settled with another amount or voided.
    pub async fn settle(&self, input: &Value) -> Result<BudgetSettlement, Failure> {
        check_names(input)?;
        let SettleBudgetInput { run_id, hold_id, amount, description } =
            SettleBudgetInput::parse(input)?;
        let what = clean_text(&description.unwrap_or_default());
        let settled = self.ledger.settle(&own(run_id, &hold_id), amount, &what).await;
        let settled = settled.map_err(failure::budget)?;
        Ok(BudgetSettlement {
            hold_id,
            booked: settled.booked,
            held: settled.held,
            late: settled.late,
            replayed: settled.replayed,
            budget_warnings: settled.warnings,
            budget: settled.status,
        })
    }

    /// Returns a hold whole. Also right if there is no such hold.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`; `Conflict` for a hold that was settled.
    pub async fn void(&self, input: &Value) -> Result<BudgetStatus, Failure> {
        check_names(input)?;
        let VoidBudgetInput { run_id, hold_id } = VoidBudgetInput::parse(input)?;
        self.ledger.void(&own(run_id, &hold_id)).await.map_err(failure::budget)
    }

    /// Raises a limit. `default_key` makes a repeated call one top-up where the caller gave no key:
    /// an activity gives its execution id.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`, `AuditUnavailable`; `Conflict` for a key that was used for
    /// another amount.
    pub async fn top_up(
        &self,
        input: &Value,
        default_key: Option<&str>,
    ) -> Result<BudgetStatus, Failure> {
        check_names(input)?;
        let TopUpBudgetInput { run_id, amount, idempotency_key } = TopUpBudgetInput::parse(input)?;
        let key = idempotency_key.as_deref().or(default_key);
        let event = Event::new("budget.top_up").with("amount", amount.to_string());
        self.record(event, &run_id).await?;
        self.ledger.top_up(&run_id, amount, key).await.map_err(failure::budget)
    }

    /// Lets an open circuit try one spending.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`, `AuditUnavailable`.
    pub async fn reset_circuit(&self, input: &Value) -> Result<BudgetStatus, Failure> {
        check_names(input)?;
        let GetBudgetInput { run_id } = GetBudgetInput::parse(input)?;
        self.record(Event::new("budget.reset_circuit"), &run_id).await?;
        self.ledger.reset_circuit(&run_id).await.map_err(failure::budget)
    }

    /// Removes an account.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`, `AuditUnavailable`; `Conflict` while money is held.
    pub async fn delete(&self, input: &Value) -> Result<DeletedBudget, Failure> {
        check_names(input)?;
        let GetBudgetInput { run_id } = GetBudgetInput::parse(input)?;
        self.record(Event::new("budget.delete"), &run_id).await?;
        self.ledger.delete(&run_id).await.map_err(failure::budget)?;
        Ok(DeletedBudget { run_id, deleted: true })
    }

    /// The accounts there are, of one family or of all, by name.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub async fn list(&self, input: &Value) -> Result<BudgetList, Failure> {
        check_names(input)?;
        let ListBudgetsInput { family, limit } = ListBudgetsInput::parse(input)?;
        let most = count(limit.unwrap_or(ListBudgetsInput::DEFAULT_LIMIT));
        let family = family.as_ref().map(AccountId::as_str);
        let found = self.ledger.list(family, most.saturating_add(1)).await;
        let mut budgets = found.map_err(failure::budget)?;
        let more = budgets.len() > most;
        budgets.truncate(most);
        Ok(BudgetList { budgets, more })
    }

    /// What happened on an account, the newest first.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`.
    pub async fn history(&self, input: &Value) -> Result<BudgetLedger, Failure> {
        check_names(input)?;
        let BudgetLedgerInput { run_id, limit } = BudgetLedgerInput::parse(input)?;
        let most = count(limit.unwrap_or(BudgetLedgerInput::DEFAULT_LIMIT));
        let entries = self.ledger.history(&run_id, most).await.map_err(failure::budget)?;
        Ok(BudgetLedger { run_id, entries })
    }

    async fn record(&self, event: Event, account: &AccountId) -> Result<(), Failure> {
        let event = event.for_account(account).with("door", self.door);
        self.audit.append(event).await.map(drop).map_err(|error| failure::audit(&error))
    }
}

/// A caller's hold. The ids of executions have no colon, so no caller can void what a run has held.
fn own(account: AccountId, id: &str) -> HoldKey {
    HoldKey::new(account, format!("own:{id}"))
}

fn lease(seconds: Option<u64>) -> Duration {
    Duration::from_secs(seconds.unwrap_or(HoldBudgetInput::DEFAULT_LEASE_SECONDS))
}

fn shown(hold_id: String, held: Reserved) -> BudgetHold {
    let Reserved { status, amount, warnings, settled } = held;
    BudgetHold { hold_id, amount, settled, budget_warnings: warnings, budget: status }
}

fn count(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
