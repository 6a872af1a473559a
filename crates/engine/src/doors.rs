//! The small use cases: decisions and spending. They take the raw JSON of their contract input, so
//! that every door answers a bad one alike.

use airlock_audit::Event;
use airlock_contract::{
    BudgetStatus, CheckPolicyInput, Failure, FailureType, PolicyDecision, PolicyOutcome, Problems,
    SpendBudgetInput,
};
use airlock_policy::Gate;
use serde_json::Value;

use crate::engine::Engine;
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
        self.core.check_names(input)?;
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
        match self.desk().spend(input, default_key).await {
            Err(failure)
                if failure.kind == FailureType::BudgetNotFound
                    && self.core.config.auto_create.is_some() =>
            {
                let SpendBudgetInput { run_id, .. } = SpendBudgetInput::parse(input)?;
                if let Err(run::Halt::Failed(failure)) = self.core.auto_create(run_id).await {
                    return Err(failure);
                }
                self.desk().spend(input, default_key).await
            }
            other => other,
        }
    }
}

/// The failure for an input that cannot be read at all.
pub fn invalid_input(problem: &str) -> Failure {
    let mut problems = Problems::default();
    problems.add(".", problem);
    problems.into()
}
