//! Processes: starting, following, finding and signalling them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use airlock_proto::process as wire;
use bytes::Bytes;
use wire::process_event::{Event, data_event};

use super::rpc::{MessageStream, Method};
use super::sandbox::Sandbox;
use crate::error::Error;

const START: Method = Method::process("Start", "start process");
const CONNECT: Method = Method::process("Connect", "connect to process");
const LIST: Method = Method::process("List", "list processes");
const SIGNAL: Method = Method::process("SendSignal", "signal process");

/// A process to start.
#[derive(Clone, Default)]
pub struct StartProcess {
    /// The Linux user that runs it; the template's default user if absent.
    pub user: Option<String>,
    /// The program, looked up in PATH. A missing one is exit code 127, not an error.
    pub cmd: String,
    /// Its arguments, without the program's name. Linux takes at most 131,071 bytes each.
    pub args: Vec<String>,
    /// Environment on top of the sandbox's own.
    pub envs: BTreeMap<String, String>,
    /// The working directory; the user's home if absent.
    pub cwd: Option<String>,
    /// A name to find it by, which need not be unique.
    pub tag: Option<String>,
    /// Whether standard input is a pipe to write to; otherwise it is empty.
    pub stdin: bool,
    /// How long it may live: envd kills it then, whoever listens, and the stream ends with
    /// [`Error::Timeout`]. Its children survive. No limit if absent.
    pub timeout: Option<Duration>,
    /// Run it in a terminal of this size; output then comes as [`ProcessEvent::Pty`].
    pub pty: Option<PtySize>,
}

impl StartProcess {
    /// A program with its arguments.
    pub fn new<A: Into<String>>(cmd: impl Into<String>, args: impl IntoIterator<Item = A>) -> Self {
        Self {
            cmd: cmd.into(),
            args: args.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// A command line for `/bin/bash -l -c`, as the official SDKs run it.
    pub fn shell(line: impl Into<String>) -> Self {
        Self::new("/bin/bash", ["-l".to_owned(), "-c".to_owned(), line.into()])
    }

    fn to_wire(&self) -> wire::StartRequest {
        wire::StartRequest {
            process: Some(wire::ProcessConfig {
                cmd: self.cmd.clone(),
                args: self.args.clone(),
                envs: self.envs.clone(),
                cwd: self.cwd.clone(),
            }),
            pty: self.pty.map(PtySize::to_wire),
            tag: self.tag.clone(),
            stdin: Some(self.stdin),
        }
    }
}

impl fmt::Debug for StartProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartProcess")
            .field("user", &self.user)
            .field("cmd", &self.cmd)
            .field("args", &format_args!("<{} arguments>", self.args.len()))
            .field("envs", &self.envs.keys())
            .field("cwd", &self.cwd)
            .field("tag", &self.tag)
            .field("stdin", &self.stdin)
            .field("timeout", &self.timeout)
            .field("pty", &self.pty)
            .finish()
    }
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PtySize {
    /// Columns.
    pub cols: u32,
    /// Rows.
    pub rows: u32,
}

impl PtySize {
    pub(super) fn to_wire(self) -> wire::Pty {
        wire::Pty { size: Some(wire::pty::Size { cols: self.cols, rows: self.rows }) }
    }
}

/// Names a process in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Its process id. Ids are used again.
    Pid(u32),
    /// The tag given at start. envd's own look-up by tag is unreliable when several tags are in
    /// use, so a tag is looked up in the list of processes first.
    Tag(String),
}

impl Selector {
    pub(super) fn to_wire(&self) -> wire::ProcessSelector {
        use wire::process_selector::Selector as Wire;
        let selector = match self {
            Self::Pid(pid) => Wire::Pid(*pid),
            Self::Tag(tag) => Wire::Tag(tag.clone()),
        };
        wire::ProcessSelector { selector: Some(selector) }
    }
}

