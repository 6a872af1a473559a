//! `dryRun`: decide, price and plan; run nothing, spend nothing.

use airlock_budget::Error as BudgetError;
use airlock_contract::{ExecuteInput, Phase, Plan, PolicyDecision, PolicyOutcome};
use serde_json::Value;

use crate::metrics;
use crate::run::{Halt, Price, Run};

impl Run {
    /// The plan of a single run, as a result.
    pub(crate) async fn plan(
        &mut self,
        inputs: &[ExecuteInput],
        price: Price,
    ) -> Result<Value, Halt> {
        let results = self.plans(inputs, &price).await?;
        metrics::run(airlock_contract::RunStatus::DryRun);
        let first = results.into_iter().next();
        Ok(serde_json::to_value(first).unwrap_or_default())
    }

    /// One planned result a command. A denial is part of the plan, not a failure.
    pub(crate) async fn plans(
        &mut self,
        inputs: &[ExecuteInput],
        price: &Price,
    ) -> Result<Vec<airlock_contract::ExecuteResult>, Halt> {
        self.pulse.phase(Phase::Deciding);
        let worst_case_usd = self.worst_case(price);
        let within = price.max.is_none_or(|max| worst_case_usd <= max);
        let (covered, remaining) =
            match self.core.ledger.can_spend(&self.key.account, worst_case_usd).await {
                Ok(answer) => (answer.can_spend && within, answer.remaining),
                Err(BudgetError::NotFound { .. }) => match &self.core.config.auto_create {
                    Some(auto) => (worst_case_usd <= auto.limit && within, auto.limit),
                    None => (false, airlock_contract::Usd::ZERO),
                },
                Err(error) => return Err(error.into()),
            };
        let mut results = Vec::with_capacity(inputs.len());
        for input in inputs {
            let decision = self.judge(input)?;
            let plan = Plan {
                template: price.template.clone(),
                worst_case_usd,
                covered,
                steps: steps(input, &decision, price, covered),
            };
            let mut result = self.blank(input, decision);
            result.budget_remaining = remaining;
            result.plan = Some(plan);
            results.push(result);
        }
        Ok(results)
    }
}

/// What would happen, in words.
fn steps(
    input: &ExecuteInput,
    decision: &PolicyDecision,
    price: &Price,
    covered: bool,
) -> Vec<String> {
    let mut steps = Vec::new();
    match (decision.allowed, decision.outcome) {
        (true, _) => {}
        (false, PolicyOutcome::Deny) => {
            steps.push("the policy refuses it; nothing would run".to_owned());
            return steps;
        }
        (false, _) => steps.push("a person approves it first".to_owned()),
    }
    if !covered {
        steps.push("the budget does not cover the worst case; nothing would run".to_owned());
        return steps;
    }
    if let Some(id) = &input.sandbox_id {
        steps.push(format!("take a seat in the shared sandbox {id}"));
    } else {
        let seconds = price.total.as_secs();
        steps.push(format!("hold the worst case of {seconds} s in a sandbox"));
        steps.push(format!("create a sandbox of template {}", price.template));
    }
    if !input.files.is_empty() {
        steps.push(format!("upload {} files", input.files.len()));
    }
    for packages in &input.packages {
        let manager = packages.manager.as_str();
        steps.push(format!("install {} packages with {manager}", packages.names.len()));
    }
    let what = if input.code.is_some() { "program" } else { "command" };
    steps.push(format!("run the {what} for at most {} ms", input.timeout_ms));
    if !input.artifacts.is_empty() {
        steps.push("bring back artifacts".to_owned());
    }
    let end = match input.sandbox_id {
        Some(_) => "give the seat back; the sandbox stays",
        None => "remove the sandbox and book what it cost",
    };
    steps.push(end.to_owned());
    steps
}
