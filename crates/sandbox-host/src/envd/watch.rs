//! Watching directories through inotify.

#![expect(unsafe_code, reason = "nix's inotify is behind a feature that this workspace leaves off")]

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use super::users::User;
use super::{Daemon, filesystem};
use crate::generated::filesystem::{EventType, FilesystemEvent};

/// Most directories of one watcher.
const MAX_DIRECTORIES: usize = 4096;

/// Size of one event without its name.
const HEADER: usize = size_of::<libc::inotify_event>();

/// What is asked of the kernel.
const MASK: u32 = libc::IN_CREATE
    | libc::IN_MODIFY
    | libc::IN_DELETE
    | libc::IN_MOVED_FROM
    | libc::IN_MOVED_TO
    | libc::IN_ATTRIB
    | libc::IN_ONLYDIR;

/// One change; several flags of one kernel event are in the order that clients expect.
const KINDS: [(u32, EventType); 5] = [
    (libc::IN_CREATE | libc::IN_MOVED_TO, EventType::EVENT_TYPE_CREATE),
    (libc::IN_MOVED_FROM, EventType::EVENT_TYPE_RENAME),
    (libc::IN_ATTRIB, EventType::EVENT_TYPE_CHMOD),
    (libc::IN_MODIFY, EventType::EVENT_TYPE_WRITE),
    (libc::IN_DELETE, EventType::EVENT_TYPE_REMOVE),
];

/// What to watch.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) root: PathBuf,
    pub(crate) recursive: bool,
    pub(crate) include_entry: bool,
}

/// A watcher of one directory, or of a tree.
#[derive(Debug)]
pub(crate) struct Watcher {
    options: Options,
    user: User,
    notify: OwnedFd,
    events: pipe::Receiver,
    /// Watch descriptor to the directory's path below the root.
    directories: HashMap<i32, PathBuf>,
    buffer: Vec<u8>,
    /// Read from the kernel and not answered yet: a path below the root, and the flags.
    changes: VecDeque<(PathBuf, u32)>,
}

impl Watcher {
    /// Starts to watch as `user`. Must be called within the runtime.
    pub(crate) async fn start(daemon: &Daemon, user: User, options: Options) -> io::Result<Self> {
        // SAFETY: takes plain integers.
        let made = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
        let made = Errno::result(made)?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let notify = unsafe { OwnedFd::from_raw_fd(made) };
        let events = pipe::Receiver::from_owned_fd_unchecked(notify.try_clone()?)?;
        let directories = HashMap::new();
        let buffer = vec![0; 64 << 10];
        let changes = VecDeque::new();
        let mut watcher = Self { options, user, notify, events, directories, buffer, changes };
        watcher.add(daemon, PathBuf::new()).await?;
        Ok(watcher)
    }

    /// Watches a directory, and all below it if the watcher is recursive.
    async fn add(&mut self, daemon: &Daemon, relative: PathBuf) -> io::Result<()> {
        let notify = self.notify.try_clone()?;
        let (root, recursive) = (self.options.root.clone(), self.options.recursive);
        let left = MAX_DIRECTORIES.saturating_sub(self.directories.len());
        let added = daemon.workers.run_as(&self.user, move || {
            let mut added = Vec::new();
            let mut pending = vec![relative];
            while let Some(relative) = pending.pop() {
                if added.len() >= left {
                    return Err(io::Error::from(io::ErrorKind::QuotaExceeded));
                }
                let path = root.join(&relative);
                match watch(&notify, &path) {
                    Ok(descriptor) => added.push((descriptor, relative.clone())),
                    // What vanished or is closed below the root is not watched.
                    Err(_) if !added.is_empty() => continue,
                    Err(error) => return Err(error),
                }
                if recursive {
                    for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
                        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                            pending.push(relative.join(entry.file_name()));
                        }
                    }
                }
            }
            Ok(added)
        });
        self.directories.extend(added.await?);
        Ok(())
    }

    /// The events of the next change. Cancel-safe: a change is forgotten once it is answered.
    pub(crate) async fn next(&mut self, daemon: &Daemon) -> io::Result<Vec<FilesystemEvent>> {
        while self.changes.is_empty() {
            let count = self.events.read(&mut self.buffer).await?;
            self.take(count);
        }
        let Some((relative, mask)) = self.changes.front().cloned() else { return Ok(Vec::new()) };
        let appeared = mask & (libc::IN_CREATE | libc::IN_MOVED_TO) != 0;
        if self.options.recursive && appeared && mask & libc::IN_ISDIR != 0 {
            // It may be gone again, or one too many: the rest is still watched.
            let _unwatched = self.add(daemon, relative.clone()).await;
        }
        let mut events = Vec::new();
        for (bits, kind) in KINDS {
            if mask & bits != 0 {
                events.push(self.event(daemon, &relative, kind).await);
            }
        }
        self.changes.pop_front();
        Ok(events)
    }

    /// Takes the kernel's events over from the buffer.
    fn take(&mut self, count: usize) {
        let mut at = 0;
        while at + HEADER <= count {
            let number = |offset: usize| {
                let bytes = self.buffer[at + offset..at + offset + 4].try_into();
                u32::from_ne_bytes(bytes.unwrap_or_default())
            };
            let (descriptor, mask, length) = (number(0).cast_signed(), number(4), number(12));
            let end = at + HEADER + usize::try_from(length).unwrap_or(0);
            let name = self.buffer.get(at + HEADER..end).unwrap_or_default();
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            at = end;
            if mask & libc::IN_IGNORED != 0 {
                self.directories.remove(&descriptor);
            } else if let Some(directory) = self.directories.get(&descriptor)
                && !name.is_empty()
            {
                self.changes.push_back((directory.join(name), mask));
            }
        }
    }

    async fn event(&self, daemon: &Daemon, relative: &Path, kind: EventType) -> FilesystemEvent {
        let lasting = !matches!(kind, EventType::EVENT_TYPE_REMOVE | EventType::EVENT_TYPE_RENAME);
        let path = self.options.root.join(relative);
        let entry = if self.options.include_entry && lasting {
            daemon.workers.run_as(&self.user, move || filesystem::entry(&path)).await.ok()
        } else {
            None
        };
        FilesystemEvent {
            name: relative.to_string_lossy().into_owned(),
            r#type: kind.into(),
            entry: entry.into(),
        }
    }
}

fn watch(notify: &OwnedFd, path: &Path) -> io::Result<i32> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: the descriptor is open and the path NUL-terminated for the call.
    let added = unsafe { libc::inotify_add_watch(notify.as_raw_fd(), path.as_ptr(), MASK) };
    Ok(Errno::result(added)?)
}
