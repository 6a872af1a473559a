//! Fan-out of one process's output.
//!
//! Nothing is kept: without a subscriber output is discarded, and a subscriber that does not read
//! holds the process back, and with it all other subscribers. Both are how E2B's daemon does it.

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;

use super::reaper::Exit;

/// Largest piece of output in one event, in bytes.
const CHUNK: usize = 32 << 10;

/// Events that a subscriber may be behind before it holds the process back.
const BACKLOG: usize = 2;

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout,
    Stderr,
    Terminal,
}

/// What a subscriber receives after its subscription.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Data(Source, Bytes),
    /// The last one.
    End(Exit),
}

/// The subscribers of one process; `None` when it ended.
#[derive(Debug)]
pub(crate) struct Subscribers(Mutex<Option<Vec<mpsc::Sender<Event>>>>);

impl Subscribers {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    /// Adds a subscriber; `None` if the process has ended.
    pub(crate) fn subscribe(&self) -> Option<mpsc::Receiver<Event>> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        self.0.lock().as_mut()?.push(sender);
        Some(receiver)
    }

    async fn publish(&self, event: Event) {
        let subscribers = self.0.lock().clone().unwrap_or_default();
        let mut gone = false;
        for subscriber in subscribers {
            gone |= subscriber.send(event.clone()).await.is_err();
        }
        if gone && let Some(subscribers) = self.0.lock().as_mut() {
            subscribers.retain(|subscriber| !subscriber.is_closed());
        }
    }

    /// Closes the list, then sends the end to all that were on it.
    pub(crate) async fn end(&self, exit: Exit) {
        let subscribers = self.0.lock().take().unwrap_or_default();
        for subscriber in subscribers {
            let _gone = subscriber.send(Event::End(exit)).await;
        }
    }

    /// Reads `input` to its end and publishes what comes.
    pub(crate) async fn drain(&self, mut input: impl AsyncRead + Unpin, source: Source) {
        let mut buffer = vec![0; CHUNK];
        loop {
            // A terminal ends with an error, not with an end of file.
            let Ok(count @ 1..) = input.read(&mut buffer).await else { return };
            self.publish(Event::Data(source, Bytes::copy_from_slice(&buffer[..count]))).await;
        }
    }
}
