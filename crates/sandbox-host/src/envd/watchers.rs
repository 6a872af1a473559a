//! Watchers as clients use them: a stream, or a list that is asked for what is new.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, ServiceStream};
use futures_util::stream;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::watch::Watcher;
use super::{Daemon, service};
use crate::generated::filesystem::{FilesystemEvent, WatchDirResponse, watch_dir_response};
use watch_dir_response::{Event, KeepAlive, StartEvent};

/// Most watchers of one sandbox that are asked.
const MAX_WATCHERS: usize = 64;

/// Most events kept for a client that does not ask; the oldest are dropped.
const MAX_EVENTS: usize = 10_000;

type Events = Arc<Mutex<VecDeque<FilesystemEvent>>>;

/// Watchers whose events are kept until somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<HashMap<String, (Events, AbortHandle)>>);

impl Watchers {
    pub(crate) fn add(
        &self,
        daemon: Arc<Daemon>,
        mut watcher: Watcher,
    ) -> Result<String, ConnectError> {
        let mut watchers = self.0.lock();
        if watchers.len() >= MAX_WATCHERS {
            let message = format!("more than {MAX_WATCHERS} watchers: remove one first");
            return Err(ConnectError::resource_exhausted(message));
        }
        let events = Events::default();
        let kept = Arc::clone(&events);
        let task = tokio::spawn(async move {
            while let Ok(new) = watcher.next(&daemon).await {
                let mut kept = kept.lock();
                kept.extend(new);
                let excess = kept.len().saturating_sub(MAX_EVENTS);
                kept.drain(..excess);
            }
        });
        let id = format!("w{}", hex::encode(rand::random::<[u8; 8]>()));
        watchers.insert(id.clone(), (events, task.abort_handle()));
        Ok(id)
    }

    pub(crate) fn drain(&self, id: &str) -> Result<Vec<FilesystemEvent>, ConnectError> {
        let watchers = self.0.lock();
        let (events, _) = watchers.get(id).ok_or_else(|| not_found(id))?;
        let drained = events.lock().drain(..).collect();
        Ok(drained)
    }

    pub(crate) fn remove(&self, id: &str) -> Result<(), ConnectError> {
        let (_, task) = self.0.lock().remove(id).ok_or_else(|| not_found(id))?;
        task.abort();
        Ok(())
    }
}

fn not_found(id: &str) -> ConnectError {
    ConnectError::not_found(format!("watcher with id {id} not found"))
}

/// Events as they come, after a first message that says that watching began.
pub(crate) fn stream(
    daemon: Arc<Daemon>,
    watcher: Watcher,
    ctx: &RequestContext,
) -> ServiceStream<WatchDirResponse> {
    let keepalive = service::keepalive(ctx);
    let deadline = ctx.deadline().map(tokio::time::Instant::from_std);
    let first = VecDeque::from([Event::Start(StartEvent {})]);
    Box::pin(stream::unfold(Some((watcher, first)), move |state| {
        let daemon = Arc::clone(&daemon);
        async move {
            let (mut watcher, mut ready) = state?;
            while ready.is_empty() {
                let expired = async {
                    match deadline {
                        Some(deadline) => tokio::time::sleep_until(deadline).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = expired => {
                        let error = ConnectError::deadline_exceeded("the deadline was exceeded");
                        return Some((Err(error), None));
                    }
                    new = watcher.next(&daemon) => match new {
                        Ok(new) => ready.extend(new.into_iter().map(Event::Filesystem)),
                        Err(error) => {
                            return Some((Err(ConnectError::internal(error.to_string())), None));
                        }
                    },
                    () = tokio::time::sleep(keepalive) => {
                        ready.push_back(Event::Keepalive(KeepAlive {}));
                    }
                }
            }
            let event = ready.pop_front();
            Some((Ok(WatchDirResponse { event }), Some((watcher, ready))))
        }
    }))
}