/// The signals that envd delivers. They reach one process, not its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// A process that is alive. Its environment is not passed on: it may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// The process id.
    pub pid: u32,
    /// The tag given at start.
    pub tag: Option<String>,
    /// The program.
    pub cmd: String,
    /// Its arguments, which may hold secrets: `Debug` shows their number only.
    pub args: Vec<String>,
    /// The working directory asked for at start.
    pub cwd: Option<String>,
}

impl fmt::Debug for ProcessInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessInfo")
            .field("pid", &self.pid)
            .field("tag", &self.tag)
            .field("cmd", &self.cmd)
            .field("args", &format_args!("<{} arguments>", self.args.len()))
            .field("cwd", &self.cwd)
            .finish()
    }
}

impl Sandbox {
    /// Starts a process and follows it. Returns when it runs.
    ///
    /// Dropping the stream ends neither the process nor its output's cost to the sandbox: output
    /// that nobody follows is lost. Keep reading: a stream that is not read stalls the process.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a missing working directory, [`Error::Auth`] for an unknown
    /// user. After [`Error::Cut`], [`Error::Timeout`] and [`Error::Unavailable`] the process may
    /// run, unless [`Error::is_before_send`].
    pub async fn start(&self, process: &StartProcess) -> Result<ProcessStream, Error> {
        if process.cmd.is_empty() {
            return Err(Error::invalid("cmd: must name a program"));
        }
        let user = process.user.as_deref();
        let stream = self.stream(START, user, &process.to_wire(), process.timeout).await?;
        let event = |reply: wire::StartResponse| reply.event;
        self.first_event(START, Source::Start(stream, event)).await
    }

    /// Follows a process that runs, or ended less than 30 s ago (envd 0.6.12 or newer).
    ///
    /// Nothing is replayed: output from before this call is not seen.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it ended earlier or never was; the two cannot be told apart.
    pub async fn connect_process(&self, selector: Selector) -> Result<ProcessStream, Error> {
        let selector = self.resolve(None, &selector).await?;
        let request = wire::ConnectRequest { process: Some(selector.to_wire()) };
        let stream = self.stream(CONNECT, None, &request, None).await?;
        let event = |reply: wire::ConnectResponse| reply.event;
        self.first_event(CONNECT, Source::Connect(stream, event)).await
    }

    /// The processes that envd started and that are alive.
    pub async fn processes(&self, user: Option<&str>) -> Result<Vec<ProcessInfo>, Error> {
        let reply: wire::ListResponse = self.unary(LIST, user, &wire::ListRequest {}).await?;
        let info = |process: wire::ProcessInfo| {
            let config = process.config.unwrap_or_default();
            ProcessInfo {
                pid: process.pid,
                tag: process.tag,
                cmd: config.cmd,
                args: config.args,
                cwd: config.cwd,
            }
        };
        Ok(reply.processes.into_iter().map(info).collect())
    }

