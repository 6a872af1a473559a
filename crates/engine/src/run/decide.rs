//! Asking the policy, and writing down what it said.

use std::str::FromStr as _;

use airlock_audit::Event;
use airlock_contract::{
    Certainty, CheckPolicyInput, Effect, EffectKind, ExecuteInput, Failure, FailureType, Mode,
    Phase, PolicyContext, PolicyDecision, PolicyOutcome, Problems, Severity,
};
use airlock_policy::{Action, Code, Decision, Gate, Package, Request};
use airlock_redaction::Redactor;
use serde_json::Value;

use super::{Halt, Run};
use crate::engine::Core;
use crate::faultpoint::{Point, reach};
use crate::{failure, metrics};

/// Decides about an action without recording anything; needs no server.
///
/// # Errors
/// [`FailureType::InvalidInput`] for an action type that does not exist, or whose context is missing.
pub(crate) fn decide(gate: &Gate, input: &CheckPolicyInput) -> Result<PolicyDecision, Failure> {
    let action = action(&input.action_type)?;
    let context = &input.context;
    has_context(action, context)?;
    let amount = context.amount.map(|amount| amount.to_string());
    let request = Request {
        command: context.command.as_deref(),
        code: context.code.as_ref().map(|c| Code { language: &c.language, source: &c.source }),
        cwd: context.cwd.as_deref(),
        paths: &context.paths,
        hosts: &context.hosts,
        service: context.service.as_deref(),
        amount: amount.as_deref(),
        ..Request::new(action)
    };
    Ok(to_contract(gate.decide(&request)))
}

fn action(name: &str) -> Result<Action, Failure> {
    Action::from_str(name).map_err(|unknown| {
        let mut problems = Problems::default();
        problems.add("actionType", format!("is not known; did you mean \"{}\"?", unknown.nearest));
        problems.into()
    })
}

/// Nothing is allowed because nothing was said: an action needs what it is about. `deploy` and
/// `create_billing` are judged as such, whatever the service.
fn has_context(action: Action, context: &PolicyContext) -> Result<(), Failure> {
    let runs = context.command.is_some() || context.code.is_some();
    let (has, field, instead) = match action {
        Action::ExecuteCode => (runs, "context.command", "`context.command` or `context.code`"),
        Action::DeleteFiles => (
            runs || !context.paths.is_empty(),
            "context.paths",
            "`context.paths`, `context.command` or `context.code`",
        ),
        Action::NetworkAccess => (
            runs || !context.hosts.is_empty(),
            "context.hosts",
            "`context.hosts`, `context.command` or `context.code`",
        ),
        Action::Deploy | Action::CreateBilling => return Ok(()),
    };
    if has {
        return Ok(());
    }
    let mut problems = Problems::default();
    problems.add(field, format!("is missing: {action} needs {instead}"));
    Err(problems.into())
}

/// What the policy says about a run.
fn decide_run(gate: &Gate, input: &ExecuteInput) -> Result<Decision, Failure> {
    let packages: Vec<Package<'_>> = input
        .packages
        .iter()
        .flat_map(|entry| {
            let manager = entry.manager.as_str();
            entry.names.iter().map(move |name| Package { manager, name })
        })
        .collect();
    let request = Request {
        command: input.command.as_deref(),
        code: input.code.as_ref().map(|c| Code { language: &c.language, source: &c.source }),
        cwd: input.cwd.as_deref(),
        env: &input.env,
        stdin: input.stdin.as_deref(),
        packages: &packages,
        ..Request::new(action(&input.action_type)?)
    };
    Ok(gate.decide(&request))
}

fn to_contract(decision: Decision) -> PolicyDecision {
    let blocks = decision.blocks();
    let outcome = match decision.outcome {
        airlock_policy::Outcome::Allow => PolicyOutcome::Allow,
        airlock_policy::Outcome::RequireApproval => PolicyOutcome::RequireApproval,
        airlock_policy::Outcome::Deny => PolicyOutcome::Deny,
    };
    PolicyDecision {
        allowed: !blocks,
        outcome,
        requires_approval: blocks && outcome == PolicyOutcome::RequireApproval,
        action_type: decision.action.as_str().to_owned(),
        reason: decision.reason,
        remedy: decision.remedy,
        rule_ids: decision.rule_ids,
        effects: decision.effects.into_iter().map(effect).collect(),
        severity: match decision.severity {
            airlock_policy::Severity::Info => Severity::Info,
            airlock_policy::Severity::Low => Severity::Low,
            airlock_policy::Severity::Medium => Severity::Medium,
            airlock_policy::Severity::High => Severity::High,
            airlock_policy::Severity::Critical => Severity::Critical,
        },
        unseen: decision.unseen,
        unenforced: decision.unenforced,
        policy_digest: decision.policy_digest,
        mode: match decision.mode {
            airlock_policy::Mode::Enforce => Mode::Enforce,
            airlock_policy::Mode::Shadow => Mode::Shadow,
        },
    }
}

