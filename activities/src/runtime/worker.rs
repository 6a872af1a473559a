//! One task queue polled through Temporal's core. The only file that drives core's worker.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use airlock_contract::Failure;
use airlock_engine::faultpoint::{Point, reach};
use airlock_engine::{RunContext as _, StopReason};
use parking_lot::Mutex;
use serde_json::Value;
use temporalio_common::protos::coresdk::activity_task::{
    ActivityCancellationDetails, ActivityTask, Start, activity_task::Variant,
};
use temporalio_common::protos::coresdk::{ActivityHeartbeat, ActivityTaskCompletion};
use temporalio_common::worker::WorkerTaskTypes;
use temporalio_sdk_core::{
    CoreRuntime, PollError, Worker, WorkerConfig, WorkerVersioningStrategy, init_worker,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::answer::Answer;
use super::attempt::{self, Running};
use super::beat::Beats;
use super::stop::{StopSignal, Stopper, stop_signal};
use super::{Context, Registry, start, wire};
use crate::connection::Connection;
use crate::error::Error;

/// How long after a timeout core tells the handler. The default of 5 s lets two attempts run side
/// by side for that long.
const LOCAL_TIMEOUT_BUFFER: Duration = Duration::from_millis(500);

/// How one task queue is served.
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// The task queue.
    pub task_queue: String,
    /// Activities that run at the same time, at most.
    pub max_concurrent: usize,
    /// How long handlers may take to hand over once the worker stops. Afterwards their futures
    /// are dropped.
    pub drain: Duration,
    /// Names the build in Temporal's list of workers.
    pub build_id: String,
}

/// Task token -> how to stop that attempt.
type Attempts = Mutex<HashMap<Vec<u8>, Stopper>>;

/// Serves one task queue until `shutdown`, then drains it: every running attempt is told at once,
/// polling ends, and this returns when each attempt is answered.
///
/// # Errors
///
/// [`Error::NamespaceNotFound`] and [`Error::Worker`] if the worker cannot begin;
/// [`Error::Polling`] if the server refused to be polled for good, after the drain.
pub(crate) async fn serve(
    runtime: &CoreRuntime,
    connection: &Connection,
    options: &QueueOptions,
    registry: Arc<Registry>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let worker = Arc::new(begin(runtime, connection, options).await?);
    tracing::info!(task_queue = options.task_queue, ?registry, "polling");
    let queue = Arc::new(Serving {
        worker: Arc::downgrade(&worker),
        connection: connection.clone(),
        task_queue: options.task_queue.clone(),
        registry,
        attempts: Attempts::default(),
        tasks: TaskTracker::new(),
        draining: shutdown.child_token(),
        hard_stop: CancellationToken::new(),
    });
    let drain = tokio::spawn(drain(queue.clone(), options.drain));
    let polled = poll(&worker, &queue).await;
    // The poll is over only when every attempt is answered.
    queue.draining.cancel();
    queue.tasks.close();
    queue.tasks.wait().await;
    drain.abort();
    if let Some(worker) = Arc::into_inner(worker) {
        worker.finalize_shutdown().await;
    }
    tracing::info!(task_queue = options.task_queue, "stopped polling");
    polled
}

async fn begin(
    runtime: &CoreRuntime,
    connection: &Connection,
    options: &QueueOptions,
) -> Result<Worker, Error> {
    let refused =
        |problem: String| Error::Worker { task_queue: options.task_queue.clone(), problem };
    let config = WorkerConfig::builder()
        .namespace(connection.namespace())
        .task_queue(options.task_queue.clone())
        .task_types(WorkerTaskTypes {
            enable_workflows: false,
            enable_local_activities: false,
            enable_remote_activities: true,
            enable_nexus: false,
        })
        .max_outstanding_activities(options.max_concurrent)
        // What is recorded is sent: `beat` decides when.
        .max_heartbeat_throttle_interval(Duration::ZERO)
        .default_heartbeat_throttle_interval(Duration::ZERO)
        .local_timeout_buffer_for_activities(LOCAL_TIMEOUT_BUFFER)
        .graceful_shutdown_period(options.drain)
        .versioning_strategy(WorkerVersioningStrategy::None { build_id: options.build_id.clone() })
        .build()
        .map_err(refused)?;
    let worker = init_worker(runtime, config, connection.client().connection().clone())
        .map_err(|error| refused(error.to_string()))?;
    worker.validate().await.map_err(|error| connection.invalid_namespace(&error))?;
    Ok(worker)
}

