//! The first process of a sandbox: builds the isolation, then serves the daemon (`envd`) in it.
//!
//! The host starts it as an ordinary child with two inherited descriptors: a listening unix socket
//! (standard input) that the daemon serves, and the control socket (standard output, see
//! [`crate::boot`]). Everything happens in this order, while the process has one thread:
//!
//! 1. new user namespace; the host writes the id maps;
//! 2. new mount, pid, network, ipc and uts namespaces; fork, since only a child is inside the new
//!    pid namespace. The parent stays outside, of the sandbox's cgroups too, as the keeper;
//! 3. the child, pid 1, is moved into its cgroups by the host, then: cgroup namespace, file-system
//!    view, host name, loopback and on it a socket that only the host accepts connections of;
//! 4. capabilities, `no_new_privs`, seccomp: all commands inherit them;
//! 5. threads, the daemon.
//!
//! Invariants: pid 1 dies when the keeper dies (parent-death signal), the keeper kills pid 1 when
//! the control socket closes, and the kernel kills everything in the pid namespace with pid 1.
//! No step falls back to running without the isolation it was asked for.

mod keeper;
mod network;
pub(crate) mod privileges;
mod seccomp;
mod users;
mod view;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IoSlice, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use nix::unistd::{Gid, Uid, dup2_stdin, dup2_stdout, setgroups, setresgid, setresuid, setsid};

use crate::boot::{BootSpec, MAX_LINE, Stage};

/// Why a sandbox could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A system call failed.
    #[error("{step}: {source}")]
    System { step: String, source: io::Error },
    /// The host spoke otherwise than agreed.
    #[error("the host's message cannot be read: {0}")]
    Protocol(String),
}

/// Names the step that a system call belongs to.
pub(crate) trait Step<T> {
    fn step(self, step: impl Into<String>) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T, Error> {
        self.map_err(|source| Error::System { step: step.into(), source: source.into() })
    }
}

/// The control socket, one JSON line a message.
pub(crate) struct Control(UnixStream);

impl Control {
    fn tell(&self, stage: &Stage) -> Result<(), Error> {
        let mut line =
            serde_json::to_vec(stage).map_err(|error| Error::Protocol(error.to_string()))?;
        line.push(b'\n');
        (&self.0).write_all(&line).step("report to the host")
    }

    /// As `tell`, with a descriptor for the host.
    fn tell_passing(&self, stage: &Stage, passed: &impl AsRawFd) -> Result<(), Error> {
        let mut line =
            serde_json::to_vec(stage).map_err(|error| Error::Protocol(error.to_string()))?;
        line.push(b'\n');
        let fds = [passed.as_raw_fd()];
        let parts = [IoSlice::new(&line)];
        let rights = [ControlMessage::ScmRights(&fds)];
        // A line is far smaller than the socket's buffer, so it is taken whole.
        sendmsg::<UnixAddr>(self.0.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None)
            .step("report to the host")?;
        Ok(())
    }

    fn line(&self) -> Result<String, Error> {
        let mut line = String::new();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        BufReader::with_capacity(1, (&self.0).take(limit))
            .read_line(&mut line)
            .step("read from the host")?;
        if line.ends_with('\n') { Ok(line) } else { Err(Error::Protocol("cut short".into())) }
    }
}

/// Entry point of the `airlock-sandbox-init` binary.
///
/// Returns only in the keeper, or when the sandbox could not be built; pid 1 serves until killed.
pub fn main() -> ExitCode {
    let (listener, control) = match inherited() {
        Ok(pair) => pair,
        Err(error) => {
            let _ignored = writeln!(
                io::stderr(),
                "airlock-sandbox-init is started by the sandbox host, not by hand ({error})"
            );
            return ExitCode::from(2);
        }
    };
    let copy = control.0.try_clone().map(Control);
    match run(listener, control) {
        Ok(code) => code,
        Err(error) => {
            if let Ok(control) = copy {
                let _ignored = control.tell(&Stage::Failed { message: error.to_string() });
            }
            ExitCode::FAILURE
        }
    }
}

fn inherited() -> Result<(UnixListener, Control), Error> {
    privileges::close_inherited()?;
    let listener: OwnedFd = io::stdin().as_fd().try_clone_to_owned().step("take the listener")?;
    let control: OwnedFd = io::stdout().as_fd().try_clone_to_owned().step("take the socket")?;
    let listener = UnixListener::from(listener);
    listener.local_addr().step("standard input is no listening socket")?;
    let control = UnixStream::from(control);
    control.peer_addr().step("standard output is no socket")?;
    let null = File::options().read(true).write(true).open("/dev/null").step("open /dev/null")?;
    dup2_stdin(&null).step("replace standard input")?;
    dup2_stdout(&null).step("replace standard output")?;
    Ok((listener, Control(control)))
}

fn run(listener: UnixListener, control: Control) -> Result<ExitCode, Error> {
    let spec: BootSpec = serde_json::from_str(&control.line()?)
        .map_err(|error| Error::Protocol(error.to_string()))?;
    // Opened with the host's rights, which this process is about to lose.
    let thaw = match &spec.thaw {
        Some(path) => Some(File::options().write(true).open(path).step("open the freezer")?),
        None => None,
    };
    let _ignored = setsid();
    unshare(CloneFlags::CLONE_NEWUSER).step("create a user namespace")?;
    control.tell(&Stage::Mapping)?;
    control.line()?;
    let root = (Uid::from_raw(0), Gid::from_raw(0));
    if spec.uid_range {
        setgroups(&[root.1]).step("drop supplementary groups")?;
    }
    setresgid(root.1, root.1, root.1).step("become the sandbox's root group")?;
    setresuid(root.0, root.0, root.0).step("become the sandbox's root")?;
    let mut namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if !spec.share_network {
        namespaces |= CloneFlags::CLONE_NEWNET;
    }
    unshare(namespaces).step("create mount, pid, network, ipc and uts namespaces")?;
    match keeper::split()? {
        keeper::Side::Keeper(child) => {
            drop(listener);
            control.tell(&Stage::Forked { pid: child.pid() })?;
            Ok(child.keep(&control.0, thaw))
        }
        keeper::Side::First(alive) => {
            drop(thaw);
            let _alive = alive;
            first(&spec, listener, control)
        }
    }
}

/// Pid 1: everything from here on happens inside the new namespaces.
fn first(spec: &BootSpec, listener: UnixListener, control: Control) -> Result<ExitCode, Error> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .step("die with the keeper")?;
    control.line()?;
    unshare(CloneFlags::CLONE_NEWCGROUP).step("create a cgroup namespace")?;
    view::build(spec)?;
    nix::unistd::sethostname(&spec.sandbox_id).step("set the host name")?;
    let proxy = if spec.share_network {
        None
    } else {
        network::loopback_up()?;
        Some(network::proxy_listener()?)
    };
    privileges::limit_resources(spec)?;
    privileges::drop_all()?;
    seccomp::install()?;
    crate::envd::serve(spec, listener, || {
        match proxy {
            Some(proxy) => control.tell_passing(&Stage::Ready, &proxy)?,
            None => control.tell(&Stage::Ready)?,
        }
        drop(control);
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}
