//! `process.Process`: the calls that start, follow and end processes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use connectrpc::{
    ConnectError, ErrorCode, InboundStream, RequestContext, Response, ServiceRequest,
    ServiceResult, ServiceStream,
};
use futures_util::{Stream, StreamExt as _, stream};
use nix::sys::signal::Signal as Posix;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::output::{Event, Source};
use super::process::{self, Found, Input, Process, Selector, Start};
use super::reaper::Exit;
use super::{Daemon, auth, path};
use crate::generated::process as wire;
use crate::wire::PROXY_HEADER;
use wire::process_event::data_event::Output;
use wire::process_event::{DataEvent, EndEvent, KeepAlive, StartEvent};

/// How often a silent stream says that it is alive, unless the client asks otherwise.
const KEEPALIVE: Duration = Duration::from_secs(90);

/// The service.
#[derive(Debug)]
pub(crate) struct Processes {
    daemon: Arc<Daemon>,
}

/// One stream of a process's events.
struct Follower {
    first: Option<u32>,
    events: Option<mpsc::Receiver<Event>>,
    ended: Option<Exit>,
    keepalive: Duration,
    /// When the stream ends with `deadline_exceeded`.
    deadline: Option<Instant>,
    over: bool,
}

type Events = Pin<Box<dyn Stream<Item = Result<wire::ProcessEvent, ConnectError>> + Send>>;

impl Follower {
    fn into_stream(self) -> Events {
        Box::pin(stream::unfold(self, |mut follower| async move {
            let item = follower.next().await?;
            follower.over |= item.is_err();
            Some((item, follower))
        }))
    }

    async fn next(&mut self) -> Option<Result<wire::ProcessEvent, ConnectError>> {
        if self.over {
            return None;
        }
        if let Some(pid) = self.first.take() {
            return Some(Ok(event(wire::process_event::Event::Start(StartEvent { pid }))));
        }
        if let Some(exit) = self.ended.take() {
            self.over = true;
            return Some(Ok(end_event(exit)));
        }
        let events = self.events.as_mut()?;
        let deadline = self.deadline;
        let expired = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let exceeded = || Some(Err(ConnectError::deadline_exceeded("the deadline was exceeded")));
        tokio::select! {
            biased;
            () = expired => exceeded(),
            received = events.recv() => match received {
                Some(Event::Data(source, data)) => Some(Ok(data_event(source, data.to_vec()))),
                Some(Event::End(exit)) => {
                    // The process may have ended because this deadline passed.
                    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                        return exceeded();
                    }
                    self.over = true;
                    Some(Ok(end_event(exit)))
                }
                None => Some(Err(ConnectError::unavailable("the process is gone"))),
            },
            () = tokio::time::sleep(self.keepalive) => {
                Some(Ok(event(wire::process_event::Event::Keepalive(KeepAlive {}))))
            }
        }
    }
}

fn event(event: wire::process_event::Event) -> wire::ProcessEvent {
    wire::ProcessEvent { event: Some(event) }
}

fn data_event(source: Source, data: Vec<u8>) -> wire::ProcessEvent {
    let output = match source {
        Source::Stdout => Output::Stdout(data),
        Source::Stderr => Output::Stderr(data),
        Source::Terminal => Output::Pty(data),
    };
    event(wire::process_event::Event::Data(DataEvent { output: Some(output) }))
}

fn end_event(exit: Exit) -> wire::ProcessEvent {
    let (exit_code, exited, status) = match exit {
        Exit::Code(code) => (code, true, format!("exit status {code}")),
        Exit::Signal(signal) => (-1, false, format!("signal: {}", signal_text(signal))),
    };
    let error = (exit != Exit::Code(0)).then(|| status.clone());
    event(wire::process_event::Event::End(EndEvent { exit_code, exited, status, error }))
}

/// A signal in Go's words, which clients show.
fn signal_text(signal: i32) -> String {
    let text = match Posix::try_from(signal) {
        Ok(Posix::SIGHUP) => "hangup",
        Ok(Posix::SIGINT) => "interrupt",
        Ok(Posix::SIGQUIT) => "quit",
        Ok(Posix::SIGILL) => "illegal instruction",
        Ok(Posix::SIGTRAP) => "trace/breakpoint trap",
        Ok(Posix::SIGABRT) => "aborted",
        Ok(Posix::SIGBUS) => "bus error",
        Ok(Posix::SIGFPE) => "floating point exception",
        Ok(Posix::SIGKILL) => "killed",
        Ok(Posix::SIGUSR1) => "user defined signal 1",
        Ok(Posix::SIGSEGV) => "segmentation fault",
        Ok(Posix::SIGUSR2) => "user defined signal 2",
        Ok(Posix::SIGPIPE) => "broken pipe",
        Ok(Posix::SIGALRM) => "alarm clock",
        Ok(Posix::SIGTERM) => "terminated",
        _ => return format!("signal {signal}"),
    };
    text.to_owned()
}