/// Polls until core has shut down. After a refusal core shuts down by itself; it must be polled on
/// until it says so.
async fn poll(worker: &Worker, queue: &Arc<Serving>) -> Result<(), Error> {
    let mut refusal = None;
    loop {
        match worker.poll_activity_task().await {
            Ok(task) => queue.take(task),
            Err(PollError::ShutDown) => return refusal.map_or(Ok(()), Err),
            Err(PollError::TonicError(status)) => {
                queue.draining.cancel();
                refusal.get_or_insert(Error::Polling {
                    task_queue: queue.task_queue.clone(),
                    source: Box::new(status),
                });
            }
        }
    }
}

/// Waits for the drain, tells every attempt at once, has core stop polling, and after `grace`
/// lets go of the handlers that are still there.
async fn drain(queue: Arc<Serving>, grace: Duration) {
    queue.draining.cancelled().await;
    let running = queue.stop_all();
    tracing::info!(task_queue = queue.task_queue, running, ?grace, "draining");
    if let Some(worker) = queue.worker.upgrade() {
        worker.initiate_shutdown();
    }
    tokio::time::sleep(grace).await;
    queue.hard_stop.cancel();
}

/// One task queue that is being served, and its running attempts.
struct Serving {
    worker: Weak<Worker>,
    connection: Connection,
    task_queue: String,
    registry: Arc<Registry>,
    attempts: Attempts,
    tasks: TaskTracker,
    draining: CancellationToken,
    hard_stop: CancellationToken,
}

impl Serving {
    fn take(self: &Arc<Self>, task: ActivityTask) {
        let token = task.task_token;
        match task.variant {
            Some(Variant::Start(start)) => {
                let queue = self.clone();
                let signal = self.register(&token);
                let identity = start::identity(&start);
                let span = tracing::info_span!(
                    "activity",
                    activity_type = start.activity_type,
                    workflow_id = identity.workflow_id,
                    activity_id = identity.activity_id,
                    attempt = start.attempt,
                );
                let work = async move { queue.attempt(token, start, signal).await };
                self.tasks.spawn(work.instrument(span));
            }
            Some(Variant::Cancel(cancel)) => {
                if let Some(reason) = stop_reason(cancel.details.as_ref(), cancel.reason)
                    && let Some(stopper) = self.attempts.lock().get(&token)
                {
                    tracing::debug!(?reason, "an attempt must stop");
                    stopper.stop(reason);
                }
            }
            None => tracing::warn!("core handed out a task of an unknown kind"),
        }
    }

    /// Makes the attempt known before the next task is polled, which may be its `Cancel`. One that
    /// still comes in while the worker drains is told at once.
    fn register(&self, token: &[u8]) -> StopSignal {
        let (stopper, signal) = stop_signal();
        let mut attempts = self.attempts.lock();
        if self.draining.is_cancelled() {
            stopper.stop(StopReason::WorkerShutdown);
        }
        attempts.insert(token.to_vec(), stopper);
        signal
    }

    /// Tells every attempt that the worker stops; gives their number.
    fn stop_all(&self) -> usize {
        let attempts = self.attempts.lock();
        attempts.values().for_each(|stopper| stopper.stop(StopReason::WorkerShutdown));
        attempts.len()
    }

    /// Runs an attempt and answers it.
    async fn attempt(&self, token: Vec<u8>, start: Start, stop: StopSignal) {
        let began = Instant::now();
        let activity_type = start.activity_type.clone();
        let answer = self.answer(&token, start, stop).await;
        self.attempts.lock().remove(&token);
        report(&activity_type, &answer, began.elapsed());
        let Some(worker) = self.worker.upgrade() else { return };
        reach(Point::ReportBefore).await;
        let completion =
            ActivityTaskCompletion { task_token: token, result: Some(answer.into_wire()) };
        if let Err(error) = worker.complete_activity_task(completion).await {
            tracing::error!(%error, "core refused an answer");
        }
        reach(Point::ReportAfter).await;
    }

