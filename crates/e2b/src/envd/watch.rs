//! Following the changes in a directory.

use airlock_proto::filesystem as wire;
use wire::watch_dir_response::Event;

use super::filesystem::EntryInfo;
use super::rpc::{MessageStream, Method};
use super::sandbox::Sandbox;
use crate::error::Error;
use crate::{ids, transport};

const WATCH: Method = Method::filesystem("WatchDir", "watch directory");

/// How to watch a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchOptions {
    /// Its subdirectories too.
    pub recursive: bool,
    /// Describe the entry with each change (envd 0.6.3 or newer).
    pub include_entry: bool,
    /// Watch network mounts too, where changes may be missed.
    pub allow_network_mounts: bool,
}

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// It appeared.
    Create,
    /// Its contents changed.
    Write,
    /// It was removed.
    Remove,
    /// It was renamed.
    Rename,
    /// Its permissions changed.
    Chmod,
    /// Something that this client does not know.
    Other,
}

/// One change in a watched directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesystemEvent {
    /// The entry's path, relative to the directory.
    pub name: String,
    /// What happened to it.
    pub kind: EventType,
    /// The entry, if asked for and still there.
    pub entry: Option<EntryInfo>,
}

impl From<wire::FilesystemEvent> for FilesystemEvent {
    fn from(event: wire::FilesystemEvent) -> Self {
        let kind = match event.r#type() {
            wire::EventType::Create => EventType::Create,
            wire::EventType::Write => EventType::Write,
            wire::EventType::Remove => EventType::Remove,
            wire::EventType::Rename => EventType::Rename,
            wire::EventType::Chmod => EventType::Chmod,
            wire::EventType::Unspecified => EventType::Other,
        };
        Self { kind, name: event.name, entry: event.entry.map(EntryInfo::from) }
    }
}

/// The changes in one directory, until it is dropped.
#[derive(Debug)]
pub struct WatchStream(MessageStream<wire::WatchDirResponse>);

impl Sandbox {
    /// Watches a directory. Changes made after this returned are seen.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, [`Error::InvalidArgument`] if it is a file.
    pub async fn watch_dir(
        &self,
        user: Option<&str>,
        path: &str,
        options: WatchOptions,
    ) -> Result<WatchStream, Error> {
        ids::check_path(path)?;
        let request = wire::WatchDirRequest {
            path: path.to_owned(),
            recursive: options.recursive,
            include_entry: options.include_entry,
            allow_network_mounts: options.allow_network_mounts,
        };
        let mut stream: MessageStream<wire::WatchDirResponse> =
            self.stream(WATCH, user, &request, None).await?;
        let started = async {
            match stream.next().await?.and_then(|reply| reply.event) {
                Some(Event::Start(_)) => Ok(()),
                _ => Err(Error::protocol(WATCH.operation, "an event before the start event")),
            }
        };
        transport::within(WATCH.operation, self.timeouts().request, started).await?;
        Ok(WatchStream(stream))
    }
}

impl WatchStream {
    /// The next change, or `None` when the sandbox ended the watch. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::Cut`] if the connection ended without the stream's end message.
    pub async fn next(&mut self) -> Result<Option<FilesystemEvent>, Error> {
        loop {
            let Some(reply) = self.0.next().await? else { return Ok(None) };
            if let Some(Event::Filesystem(event)) = reply.event {
                return Ok(Some(event.into()));
            }
        }
    }
}
