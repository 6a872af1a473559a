//! Whether anybody will come back for an activity: only Temporal knows.

use airlock_contract::RunIdentity;
use airlock_engine::Liveness;
use futures_util::future::BoxFuture;
use temporalio_client::grpc::WorkflowService as _;
use temporalio_client::tonic::{Code, Status};
use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_common::protos::temporal::api::enums::v1::{
    ActivityExecutionStatus, WorkflowExecutionStatus,
};
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeActivityExecutionRequest, DescribeActivityExecutionResponse,
    DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse,
};

use crate::connection::{Connection, timed};

/// Asks Temporal whether the activity of `identity` is still open: for the reaper, which ends what
/// nobody comes back for.
///
/// An identity of another namespace than the connection's is [`Liveness::Unknown`].
pub fn liveness<'a>(
    connection: &'a Connection,
    identity: &'a RunIdentity,
) -> BoxFuture<'a, Liveness> {
    Box::pin(of(connection, identity))
}

/// Asks Temporal whether the workflow of `identity` is still open: for sandboxes that live as long as
/// it does.
///
/// A workflow is open as long as any run of its chain is: the one that `identity` names, one that it
/// continued as, or one that it was reset or retried to. An identity of another namespace, and a
/// standalone activity, which has no workflow, are [`Liveness::Unknown`].
pub fn workflow_liveness<'a>(
    connection: &'a Connection,
    identity: &'a RunIdentity,
) -> BoxFuture<'a, Liveness> {
    Box::pin(async move {
        if identity.namespace != connection.namespace() || identity.workflow_id.is_empty() {
            return Liveness::Unknown;
        }
        said(chain_is_open(connection, identity).await)
    })
}

async fn chain_is_open(connection: &Connection, identity: &RunIdentity) -> Result<bool, Status> {
    let run = describe_workflow(connection, identity, &identity.run_id).await?;
    if !is_closed(&run) {
        return Ok(true);
    }
    let latest = describe_workflow(connection, identity, "").await?;
    let first = |answer: &DescribeWorkflowExecutionResponse| {
        answer.workflow_execution_info.as_ref().map(|info| info.first_run_id.clone())
    };
    Ok(!is_closed(&latest)
        && first(&latest).is_some_and(|id| !id.is_empty() && Some(id) == first(&run)))
}

pub(crate) async fn of(connection: &Connection, identity: &RunIdentity) -> Liveness {
    if identity.namespace != connection.namespace() {
        return Liveness::Unknown;
    }
    let answer = if identity.workflow_id.is_empty() {
        standalone(connection, identity).await
    } else {
        in_workflow(connection, identity).await
    };
    said(answer)
}

fn said(answer: Result<bool, Status>) -> Liveness {
    match answer {
        Ok(true) => Liveness::Open,
        Ok(false) => Liveness::Closed,
        Err(status) if status.code() == Code::NotFound => Liveness::Closed,
        Err(status) => {
            tracing::warn!(code = ?status.code(), "Temporal does not say whether a run is open");
            Liveness::Unknown
        }
    }
}

async fn standalone(connection: &Connection, identity: &RunIdentity) -> Result<bool, Status> {
    let request = DescribeActivityExecutionRequest {
        namespace: identity.namespace.clone(),
        activity_id: identity.activity_id.clone(),
        run_id: identity.run_id.clone(),
        ..Default::default()
    };
    let answer = connection.service().describe_activity_execution(timed(request)).await?;
    Ok(activity_is_open(&answer.into_inner()))
}

async fn in_workflow(connection: &Connection, identity: &RunIdentity) -> Result<bool, Status> {
    let answer = describe_workflow(connection, identity, &identity.run_id).await?;
    Ok(workflow_has_open(&answer, &identity.activity_id))
}

/// One run of the workflow of `identity`; the latest if `run_id` is empty.
async fn describe_workflow(
    connection: &Connection,
    identity: &RunIdentity,
    run_id: &str,
) -> Result<DescribeWorkflowExecutionResponse, Status> {
    let request = DescribeWorkflowExecutionRequest {
        namespace: identity.namespace.clone(),
        execution: Some(WorkflowExecution {
            workflow_id: identity.workflow_id.clone(),
            run_id: run_id.to_owned(),
        }),
    };
    let answer = connection.service().describe_workflow_execution(timed(request)).await?;
    Ok(answer.into_inner())
}

fn activity_is_open(answer: &DescribeActivityExecutionResponse) -> bool {
    let Some(info) = &answer.info else { return false };
    match info.status() {
        ActivityExecutionStatus::Completed
        | ActivityExecutionStatus::Failed
        | ActivityExecutionStatus::Canceled
        | ActivityExecutionStatus::Terminated
        | ActivityExecutionStatus::TimedOut => false,
        // What a newer server may add is not known to be closed.
        ActivityExecutionStatus::Unspecified
        | ActivityExecutionStatus::Running
        | ActivityExecutionStatus::Paused => true,
    }
}

/// An activity that is pending under the same id counts as open, even if the workflow used the id
/// twice and this is the later one: a sandbox that lives a lease longer does no harm.
fn workflow_has_open(answer: &DescribeWorkflowExecutionResponse, activity_id: &str) -> bool {
    let is_open = !is_closed(answer);
    is_open && answer.pending_activities.iter().any(|pending| pending.activity_id == activity_id)
}

fn is_closed(answer: &DescribeWorkflowExecutionResponse) -> bool {
    answer.workflow_execution_info.as_ref().is_none_or(|info| match info.status() {
        WorkflowExecutionStatus::Completed
        | WorkflowExecutionStatus::Failed
        | WorkflowExecutionStatus::Canceled
        | WorkflowExecutionStatus::Terminated
        | WorkflowExecutionStatus::ContinuedAsNew
        | WorkflowExecutionStatus::TimedOut => true,
        WorkflowExecutionStatus::Unspecified
        | WorkflowExecutionStatus::Running
        | WorkflowExecutionStatus::Paused => false,
    })
}
