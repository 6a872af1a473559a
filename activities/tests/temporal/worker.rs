//! A worker with handlers made for the tests.

use std::sync::Arc;
use std::time::Duration;

use airlock_activities::client::{ExecClient, Execution, Mode, Progress, Start};
use airlock_activities::runtime::{Context, QueueOptions, Registry};
use airlock_activities::{
    Connection, Error, Queue, WorkflowOptions, WorkflowSet, run_queues, run_workflows,
};
use airlock_contract::{ApprovalRequest, Failure, FailureType, names};
use airlock_engine::{Ending, RunContext as _, StopReason};
use airlock_workflows::{SafeExecution, SafeExecutionBatch};
use futures_util::future::try_join;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// What handlers saw, in order: each entry is one attempt's note.
pub(crate) type Notes = Arc<Mutex<Vec<Value>>>;

/// A worker on a task queue of its own.
pub(crate) struct Worker {
    pub(crate) server: Arc<Server>,
    pub(crate) connection: Connection,
    pub(crate) task_queue: String,
    pub(crate) notes: Notes,
    pub(crate) exec: ExecClient,
    shutdown: CancellationToken,
    running: JoinHandle<Result<((), ()), Error>>,
}

impl Worker {
    pub(crate) async fn start() -> Self {
        let server = Server::shared();
        let connection = server.connect().await;
        Self::on(server, connection, format!("test-{}", uuid::Uuid::new_v4()))
    }

    /// On a task queue that another worker served before.
    pub(crate) fn on(server: Arc<Server>, connection: Connection, task_queue: String) -> Self {
        let notes = Notes::default();
        let queue = Queue {
            options: QueueOptions {
                task_queue: task_queue.clone(),
                max_concurrent: 20,
                drain: Duration::from_secs(2),
                build_id: "test".to_owned(),
            },
            registry: registry(&notes),
        };
        let shutdown = CancellationToken::new();
        let options = WorkflowOptions {
            task_queue: task_queue.clone(),
            build_id: "test".to_owned(),
            ..WorkflowOptions::default()
        };
        let workflows = run_workflows(connection.clone(), options, register, shutdown.clone());
        let activities = run_queues(connection.clone(), vec![queue], shutdown.clone());
        let running = tokio::spawn(try_join(activities, workflows));
        let exec = ExecClient::new(connection.clone(), task_queue.clone());
        Self { server, connection, task_queue, notes, exec, shutdown, running }
    }

    /// Starts a standalone activity.
    pub(crate) async fn activity(&self, type_name: &str, input: Value) -> Execution {
        self.activity_with(type_name, input, |_| {}).await
    }

    pub(crate) async fn activity_with(
        &self,
        type_name: &str,
        input: Value,
        adjust: impl FnOnce(&mut Start),
    ) -> Execution {
        let mut start = Start {
            mode: Mode::Activity,
            type_name: type_name.to_owned(),
            id: uuid::Uuid::new_v4().to_string(),
            input,
            timeout: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(3),
            max_attempts: 5,
            summary: Some("a test".to_owned()),
        };
        adjust(&mut start);
        self.exec.start(&start).await.unwrap()
    }

    /// Starts `safeExecution` with `command`.
    pub(crate) async fn workflow(&self, input: Value) -> Execution {
        let start = Start {
            mode: Mode::Workflow,
            type_name: names::SAFE_EXECUTION.to_owned(),
            id: uuid::Uuid::new_v4().to_string(),
            input,
            timeout: Duration::from_mins(1),
            heartbeat_timeout: Duration::from_secs(3),
            max_attempts: 5,
            summary: None,
        };
        self.exec.start(&start).await.unwrap()
    }

