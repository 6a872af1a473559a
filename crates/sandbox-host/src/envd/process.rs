//! The processes of a sandbox that were started through the daemon.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::output::{Event, Source, Subscribers};
use super::reaper::{Exit, Reaper};
use super::users::User;
use super::{Daemon, EXIT_RETENTION, credentials};
use crate::generated::process::ProcessConfig;
use crate::wire::PROXY_PORT;

/// Search path of a command unless its environment says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes a command the first to be killed when memory runs out, then becomes it. A program that is
/// not there is the shell's exit code 127, not an error of the call.
const LAUNCH: &str = "echo 100 2>/dev/null >/proc/$$/oom_score_adj; exec \"$@\"";

/// What to start.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) config: ProcessConfig,
    pub(crate) user: User,
    /// Absolute; checked to be a directory.
    pub(crate) directory: String,
    pub(crate) tag: Option<String>,
    pub(crate) stdin: bool,
    /// Columns and rows of a terminal, if it gets one.
    pub(crate) terminal: Option<(u16, u16)>,
    /// Its way out is the host's proxy.
    pub(crate) proxy: bool,
}

/// Which process is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    Pid(u32),
    Tag(String),
}

/// Where input goes.
#[derive(Debug)]
pub(crate) enum Input {
    Closed,
    Stdin(pipe::Sender),
    Terminal(pipe::Sender),
}

/// A process that has not ended, or whose output is still open.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) config: ProcessConfig,
    pub(crate) tag: Option<String>,
    pub(crate) subscribers: Subscribers,
    pub(crate) input: tokio::sync::Mutex<Input>,
    /// The master side, to set its size.
    terminal: Option<OwnedFd>,
    reaped: AtomicBool,
}

/// A process that ended lately.
#[derive(Debug)]
struct Ended {
    tag: Option<String>,
    exit: Exit,
    at: Instant,
}

#[derive(Debug, Default)]
struct Processes {
    live: HashMap<u32, Arc<Process>>,
    ended: HashMap<u32, Ended>,
}

/// What a selector found.
#[derive(Debug)]
pub(crate) enum Found {
    Live(Arc<Process>),
    Ended(u32, Exit),
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Table {
    processes: Mutex<Processes>,
    reaper: Reaper,
}

impl Table {
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self { processes: Mutex::default(), reaper: Reaper::start()? })
    }

    pub(crate) fn live(&self) -> Vec<Arc<Process>> {
        self.processes.lock().live.values().cloned().collect()
    }

    /// Finds a live process, else one that ended within [`EXIT_RETENTION`].
    pub(crate) fn find(&self, selector: &Selector) -> Option<Found> {
        let mut processes = self.processes.lock();
        processes.ended.retain(|_, ended| ended.at.elapsed() < EXIT_RETENTION);
        match selector {
            Selector::Pid(pid) => {
                let live = processes.live.get(pid).map(|process| Found::Live(Arc::clone(process)));
                live.or_else(|| Some(Found::Ended(*pid, processes.ended.get(pid)?.exit)))
            }
            Selector::Tag(tag) => {
                let tag = Some(tag);
                let live = processes.live.values().find(|process| process.tag.as_ref() == tag);
                live.map(|process| Found::Live(Arc::clone(process))).or_else(|| {
                    let mut ended = processes.ended.iter();
                    let newest = ended.by_ref().filter(|(_, ended)| ended.tag.as_ref() == tag);
                    newest
                        .max_by_key(|(_, ended)| ended.at)
                        .map(|(pid, ended)| Found::Ended(*pid, ended.exit))
                })
            }
        }
    }

    /// Forgets the processes that ended.
    pub(crate) fn forget_ended(&self) {
        self.processes.lock().ended.clear();
    }

    fn finish(&self, process: &Process, exit: Exit) {
        let mut processes = self.processes.lock();
        processes.live.remove(&process.pid);
        let ended = Ended { tag: process.tag.clone(), exit, at: Instant::now() };
        processes.ended.retain(|_, ended| ended.at.elapsed() < EXIT_RETENTION);
        processes.ended.insert(process.pid, ended);
    }
}

impl Process {
    /// Signals this one process; its children are left alone.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.reaped.load(Ordering::Acquire) {
            return Err(io::Error::other("os: process already finished"));
        }
        let pid = Pid::from_raw(i32::try_from(self.pid).map_err(io::Error::other)?);
        Ok(kill(pid, signal)?)
    }

    /// Sets the size of its terminal; `false` without one.
    pub(crate) fn resize(&self, columns: u16, rows: u16) -> io::Result<bool> {
        let Some(terminal) = &self.terminal else { return Ok(false) };
        super::terminal::resize(terminal.as_fd(), columns, rows)?;
        Ok(true)
    }

    /// Writes all of `data`; waits while the process does not read.
    pub(crate) async fn write(&self, data: &[u8], to_terminal: bool) -> io::Result<()> {
        let mut input = self.input.lock().await;
        match (&mut *input, to_terminal) {
            (Input::Stdin(pipe), false) | (Input::Terminal(pipe), true) => {
                pipe.write_all(data).await
            }
            (Input::Closed, _) => Err(io::Error::other("stdin not enabled or closed")),
            (Input::Stdin(_), true) => Err(io::Error::other("tty not assigned to process")),
            (Input::Terminal(_), false) => Err(io::Error::other("process has a tty, not a stdin")),
        }
    }
}

/// Descriptors of the daemon's side.
struct Ends {
    input: Input,
    outputs: Vec<(Source, pipe::Receiver)>,
    terminal: Option<OwnedFd>,
}

