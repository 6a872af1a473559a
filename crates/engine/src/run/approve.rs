//! Approvals: what the policy wants a person to see first.
//!
//! An approval is bound to a digest of everything that would be done and of the policy that asked,
//! and is used up by one execution, which may present it again on a retry.

use std::time::Duration;

use airlock_approval::{Approval, Error as ApprovalError, NewRequest, approval_digest};
use airlock_audit::Event;
use airlock_contract::{Certainty, EffectKind, ExecuteInput, Failure, FailureType, PolicyDecision};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Halt, Run};
use crate::failure;

/// Longest preview, in bytes; the approval cuts it further.
const PREVIEW: usize = 8 * 1024;

impl Run {
    /// Goes on if nothing needs an approval, or if `presented` is one for exactly this.
    ///
    /// # Errors
    /// [`FailureType::ApprovalRequired`] with the request to be answered, or
    /// [`FailureType::ApprovalInvalid`].
    pub(crate) async fn approve(
        &mut self,
        inputs: &[ExecuteInput],
        decisions: &[PolicyDecision],
        presented: Option<&str>,
    ) -> Result<(), Halt> {
        let Some(decision) = decisions.iter().find(|decision| decision.requires_approval) else {
            return Ok(());
        };
        if self.may_have_started() {
            self.approved = true;
            return Ok(());
        }
        let Some(id) = presented else {
            return Err(self.ask(inputs, decision).await);
        };
        let arguments = arguments(inputs);
        let digest = approval_digest(&self.key.account, &arguments, &decision.policy_digest);
        match self.core.approvals.consume(id, &digest, self.execution()).await {
            Ok(approval) => {
                self.approved = true;
                let event = Event::new("approval.used")
                    .for_account(&self.key.account)
                    .of_execution(self.execution())
                    .with("approvalId", approval.id)
                    .with("by", json!(approval.answered_by));
                self.core.audit.append(event).await.map_err(|error| failure::audit(&error))?;
                Ok(())
            }
            Err(ApprovalError::Pending) => Err(self.ask(inputs, decision).await),
            Err(error) => Err(failure::approval(error).into()),
        }
    }

    async fn ask(&self, inputs: &[ExecuteInput], decision: &PolicyDecision) -> Halt {
        let contract = match self.request(inputs, decision).await {
            Ok(approval) => approval.to_contract(),
            Err(failure) => return failure.into(),
        };
        Failure::new(
            FailureType::ApprovalRequired,
            format!(
                "a person must approve this first: {} Answer approval {}, then run it again with \
                 approvalId",
                decision.reason, contract.id
            ),
        )
        .with_details(&contract)
        .into()
    }

    /// The request for exactly this, new or as it stands.
    pub(crate) async fn request(
        &self,
        inputs: &[ExecuteInput],
        decision: &PolicyDecision,
    ) -> Result<Approval, Failure> {
        let ttl = self.approval_ttl.unwrap_or(self.core.config.approval_ttl);
        let request = NewRequest {
            account: self.key.account.clone(),
            execution: self.execution().clone(),
            args_digest: arguments(inputs),
            policy_digest: decision.policy_digest.clone(),
            action_type: decision.action_type.clone(),
            reason: decision.reason.clone(),
            preview: self.preview(inputs),
            details: json!({ "ruleIds": decision.rule_ids, "severity": decision.severity }),
            ttl: ttl.max(Duration::from_secs(1)),
        };
        self.core.approvals.request(&request).await.map_err(failure::approval)
    }

    /// What a person sees, without secrets.
    fn preview(&self, inputs: &[ExecuteInput]) -> String {
        let mut text = String::new();
        for input in inputs {
            let what =
                input.command.as_deref().or_else(|| Some(input.code.as_ref()?.source.as_str()));
            text.push_str(what.unwrap_or_default());
            text.push('\n');
            if text.len() > PREVIEW {
                break;
            }
        }
        text.truncate(text.floor_char_boundary(PREVIEW));
        self.redactor.redact(&text).into_owned()
    }
}

/// Digest of everything that would be done.
fn arguments(inputs: &[ExecuteInput]) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        let bare = ExecuteInput { approval_id: None, ..input.clone() };
        let text = serde_json::to_string(&bare).unwrap_or_default();
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hex::encode(hash.finalize())
}

/// Hosts that the decisions name exactly: what an approval lets the sandbox reach.
pub(crate) fn hosts_of(decisions: &[PolicyDecision]) -> Vec<String> {
    decisions
        .iter()
        .flat_map(|decision| &decision.effects)
        .filter(|e| e.kind == EffectKind::NetEgress && e.certainty == Certainty::Exact)
        .map(|effect| effect.target.clone())
        .collect()
}
