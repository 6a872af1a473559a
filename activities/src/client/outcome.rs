//! Waiting for the end of an execution, and reading it.

use std::time::Duration;

use airlock_contract::FailureType;
use serde_json::Value;
use temporalio_client::grpc::WorkflowService as _;
use temporalio_client::tonic::{Code, Request, Status};
use temporalio_common::protos::temporal::api::activity::v1::activity_execution_outcome::Value as ActivityEnd;
use temporalio_common::protos::temporal::api::enums::v1::HistoryEventFilterType;
use temporalio_common::protos::temporal::api::failure::v1::Failure as WireFailure;
use temporalio_common::protos::temporal::api::failure::v1::failure::FailureInfo;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    GetWorkflowExecutionHistoryRequest, PollActivityExecutionRequest,
};

use super::{Execution, Mode, of_workflow};
use crate::connection::Connection;
use crate::error::Error;
use crate::runtime::wire;

/// How long to wait for a server that went away.
const ABSENCE_WAIT: Duration = Duration::from_secs(2);

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With a result.
    Completed(Value),
    /// With a failure.
    Failed(FailureReport),
    /// Cancelled, with what there was.
    Cancelled(Option<Value>),
    /// Somebody ended it by force; nothing is known of the command.
    Terminated,
    /// It took too long, attempts included.
    TimedOut,
}

/// A failure as the history has it.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureReport {
    /// The contract's type, if it is one.
    pub kind: Option<FailureType>,
    /// The type as text; empty if there is none.
    pub type_name: String,
    /// One sentence.
    pub message: String,
    /// The details, if they are JSON.
    pub details: Option<Value>,
}

/// Waits until `execution` is over.
pub(super) async fn wait(connection: &Connection, execution: &Execution) -> Result<Outcome, Error> {
    let mut execution = execution.clone();
    loop {
        let polled = match execution.mode {
            Mode::Activity => poll_activity(connection, &execution).await,
            Mode::Workflow => poll_workflow(connection, &mut execution).await,
        };
        match polled {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => {}
            Err(status) if is_absence(&status) => {
                tracing::warn!(code = ?status.code(), "Temporal does not answer; waiting on");
                tokio::time::sleep(ABSENCE_WAIT).await;
            }
            Err(status) if status.code() == Code::NotFound => {
                let problem = "is not known to Temporal; its retention may be over";
                return Err(Error::Execution { id: execution.id, problem });
            }
            Err(status) => return Err(Error::call("waiting for the execution")(status)),
        }
    }
}

fn is_absence(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted
    )
}

async fn poll_activity(
    connection: &Connection,
    execution: &Execution,
) -> Result<Option<Outcome>, Status> {
    let request = PollActivityExecutionRequest {
        namespace: connection.namespace().to_owned(),
        activity_id: execution.id.clone(),
        run_id: execution.run_id.clone(),
    };
    let answer = connection.service().poll_activity_execution(Request::new(request)).await?;
    let end = answer.into_inner().outcome.and_then(|outcome| outcome.value);
    Ok(end.map(|end| match end {
        ActivityEnd::Result(result) => {
            Outcome::Completed(wire::first_value(Some(&result)).unwrap_or_default())
        }
        ActivityEnd::Failure(failure) => of_failure(&failure),
    }))
}

async fn poll_workflow(
    connection: &Connection,
    execution: &mut Execution,
) -> Result<Option<Outcome>, Status> {
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: connection.namespace().to_owned(),
        execution: Some(of_workflow(execution)),
        wait_new_event: true,
        history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
        skip_archival: true,
        ..GetWorkflowExecutionHistoryRequest::default()
    };
    let answer = connection.service().get_workflow_execution_history(Request::new(request)).await?;
    let events = answer.into_inner().history.unwrap_or_default().events;
    let Some(attributes) = events.into_iter().next_back().and_then(|event| event.attributes) else {
        return Ok(None);
    };
    Ok(match attributes {
        Attributes::WorkflowExecutionCompletedEventAttributes(end) => {
            Some(Outcome::Completed(wire::first_value(end.result.as_ref()).unwrap_or_default()))
        }
        Attributes::WorkflowExecutionFailedEventAttributes(end) => {
            Some(of_failure(&end.failure.unwrap_or_default()))
        }
        Attributes::WorkflowExecutionCanceledEventAttributes(end) => {
            Some(Outcome::Cancelled(wire::first_value(end.details.as_ref())))
        }
        Attributes::WorkflowExecutionTerminatedEventAttributes(_) => Some(Outcome::Terminated),
        Attributes::WorkflowExecutionTimedOutEventAttributes(_) => Some(Outcome::TimedOut),
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(next) => {
            execution.run_id = next.new_execution_run_id;
            None
        }
        _ => None,
    })
}

/// What a failure means. A workflow's is often wrapped: the innermost application failure, time-out
/// or cancellation says what happened.
fn of_failure(failure: &WireFailure) -> Outcome {
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => Outcome::Failed(FailureReport {
            kind: FailureType::ALL.into_iter().find(|kind| kind.as_str() == info.r#type),
            type_name: info.r#type.clone(),
            message: failure.message.clone(),
            details: wire::first_value(info.details.as_ref()),
        }),
        Some(FailureInfo::CanceledFailureInfo(info)) => {
            Outcome::Cancelled(wire::first_value(info.details.as_ref()))
        }
        Some(FailureInfo::TerminatedFailureInfo(_)) => Outcome::Terminated,
        Some(FailureInfo::TimeoutFailureInfo(_)) => {
            // A time-out may carry the failure that came before it.
            match failure.cause.as_deref().map(of_failure) {
                Some(failed @ Outcome::Failed(_)) => failed,
                _ => Outcome::TimedOut,
            }
        }
        _ => failure.cause.as_deref().map_or_else(|| unknown(failure), of_failure),
    }
}

fn unknown(failure: &WireFailure) -> Outcome {
    Outcome::Failed(FailureReport {
        kind: None,
        type_name: String::new(),
        message: failure.message.clone(),
        details: None,
    })
}