/// Starts a process and subscribes to all of its output.
pub(crate) async fn start(
    daemon: &Arc<Daemon>,
    start: Start,
) -> io::Result<(Arc<Process>, mpsc::Receiver<Event>)> {
    let command = command(daemon, &start)?;
    let reaper = daemon.table.reaper.clone();
    let stdin = start.stdin;
    let size = start.terminal;
    let spawned = daemon.workers.run(move || match size {
        Some(size) => spawn_on_terminal(&reaper, command, size),
        None => spawn_on_pipes(&reaper, command, stdin),
    });
    let (pid, end, files) = spawned.await??;
    let ends = files.into_ends()?;
    let process = Arc::new(Process {
        pid,
        config: start.config,
        tag: start.tag,
        subscribers: Subscribers::new(),
        input: tokio::sync::Mutex::new(ends.input),
        terminal: ends.terminal,
        reaped: AtomicBool::new(false),
    });
    let events = process.subscribers.subscribe();
    daemon.table.processes.lock().live.insert(pid, Arc::clone(&process));
    tokio::spawn(follow(Arc::clone(daemon), Arc::clone(&process), ends.outputs, end));
    Ok((process, events.ok_or_else(|| io::Error::other("the process ended before it started"))?))
}

/// Ends when the process was reaped and all its outputs are at their end.
async fn follow(
    daemon: Arc<Daemon>,
    process: Arc<Process>,
    outputs: Vec<(Source, pipe::Receiver)>,
    end: tokio::sync::oneshot::Receiver<Exit>,
) {
    let drained = outputs
        .into_iter()
        .map(|(source, output)| process.subscribers.drain(output, source))
        .collect::<Vec<_>>();
    let reaped = async {
        let exit = end.await.unwrap_or(Exit::Signal(Signal::SIGKILL as i32));
        process.reaped.store(true, Ordering::Release);
        exit
    };
    let (_, exit) = tokio::join!(futures_util::future::join_all(drained), reaped);
    daemon.table.finish(&process, exit);
    process.subscribers.end(exit).await;
}

/// What makes programs use the proxy, in all the spellings that they know.
fn proxy_envs() -> impl Iterator<Item = (&'static str, String)> {
    let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
    let names =
        ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    let direct = ["NO_PROXY", "no_proxy"].map(|name| (name, "localhost,127.0.0.1,::1".to_owned()));
    let proxies = names.into_iter().map(move |name| (name, proxy.clone()));
    proxies.chain(direct).chain([("NODE_USE_ENV_PROXY", "1".to_owned())])
}

fn command(daemon: &Daemon, start: &Start) -> io::Result<Command> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", LAUNCH, "sh", &start.config.cmd]).args(&start.config.args);
    command.env_clear().env("PATH", PATH).env("HOME", &start.user.home);
    command.env("USER", &start.user.name).env("LOGNAME", &start.user.name);
    if start.proxy {
        command.envs(proxy_envs());
    }
    command.envs(&daemon.envs).envs(&start.config.envs);
    let child = credentials::Child {
        user: &start.user,
        directory: &start.directory,
        terminal: start.terminal.is_some(),
        address_space: daemon.address_space,
    };
    credentials::prepare(&mut command, &child)?;
    Ok(command)
}

/// Descriptors as they come from the worker thread, not yet part of the runtime.
enum Files {
    Pipes { stdin: Option<OwnedFd>, stdout: OwnedFd, stderr: OwnedFd },
    Terminal(OwnedFd),
}

type Spawned = (u32, tokio::sync::oneshot::Receiver<Exit>, Files);

fn spawn_on_pipes(reaper: &Reaper, mut command: Command, stdin: bool) -> io::Result<Spawned> {
    command.stdin(if stdin { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, end) = reaper.spawn(&mut command)?;
    let missing = || io::Error::other("a pipe is missing");
    let files = Files::Pipes {
        stdin: child.stdin.take().map(OwnedFd::from),
        stdout: child.stdout.take().ok_or_else(missing)?.into(),
        stderr: child.stderr.take().ok_or_else(missing)?.into(),
    };
    Ok((child.id(), end, files))
}

fn spawn_on_terminal(
    reaper: &Reaper,
    mut command: Command,
    (columns, rows): (u16, u16),
) -> io::Result<Spawned> {
    let (master, slave) = super::terminal::open(columns, rows)?;
    command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
    let (child, end) = reaper.spawn(&mut command)?;
    Ok((child.id(), end, Files::Terminal(master)))
}

impl Files {
    /// Must be called within the runtime.
    fn into_ends(self) -> io::Result<Ends> {
        match self {
            Self::Pipes { stdin, stdout, stderr } => Ok(Ends {
                input: match stdin {
                    Some(stdin) => Input::Stdin(pipe::Sender::from_owned_fd(stdin)?),
                    None => Input::Closed,
                },
                outputs: vec![
                    (Source::Stdout, pipe::Receiver::from_owned_fd(stdout)?),
                    (Source::Stderr, pipe::Receiver::from_owned_fd(stderr)?),
                ],
                terminal: None,
            }),
            Self::Terminal(master) => Ok(Ends {
                // A terminal's master reads and polls as a pipe does.
                input: Input::Terminal(pipe::Sender::from_owned_fd_unchecked(master.try_clone()?)?),
                outputs: vec![(
                    Source::Terminal,
                    pipe::Receiver::from_owned_fd_unchecked(master.try_clone()?)?,
                )],
                terminal: Some(master),
            }),
        }
    }
}
