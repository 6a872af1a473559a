//! The other side of the door, for the command line: start one execution, watch it, wait for it,
//! cancel it.

mod outcome;
mod start;

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use temporalio_client::grpc::WorkflowService as _;
use temporalio_client::tonic::Code;
use temporalio_common::protos::temporal::api::activity::v1::ActivityExecutionInfo;
use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_common::protos::temporal::api::workflow::v1::PendingActivityInfo;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeActivityExecutionRequest, DescribeWorkflowExecutionRequest,
    RequestCancelActivityExecutionRequest, RequestCancelWorkflowExecutionRequest,
};

use crate::connection::{Connection, timed};
use crate::error::Error;
use crate::runtime::wire;

pub use outcome::{FailureReport, Outcome};

/// How an execution is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As an activity of its own, without a workflow.
    Activity,
    /// As a workflow, which can wait for an approval.
    Workflow,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// As an activity or as a workflow.
    pub mode: Mode,
    /// Activity or workflow type.
    pub type_name: String,
    /// Its id; one that runs already is an error.
    pub id: String,
    /// Its one argument.
    pub input: Value,
    /// How long one attempt may take; of a workflow: how long the run may take.
    pub timeout: Duration,
    /// Of an activity: a shorter one hears a cancellation sooner. 3 s is right for a person.
    pub heartbeat_timeout: Duration,
    /// Of an activity: attempts, at most; 0 is without a limit. A worker that drains costs one.
    pub max_attempts: u32,
    /// One line for the UI.
    pub summary: Option<String>,
}

/// One execution that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// As an activity or as a workflow.
    pub mode: Mode,
    /// Its id.
    pub id: String,
    /// Its run id.
    pub run_id: String,
}

/// Where an execution is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The attempt that runs or comes next, from 1; 0 if no activity is pending.
    pub attempt: u32,
    /// Whether a worker has it now.
    pub started: bool,
    /// Whether somebody paused it.
    pub paused: bool,
    /// The heartbeat's details: a contract `Heartbeat` for executions of the engine.
    pub heartbeat: Option<Value>,
    /// Message of the attempt that failed last.
    pub last_failure: Option<String>,
}

/// Starts executions on one task queue and follows them.
#[derive(Clone, Debug)]
pub struct ExecClient {
    connection: Connection,
    task_queue: String,
}

impl ExecClient {
    /// On `task_queue`.
    pub fn new(connection: Connection, task_queue: impl Into<String>) -> Self {
        Self { connection, task_queue: task_queue.into() }
    }

    /// Starts an execution. Started again with the same id while it runs: [`Error::Execution`].
    pub fn start<'a>(&'a self, start: &'a Start) -> BoxFuture<'a, Result<Execution, Error>> {
        Box::pin(async move {
            match start.mode {
                Mode::Activity => start::activity(&self.connection, &self.task_queue, start).await,
                Mode::Workflow => start::workflow(&self.connection, &self.task_queue, start).await,
            }
        })
    }

