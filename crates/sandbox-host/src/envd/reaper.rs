//! Pid 1's duty: collects every process that ends, its own children and the orphans.
//!
//! It speaks to the kernel directly: nix has no name for real-time signals and fails on the end of
//! a process by one, which a command can choose.

#![expect(unsafe_code, reason = "waitid and waitpid with any signal have no wrappers")]

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It exited with this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<HashMap<i32, oneshot::Sender<Exit>>>,
    started: Condvar,
}

/// The only place of the process that waits for children.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reaper(Arc<Shared>);

impl Reaper {
    pub(crate) fn start() -> io::Result<Self> {
        let reaper = Self::default();
        let shared = Arc::clone(&reaper.0);
        std::thread::Builder::new()
            .name("reaper".into())
            .stack_size(128 << 10)
            .spawn(move || shared.reap())?;
        Ok(reaper)
    }

    /// Starts a child. Nothing is reaped meanwhile, so its end cannot be missed, and a child that
    /// fails before exec is left for the standard library to collect.
    pub(crate) fn spawn(
        &self,
        command: &mut std::process::Command,
    ) -> io::Result<(std::process::Child, oneshot::Receiver<Exit>)> {
        let mut waiting = self.0.waiting.lock();
        let child = command.spawn()?;
        let (ended, end) = oneshot::channel();
        waiting.insert(i32::try_from(child.id()).unwrap_or(i32::MAX), ended);
        drop(waiting);
        self.0.started.notify_one();
        Ok((child, end))
    }
}

impl Shared {
    fn reap(&self) {
        loop {
            // Looks only; the lock then makes sure that no spawn is under way.
            let ended = next_ended();
            let mut waiting = self.waiting.lock();
            match ended {
                Ok(pid) => {
                    if let Some(exit) = collect(pid)
                        && let Some(ended) = waiting.remove(&pid)
                    {
                        let _nobody_asks = ended.send(exit);
                    }
                }
                Err(Errno::ECHILD) if waiting.is_empty() => self.started.wait(&mut waiting),
                Err(_) => {}
            }
        }
    }
}

/// Waits until a child ended, and leaves it to be collected.
fn next_ended() -> Result<libc::pid_t, Errno> {
    // SAFETY: all zeroes are a value of this structure of integers, which outlives the call; a call
    // that succeeded has filled in the part that `si_pid` reads.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOWAIT;
        Errno::result(libc::waitid(libc::P_ALL, 0, &raw mut info, flags))?;
        Ok(info.si_pid())
    }
}

/// Collects a child that ended; `None` if somebody else did.
fn collect(pid: libc::pid_t) -> Option<Exit> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let collected = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
    if collected != pid {
        return None;
    }
    Some(if libc::WIFEXITED(status) {
        Exit::Code(libc::WEXITSTATUS(status))
    } else {
        Exit::Signal(libc::WTERMSIG(status))
    })
}
