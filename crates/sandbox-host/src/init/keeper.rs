//! The one fork, and the process that stays outside to end the sandbox.

#![expect(unsafe_code, reason = "fork has no safe form")]

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::{Error, Step as _};

/// Which process this is after the fork.
pub(super) enum Side {
    /// Outside the pid namespace.
    Keeper(Child),
    /// Pid 1; the descriptor is open for as long as it lives.
    First(OwnedFd),
}

/// Pid 1 as its keeper sees it.
pub(super) struct Child {
    pid: Pid,
    alive: OwnedFd,
}

/// Forks. The process must have one thread.
pub(super) fn split() -> Result<Side, Error> {
    let (read, write) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).step("create a pipe")?;
    // SAFETY: the process is single-threaded here (no runtime or thread was started before), so
    // the child may run any code, not only what is async-signal-safe.
    match unsafe { fork() }.step("fork")? {
        ForkResult::Parent { child } => Ok(Side::Keeper(Child { pid: child, alive: read })),
        ForkResult::Child => Ok(Side::First(write)),
    }
}

impl Child {
    /// Its id in the host's pid namespace.
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Waits for the sandbox's end, or for the host to close `control`, which ends it.
    ///
    /// What the host says is for pid 1, which shares the socket, so nothing is read here.
    pub(super) fn keep(self, control: &UnixStream, thaw: Option<File>) -> ExitCode {
        loop {
            let mut watched = [
                PollFd::new(control.as_fd(), PollFlags::empty()),
                PollFd::new(self.alive.as_fd(), PollFlags::POLLIN),
            ];
            if let Err(nix::errno::Errno::EINTR) = poll(&mut watched, PollTimeout::NONE) {
                continue;
            }
            if watched.iter().any(|end| end.any() == Some(true)) {
                break;
            }
        }
        let _gone_already = kill(self.pid, Signal::SIGKILL);
        if let Some(mut thaw) = thaw {
            let _not_frozen = thaw.write_all(b"THAWED");
        }
        // Returns when every process of the pid namespace is gone.
        let _reaped = waitpid(self.pid, None);
        ExitCode::SUCCESS
    }
}
