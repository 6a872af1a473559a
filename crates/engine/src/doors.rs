//! The small use cases: decisions and budgets. They take the raw JSON of their contract input, so
//! that every door answers a bad one alike.

use std::time::Duration;

use airlock_audit::Event;
use airlock_budget::NewBudget;
use airlock_contract::{
    BudgetStatus, CanSpend, CanSpendInput, CheckPolicyInput, CreateBudgetInput, DeletedBudget,
    Failure, GetBudgetInput, PolicyDecision, PolicyOutcome, Problems, SpendBudgetInput,
};
use airlock_policy::Gate;
use serde_json::Value;

use crate::engine::Engine;
use crate::failure;
use crate::run;

/// Decides about an action: pure, needs no server and records nothing.
///
/// # Errors
/// `InvalidInput` for an action type that does not exist.
pub fn decide(gate: &Gate, input: &CheckPolicyInput) -> Result<PolicyDecision, Failure> {
    run::decide(gate, input)
}

impl Engine {
    /// Decides and never fails for a denial. The decision is in the audit log.
    ///
    /// # Errors
    /// `InvalidInput`, or `AuditUnavailable`.
    pub async fn check_policy(&self, input: &Value) -> Result<PolicyDecision, Failure> {
        let input = CheckPolicyInput::parse(input)?;
        let decision = run::decide(&self.core.gate(), &input)?;
        let decision = run::redacted(decision, &self.core.redactor());
        let mut about = Event::new("policy.checked");
        about.run_id.clone_from(&input.run_id);
        self.core.record_decision(&decision, about).await?;
        Ok(decision)
    }

    /// Decides; what may not go on is a failure.
    ///
    /// # Errors
    /// `PolicyDenied` also for what needs an approval: there is nothing here that an approval
    /// could be given to.
    pub async fn enforce_policy(&self, input: &Value) -> Result<PolicyDecision, Failure> {
        let decision = self.check_policy(input).await?;
        if decision.allowed || decision.outcome == PolicyOutcome::Allow {
            return Ok(decision);
        }
        Err(run::denied(&decision))
    }

    /// Makes an account.
    ///
    /// # Errors
    /// `InvalidInput`; `Conflict` if it exists with other settings.
    pub async fn create_budget(&self, input: &Value) -> Result<BudgetStatus, Failure> {
        let input = CreateBudgetInput::parse(input)?;
        let plain = NewBudget::new(input.run_id, input.limit);
        let new = NewBudget {
            ttl: input.ttl_seconds.map(Duration::from_secs),
            alert_thresholds: input.alert_thresholds.unwrap_or(plain.alert_thresholds),
            parent: input.parent,
            period: input.period,
            ..plain
        };
        self.core.ledger.create(&new).await.map_err(failure::budget)
    }

    /// Spends directly. `default_key` makes a repeated call one spending where the caller gave no
    /// key: an activity gives its execution id.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`, `BudgetExceeded`, `CircuitOpen`, `Conflict`.
    pub async fn spend_budget(
        &self,
        input: &Value,
        default_key: Option<&str>,
    ) -> Result<BudgetStatus, Failure> {
        let input = SpendBudgetInput::parse(input)?;
        let key = input.idempotency_key.as_deref().or(default_key);
        let ledger = &self.core.ledger;
        let what = input.description.as_deref();
        let spent = ledger.spend(&input.run_id, input.amount, key, what).await;
        match spent {
            Err(airlock_budget::Error::NotFound { account })
                if account == input.run_id && self.core.config.auto_create.is_some() =>
            {
                if let Err(run::Halt::Failed(failure)) = self.core.auto_create(account).await {
                    return Err(failure);
                }
                ledger.spend(&input.run_id, input.amount, key, what).await
            }
            other => other,
        }
        .map_err(failure::budget)
    }

    /// Asks without spending.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`.
    pub async fn can_spend(&self, input: &Value) -> Result<CanSpend, Failure> {
        let input = CanSpendInput::parse(input)?;
        self.core.ledger.can_spend(&input.run_id, input.amount).await.map_err(failure::budget)
    }

    /// Reads an account.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`.
    pub async fn get_budget(&self, input: &Value) -> Result<BudgetStatus, Failure> {
        let input = GetBudgetInput::parse(input)?;
        self.core.ledger.get(&input.run_id).await.map_err(failure::budget)
    }

    /// Removes an account.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetNotFound`; `Conflict` while money is held.
    pub async fn delete_budget(&self, input: &Value) -> Result<DeletedBudget, Failure> {
        let input = GetBudgetInput::parse(input)?;
        self.core.ledger.delete(&input.run_id).await.map_err(failure::budget)?;
        Ok(DeletedBudget { run_id: input.run_id, deleted: true })
    }
}

/// The failure for an input that cannot be read at all.
pub fn invalid_input(problem: &str) -> Failure {
    let mut problems = Problems::default();
    problems.add(".", problem);
    problems.into()
}
