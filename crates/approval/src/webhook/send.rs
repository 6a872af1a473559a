//! Sending one message to one endpoint, several times if need be.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use tokio::time::sleep;

use super::{Endpoint, Error, Options};

/// Sends with the client, as the options say.
pub(super) struct Retry<'a> {
    pub(super) client: &'a reqwest::Client,
    pub(super) options: Options,
}

/// What one try came to.
enum Try {
    Done,
    Refused(StatusCode),
    Later(Option<Duration>),
}

impl Retry<'_> {
    pub(super) async fn send(
        &self,
        endpoint: &Endpoint,
        id: &str,
        body: &str,
    ) -> Result<(), Error> {
        let host = endpoint.host();
        let attempts = self.options.attempts.max(1);
        for attempt in 1..=attempts {
            match self.try_once(endpoint, id, body).await {
                Try::Done => return Ok(()),
                Try::Refused(status) => {
                    return Err(Error::Refused { host, status: status.as_u16() });
                }
                Try::Later(asked) if attempt < attempts => {
                    let wait = self.wait_after(attempt, asked);
                    tracing::debug!(host, attempt, ?wait, "a webhook is tried again");
                    sleep(wait).await;
                }
                Try::Later(_) => {}
            }
        }
        Err(Error::Unreachable { host })
    }

    async fn try_once(&self, endpoint: &Endpoint, id: &str, body: &str) -> Try {
        // Signed anew each time: receivers refuse old timestamps.
        let timestamp = Timestamp::now().as_second();
        let answer = self
            .client
            .post(endpoint.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", endpoint.key.sign(id, timestamp, body))
            .body(body.to_owned())
            .send()
            .await;
        let Ok(answer) = answer else { return Try::Later(None) };
        let status = answer.status();
        if status.is_success() {
            return Try::Done;
        }
        let may_heal = status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT
                    | StatusCode::CONFLICT
                    | StatusCode::TOO_EARLY
                    | StatusCode::TOO_MANY_REQUESTS
            );
        if may_heal { Try::Later(retry_after(answer.headers())) } else { Try::Refused(status) }
    }

    /// Doubles with each attempt, half of it random, and what the receiver asks for if that is
    /// longer; never over the longest wait.
    fn wait_after(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.options.first_wait.saturating_mul(1 << (attempt - 1).min(20));
        let ours = doubled.min(self.options.longest_wait).mul_f64(rand::random_range(0.5..1.0));
        ours.max(asked.unwrap_or_default()).min(self.options.longest_wait)
    }
}

/// The header in seconds; as a date it is not understood, and our own wait holds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