    /// Signals one process, not its children. Returns `false` if it is not alive.
    pub async fn signal(
        &self,
        user: Option<&str>,
        selector: &Selector,
        signal: Signal,
    ) -> Result<bool, Error> {
        let signal = match signal {
            Signal::Term => wire::Signal::Sigterm,
            Signal::Kill => wire::Signal::Sigkill,
        };
        let selector = self.resolve(user, selector).await?;
        let request =
            wire::SendSignalRequest { process: Some(selector.to_wire()), signal: signal.into() };
        match self.unary::<wire::SendSignalResponse>(SIGNAL, user, &request).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The pid of a tag if the process is alive, else the selector as it is.
    pub(super) async fn resolve(
        &self,
        user: Option<&str>,
        selector: &Selector,
    ) -> Result<Selector, Error> {
        let Selector::Tag(tag) = selector else { return Ok(selector.clone()) };
        let found = self.processes(user).await?.into_iter().find(|p| p.tag.as_ref() == Some(tag));
        Ok(found.map_or_else(|| selector.clone(), |process| Selector::Pid(process.pid)))
    }

    /// Waits until the process is known to run.
    async fn first_event(&self, method: Method, source: Source) -> Result<ProcessStream, Error> {
        let operation = method.operation;
        let mut stream = ProcessStream { source, pid: None };
        let first = async {
            match stream.source.next().await? {
                Some(Some(Event::Start(start))) => Ok(start.pid),
                Some(_) => Err(stream.source.fail("an event before the start event")),
                None => Err(Error::protocol(operation, "a stream without events")),
            }
        };
        let limit = self.timeouts().request;
        stream.pid = Some(crate::transport::within(operation, limit, first).await?);
        Ok(stream)
    }
}

/// What happened to a followed process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEvent {
    /// Standard output. It may end in the middle of a character.
    Stdout(Bytes),
    /// Standard error. Its order relative to standard output is not known.
    Stderr(Bytes),
    /// Output of the terminal.
    Pty(Bytes),
    /// The process ended and everything it wrote was sent. The last event.
    End {
        /// The exit code; -1 if a signal ended it.
        exit_code: i32,
        /// Whether it ended by itself.
        exited: bool,
        /// The end in words: `exit status 1`, `signal: killed`.
        status: String,
        /// The same words, absent for exit code 0.
        error: Option<String>,
    },
}

/// The events of one process.
#[derive(Debug)]
pub struct ProcessStream {
    source: Source,
    pid: Option<u32>,
}

/// The two calls give the same events in messages of two types.
#[derive(Debug)]
enum Source {
    Start(
        MessageStream<wire::StartResponse>,
        fn(wire::StartResponse) -> Option<wire::ProcessEvent>,
    ),
    Connect(
        MessageStream<wire::ConnectResponse>,
        fn(wire::ConnectResponse) -> Option<wire::ProcessEvent>,
    ),
}

impl Source {
    /// The next event, `None` at the end, `Some(None)` for an event that this client does not know.
    async fn next(&mut self) -> Result<Option<Option<Event>>, Error> {
        let event = match self {
            Self::Start(stream, event) => stream.next().await?.map(*event),
            Self::Connect(stream, event) => stream.next().await?.map(*event),
        };
        Ok(event.map(|event| event.and_then(|event| event.event)))
    }

    fn fail(&mut self, reason: &'static str) -> Error {
        match self {
            Self::Start(stream, _) => stream.fail(reason),
            Self::Connect(stream, _) => stream.fail(reason),
        }
    }
}

impl ProcessStream {
    /// The process's id inside the sandbox.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The next event, or `None` when the stream ended as it should. Cancel-safe: dropping the
    /// future loses no event.
    ///
    /// # Errors
    /// [`Error::Cut`] if the connection ended without the stream's end message, [`Error::Timeout`]
    /// if it fell silent or the process outlived its timeout. After an error the stream is over;
    /// the process may still run. [`Sandbox::is_running`] tells a killed sandbox from a lost
    /// connection.
    pub async fn next(&mut self) -> Result<Option<ProcessEvent>, Error> {
        loop {
            let Some(event) = self.source.next().await? else { return Ok(None) };
            return Ok(Some(match event {
                Some(Event::Data(data)) => match data.output {
                    Some(data_event::Output::Stdout(bytes)) => ProcessEvent::Stdout(bytes),
                    Some(data_event::Output::Stderr(bytes)) => ProcessEvent::Stderr(bytes),
                    Some(data_event::Output::Pty(bytes)) => ProcessEvent::Pty(bytes),
                    None => continue,
                },
                Some(Event::End(end)) => ProcessEvent::End {
                    exit_code: end.exit_code,
                    exited: end.exited,
                    status: end.status,
                    error: end.error,
                },
                Some(Event::Start(_)) => {
                    return Err(self.source.fail("a second start event"));
                }
                Some(Event::Keepalive(_)) | None => continue,
            }));
        }
    }
}
