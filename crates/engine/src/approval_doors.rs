//! Approvals as people meet them: asked for ahead of a run, listed, answered.
//!
//! An answer is in the audit log before it is given: an event without its effect can be looked
//! into, an effect without its event cannot. Whoever may answer is for the doors to say; an agent's
//! own task queue must not be one of them.

use std::sync::Arc;

use airlock_approval::{Approval, Approvals, Error as ApprovalError, State};
use airlock_audit::{Event, Log};
use airlock_contract::{
    ApprovalAnswer, ApprovalList, ApprovalStatus, BatchInput, ExecuteInput, Failure, FailureType,
    ListApprovalsInput, RequestedApproval, ResolveApprovalInput,
};
use airlock_redaction::Redactor;
use serde_json::{Value, json};

use crate::context::RunContext;
use crate::engine::Engine;
use crate::failure;
use crate::run::{Halt, Run};

/// Lists and answers approvals. Needs no more than their store and the audit log, so that a command
/// line can do it without a worker.
#[derive(Clone, Debug)]
pub struct ApprovalDesk {
    approvals: Approvals,
    audit: Arc<Log>,
    redactor: Redactor,
}

impl ApprovalDesk {
    /// Answers approvals of `approvals`; what people say is redacted before it is kept.
    pub const fn new(approvals: Approvals, audit: Arc<Log>, redactor: Redactor) -> Self {
        Self { approvals, audit, redactor }
    }

    /// What waits for an answer.
    ///
    /// # Errors
    /// `InvalidInput`, `BudgetStoreUnavailable`.
    pub async fn list(&self, input: &Value) -> Result<ApprovalList, Failure> {
        let ListApprovalsInput { limit } = ListApprovalsInput::parse(input)?;
        let limit = limit.unwrap_or(ListApprovalsInput::DEFAULT_LIMIT);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let found = self.approvals.list(limit).await.map_err(refused)?;
        Ok(ApprovalList { approvals: found.iter().map(Approval::to_status).collect() })
    }

    /// One approval, in whatever state it is.
    ///
    /// # Errors
    /// `ApprovalInvalid` if there is none of this id, `BudgetStoreUnavailable`.
    pub async fn get(&self, id: &str) -> Result<ApprovalStatus, Failure> {
        self.find(id).await.map(|approval| approval.to_status())
    }

    /// Grants or rejects. The same answer again changes nothing.
    ///
    /// # Errors
    /// `InvalidInput`; `ApprovalInvalid` if there is none of this id or it has expired; `Conflict`
    /// if it was answered otherwise; `AuditUnavailable`, `BudgetStoreUnavailable`.
    pub async fn resolve(&self, input: &Value) -> Result<ApprovalStatus, Failure> {
        let ResolveApprovalInput { approval_id, answer, by, reason } =
            ResolveApprovalInput::parse(input)?;
        let by = self.redactor.redact(&by);
        let reason = self.redactor.redact(reason.as_deref().unwrap_or_default());
        let approval = self.find(&approval_id).await?;
        if approval.state == State::Pending {
            let kind = match answer {
                ApprovalAnswer::Approve => "approval.granted",
                ApprovalAnswer::Reject => "approval.rejected",
            };
            let event = Event::new(kind)
                .for_account(&approval.account)
                .with("approvalId", approval.id.as_str())
                .with("executionId", approval.execution.as_str())
                .with("digest", approval.digest.as_str())
                .with("by", by.as_ref())
                .with("reason", reason.as_ref());
            self.audit.append(event).await.map_err(|error| failure::audit(&error))?;
        }
        let answered = match answer {
            ApprovalAnswer::Approve => self.approvals.approve(&approval_id, &by).await,
            ApprovalAnswer::Reject => self.approvals.reject(&approval_id, &by, &reason).await,
        };
        Ok(answered.map_err(refused)?.to_status())
    }

    async fn find(&self, id: &str) -> Result<Approval, Failure> {
        self.approvals
            .get(id)
            .await
            .map_err(refused)?
            .ok_or_else(|| refused(ApprovalError::NotFound))
    }
}

/// An answer that cannot be given, in the words of somebody who answers.
fn refused(error: ApprovalError) -> Failure {
    match error {
        ApprovalError::NotFound => {
            Failure::new(FailureType::ApprovalInvalid, "there is no approval of this id")
                .with_details(&json!({ "state": null }))
        }
        ApprovalError::Expired => {
            Failure::new(FailureType::ApprovalInvalid, "the approval has expired")
                .with_details(&json!({ "state": State::Expired }))
        }
        ApprovalError::AlreadyAnswered(approval) => {
            Failure::new(FailureType::Conflict, "the approval was answered otherwise before")
                .with_details(&approval.to_status())
        }
        ApprovalError::InvalidInput(why) => Failure::new(FailureType::InvalidInput, why),
        other => failure::approval(other),
    }
}

impl Engine {
    /// Where approvals are listed and answered.
    pub fn approval_desk(&self) -> ApprovalDesk {
        let core = &self.core;
        ApprovalDesk::new(core.approvals.clone(), core.audit.clone(), core.redactor())
    }

    /// Asks for an approval ahead of the run that will use it: the input of `safeExecuteCode`, or
    /// of `safeExecuteBatch`. The same input again in the same execution is the same request.
    ///
    /// # Errors
    /// `InvalidInput`; `PolicyDenied` for what no approval would let through; `AuditUnavailable`,
    /// `BudgetStoreUnavailable`.
    pub async fn request_approval(
        &self,
        ctx: &dyn RunContext,
        input: &Value,
    ) -> Result<RequestedApproval, Failure> {
        self.core.check_names(input)?;
        let limits = &self.core.config.limits;
        let (account, inputs): (_, Vec<ExecuteInput>) = if input.get("commands").is_some() {
            let batch = BatchInput::parse(input, limits)?;
            (batch.run_id.clone(), batch.runs().collect())
        } else {
            let single = ExecuteInput::parse(input, limits)?;
            (single.run_id.clone(), vec![single])
        };
        let mut run = Run::new(self.core.clone(), ctx, account, inputs.len());
        let decisions = run.decide(&inputs).await.map_err(failed)?;
        let asks = decisions.iter().find(|decision| decision.requires_approval);
        let Some(decision) = asks.or_else(|| decisions.first()).cloned() else {
            return Err(failure::internal("requesting an approval", &"nothing was decided"));
        };
        let approval = match asks {
            Some(decision) => Some(run.request(&inputs, decision).await?.to_contract()),
            None => None,
        };
        Ok(RequestedApproval { required: approval.is_some(), approval, decision })
    }
}

fn failed(halt: Halt) -> Failure {
    match halt {
        Halt::Failed(failure) => failure,
        other => failure::internal("requesting an approval", &format_args!("{other:?}")),
    }
}
