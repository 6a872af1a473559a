//! Writing to processes: standard input and terminals.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use airlock_proto::process as wire;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::Body;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::process_input::Input;
use wire::stream_input_request::Event;

use super::codec::envelope;
use super::process::{PtySize, Selector};
use super::rpc::Method;
use super::sandbox::Sandbox;
use crate::error::Error;

const SEND: Method = Method::process("SendInput", "send input");
const STREAM: Method = Method::process("StreamInput", "stream input");
const CLOSE: Method = Method::process("CloseStdin", "close stdin");
const UPDATE: Method = Method::process("Update", "resize terminal");
/// How much goes into one request, in bytes.
const PIECE: usize = 1 << 20;

impl Sandbox {
    /// Writes to the standard input of a process started with `stdin: true`, in order; returns
    /// when the sandbox took it all. An error leaves open how much was written.
    pub async fn send_stdin(
        &self,
        user: Option<&str>,
        selector: &Selector,
        data: Bytes,
    ) -> Result<(), Error> {
        self.send_input(user, selector, data, Input::Stdin).await
    }

    /// Writes to the terminal of a process started with a `pty`.
    pub async fn send_pty(
        &self,
        user: Option<&str>,
        selector: &Selector,
        data: Bytes,
    ) -> Result<(), Error> {
        self.send_input(user, selector, data, Input::Pty).await
    }

    /// Writes a stream to the standard input of a process, in one request: for much input, or for
    /// input that comes slowly. Returns when the sandbox took it all; it does not close the input.
    ///
    /// The stream may last as long as it likes; once it ended, the sandbox has the time of a
    /// request to take what is left. An error, and dropping the future, leave open how much was
    /// written.
    pub async fn stream_stdin(
        &self,
        user: Option<&str>,
        selector: &Selector,
        input: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<(), Error> {
        let process = Some(self.resolve(user, selector).await?.to_wire());
        let start = Event::Start(wire::stream_input_request::StartEvent { process });
        let pieces = input.flat_map(|mut data| {
            let count = data.len().div_ceil(PIECE);
            let cut = move |_| data.split_to(data.len().min(PIECE));
            stream::iter((0..count).map(cut).collect::<Vec<_>>())
        });
        let (ended, end) = oneshot::channel();
        let state = Sending {
            pieces: Box::pin(pieces),
            first: Some(start),
            idle: self.timeouts().keepalive,
            _ended: ended,
        };
        let body = Body::wrap_stream(stream::unfold(state, Sending::next));
        self.client_stream::<wire::StreamInputResponse>(STREAM, user, body, end).await?;
        Ok(())
    }

    /// Closes a process's standard input; it reads end of file. Again is no error.
    pub async fn close_stdin(&self, user: Option<&str>, selector: &Selector) -> Result<(), Error> {
        let selector = self.resolve(user, selector).await?;
        let request = wire::CloseStdinRequest { process: Some(selector.to_wire()) };
        self.unary::<wire::CloseStdinResponse>(CLOSE, user, &request).await?;
        Ok(())
    }

    /// Changes the size of a process's terminal.
    pub async fn resize_pty(
        &self,
        user: Option<&str>,
        selector: &Selector,
        size: PtySize,
    ) -> Result<(), Error> {
        let selector = self.resolve(user, selector).await?;
        let request =
            wire::UpdateRequest { process: Some(selector.to_wire()), pty: Some(size.to_wire()) };
        self.unary::<wire::UpdateResponse>(UPDATE, user, &request).await?;
        Ok(())
    }

    async fn send_input(
        &self,
        user: Option<&str>,
        selector: &Selector,
        mut data: Bytes,
        input: fn(Bytes) -> Input,
    ) -> Result<(), Error> {
        let process = Some(self.resolve(user, selector).await?.to_wire());
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(PIECE));
            let request = wire::SendInputRequest {
                process: process.clone(),
                input: Some(wire::ProcessInput { input: Some(input(piece)) }),
            };
            self.unary::<wire::SendInputResponse>(SEND, user, &request).await?;
        }
        Ok(())
    }
}

/// The messages of a stream of input that are still to be sent.
struct Sending {
    pieces: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    first: Option<Event>,
    /// After so much silence a message says that the stream is alive.
    idle: Duration,
    /// Dropped at the end, which the other side of it sees.
    _ended: oneshot::Sender<Infallible>,
}

impl Sending {
    async fn next(mut self) -> Option<(std::io::Result<Bytes>, Self)> {
        let event = match self.first.take() {
            Some(start) => start,
            None => match timeout(self.idle, self.pieces.next()).await {
                Ok(Some(piece)) => Event::Data(wire::stream_input_request::DataEvent {
                    input: Some(wire::ProcessInput { input: Some(Input::Stdin(piece)) }),
                }),
                Ok(None) => return None,
                Err(_) => Event::Keepalive(wire::stream_input_request::KeepAlive {}),
            },
        };
        let request = wire::StreamInputRequest { event: Some(event) };
        let message = envelope(&request).ok_or_else(|| std::io::ErrorKind::InvalidInput.into());
        Some((message, self))
    }
}
