//! The Connect protocol, binary: unary calls and server streams.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::codec::{Decoder, Frame, Malformed, count_fields, envelope};
use super::sandbox::Sandbox;
use crate::error::{Detail, Error};
use crate::transport::{self, Refusal};

const UNARY: &str = "application/proto";
const STREAM: &str = "application/connect+proto";
/// The most entries of one answer, such as a directory's listing.
const MAX_FIELDS: usize = 100_000;
/// The longest timeout that ten digits of milliseconds hold.
const LONGEST_TIMEOUT: u128 = 9_999_999_999;
/// How long the last bytes of a finished stream may take before its connection is given up.
const TAIL: Duration = Duration::from_millis(50);

/// One method of one service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    /// In our own words, for errors.
    pub(super) operation: &'static str,
    /// The package and service.
    pub(super) service: &'static str,
    /// The method.
    pub(super) name: &'static str,
}

impl Method {
    pub(super) const fn process(name: &'static str, operation: &'static str) -> Self {
        Self { operation, service: "process.Process", name }
    }

    pub(super) const fn filesystem(name: &'static str, operation: &'static str) -> Self {
        Self { operation, service: "filesystem.Filesystem", name }
    }
}

impl Sandbox {
    /// One request, one answer. Never tried again here: most of these calls change something.
    pub(super) async fn unary<Reply: Message + Default>(
        &self,
        method: Method,
        user: Option<&str>,
        request: &impl Message,
    ) -> Result<Reply, Error> {
        let operation = method.operation;
        let limit = self.timeouts().request;
        let work = async {
            let mut headers = self.rpc_headers(user, UNARY, Some(limit))?;
            headers.insert("accept", HeaderValue::from_static(UNARY));
            let request = self
                .transport()
                .rpc
                .post(self.url(&[method.service, method.name])?)
                .headers(headers)
                .body(request.encode_to_vec());
            let response = transport::send(operation, request).await?;
            let response = expect(operation, response, UNARY).await?;
            let body = transport::read_body(operation, response, self.limits().envd_body).await?;
            decode(operation, body)
        };
        transport::within(operation, limit, work).await
    }

    /// One request, a stream of answers. `lifetime` goes to envd as the call's timeout.
    pub(super) async fn stream<Reply: Message + Default>(
        &self,
        method: Method,
        user: Option<&str>,
        request: &impl Message,
        lifetime: Option<Duration>,
    ) -> Result<MessageStream<Reply>, Error> {
        let operation = method.operation;
        let body = envelope(request)
            .ok_or_else(|| Error::invalid(format!("{operation}: the arguments are too long")))?;
        let work = async {
            let mut headers = self.rpc_headers(user, STREAM, lifetime)?;
            headers.insert("keepalive-ping-interval", self.timeouts().keepalive_secs().into());
            let request = self
                .transport()
                .streams
                .post(self.url(&[method.service, method.name])?)
                .headers(headers)
                .body(body);
            let response = transport::send(operation, request).await?;
            expect(operation, response, STREAM).await
        };
        let response = transport::within(operation, self.timeouts().request, work).await?;
        transport::refuse_encoding(operation, &response)?;
        Ok(MessageStream {
            operation,
            response: Some(response),
            end: None,
            decoder: Decoder::new(self.limits().stream_message),
            max_message: self.limits().stream_message,
            idle: self.timeouts().stream_idle(),
            // envd ends the call itself; this is for one that does not.
            deadline: lifetime
                .and_then(|l| Instant::now().checked_add(l + Duration::from_secs(10))),
            reply: PhantomData,
        })
    }

    /// A stream of messages, one answer. `ended` is dropped when the last message was taken; from
    /// then on the answer has the time of a request.
    pub(super) async fn client_stream<Reply: Message + Default>(
        &self,
        method: Method,
        user: Option<&str>,
        messages: reqwest::Body,
        ended: oneshot::Receiver<Infallible>,
    ) -> Result<Reply, Error> {
        let operation = method.operation;
        let headers = self.rpc_headers(user, STREAM, None)?;
        let url = self.url(&[method.service, method.name])?;
        let request = self.transport().streams.post(url).headers(headers).body(messages);
        let work = async {
            let response = transport::send(operation, request).await?;
            let response = expect(operation, response, STREAM).await?;
            let body = transport::read_body(operation, response, self.limits().envd_body).await?;
            let mut decoder = Decoder::new(self.limits().envd_body);
            decoder.push(&body);
            only_message(operation, &mut decoder)
        };
        let late = async {
            let _dropped = ended.await;
            tokio::time::sleep(self.timeouts().request).await;
        };
        tokio::select! {
            biased;
            reply = work => reply,
            () = late => Err(Error::timeout(operation)),
        }
    }

