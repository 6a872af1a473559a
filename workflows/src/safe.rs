//! `safeExecution` and `safeExecutionBatch`.
#![expect(
    missing_docs,
    missing_debug_implementations,
    reason = "the macros make constants and types of the handlers"
)]

use airlock_contract::names;
use serde_json::Value;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::approval::{Answer, Desk, Status, Verdict};
use crate::execution::{self, HasDesk};

type Refused = Box<dyn std::error::Error + Send + Sync>;

/// Plans one run, waits for an approval if it needs one, and runs it.
///
/// Input and result are those of the activity `safeExecuteCode`.
#[workflow]
#[derive(Debug, Default)]
pub struct SafeExecution {
    desk: Desk,
}

#[workflow_methods]
impl SafeExecution {
    #[run(name = "safeExecution")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, input: Value) -> WorkflowResult<Value> {
        execution::run(ctx, names::SAFE_EXECUTE_CODE, input).await
    }

    #[query(name = "status")]
    pub fn status(&self, _ctx: &WorkflowContextView) -> Status {
        self.desk.status.clone()
    }

    #[update_validator(approve)]
    fn may_approve(&self, _ctx: &WorkflowContextView, answer: &Answer) -> Result<(), Refused> {
        Ok(self.desk.check(answer)?)
    }

    #[update(name = "approve")]
    pub fn approve(&mut self, _ctx: &mut SyncWorkflowContext<Self>, answer: Answer) -> Status {
        self.desk.answer(Verdict::Approved, answer)
    }

    #[update_validator(reject)]
    fn may_reject(&self, _ctx: &WorkflowContextView, answer: &Answer) -> Result<(), Refused> {
        Ok(self.desk.check(answer)?)
    }

    #[update(name = "reject")]
    pub fn reject(&mut self, _ctx: &mut SyncWorkflowContext<Self>, answer: Answer) -> Status {
        self.desk.answer(Verdict::Rejected, answer)
    }

    #[signal(name = "approve")]
    pub fn approve_signal(&mut self, _ctx: &mut SyncWorkflowContext<Self>, answer: Answer) {
        self.desk.answer(Verdict::Approved, answer);
    }

    #[signal(name = "reject")]
    pub fn reject_signal(&mut self, _ctx: &mut SyncWorkflowContext<Self>, answer: Answer) {
        self.desk.answer(Verdict::Rejected, answer);
    }
}

impl HasDesk for SafeExecution {
    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn desk_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }
}

/// The same for a batch.
///
/// Input and result are those of the activity `safeExecuteBatch`.
#[workflow]
#[derive(Debug, Default)]
pub struct SafeExecutionBatch {
    desk: Desk,
}

#[workflow_methods]
impl SafeExecutionBatch {
    #[run(name = "safeExecutionBatch")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, input: Value) -> WorkflowResult<Value> {
        execution::run(ctx, names::SAFE_EXECUTE_BATCH, input).await
    }

    #[query(name = "status")]
    pub fn status(&self, _ctx: &WorkflowContextView) -> Status {
        self.desk.status.clone()
    }

    #[update_validator(approve)]
    fn may_approve(&self, _ctx: &WorkflowContextView, answer: &Answer) -> Result<(), Refused> {
        Ok(self.desk.check(answer)?)
    }

    #[update(name = "approve")]
    pub fn approve(&mut self, _ctx: &mut SyncWorkflowContext<Self>, answer: Answer) -> Status {
        self.desk.answer(Verdict::Approved, answer)
    }

    #[update_validator(reject)]
    fn may_reject(&self, _ctx: &WorkflowContextView, answer: &Answer) -> Result<(), Refused> {
        Ok(self.desk.check(answer)?)
    }

    #[update(name = "reject")]
    pub fn reject(&mut self, _ctx: &mut SyncWorkflowContext<Self>, answer: Answer) -> Status {
        self.desk.answer(Verdict::Rejected, answer)
    }

    #[signal(name = "approve")]
    pub fn approve_signal(&mut self, _ctx: &mut SyncWorkflowContext<Self>, answer: Answer) {
        self.desk.answer(Verdict::Approved, answer);
    }

    #[signal(name = "reject")]
    pub fn reject_signal(&mut self, _ctx: &mut SyncWorkflowContext<Self>, answer: Answer) {
        self.desk.answer(Verdict::Rejected, answer);
    }
}

impl HasDesk for SafeExecutionBatch {
    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn desk_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }
}
