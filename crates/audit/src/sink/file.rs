//! A JSON Lines file.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Error, Sealed};

/// Appends lines under the file's lock, so that processes may share it.
#[derive(Debug)]
pub(crate) struct FileSink {
    path: PathBuf,
    fsync: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// The last sequence written: a write whose waiter was dropped goes on, and is not repeated.
    written: u64,
}

impl FileSink {
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    pub(crate) async fn open(path: PathBuf, fsync: bool) -> Result<Self, Error> {
        let name = path.clone();
        let opened = tokio::task::spawn_blocking(move || open_private(&name));
        let file = opened
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|source| Error::File { path: path.clone(), source })?;
        Ok(Self { path, fsync, state: Arc::new(Mutex::new(State { file, written: 0 })) })
    }

    pub(crate) async fn write(&self, batch: &[Arc<Sealed>]) -> Result<(), Error> {
        let (batch, fsync, state) = (batch.to_vec(), self.fsync, Arc::clone(&self.state));
        tokio::task::spawn_blocking(move || state.lock().append(&batch, fsync))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|source| Error::File { path: self.path.clone(), source })
    }
}

impl State {
    fn append(&mut self, batch: &[Arc<Sealed>], fsync: bool) -> std::io::Result<()> {
        let mut text = String::new();
        for sealed in batch.iter().filter(|sealed| sealed.record.sequence > self.written) {
            text.push_str(&sealed.line);
            text.push('\n');
        }
        self.file.lock()?;
        let done = self.append_locked(text, fsync);
        self.file.unlock()?;
        done?;
        // A write whose waiter was dropped may come after the one that repeated it.
        let last = batch.last().map_or(0, |sealed| sealed.record.sequence);
        self.written = self.written.max(last);
        Ok(())
    }

    fn append_locked(&mut self, mut text: String, fsync: bool) -> std::io::Result<()> {
        let before = self.file.metadata()?.len();
        if before > 0 && !self.ends_with_newline()? {
            // A process died while it wrote: its half line stays one line of its own.
            text.insert(0, '\n');
        }
        let mut done = self.file.write_all(text.as_bytes());
        if fsync && done.is_ok() {
            done = self.file.sync_data();
        }
        if done.is_err() {
            // Half a line, or lines that may not be on the disk: they are written again.
            let _ = self.file.set_len(before);
        }
        done
    }

    fn ends_with_newline(&mut self) -> std::io::Result<bool> {
        let mut last = [0];
        self.file.seek(SeekFrom::End(-1))?;
        self.file.read_exact(&mut last)?;
        Ok(last == *b"\n")
    }
}

/// Opens for appending; a new file is its owner's alone.
fn open_private(path: &std::path::Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