pub(crate) fn keepalive(ctx: &RequestContext) -> Duration {
    let asked = ctx.header("keepalive-ping-interval").and_then(|value| value.to_str().ok());
    asked
        .and_then(|seconds| seconds.parse().ok())
        .filter(|seconds| *seconds > 0)
        .map_or(KEEPALIVE, Duration::from_secs)
}

fn selector(selector: Option<&wire::ProcessSelector>) -> Result<Selector, ConnectError> {
    use wire::process_selector::Selector as Wire;
    match selector.and_then(|selector| selector.selector.as_ref()) {
        Some(Wire::Pid(pid)) => Ok(Selector::Pid(*pid)),
        Some(Wire::Tag(tag)) => Ok(Selector::Tag(tag.clone())),
        None => Err(ConnectError::unimplemented("a process selector needs a pid or a tag")),
    }
}

fn not_found(selector: &Selector) -> ConnectError {
    ConnectError::not_found(match selector {
        Selector::Pid(pid) => format!("process with pid {pid} not found"),
        Selector::Tag(tag) => format!("process with tag {tag} not found"),
    })
}

fn dimension(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

impl Processes {
    pub(crate) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon }
    }

    fn live(&self, wanted: Option<&wire::ProcessSelector>) -> Result<Arc<Process>, ConnectError> {
        let wanted = selector(wanted)?;
        match self.daemon.table.find(&wanted) {
            Some(Found::Live(process)) => Ok(process),
            Some(Found::Ended(..)) | None => Err(not_found(&wanted)),
        }
    }

    async fn launch(
        &self,
        ctx: &RequestContext,
        request: wire::StartRequest,
    ) -> Result<Follower, ConnectError> {
        let deadline = ctx.deadline().map(Instant::from_std);
        let user = auth::acting_user(ctx.headers())?;
        let config = request.process.into_option().unwrap_or_default();
        if config.cmd.is_empty() {
            return Err(ConnectError::invalid_argument("process.cmd is empty"));
        }
        let wanted = config.cwd.clone().unwrap_or_default();
        let directory = path::resolve(&wanted, &user).map_err(ConnectError::invalid_argument)?;
        let checked = directory.clone();
        let is_directory = self.daemon.workers.run_as(&user, move || std::fs::metadata(checked));
        if !is_directory.await.is_ok_and(|found| found.is_dir()) {
            let message = format!("cwd '{directory}' does not exist");
            return Err(ConnectError::invalid_argument(message));
        }
        let terminal = request.pty.into_option().map(|pty| {
            let size = pty.size.into_option().unwrap_or_default();
            (dimension(size.cols), dimension(size.rows))
        });
        let stdin = request.stdin.unwrap_or(true);
        let proxy = ctx.header(PROXY_HEADER).is_some();
        let start = Start { config, user, directory, tag: request.tag, stdin, terminal, proxy };
        let (process, events) =
            process::start(&self.daemon, start).await.map_err(|error| match error.kind() {
                std::io::ErrorKind::InvalidInput => {
                    ConnectError::invalid_argument(format!("invalid process: {error}"))
                }
                std::io::ErrorKind::PermissionDenied => {
                    ConnectError::invalid_argument(format!("error starting process: {error}"))
                }
                _ => ConnectError::internal(format!("error starting process: {error}")),
            })?;
        if let Some(deadline) = deadline {
            // Outlives this call: the limit is the process's, whoever still listens.
            let process = Arc::clone(&process);
            tokio::spawn(async move {
                sleep_until(deadline).await;
                let _ended_already = process.signal(Posix::SIGKILL);
            });
        }
        Ok(Follower {
            first: Some(process.pid),
            events: Some(events),
            ended: None,
            keepalive: keepalive(ctx),
            deadline,
            over: false,
        })
    }
}

#[expect(refining_impl_trait, reason = "concrete replies are what the generated trait asks for")]
impl wire::Process for Processes {
    async fn list(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, wire::ListRequest>,
    ) -> ServiceResult<wire::ListResponse> {
        let processes = self.daemon.table.live().into_iter().map(|process| wire::ProcessInfo {
            config: process.config.clone().into(),
            pid: process.pid,
            tag: process.tag.clone(),
        });
        Response::ok(wire::ListResponse { processes: processes.collect() })
    }

    async fn start(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::StartRequest>,
    ) -> ServiceResult<ServiceStream<wire::StartResponse>> {
        let follower = self.launch(&ctx, request.to_owned_message()).await?;
        let events = follower
            .into_stream()
            .map(|event| event.map(|event| wire::StartResponse { event: event.into() }));
        Response::ok(Box::pin(events))
    }

    async fn connect(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::ConnectRequest>,
    ) -> ServiceResult<ServiceStream<wire::ConnectResponse>> {
        let request = request.to_owned_message();
        let wanted = selector(request.process.as_option())?;
        let (pid, events, ended) = match self.daemon.table.find(&wanted) {
            Some(Found::Live(process)) => match process.subscribers.subscribe() {
                Some(events) => (process.pid, Some(events), None),
                // It ended between the two steps: now it is found among the ended.
                None => match self.daemon.table.find(&wanted) {
                    Some(Found::Ended(pid, exit)) => (pid, None, Some(exit)),
                    Some(Found::Live(_)) | None => return Err(not_found(&wanted)),
                },
            },
            Some(Found::Ended(pid, exit)) => (pid, None, Some(exit)),
            None => return Err(not_found(&wanted)),
        };
        let follower = Follower {
            first: Some(pid),
            events,
            ended,
            keepalive: keepalive(&ctx),
            deadline: ctx.deadline().map(Instant::from_std),
            over: false,
        };
        let events = follower
            .into_stream()
            .map(|event| event.map(|event| wire::ConnectResponse { event: event.into() }));
        Response::ok(Box::pin(events))
    }

