//! Starts the init of one sandbox and leads it through its boot.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, UnixStream};
use tokio::process::{Child, Command};

use super::cgroup::Group;
use super::messages::Messages;
use crate::Error;
use crate::boot::{BootSpec, Stage, UID_RANGE};

/// Longest time from start to readiness.
const BOOT_TIMEOUT: Duration = Duration::from_secs(20);

/// First host id of the first sandbox's range; the ranges of all slots end below 2^31.
const FIRST_ID: u32 = 0x7000_0000;

/// How many sandboxes have a range of their own.
pub(crate) const SLOTS: u32 = 4096;

/// A sandbox that accepts requests.
#[derive(Debug)]
pub(crate) struct Launched {
    /// The keeper: ends after all processes of the sandbox.
    pub(crate) keeper: Child,
    /// Open for as long as the sandbox is wanted.
    pub(crate) control: UnixStream,
    pub(crate) socket: Socket,
    /// A socket on the sandbox's loopback, if that is all its network.
    pub(crate) proxy: Option<TcpListener>,
}

/// The daemon's socket; its path may be longer than an address can hold, so it is named by an open
/// directory.
#[derive(Debug)]
pub(crate) struct Socket {
    directory: OwnedFd,
    path: PathBuf,
}

impl Socket {
    fn create(path: PathBuf) -> io::Result<(Self, std::os::unix::net::UnixListener)> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let socket = Self { directory: fs::File::open(&path)?.into(), path };
        let listener = std::os::unix::net::UnixListener::bind(socket.address())?;
        Ok((socket, listener))
    }

    fn address(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/envd", self.directory.as_raw_fd()))
    }

    /// Opens a connection to the daemon.
    pub(crate) async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.address()).await
    }

    /// Removes it.
    pub(crate) fn remove(&self) {
        let _gone_already = fs::remove_dir_all(&self.path);
    }
}

/// Starts a sandbox; whatever fails, nothing of it is left running.
pub(crate) async fn launch(
    init: &Path,
    directory: PathBuf,
    spec: &BootSpec,
    slot: u32,
    group: &Group,
) -> Result<Launched, Error> {
    let system = |step| move |source| Error::System { step, source };
    let (socket, listener) =
        Socket::create(directory).map_err(system("cannot create the sandbox's socket"))?;
    let (ours, theirs) =
        std::os::unix::net::UnixStream::pair().map_err(system("cannot create a socket"))?;
    ours.set_nonblocking(true).map_err(system("cannot prepare a socket"))?;
    let control = UnixStream::from_std(ours).map_err(system("cannot prepare a socket"))?;
    let keeper = Command::new(init)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::from(OwnedFd::from(theirs)))
        .kill_on_drop(true)
        .spawn()
        .map_err(system("cannot start airlock-sandbox-init"))?;
    let mut launched = Launched { keeper, control, socket, proxy: None };
    let boot = boot(&mut launched, spec, slot, group);
    match tokio::time::timeout(BOOT_TIMEOUT, boot).await {
        Ok(Ok(())) => Ok(launched),
        Ok(Err(error)) => Err(launched.give_up(error).await),
        Err(_elapsed) => {
            let reason = format!("not ready after {} s", BOOT_TIMEOUT.as_secs());
            Err(launched.give_up(Error::Build { reason }).await)
        }
    }
}

impl Launched {
    async fn give_up(self, error: Error) -> Error {
        let Self { mut keeper, control, socket, proxy: _ } = self;
        drop(control);
        let _killed = keeper.kill().await;
        socket.remove();
        error
    }
}

async fn boot(
    launched: &mut Launched,
    spec: &BootSpec,
    slot: u32,
    group: &Group,
) -> Result<(), Error> {
    let pid = launched.keeper.id().unwrap_or_default();
    let control = &mut launched.control;
    let mut messages = Messages::default();
    let failed = |source| Error::System { step: "lost contact with the sandbox's init", source };
    let mut text = serde_json::to_vec(spec).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    control.write_all(&text).await.map_err(failed)?;
    loop {
        let line = messages.line(control).await.map_err(failed)?;
        match serde_json::from_slice(&line).map_err(|error| failed(error.into()))? {
            Stage::Mapping => {
                let step = |step| move |source| Error::System { step, source };
                map_ids(pid, spec.uid_range.then_some(slot))
                    .map_err(step("cannot write the sandbox's id maps"))?;
                control.write_all(b"\n").await.map_err(failed)?;
            }
            Stage::Forked { pid } => {
                let step = |step| move |source| Error::System { step, source };
                group.add(pid).map_err(step("cannot move the sandbox into its cgroups"))?;
                // The daemon is to be the last of its group that runs out of memory.
                let _needs_root = fs::write(format!("/proc/{pid}/oom_score_adj"), "-500");
                control.write_all(b"\n").await.map_err(failed)?;
            }
            Stage::Ready => {
                launched.proxy = messages.fds.pop().map(listener).transpose().map_err(failed)?;
                return Ok(());
            }
            Stage::Failed { message } => return Err(Error::Build { reason: message }),
        }
    }
}

fn listener(fd: OwnedFd) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(fd);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Maps ids: a range of the slot's own, or without one the host's own id alone.
fn map_ids(pid: u32, slot: Option<u32>) -> io::Result<()> {
    let write = |file: &str, text: &str| fs::write(format!("/proc/{pid}/{file}"), text);
    if let Some(slot) = slot {
        let map = format!("0 {} {UID_RANGE}\n", FIRST_ID + slot * UID_RANGE);
        write("uid_map", &map)?;
        return write("gid_map", &map);
    }
    write("setgroups", "deny")?;
    write("uid_map", &format!("0 {} 1\n", nix::unistd::geteuid()))?;
    write("gid_map", &format!("0 {} 1\n", nix::unistd::getegid()))
}
