//! One attempt from its start to its answer.

use std::any::Any;
use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::answer::Answer;
use super::beat::{Beats, Pacer};
use super::registry::Handler;
use super::stop::StopSignal;
use super::{Context, beat};

/// What an attempt runs with, beside its handler's context.
pub(super) struct Running {
    pub(super) beats: Arc<Beats>,
    pub(super) stop: StopSignal,
    /// From here on the handler is not waited for any longer.
    pub(super) hard_stop: CancellationToken,
}

/// Runs `handler` in a task of its own, so that one that blocks its thread does not hold up the
/// heartbeats, and gives the answer. `send` is called for every heartbeat that is due.
///
/// At the hard stop the handler's future is dropped; the engine's runs survive that: their command
/// goes on and the next attempt takes it over.
pub(super) async fn run(
    handler: Handler,
    context: Context,
    input: Value,
    running: Running,
    send: impl Fn(Option<Vec<u8>>) + Send,
) -> Answer {
    use airlock_engine::RunContext as _;

    let mut pacer = Pacer::new(beat::pace(context.attempt().heartbeat_timeout));
    let task = async move { handler(context, input).await }.in_current_span();
    let mut work = AbortOnDropHandle::new(tokio::spawn(task));
    loop {
        tokio::select! {
            biased;
            ended = &mut work => return match ended {
                Ok(outcome) => Answer::of(outcome, running.stop.reason()),
                Err(error) => of_join_error(error),
            },
            () = running.hard_stop.cancelled() => {
                tracing::warn!("the handler did not stop in time; its attempt is handed over");
                return Answer::hard_stop();
            }
            () = pacer.due(&running.beats) => send(running.beats.latest()),
        }
    }
}

/// A panic's text goes to the log alone: it may hold anything.
fn of_join_error(error: JoinError) -> Answer {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let text = error
        .try_into_panic()
        .map_or_else(|error| error.to_string(), |panic| panic_text(panic.as_ref()));
    tracing::error!(correlation_id = id, panic = text, "a handler panicked");
    Answer::panicked(&id)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
        .to_owned()
}
