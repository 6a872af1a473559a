//! Workflows served by the SDK's worker, beside the activities on the same task queue.
//!
//! The SDK's worker is bound to one thread, so it has one of its own.

use std::time::Duration;

use futures_util::future::BoxFuture;
use temporalio_common::worker::WorkerDeploymentOptions;
use temporalio_sdk::runtime::RuntimeOptions;
use temporalio_sdk::workflows::WorkflowImplementation;
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::error::Error;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How workflows are served.
#[derive(Clone, Debug)]
pub struct WorkflowOptions {
    /// The task queue: the one of the activities that the workflows call.
    pub task_queue: String,
    /// Workflows kept in memory between their tasks, at most. Default 500.
    pub max_cached: usize,
    /// Names the build; the same as the activities' worker.
    pub build_id: String,
}

impl Default for WorkflowOptions {
    fn default() -> Self {
        let options = crate::Options::default();
        Self { task_queue: options.task_queue, max_cached: 500, build_id: options.build_id }
    }
}

/// The workflows that are served.
#[derive(Debug)]
pub struct WorkflowSet {
    options: Box<WorkerOptionsHolder>,
}

/// Keeps the SDK's options, which have no `Debug`.
struct WorkerOptionsHolder {
    options: WorkerOptions,
    refused: Option<String>,
}

impl std::fmt::Debug for WorkerOptionsHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerOptions").field("refused", &self.refused).finish_non_exhaustive()
    }
}

impl WorkflowSet {
    /// Adds a workflow type. A second one of the same name is refused when the worker begins.
    pub fn add<W>(&mut self) -> &mut Self
    where
        W: WorkflowImplementation,
        <W::Run as temporalio_common::WorkflowDefinition>::Input: Send,
    {
        if let Err(error) = self.options.options.register_workflow::<W>() {
            self.options.refused.get_or_insert_with(|| error.to_string());
        }
        self
    }
}

/// Serves the workflows that `register` adds until `shutdown`. A workflow task that runs then is
/// finished; the workflows themselves go on elsewhere.
///
/// # Errors
///
/// [`Error::Worker`] if the worker cannot begin. A refusal by the server is tried again.
pub fn run_workflows(
    connection: Connection,
    options: WorkflowOptions,
    register: impl Fn(&mut WorkflowSet) + Send + 'static,
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<(), Error>> {
    Box::pin(supervise(connection, options, Box::new(register), shutdown))
}

type Register = Box<dyn Fn(&mut WorkflowSet) + Send>;

async fn supervise(
    connection: Connection,
    options: WorkflowOptions,
    register: Register,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let mut wait = FIRST_WAIT;
    loop {
        let worker_options = worker_options(&options, &register)?;
        let (connection, shutdown_again) = (connection.clone(), shutdown.clone());
        let error = match on_own_thread(connection, worker_options, shutdown_again).await {
            Ok(()) => return Ok(()),
            Err(Problem::Begin(problem)) => return Err(refused(&options, problem)),
            Err(Problem::Run(problem)) => problem,
        };
        if shutdown.is_cancelled() {
            return Ok(());
        }
        tracing::error!(error, again_in = ?wait, "the workflow worker was refused");
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
        }
    }
}

fn refused(options: &WorkflowOptions, problem: String) -> Error {
    Error::Worker { task_queue: options.task_queue.clone(), problem }
}

fn worker_options(options: &WorkflowOptions, register: &Register) -> Result<WorkerOptions, Error> {
    let deployment = WorkerDeploymentOptions::from_build_id(options.build_id.clone());
    let empty = WorkerOptions::new(options.task_queue.clone())
        .deployment_options(deployment)
        .max_cached_workflows(options.max_cached)
        .build();
    let holder = WorkerOptionsHolder { options: empty, refused: None };
    let mut set = WorkflowSet { options: Box::new(holder) };
    register(&mut set);
    match set.options.refused {
        Some(problem) => Err(refused(options, problem)),
        None => Ok(set.options.options),
    }
}

enum Problem {
    Begin(String),
    Run(String),
}

async fn on_own_thread(
    connection: Connection,
    options: WorkerOptions,
    shutdown: CancellationToken,
) -> Result<(), Problem> {
    let runtime = tokio::runtime::Handle::current();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let work = move || {
        let ended = runtime.block_on(serve(&connection, options, shutdown));
        // Nobody listens any more if the process is on its way out.
        let _unheard = sender.send(ended);
    };
    let spawned = std::thread::Builder::new().name("workflows".to_owned()).spawn(work);
    spawned.map_err(|error| Problem::Begin(error.to_string()))?;
    receiver.await.unwrap_or_else(|_| Err(Problem::Run("its thread panicked".to_owned())))
}

async fn serve(
    connection: &Connection,
    options: WorkerOptions,
    shutdown: CancellationToken,
) -> Result<(), Problem> {
    let begin = |error: String| Problem::Begin(error);
    let task_queue = options.task_queue.clone();
    let runtime_options = RuntimeOptions::default();
    let runtime =
        Runtime::from_current_tokio(runtime_options).map_err(|error| begin(error.to_string()))?;
    let mut worker = Worker::new(&runtime, connection.client().clone(), options)
        .map_err(|error| begin(error.to_string()))?;
    let stop = worker.shutdown_handle();
    tracing::info!(task_queue, "serving workflows");
    let run = worker.run();
    tokio::pin!(run);
    let ended = tokio::select! {
        ended = &mut run => ended,
        () = shutdown.cancelled() => {
            stop();
            run.await
        }
    };
    tracing::info!(task_queue, "stopped serving workflows");
    ended.map_err(|error| Problem::Run(error.to_string()))
}