    fn rpc_headers(
        &self,
        user: Option<&str>,
        content_type: &'static str,
        limit: Option<Duration>,
    ) -> Result<HeaderMap, Error> {
        let mut headers = self.headers(user)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("connect-protocol-version", HeaderValue::from_static("1"));
        if let Some(limit) = limit {
            let millis = limit.as_millis().clamp(1, LONGEST_TIMEOUT);
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            headers.insert("connect-timeout-ms", millis.into());
        }
        Ok(headers)
    }
}

/// The answers of a server stream. Cancel-safe: a `next` that is dropped loses no message.
pub(super) struct MessageStream<Reply> {
    operation: &'static str,
    /// Absent once the stream ended, well or not.
    response: Option<Response>,
    /// The end message, once it came, and how long to wait for the end of the body.
    end: Option<(Bytes, Instant)>,
    decoder: Decoder,
    max_message: usize,
    idle: Duration,
    deadline: Option<Instant>,
    reply: PhantomData<fn() -> Reply>,
}

impl<Reply: Message + Default> MessageStream<Reply> {
    /// The next message, or `None` after the end message. After an error the stream is over.
    pub(super) async fn next(&mut self) -> Result<Option<Reply>, Error> {
        let result = self.advance().await;
        if !matches!(result, Ok(Some(_))) {
            self.response = None;
        }
        result
    }

    /// Ends the stream: the messages made no sense.
    pub(super) fn fail(&mut self, reason: &'static str) -> Error {
        self.response = None;
        Error::protocol(self.operation, reason)
    }

    async fn advance(&mut self) -> Result<Option<Reply>, Error> {
        let operation = self.operation;
        let Some(response) = &mut self.response else { return Ok(None) };
        loop {
            if let Some((payload, until)) = &self.end {
                // A body read to its end leaves a connection that can be used again.
                let _ = timeout_at(*until, response.chunk()).await;
                return end(operation, payload).map(|()| None);
            }
            match self.decoder.next() {
                Ok(Some(Frame::Message(payload))) => return decode(operation, payload).map(Some),
                // Kept, because the caller may drop this future and ask again.
                Ok(Some(Frame::End(payload))) => {
                    self.end = Some((payload, Instant::now() + TAIL));
                    continue;
                }
                Ok(None) => {}
                Err(Malformed::TooLarge) => {
                    return Err(Error::too_large(operation, self.max_message as u64));
                }
                Err(Malformed::Flags) => {
                    return Err(Error::protocol(operation, "an envelope with unknown flags"));
                }
            }
            let silence = Instant::now() + self.idle;
            let until = self.deadline.map_or(silence, |deadline| deadline.min(silence));
            match timeout_at(until, response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.decoder.push(&chunk),
                Ok(Ok(None)) => return Err(Error::cut(operation)),
                Ok(Err(error)) => return Err(Error::transport(operation, error)),
                Err(_) => return Err(Error::timeout(operation)),
            }
        }
    }
}

impl<Reply> fmt::Debug for MessageStream<Reply> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageStream")
            .field("operation", &self.operation)
            .field("is_open", &self.response.is_some())
            .finish_non_exhaustive()
    }
}

/// Passes on a success of the right type; anything else is an error.
async fn expect(
    operation: &'static str,
    response: Response,
    content_type: &str,
) -> Result<Response, Error> {
    if !response.status().is_success() {
        let refusal = Refusal::read(response).await;
        let has_code = refusal.code.as_deref().is_some_and(is_connect_code);
        if refusal.status == 404 && !has_code {
            // Not envd's `not_found`: nobody here knows the call at all.
            let detail = refusal.detail(operation);
            return Err(from_code(operation, "unimplemented", None, detail));
        }
        return Err(refused(operation, &refusal));
    }
    let is_right = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(';').next().is_some_and(|t| t.trim() == content_type));
    if is_right {
        Ok(response)
    } else {
        Err(Error::protocol(operation, "a body of another type than was asked for"))
    }
}

pub(crate) fn decode<Reply: Message + Default>(
    operation: &'static str,
    body: Bytes,
) -> Result<Reply, Error> {
    if count_fields(&body).is_some_and(|count| count > MAX_FIELDS) {
        return Err(Error::too_large(operation, MAX_FIELDS as u64));
    }
    Reply::decode(body).map_err(|_| Error::protocol(operation, "a message that does not decode"))
}