fn effect(effect: airlock_policy::Effect) -> Effect {
    use airlock_policy::EffectKind as Kind;
    Effect {
        kind: match effect.kind {
            Kind::FsDelete => EffectKind::FsDelete,
            Kind::FsWrite => EffectKind::FsWrite,
            Kind::DeviceWrite => EffectKind::DeviceWrite,
            Kind::ExecRemote => EffectKind::ExecRemote,
            Kind::ExecOpaque => EffectKind::ExecOpaque,
            Kind::DbStatement => EffectKind::DbStatement,
            Kind::CloudMutate => EffectKind::CloudMutate,
            Kind::NetEgress => EffectKind::NetEgress,
            Kind::CredentialRead => EffectKind::CredentialRead,
            Kind::Privilege => EffectKind::Privilege,
            Kind::Process => EffectKind::Process,
            Kind::System => EffectKind::System,
            Kind::Deploy => EffectKind::Deploy,
            Kind::Publish => EffectKind::Publish,
            Kind::Billing => EffectKind::Billing,
            Kind::VcsMutate => EffectKind::VcsMutate,
        },
        target: effect.target,
        span: [effect.span.0, effect.span.1],
        certainty: match effect.certainty {
            airlock_policy::Certainty::Exact => Certainty::Exact,
            airlock_policy::Certainty::Prefix => Certainty::Prefix,
            airlock_policy::Certainty::Unknown => Certainty::Unknown,
        },
    }
}

/// The same decision without secrets that the command spelled out.
pub fn redacted(mut decision: PolicyDecision, redactor: &Redactor) -> PolicyDecision {
    let clean = |text: &mut String| {
        if let std::borrow::Cow::Owned(redacted) = redactor.redact(text) {
            *text = redacted;
        }
    };
    clean(&mut decision.reason);
    decision.remedy.iter_mut().for_each(clean);
    decision.effects.iter_mut().map(|effect| &mut effect.target).for_each(clean);
    decision.unseen.iter_mut().chain(&mut decision.unenforced).for_each(clean);
    decision
}

/// The failure for a denial.
pub(crate) fn denied(decision: &PolicyDecision) -> Failure {
    let remedy = decision.remedy.as_deref().map(|r| format!(". Instead: {r}")).unwrap_or_default();
    Failure::new(
        FailureType::PolicyDenied,
        format!("the policy refuses this: {}{remedy}", decision.reason),
    )
    .with_details(decision)
}

impl Core {
    /// Records a decision in the audit log; fails closed.
    pub(crate) async fn record_decision(
        &self,
        decision: &PolicyDecision,
        about: Event,
    ) -> Result<(), Failure> {
        metrics::decision(decision.outcome);
        let facts = serde_json::to_value(decision).unwrap_or_default();
        let event = about.with("decision", small(facts));
        self.audit.append(event).await.map(|_| ()).map_err(|error| failure::audit(&error))
    }
}

/// A decision that fits into an audit record: a command may have thousands of effects.
fn small(mut facts: Value) -> Value {
    const MOST: usize = 100;
    if let Some(effects) = facts.get_mut("effects").and_then(Value::as_array_mut) {
        effects.truncate(MOST);
    }
    facts
}

impl Run {
    /// What the policy says about one command, redacted; nothing is recorded.
    pub(crate) fn judge(&self, input: &ExecuteInput) -> Result<PolicyDecision, Halt> {
        let decision = decide_run(&self.core.gate(), input)?;
        Ok(redacted(to_contract(decision), &self.redactor))
    }

    /// Asks the policy about every command of the run; the decisions, redacted, in order.
    ///
    /// # Errors
    /// The first denial. Each decision is in the audit log before anything is done about it.
    pub(crate) async fn decide(
        &mut self,
        inputs: &[ExecuteInput],
    ) -> Result<Vec<PolicyDecision>, Halt> {
        self.pulse.phase(Phase::Deciding);
        let gate = self.core.gate();
        let mut decisions = Vec::with_capacity(inputs.len());
        for input in inputs {
            let decision = decide_run(&gate, input)?;
            self.approval_ttl =
                self.approval_ttl.into_iter().chain(decision.approval_expires).min();
            decisions.push(redacted(to_contract(decision), &self.redactor));
        }
        if self.may_have_started() {
            // It was let through before; what runs already is not judged again.
            return Ok(decisions);
        }
        for (index, (decision, input)) in decisions.iter().zip(inputs).enumerate() {
            let labels = serde_json::to_value(self.labels(input)).unwrap_or_default();
            let about = Event::new("policy.decided")
                .for_account(&self.key.account)
                .of_execution(self.execution())
                .with("index", index)
                .with("attempt", self.attempt.number)
                .with("labels", labels);
            self.core.record_decision(decision, about).await?;
            reach(Point::DecideRecorded).await;
        }
        let refused = decisions
            .iter()
            .find(|decision| !decision.allowed && decision.outcome == PolicyOutcome::Deny);
        match refused {
            Some(decision) => Err(denied(decision).into()),
            None => Ok(decisions),
        }
    }
}