    async fn answer(&self, token: &[u8], start: Start, stop: StopSignal) -> Answer {
        let (handler, input) = match self.handler_and_input(&start) {
            Ok(found) => found,
            Err(failure) => return Answer::Failed(failure),
        };
        let previous = start.heartbeat_details.first();
        let previous = previous.and_then(|payload| wire::value_of(payload).ok());
        let beats = Arc::new(Beats::new(previous.as_ref().map(|v| v.to_string().into_bytes())));
        let context = Context::new(
            (start::identity(&start), start::attempt(&start, &self.task_queue)),
            previous,
            beats.clone(),
            stop.clone(),
            self.connection.clone(),
        );
        tracing::debug!(identity = ?context.identity(), "attempt begins");
        let running = Running { beats, stop, hard_stop: self.hard_stop.clone() };
        let send = |details: Option<Vec<u8>>| self.heartbeat(token, details);
        attempt::run(handler, context, input, running, send).await
    }

    fn handler_and_input(&self, start: &Start) -> Result<(super::Handler, Value), Failure> {
        let handler = self.registry.get(&start.activity_type)?.clone();
        Ok((handler, wire::input_of(&start.input)?))
    }

    /// Hands a heartbeat to core, which sends it at once.
    fn heartbeat(&self, token: &[u8], details: Option<Vec<u8>>) {
        if let Some(worker) = self.worker.upgrade() {
            let details = details.map(wire::json_text_payload).into_iter().collect();
            worker.record_activity_heartbeat(ActivityHeartbeat {
                task_token: token.to_vec(),
                details,
            });
        }
    }
}

/// The reason that decides what happens to the command, if core named several: what a person
/// asked for comes first. Core's shutdown notice arrives after our own, so it adds nothing, but is
/// one nevertheless.
fn stop_reason(details: Option<&ActivityCancellationDetails>, primary: i32) -> Option<StopReason> {
    use temporalio_common::protos::coresdk::activity_task::ActivityCancelReason as Primary;
    let Some(details) = details else {
        return Some(match Primary::try_from(primary).ok()? {
            Primary::NotFound => StopReason::NotFound,
            Primary::Cancelled => StopReason::Cancelled,
            Primary::TimedOut => StopReason::TimedOut,
            Primary::WorkerShutdown => StopReason::WorkerShutdown,
            Primary::Paused => StopReason::Paused,
            Primary::Reset => StopReason::Reset,
        });
    };
    let flags = [
        (details.is_cancelled, StopReason::Cancelled),
        (details.is_reset, StopReason::Reset),
        (details.is_paused, StopReason::Paused),
        (details.is_not_found, StopReason::NotFound),
        (details.is_timed_out, StopReason::TimedOut),
        (details.is_worker_shutdown, StopReason::WorkerShutdown),
    ];
    flags.into_iter().find_map(|(set, reason)| set.then_some(reason))
}

/// One log line and two metrics an attempt. The message of a failure is fit for the history, so it
/// is for the log.
fn report(activity_type: &str, answer: &Answer, took: Duration) {
    let outcome = answer.label();
    // An unknown type comes from outside: it must not make a time series.
    let known = airlock_contract::names::MAIN_ACTIVITIES
        .iter()
        .chain(&airlock_contract::names::ADMIN_ACTIVITIES)
        .find(|name| **name == activity_type)
        .copied()
        .unwrap_or("other");
    metrics::counter!("airlock_activity_attempts_total", "activity_type" => known, "outcome" => outcome)
        .increment(1);
    metrics::histogram!("airlock_activity_attempt_seconds", "activity_type" => known)
        .record(took.as_secs_f64());
    match answer {
        Answer::Failed(failure) if !failure.kind.is_benign() => {
            tracing::warn!(outcome, reason = failure.message, ?took, "attempt failed");
        }
        Answer::Failed(failure) => {
            tracing::info!(outcome, reason = failure.message, ?took, "attempt ended");
        }
        Answer::Completed(_) | Answer::Cancelled(_) => {
            tracing::info!(outcome, ?took, "attempt ended");
        }
    }
}