    async fn update(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::UpdateRequest>,
    ) -> ServiceResult<wire::UpdateResponse> {
        let request = request.to_owned_message();
        let process = self.live(request.process.as_option())?;
        if let Some(pty) = request.pty.into_option() {
            let size = pty.size.into_option().unwrap_or_default();
            let resized = process
                .resize(dimension(size.cols), dimension(size.rows))
                .map_err(|error| ConnectError::internal(format!("error resizing tty: {error}")))?;
            if !resized {
                return Err(ConnectError::internal("tty not assigned to process"));
            }
        }
        Response::ok(wire::UpdateResponse::default())
    }

    async fn stream_input(
        &self,
        _ctx: RequestContext,
        mut requests: InboundStream<wire::StreamInputRequest>,
    ) -> ServiceResult<wire::StreamInputResponse> {
        use wire::stream_input_request::Event as Wire;
        let mut process = None;
        while let Some(message) = requests.next().await {
            match message?.to_owned_message().event {
                Some(Wire::Start(start)) => process = Some(self.live(start.process.as_option())?),
                Some(Wire::Data(data)) => {
                    let Some(process) = &process else {
                        return Err(ConnectError::invalid_argument("data before the start event"));
                    };
                    write(process, data.input.into_option()).await?;
                }
                Some(Wire::Keepalive(_)) => {}
                None => return Err(ConnectError::unimplemented("an event of no known kind")),
            }
        }
        Response::ok(wire::StreamInputResponse::default())
    }

    async fn send_input(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::SendInputRequest>,
    ) -> ServiceResult<wire::SendInputResponse> {
        let request = request.to_owned_message();
        let process = self.live(request.process.as_option())?;
        write(&process, request.input.into_option()).await?;
        Response::ok(wire::SendInputResponse::default())
    }

    async fn send_signal(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::SendSignalRequest>,
    ) -> ServiceResult<wire::SendSignalResponse> {
        let request = request.to_owned_message();
        let process = self.live(request.process.as_option())?;
        let signal = match request.signal.as_known() {
            Some(wire::Signal::SIGNAL_SIGKILL) => Posix::SIGKILL,
            Some(wire::Signal::SIGNAL_SIGTERM) => Posix::SIGTERM,
            Some(wire::Signal::SIGNAL_UNSPECIFIED) | None => {
                return Err(ConnectError::unimplemented("only SIGTERM and SIGKILL can be sent"));
            }
        };
        process
            .signal(signal)
            .map_err(|error| ConnectError::internal(format!("error sending signal: {error}")))?;
        Response::ok(wire::SendSignalResponse::default())
    }

    async fn close_stdin(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::CloseStdinRequest>,
    ) -> ServiceResult<wire::CloseStdinResponse> {
        let request = request.to_owned_message();
        let process = self.live(request.process.as_option())?;
        let mut input = process.input.lock().await;
        if matches!(*input, Input::Terminal(_)) {
            let message = "cannot close the stdin of a process with a tty: send Ctrl+D (0x04)";
            return Err(ConnectError::new(ErrorCode::Unknown, message));
        }
        *input = Input::Closed;
        Response::ok(wire::CloseStdinResponse::default())
    }
}

async fn write(process: &Process, input: Option<wire::ProcessInput>) -> Result<(), ConnectError> {
    use wire::process_input::Input as Wire;
    let written = match input.and_then(|input| input.input) {
        Some(Wire::Stdin(data)) => process.write(&data, false).await,
        Some(Wire::Pty(data)) => process.write(&data, true).await,
        None => return Err(ConnectError::unimplemented("input is neither stdin nor pty")),
    };
    written.map_err(|error| ConnectError::internal(format!("error writing input: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_in_the_words_of_the_wire() {
        for (exit, code, exited, status, error) in [
            (Exit::Code(0), 0, true, "exit status 0", None),
            (Exit::Code(3), 3, true, "exit status 3", Some("exit status 3")),
            (Exit::Signal(9), -1, false, "signal: killed", Some("signal: killed")),
            (Exit::Signal(15), -1, false, "signal: terminated", Some("signal: terminated")),
            (Exit::Signal(34), -1, false, "signal: signal 34", Some("signal: signal 34")),
        ] {
            let Some(wire::process_event::Event::End(end)) = end_event(exit).event else {
                panic!("no end event");
            };
            assert_eq!((end.exit_code, end.exited), (code, exited), "{exit:?}");
            assert_eq!((end.status.as_str(), end.error.as_deref()), (status, error), "{exit:?}");
        }
    }
}
