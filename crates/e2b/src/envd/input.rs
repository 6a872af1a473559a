//! Writing to processes: standard input and terminals.

use airlock_proto::process as wire;
use bytes::Bytes;
use wire::process_input::Input;

use super::process::{PtySize, Selector};
use super::rpc::Method;
use super::sandbox::Sandbox;
use crate::error::Error;

const SEND: Method = Method::process("SendInput", "send input");
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
