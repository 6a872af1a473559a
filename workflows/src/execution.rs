//! Plan, wait for an approval if one is needed, run: the same for one command and for a batch.
//!
//! The workflow does not approve anything by itself. Its `approve` says that somebody granted the
//! request; the run then presents the request's id, and the activity looks it up where approvals
//! are kept. A request that is not granted there is asked for again.

use std::time::Duration;

use airlock_contract::{ApprovalRequest, FailureType};
use serde_json::{Value, json};
use temporalio_workflow::common::error::{
    ApplicationErrorCategory, ApplicationFailure, IncomingError,
};
use temporalio_workflow::{
    ActivityExecutionError, TimerOptions, WorkflowContext, WorkflowResult, WorkflowTermination,
    select,
};

use crate::activities::Json;
use crate::approval::{Answer, Desk, Verdict, WorkflowPhase};
use crate::options;

/// How long a request without a readable end is waited for.
const DEFAULT_PATIENCE: Duration = Duration::from_hours(1);
/// How often a run may be told that its approval is not granted after all.
const MAX_QUESTIONS: u32 = 20;

/// A workflow with a [`Desk`].
pub(crate) trait HasDesk {
    fn desk(&self) -> &Desk;
    fn desk_mut(&mut self) -> &mut Desk;
}

/// Runs `activity` on `input`; its result is the workflow's.
pub(crate) async fn run<W: HasDesk + 'static>(
    ctx: &mut WorkflowContext<W>,
    activity: &'static str,
    input: Value,
) -> WorkflowResult<Value> {
    let ended = attempt(ctx, activity, input).await;
    let phase = if ended.is_ok() { WorkflowPhase::Done } else { WorkflowPhase::Failed };
    enter(ctx, phase, "");
    ended
}

async fn attempt<W: HasDesk + 'static>(
    ctx: &mut WorkflowContext<W>,
    activity: &'static str,
    mut input: Value,
) -> WorkflowResult<Value> {
    let only_plan = input.get("dryRun") == Some(&Value::Bool(true));
    enter(ctx, WorkflowPhase::Planning, "planning");
    let planned = plan(ctx, activity, &input).await?;
    if only_plan {
        return planned.ok_or_else(|| invalid("the plan needs an approval first").into());
    }
    for _ in 0..MAX_QUESTIONS {
        enter(ctx, WorkflowPhase::Running, "running");
        let running = ctx.execute_activity(Json(activity), input.clone(), options::run(&input));
        let request = match running.await {
            Ok(result) => return Ok(result),
            Err(error) => needed_approval(error)?,
        };
        let id = request.id.clone();
        ask(ctx, request).await?;
        if let Value::Object(fields) = &mut input {
            fields.insert("approvalId".to_owned(), Value::String(id));
        }
    }
    Err(invalid("the approval was said to be granted too often without being so").into())
}

/// Decides and prices without running, for the status; nothing if that needs an approval itself.
async fn plan<W: HasDesk + 'static>(
    ctx: &mut WorkflowContext<W>,
    activity: &'static str,
    input: &Value,
) -> WorkflowResult<Option<Value>> {
    let mut dry = input.clone();
    if let Value::Object(fields) = &mut dry {
        fields.insert("dryRun".to_owned(), Value::Bool(true));
    }
    let planned = ctx.execute_activity(Json(activity), dry, options::plan(input)).await;
    let result = match planned {
        Ok(result) => result,
        Err(error) => return needed_approval(error).map(|_| None),
    };
    ctx.state_mut(|workflow| {
        let status = &mut workflow.desk_mut().status;
        status.decision = result.get("decision").cloned();
        status.plan = result.get("plan").cloned();
    });
    Ok(Some(result))
}

/// Waits until the request is answered or void.
async fn ask<W: HasDesk + 'static>(
    ctx: &mut WorkflowContext<W>,
    request: ApprovalRequest,
) -> WorkflowResult<()> {
    let patience = patience(ctx, &request);
    let details = format!("waits for approval {}: {}", request.id, request.how_to_answer);
    ctx.state_mut(|workflow| {
        let desk = workflow.desk_mut();
        desk.verdict = None;
        desk.status.answered_by = None;
        desk.status.approval = Some(request);
    });
    enter(ctx, WorkflowPhase::AwaitingApproval, &details);
    let timer = TimerOptions::builder(patience).summary("the approval expires".to_owned()).build();
    let answered = select! {
        waited = ctx.wait_condition(|workflow| workflow.desk().verdict.is_some()) => {
            waited?;
            true
        }
        _ = ctx.timer(timer) => false,
    };
    let verdict = ctx.state_mut(|workflow| workflow.desk_mut().verdict.take());
    match verdict.filter(|_| answered) {
        Some((Verdict::Approved, _)) => Ok(()),
        Some((Verdict::Rejected, answer)) => Err(rejected(&answer).into()),
        None => Err(invalid("the approval was not answered in time").into()),
    }
}

/// Until the request is void, by the workflow's own clock.
fn patience<W>(ctx: &WorkflowContext<W>, request: &ApprovalRequest) -> Duration {
    let end = request.expires_at.parse::<jiff::Timestamp>().ok();
    let now = ctx.workflow_time().and_then(|now| jiff::Timestamp::try_from(now).ok());
    match (end, now) {
        (Some(end), Some(now)) => end.duration_since(now).try_into().unwrap_or(Duration::ZERO),
        _ => DEFAULT_PATIENCE,
    }
}

fn enter<W: HasDesk>(ctx: &WorkflowContext<W>, phase: WorkflowPhase, details: &str) {
    ctx.state_mut(|workflow| workflow.desk_mut().status.phase = phase);
    ctx.set_current_details(details);
}

/// The approval that an activity asks for. Any other error ends the workflow: a failure as it is, a
/// cancellation with what there was.
fn needed_approval(error: ActivityExecutionError) -> WorkflowResult<ApprovalRequest> {
    if let ActivityExecutionError::Cancelled(cancelled) = &error {
        let details: Option<Value> = cancelled.details().ok().flatten();
        return Err(details.map_or_else(
            WorkflowTermination::cancelled,
            WorkflowTermination::cancelled_with_details,
        ));
    }
    match error.cause() {
        Some(IncomingError::Application(failure))
            if failure.type_name() == Some(FailureType::ApprovalRequired.as_str()) =>
        {
            let request: Option<ApprovalRequest> = failure.details().ok().flatten();
            request.ok_or_else(|| error.into())
        }
        _ => Err(error.into()),
    }
}

fn rejected(answer: &Answer) -> ApplicationFailure {
    let (by, reason) = (options::redact(&answer.by), options::redact(&answer.reason));
    let message = match reason.trim() {
        "" => format!("rejected by {by}"),
        reason => format!("rejected by {by}: {reason}"),
    };
    failure(message, json!({ "rejectedBy": by, "reason": reason }))
}

fn invalid(message: &str) -> ApplicationFailure {
    failure(message.to_owned(), Value::Null)
}

fn failure(message: String, details: Value) -> ApplicationFailure {
    ApplicationFailure::builder(message)
        .type_name(FailureType::ApprovalInvalid.as_str().to_owned())
        .non_retryable(true)
        .category(ApplicationErrorCategory::Benign)
        .details(details)
        .build()
}
