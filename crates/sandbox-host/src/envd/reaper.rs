//! Pid 1's duty: collects every process that ends, its own children and the orphans.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
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
            let peek = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            let mut waiting = self.waiting.lock();
            match peek {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
                    collect(&mut waiting, pid);
                }
                Err(Errno::ECHILD) if waiting.is_empty() => self.started.wait(&mut waiting),
                _ => {}
            }
        }
    }
}

fn collect(waiting: &mut HashMap<i32, oneshot::Sender<Exit>>, pid: Pid) {
    let exit = match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Exit::Code(code),
        Ok(WaitStatus::Signaled(_, signal, _)) => Exit::Signal(signal as i32),
        _ => return,
    };
    if let Some(ended) = waiting.remove(&pid.as_raw()) {
        let _nobody_asks = ended.send(exit);
    }
}
