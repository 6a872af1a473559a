//! Running a process to its end and keeping what it wrote, up to a cap.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::process::{ProcessEvent, StartProcess};
use super::sandbox::Sandbox;
use crate::error::Error;

/// What a process left behind.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; -1 if a signal ended it.
    pub exit_code: i32,
    /// Whether it ended by itself.
    pub exited: bool,
    /// The end in words: `exit status 1`, `signal: killed`.
    pub status: String,
    /// The beginning of standard output, or of the terminal's output.
    pub stdout: Bytes,
    /// The beginning of standard error.
    pub stderr: Bytes,
    /// Whether there was more of either than the cap.
    pub truncated: bool,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("exit_code", &self.exit_code)
            .field("exited", &self.exited)
            .field("status", &self.status)
            .field("stdout_bytes", &self.stdout.len())
            .field("stderr_bytes", &self.stderr.len())
            .field("truncated", &self.truncated)
            .finish()
    }
}

/// The beginning of what comes, and whether there was more.
#[derive(Default)]
struct Head {
    kept: BytesMut,
    is_cut: bool,
}

impl Head {
    fn push(&mut self, bytes: &[u8], cap: usize) {
        let room = cap.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.is_cut |= bytes.len() > room;
    }
}

impl Sandbox {
    /// Starts a process, waits for its end and keeps at most `cap` bytes of each stream. The rest
    /// is read and dropped, so the process never stalls.
    ///
    /// # Errors
    /// As [`Sandbox::start`] and [`ProcessStream::next`](super::ProcessStream::next). A non-zero
    /// exit code is no error.
    pub async fn run(&self, process: &StartProcess, cap: usize) -> Result<Output, Error> {
        let mut stream = self.start(process).await?;
        let (mut stdout, mut stderr, mut ended) = (Head::default(), Head::default(), None);
        while let Some(event) = stream.next().await? {
            match event {
                ProcessEvent::Stdout(bytes) | ProcessEvent::Pty(bytes) => stdout.push(&bytes, cap),
                ProcessEvent::Stderr(bytes) => stderr.push(&bytes, cap),
                ProcessEvent::End { exit_code, exited, status, .. } => {
                    ended = Some((exit_code, exited, status));
                }
            }
        }
        let (exit_code, exited, status) = ended
            .ok_or_else(|| Error::protocol("run process", "a stream without the end event"))?;
        Ok(Output {
            exit_code,
            exited,
            status,
            truncated: stdout.is_cut || stderr.is_cut,
            stdout: stdout.kept.freeze(),
            stderr: stderr.kept.freeze(),
        })
    }
}