/// The one message of an answer, and its end.
fn only_message<Reply: Message + Default>(
    operation: &'static str,
    decoder: &mut Decoder,
) -> Result<Reply, Error> {
    let mut message = None;
    loop {
        match decoder.next() {
            Ok(Some(Frame::Message(payload))) if message.is_none() => message = Some(payload),
            Ok(Some(Frame::End(payload))) => {
                end(operation, &payload)?;
                let message = message
                    .ok_or_else(|| Error::protocol(operation, "an answer without a message"))?;
                return decode(operation, message);
            }
            Ok(None) => return Err(Error::cut(operation)),
            Ok(Some(Frame::Message(_))) | Err(_) => {
                return Err(Error::protocol(operation, "an answer that is not one message"));
            }
        }
    }
}

/// The end message of a stream.
#[derive(Deserialize)]
struct End {
    error: Option<EndError>,
}

#[derive(Deserialize)]
struct EndError {
    code: String,
    #[serde(default)]
    message: String,
}

pub(crate) fn end(operation: &'static str, payload: &[u8]) -> Result<(), Error> {
    let end: End = serde_json::from_slice(payload)
        .map_err(|_| Error::protocol(operation, "an end message that is not JSON"))?;
    match end.error {
        None => Ok(()),
        Some(error) => {
            let detail =
                Detail::new(operation).with_code(Some(&error.code)).with_text(&error.message);
            Err(from_code(operation, &error.code, None, detail))
        }
    }
}

/// The meaning of an HTTP answer of envd or of the edge in front of it.
pub(crate) fn refused(operation: &'static str, refusal: &Refusal) -> Error {
    let detail = refusal.detail(operation);
    if refusal.is_gone() {
        return Error::Gone { detail };
    }
    let code = refusal.code.as_deref().filter(|code| is_connect_code(code));
    let code = code.unwrap_or(match refusal.status {
        400 | 413 => "invalid_argument",
        401 => "unauthenticated",
        403 => "permission_denied",
        404 => "not_found",
        409 => "already_exists",
        429 => "resource_exhausted",
        499 => "canceled",
        504 => "deadline_exceeded",
        500 | 502 | 503 => "unavailable",
        507 => "no_space",
        _ => "",
    });
    from_code(operation, code, refusal.retry_after, detail)
}

fn is_connect_code(code: &str) -> bool {
    const CODES: &[&str] = &[
        "canceled",
        "unknown",
        "invalid_argument",
        "deadline_exceeded",
        "not_found",
        "already_exists",
        "permission_denied",
        "resource_exhausted",
        "failed_precondition",
        "aborted",
        "out_of_range",
        "unimplemented",
        "internal",
        "unavailable",
        "data_loss",
        "unauthenticated",
    ];
    CODES.contains(&code)
}

fn from_code(
    operation: &'static str,
    code: &str,
    retry_after: Option<Duration>,
    detail: Detail,
) -> Error {
    let invalid = |what: &str, detail| Error::InvalidArgument {
        message: format!("{operation}: {what}"),
        detail,
    };
    match code {
        "invalid_argument" | "out_of_range" => {
            invalid("the sandbox refused the arguments; check paths and names", detail)
        }
        "failed_precondition" => invalid("the sandbox's files do not allow it", detail),
        "no_space" => {
            invalid("the sandbox's disk is full; remove files or use a larger template", detail)
        }
        "not_found" => Error::NotFound { detail },
        "already_exists" | "aborted" => Error::Conflict { detail },
        "unauthenticated" | "permission_denied" => Error::Auth { detail },
        "resource_exhausted" => Error::RateLimited { retry_after, detail },
        "deadline_exceeded" => Error::Timeout { detail },
        "canceled" => Error::Cut { detail },
        "unavailable" | "internal" | "unknown" | "data_loss" => {
            Error::Unavailable { retry_after, detail }
        }
        "unimplemented" => {
            Error::Protocol { reason: "the sandbox does not know this call", detail }
        }
        _ => Error::Protocol { reason: "a failure without a known code", detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_message_ends_well_or_says_why_not() {
        end("x", b"{}").unwrap();
        end("x", br#"{"metadata":{"k":["v"]}}"#).unwrap();
        let error = end("x", br#"{"error":{"code":"deadline_exceeded"}}"#).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        let error = end("x", br#"{"error":{"code":"no/such\n"}}"#).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
        assert_eq!(error.detail().code(), None);
        for garbage in ["", "[", "null x", &"[".repeat(60_000)] {
            assert!(matches!(end("x", garbage.as_bytes()), Err(Error::Protocol { .. })));
        }
    }
}
