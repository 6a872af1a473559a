//! The only spawner of the process, and how it stops.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Owns every task that the process spawns; nothing else in `src/` calls `tokio::spawn`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// Runs `task` until it ends; it gets a token that says when to end early.
    pub(crate) fn spawn<F>(&self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(task(self.stop.child_token()));
    }

    /// Says when the process is to stop.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells all tasks to stop and waits for them, `limit` at most; how many were left.
    pub(crate) async fn drain(&self, limit: Duration) -> usize {
        self.stop.cancel();
        self.tracker.close();
        drop(tokio::time::timeout(limit, self.tracker.wait()).await);
        self.tracker.len()
    }
}

/// The signals that end the process: SIGINT, SIGTERM, SIGHUP.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// Listens from now on; the default action is off.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: Some(signal(SignalKind::hangup())?),
        })
    }

    /// The same, but SIGHUP ends nothing: somebody else reloads by it.
    pub(crate) fn without_hangup() -> std::io::Result<Self> {
        Ok(Self { hangup: None, ..Self::listen()? })
    }

    /// Waits for the next one and names it.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            () = recv(self.hangup.as_mut()) => "SIGHUP",
        }
    }
}

/// Waits for a signal that may not be listened for.
pub(crate) async fn recv(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
