//! One call of the control plane: tries, waits, deadline, and what each answer means.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::client::Inner;
use crate::error::Error;
use crate::transport::{self, Refusal};

/// How long after an unexplained failure the first further try comes, before jitter.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// When a call may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Whenever it may help: doing it twice is doing it once.
    Harmless,
    /// Only if the failed try certainly did nothing.
    OnlyIfNotDone,
}

/// A request of the control plane, before it is sent.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    /// JSON.
    pub(super) body: Option<Bytes>,
    pub(super) idempotency_key: Option<String>,
    pub(super) repeat: Repeat,
    /// Whether 404 on this path speaks of a template.
    pub(super) names_template: bool,
}

impl Call {
    /// Whether only the idempotency key makes it harmless to repeat.
    pub(super) fn repeat_needs_key(&self) -> bool {
        self.idempotency_key.is_some()
    }
}

/// The answer to a call that succeeded.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Bytes,
    /// `X-Next-Token`, of a list that goes on.
    pub(super) next_token: Option<String>,
    /// Whether an earlier try may have been carried out although it failed.
    pub(super) was_ambiguous: bool,
}

impl Inner {
    /// Sends a call until it succeeds, cannot succeed, or its time is up.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, CallError> {
        let deadline = Instant::now() + self.timeouts.call;
        let mut was_ambiguous = false;
        for attempt in 1.. {
            let tried = timeout_at(deadline, self.try_once(call)).await;
            let error = match tried.unwrap_or_else(|_| Err(Error::timeout(call.operation))) {
                Ok(mut answer) => {
                    answer.was_ambiguous = was_ambiguous;
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let wait = error.retry_after().unwrap_or_else(|| backoff(attempt));
            let may_go_on = attempt < self.timeouts.attempts.max(1)
                && may_repeat(&error, call.repeat)
                && Instant::now() + wait < deadline;
            if !may_go_on {
                return Err(CallError { error, was_ambiguous });
            }
            was_ambiguous |= !is_not_done(&error);
            tracing::debug!(operation = call.operation, attempt, ?error, ?wait, "trying again");
            sleep(wait).await;
        }
        Err(CallError { error: Error::timeout(call.operation), was_ambiguous })
    }

    async fn try_once(&self, call: &Call) -> Result<Answer, Error> {
        let work = async {
            let response = transport::send(call.operation, self.request(call)).await?;
            if !response.status().is_success() {
                let refusal = Refusal::read(response).await;
                return Err(refused(call, &refusal));
            }
            let next_token = header(&response, "x-next-token");
            let body =
                transport::read_body(call.operation, response, self.limits.control_body).await?;
            Ok(Answer { body, next_token, was_ambiguous: false })
        };
        transport::within(call.operation, self.timeouts.request, work).await
    }

    fn request(&self, call: &Call) -> RequestBuilder {
        let mut request = self
            .transport
            .api
            .request(call.method.clone(), call.url.clone())
            .header("x-api-key", self.api_key.clone());
        if let Some(key) = &call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        request
    }
}

/// A call that failed for good.
#[derive(Debug)]
pub(super) struct CallError {
    pub(super) error: Error,
    /// Whether an earlier try may have been carried out although it failed.
    pub(super) was_ambiguous: bool,
}

impl From<CallError> for Error {
    fn from(failed: CallError) -> Self {
        failed.error
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

/// 100 ms doubled at each try, at most 10 s, by a factor between one half and one.
fn backoff(attempt: u32) -> Duration {
    let full = FIRST_BACKOFF.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    full.min(LONGEST_BACKOFF).mul_f64(rand::random_range(0.5..=1.0))
}

/// Whether the try that failed so certainly did nothing.
fn is_not_done(error: &Error) -> bool {
    let is_refused = matches!(error, Error::RateLimited { .. } | Error::Capacity { .. })
        && matches!(error.detail().status(), Some(429 | 503));
    is_refused || error.is_before_send()
}

fn may_repeat(error: &Error, repeat: Repeat) -> bool {
    // A full account stays full for as long as its sandboxes live: the caller decides.
    let is_full = matches!(error, Error::Capacity { retry_after: None, .. });
    let is_safe = repeat == Repeat::Harmless || is_not_done(error);
    error.is_retryable() && is_safe && !is_full
}

/// The meaning of an answer that is not a success.
fn refused(call: &Call, refusal: &Refusal) -> Error {
    let operation = call.operation;
    let detail = refusal.detail(operation);
    let retry_after = refusal.retry_after;
    match StatusCode::from_u16(refusal.status).unwrap_or_default() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Auth { detail },
        StatusCode::NOT_FOUND if call.names_template => Error::TemplateNotFound { detail },
        StatusCode::NOT_FOUND => Error::NotFound { detail },
        StatusCode::CONFLICT if refusal.code.as_deref() == Some("idempotency_in_progress") => {
            Error::Unavailable { retry_after, detail }
        }
        StatusCode::CONFLICT => Error::Conflict { detail },
        StatusCode::UNPROCESSABLE_ENTITY if call.idempotency_key.is_some() => {
            Error::Conflict { detail }
        }
        StatusCode::TOO_MANY_REQUESTS if retry_after.is_none() && call.names_template => {
            // The limit of sandboxes at a time; a rate limit says when to come back.
            Error::Capacity { retry_after, detail }
        }
        StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { retry_after, detail },
        status if status.is_server_error() => match refusal.code.as_deref() {
            Some(
                "sandbox_capacity_unavailable"
                | "sandbox_placement_timeout"
                | "sandbox_no_compatible_node",
            ) => Error::Capacity { retry_after, detail },
            _ => Error::Unavailable { retry_after, detail },
        },
        status if status.is_client_error() => Error::InvalidArgument {
            message: format!("{operation}: the provider refused the request's fields"),
            detail,
        },
        _ => Error::Protocol { reason: "a status that is neither success nor error", detail },
    }
}
