//! Starting an execution.

use std::time::Duration;

use temporalio_client::grpc::WorkflowService as _;
use temporalio_client::tonic::{Code, Status};
use temporalio_common::protos::temporal::api::common::v1::{
    ActivityType, RetryPolicy, WorkflowType,
};
use temporalio_common::protos::temporal::api::enums::v1::{
    ActivityIdConflictPolicy, ActivityIdReusePolicy, WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
};
use temporalio_common::protos::temporal::api::sdk::v1::UserMetadata;
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    StartActivityExecutionRequest, StartWorkflowExecutionRequest,
};

use super::{Execution, Mode, Start};
use crate::connection::{Connection, timed};
use crate::error::Error;
use crate::runtime::wire;

type WireDuration = prost_wkt_types::Duration;

pub(super) async fn activity(
    connection: &Connection,
    task_queue: &str,
    start: &Start,
) -> Result<Execution, Error> {
    let request = StartActivityExecutionRequest {
        namespace: connection.namespace().to_owned(),
        identity: connection.identity().to_owned(),
        request_id: uuid::Uuid::new_v4().to_string(),
        activity_id: start.id.clone(),
        activity_type: Some(ActivityType { name: start.type_name.clone() }),
        task_queue: Some(queue(task_queue)),
        start_to_close_timeout: duration(start.timeout),
        heartbeat_timeout: duration(start.heartbeat_timeout),
        retry_policy: Some(RetryPolicy {
            initial_interval: duration(Duration::from_secs(1)),
            backoff_coefficient: 2.0,
            maximum_interval: duration(Duration::from_secs(30)),
            maximum_attempts: i32::try_from(start.max_attempts).unwrap_or(i32::MAX),
            ..RetryPolicy::default()
        }),
        input: Some(wire::json_payloads(&start.input)),
        id_reuse_policy: ActivityIdReusePolicy::AllowDuplicate.into(),
        id_conflict_policy: ActivityIdConflictPolicy::Fail.into(),
        user_metadata: metadata(start),
        ..StartActivityExecutionRequest::default()
    };
    let answer = connection.service().start_activity_execution(timed(request)).await;
    let run_id = answer.map_err(|status| refused(status, start))?.into_inner().run_id;
    Ok(Execution { mode: Mode::Activity, id: start.id.clone(), run_id })
}

pub(super) async fn workflow(
    connection: &Connection,
    task_queue: &str,
    start: &Start,
) -> Result<Execution, Error> {
    let request = StartWorkflowExecutionRequest {
        namespace: connection.namespace().to_owned(),
        workflow_id: start.id.clone(),
        workflow_type: Some(WorkflowType { name: start.type_name.clone() }),
        task_queue: Some(queue(task_queue)),
        input: Some(wire::json_payloads(&start.input)),
        workflow_run_timeout: duration(start.timeout),
        identity: connection.identity().to_owned(),
        request_id: uuid::Uuid::new_v4().to_string(),
        workflow_id_reuse_policy: WorkflowIdReusePolicy::AllowDuplicate.into(),
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::Fail.into(),
        user_metadata: metadata(start),
        ..StartWorkflowExecutionRequest::default()
    };
    let answer = connection.service().start_workflow_execution(timed(request)).await;
    let run_id = answer.map_err(|status| refused(status, start))?.into_inner().run_id;
    Ok(Execution { mode: Mode::Workflow, id: start.id.clone(), run_id })
}

fn refused(status: Status, start: &Start) -> Error {
    if status.code() == Code::AlreadyExists {
        Error::Execution { id: start.id.clone(), problem: "runs already; give it another id" }
    } else {
        Error::call("starting the execution")(status)
    }
}

fn queue(name: &str) -> TaskQueue {
    TaskQueue { name: name.to_owned(), ..TaskQueue::default() }
}

fn metadata(start: &Start) -> Option<UserMetadata> {
    let summary = start.summary.as_ref()?;
    let summary = wire::json_payload(&serde_json::Value::String(summary.clone()));
    Some(UserMetadata { summary: Some(summary), details: None })
}

fn duration(duration: Duration) -> Option<WireDuration> {
    WireDuration::try_from(duration).ok()
}