    /// Where the execution is now. One call to the server.
    pub fn progress<'a>(
        &'a self,
        execution: &'a Execution,
    ) -> BoxFuture<'a, Result<Progress, Error>> {
        Box::pin(async move {
            match execution.mode {
                Mode::Activity => self.activity_progress(execution).await,
                Mode::Workflow => self.workflow_progress(execution).await,
            }
        })
    }

    /// Waits until the execution is over. Waits on through an absence of the server.
    ///
    /// Cancel-safe: dropping the future leaves the execution alone.
    pub fn result<'a>(&'a self, execution: &'a Execution) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(outcome::wait(&self.connection, execution))
    }

    /// Asks for a cancellation and does not wait for it. An execution that is over stays as it is.
    pub fn cancel<'a>(&'a self, execution: &'a Execution) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let cancelled = match execution.mode {
                Mode::Activity => self.cancel_activity(execution).await,
                Mode::Workflow => self.cancel_workflow(execution).await,
            };
            match cancelled {
                // It is over, or so long over that Temporal has forgotten it.
                Err(status)
                    if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) =>
                {
                    Ok(())
                }
                other => other.map_err(Error::call("cancelling the execution")),
            }
        })
    }

    async fn activity_progress(&self, execution: &Execution) -> Result<Progress, Error> {
        let request = DescribeActivityExecutionRequest {
            namespace: self.connection.namespace().to_owned(),
            activity_id: execution.id.clone(),
            run_id: execution.run_id.clone(),
            include_heartbeat_details: true,
            include_last_failure: true,
            ..Default::default()
        };
        let answer = self.connection.service().describe_activity_execution(timed(request)).await;
        let answer = answer.map_err(Error::call("describing the execution"))?.into_inner();
        Ok(answer.info.as_ref().map(of_activity).unwrap_or_default())
    }

    async fn workflow_progress(&self, execution: &Execution) -> Result<Progress, Error> {
        let request = DescribeWorkflowExecutionRequest {
            namespace: self.connection.namespace().to_owned(),
            execution: Some(of_workflow(execution)),
        };
        let answer = self.connection.service().describe_workflow_execution(timed(request)).await;
        let answer = answer.map_err(Error::call("describing the execution"))?.into_inner();
        Ok(answer.pending_activities.first().map(of_pending).unwrap_or_default())
    }

    async fn cancel_activity(
        &self,
        execution: &Execution,
    ) -> Result<(), temporalio_client::tonic::Status> {
        let request = RequestCancelActivityExecutionRequest {
            namespace: self.connection.namespace().to_owned(),
            activity_id: execution.id.clone(),
            run_id: execution.run_id.clone(),
            identity: self.connection.identity().to_owned(),
            request_id: uuid::Uuid::new_v4().to_string(),
            reason: "cancelled from the command line".to_owned(),
        };
        self.connection.service().request_cancel_activity_execution(timed(request)).await.map(drop)
    }

    async fn cancel_workflow(
        &self,
        execution: &Execution,
    ) -> Result<(), temporalio_client::tonic::Status> {
        let request = RequestCancelWorkflowExecutionRequest {
            namespace: self.connection.namespace().to_owned(),
            workflow_execution: Some(of_workflow(execution)),
            identity: self.connection.identity().to_owned(),
            request_id: uuid::Uuid::new_v4().to_string(),
            reason: "cancelled from the command line".to_owned(),
            ..Default::default()
        };
        self.connection.service().request_cancel_workflow_execution(timed(request)).await.map(drop)
    }
}

fn of_workflow(execution: &Execution) -> WorkflowExecution {
    WorkflowExecution { workflow_id: execution.id.clone(), run_id: execution.run_id.clone() }
}

/// Which states of an activity mean what: `(started, paused)`.
fn state(
    state: temporalio_common::protos::temporal::api::enums::v1::PendingActivityState,
) -> (bool, bool) {
    use temporalio_common::protos::temporal::api::enums::v1::PendingActivityState as State;
    match state {
        State::Unspecified | State::Scheduled => (false, false),
        State::Started | State::CancelRequested => (true, false),
        State::Paused => (false, true),
        State::PauseRequested => (true, true),
    }
}

fn of_activity(info: &ActivityExecutionInfo) -> Progress {
    let (started, paused) = state(info.run_state());
    Progress {
        attempt: u32::try_from(info.attempt).unwrap_or_default(),
        started,
        paused,
        heartbeat: wire::first_value(info.heartbeat_details.as_ref()),
        last_failure: info.last_failure.as_ref().map(|failure| failure.message.clone()),
    }
}

fn of_pending(info: &PendingActivityInfo) -> Progress {
    let (started, paused) = state(info.state());
    Progress {
        attempt: u32::try_from(info.attempt).unwrap_or_default(),
        started,
        paused: paused || info.paused,
        heartbeat: wire::first_value(info.heartbeat_details.as_ref()),
        last_failure: info.last_failure.as_ref().map(|failure| failure.message.clone()),
    }
}