    /// Polls the execution's progress until `reached`, 20 s at most.
    pub(crate) async fn until(
        &self,
        execution: &Execution,
        reached: impl Fn(&Progress) -> bool,
    ) -> Progress {
        for _ in 0..200 {
            let progress = self.exec.progress(execution).await.unwrap();
            if reached(&progress) {
                return progress;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not reached: {:?}", self.exec.progress(execution).await);
    }

    /// Waits for the note number `index` (from 0), 20 s at most.
    pub(crate) async fn note(&self, index: usize) -> Value {
        for _ in 0..400 {
            if let Some(note) = self.notes.lock().get(index) {
                return note.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no note {index}: {:?}", self.notes.lock());
    }

    pub(crate) async fn stop(self) -> Arc<Server> {
        self.shutdown.cancel();
        let stopped = tokio::time::timeout(Duration::from_secs(20), self.running).await;
        stopped.expect("the worker drains").unwrap().unwrap();
        self.server
    }
}

fn register(set: &mut WorkflowSet) {
    set.add::<SafeExecution>().add::<SafeExecutionBatch>();
}

/// Stands for the engine's `safeExecuteCode`: plans, asks for an approval until the second answer,
/// follows, denies or echoes, as the command says.
async fn execute(context: Context, input: Value, notes: Notes) -> Result<Value, Ending> {
    if input["dryRun"] == true {
        return Ok(json!({ "decision": { "outcome": "allow" }, "plan": { "steps": ["run"] } }));
    }
    match input["command"].as_str() {
        Some("follow") => follow(context, json!(9), notes).await,
        Some("deny") => Err(failing(&context, &json!({ "type": "PolicyDenied" })).into()),
        Some("approval") => {
            let asked = {
                let mut notes = notes.lock();
                notes.push(json!({ "approvalId": input["approvalId"] }));
                notes.len()
            };
            if asked > 2 {
                return Ok(input);
            }
            let expires_in = input["labels"]["expiresIn"].as_i64().unwrap_or(3600);
            let expires_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(expires_in);
            let request = ApprovalRequest {
                id: "ap-1".to_owned(),
                digest: "d".to_owned(),
                expires_at: expires_at.to_string(),
                how_to_answer: "airlock approvals".to_owned(),
            };
            let failure = Failure::new(FailureType::ApprovalRequired, "a person must approve");
            Err(failure.with_details(&request).into())
        }
        _ => Ok(input),
    }
}

fn registry(notes: &Notes) -> Registry {
    let (first, second) = (notes.clone(), notes.clone());
    let (third, fourth) = (notes.clone(), notes.clone());
    Registry::new()
        .with("echo", |_context, input| async move { Ok(input) })
        .with("fail", |context, input| async move { Err(failing(&context, &input).into()) })
        .with("panic", |_context, _input| async { panic!("the secret text of a panic") })
        .with("follow", move |context, input| follow(context, input, first.clone()))
        .with("note", move |context: Context, _input| {
            second.lock().push(identity_note(&context));
            let last = context.attempt().number == 2;
            async move {
                let again = Failure::new(FailureType::SandboxBusy, "again")
                    .with_retry_after(Some(Duration::from_millis(50)));
                if last { Ok(Value::Null) } else { Err(again.into()) }
            }
        })
        .with("stubborn", move |_context, _input| {
            third.lock().push(json!("stubborn"));
            async {
                tokio::time::sleep(Duration::from_mins(1)).await;
                Ok(Value::Null)
            }
        })
        .with(names::SAFE_EXECUTE_CODE, move |context, input| {
            execute(context, input, fourth.clone())
        })
}

/// Fails with the type that the input names.
fn failing(context: &Context, input: &Value) -> Failure {
    let named = input["type"].as_str().unwrap_or_default();
    let kind = FailureType::ALL.into_iter().find(|kind| kind.as_str() == named).unwrap();
    Failure::new(kind, format!("attempt {}", context.attempt().number))
        .with_details(&json!({ "given": input }))
        .with_retry_after(Some(Duration::from_millis(50)))
}

fn identity_note(context: &Context) -> Value {
    json!({
        "execution": airlock_contract::ExecutionId::of(context.identity()),
        "identity": context.identity(),
        "attempt": context.attempt().number,
        "fence": context.attempt().fence_us,
        "workflowType": context.attempt().workflow_type,
        "hasDeadline": context.attempt().deadline.is_some(),
        "heartbeatTimeout": context.attempt().heartbeat_timeout,
    })
}

/// Heartbeats `{step}` and waits until it must stop; notes what it knew and why it stopped. An
/// attempt that finds the details of an earlier one is done.
async fn follow(context: Context, input: Value, notes: Notes) -> Result<Value, Ending> {
    if let Some(previous) = context.previous_details() {
        notes.lock().push(json!({ "resumed": previous, "attempt": context.attempt().number }));
        return Ok(previous.clone());
    }
    context.record(&json!({ "step": 1 }), true);
    context.record(&json!({ "step": input }), true);
    let reason = context.stopped().await;
    let liveness = format!("{:?}", context.liveness().await);
    notes.lock().push(json!({ "reason": format!("{reason:?}"), "liveness": liveness }));
    Err(match reason {
        StopReason::WorkerShutdown => Failure::new(FailureType::WorkerDraining, "over").into(),
        // A handler may get this wrong; the runtime puts it right.
        _ => Ending::Cancelled(json!({ "partial": true })),
    })
}
