//! Task queues served side by side, each begun anew when the server refused it for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use airlock_engine::Engine;
use futures_util::future::BoxFuture;
use temporalio_common::telemetry::TelemetryOptions;
use temporalio_sdk_core::{CoreRuntime, RuntimeOptions};
use tokio_util::sync::CancellationToken;

use crate::activities;
use crate::connection::Connection;
use crate::error::Error;
use crate::runtime::{self, QueueOptions, Registry};

/// How often this worker tells Temporal that it is there (`temporal worker list`).
const WORKER_HEARTBEAT: Duration = Duration::from_secs(30);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How the worker serves Temporal.
#[derive(Clone, Debug)]
pub struct Options {
    /// The main task queue. Default `airlock`.
    pub task_queue: String,
    /// The task queue of what an agent's workflow must not do for itself; off by default.
    pub admin_task_queue: Option<String>,
    /// Activities that run at the same time on one queue, at most. Default 100.
    pub max_concurrent: usize,
    /// How long running activities may take to hand over once the worker stops. Default 10 s.
    pub drain: Duration,
    /// Names the build in Temporal's list of workers. Default: this crate's version.
    pub build_id: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            task_queue: airlock_contract::names::TASK_QUEUE.to_owned(),
            admin_task_queue: None,
            max_concurrent: 100,
            drain: Duration::from_secs(10),
            build_id: concat!("airlock-", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// One task queue and its activities.
#[derive(Clone, Debug)]
pub struct Queue {
    /// How it is served.
    pub options: QueueOptions,
    /// Its activities.
    pub registry: Registry,
}

/// Serves the engine's activities until `shutdown`, then drains: every running attempt is told at
/// once, polling ends, and what has not handed over after [`Options::drain`] is let go of.
///
/// The engine's own clean-ups may outlive it: call [`Engine::drain`] afterwards.
///
/// # Errors
///
/// As [`run_queues`].
pub fn run(
    options: &Options,
    engine: &Engine,
    connection: Connection,
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<(), Error>> {
    let queue = |task_queue: &str| QueueOptions {
        task_queue: task_queue.to_owned(),
        max_concurrent: options.max_concurrent,
        drain: options.drain,
        build_id: options.build_id.clone(),
    };
    let main =
        Queue { options: queue(&options.task_queue), registry: activities::main_queue(engine) };
    let admin = options.admin_task_queue.as_deref().map(|task_queue| Queue {
        options: queue(task_queue),
        registry: activities::admin_queue(engine),
    });
    run_queues(connection, std::iter::once(main).chain(admin).collect(), shutdown)
}

/// Serves `queues` until `shutdown`; then drains them and ends.
///
/// # Errors
///
/// [`Error::Worker`] and [`Error::NamespaceNotFound`] if a worker cannot begin.
pub fn run_queues(
    connection: Connection,
    queues: Vec<Queue>,
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<(), Error>> {
    Box::pin(async move {
        let runtime = core_runtime()?;
        // If one queue cannot begin, the others stop too.
        let stop = shutdown.child_token();
        let served = queues.into_iter().map(|queue| {
            let (runtime, connection, stop) = (&runtime, &connection, stop.clone());
            async move {
                let served = supervise(runtime, connection, queue, &stop).await;
                stop.cancel();
                served
            }
        });
        let results = futures_util::future::join_all(served).await;
        results.into_iter().collect()
    })
}

fn core_runtime() -> Result<CoreRuntime, Error> {
    let refused = |problem: String| Error::Worker { task_queue: "(all)".to_owned(), problem };
    let options = RuntimeOptions::builder()
        .telemetry_options(TelemetryOptions::builder().build())
        .heartbeat_interval(Some(WORKER_HEARTBEAT))
        .build()
        .map_err(refused)?;
    CoreRuntime::new_assume_tokio(options).map_err(|error| refused(error.to_string()))
}

/// Begins anew after a refusal: core gives up for good after a minute of, say, an expired key.
async fn supervise(
    runtime: &CoreRuntime,
    connection: &Connection,
    queue: Queue,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let registry = Arc::new(queue.registry);
    let mut wait = FIRST_WAIT;
    loop {
        let began = Instant::now();
        let served =
            runtime::serve(runtime, connection, &queue.options, registry.clone(), shutdown.clone());
        let error = match served.await {
            Err(error @ (Error::Polling { .. } | Error::Call { .. })) => error,
            ended => return ended,
        };
        if shutdown.is_cancelled() {
            return Ok(());
        }
        if began.elapsed() > 2 * LONGEST_WAIT {
            wait = FIRST_WAIT;
        }
        tracing::error!(%error, again_in = ?wait, "the worker was refused");
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
        }
    }
}
