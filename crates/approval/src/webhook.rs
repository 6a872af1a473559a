//! Webhooks: tells other systems that an approval waits or was answered.
//!
//! Signed as Standard Webhooks 1.0 describes, for which most languages have a verifier: the
//! headers `webhook-id`, `webhook-timestamp` (seconds) and `webhook-signature`, which is `v1,` and
//! the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`.
//!
//! A message has the same id in every try, so a receiver can tell a repetition. On this side a
//! message goes to each endpoint once: whoever of the fleet claims it first sends it; a claim that
//! was neither confirmed nor given up ends after the last try could.
//!
//! URLs and secrets come from the operator alone. They are in no error and in no log line but for
//! the host.

mod send;
mod sign;

use std::time::Duration;

use airlock_store::Connection;
use futures_util::future::join_all;
use jiff::Timestamp;
use redis::Script;
use reqwest::redirect::Policy;
use secrecy::SecretString;
use serde::Serialize;
use url::{Host, Url};

use crate::{Approval, approval::rfc3339};
use send::Retry;
use sign::Key;

/// How long it is remembered that a message was sent.
const REMEMBER_SENT: Duration = Duration::from_hours(24 * 7);

/// What happened to an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It was asked for.
    Requested,
    /// It was granted.
    Granted,
    /// It was rejected.
    Rejected,
}

/// Why a webhook was not delivered, or cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is neither https nor http to this machine.
    #[error("a webhook's URL must be https, or http to a loopback address")]
    Insecure,
    /// The secret begins with `whsec_` and the rest is not base64, or it is shorter than 16 bytes.
    #[error(
        "a webhook's secret must have at most 512 and at least 16 bytes; after `whsec_` in base64"
    )]
    Secret,
    /// No HTTP client can be made.
    #[error("the HTTP client for webhooks cannot be set up")]
    Client(#[source] reqwest::Error),
    /// The receiver refused it for good.
    #[error("the webhook's receiver at {host} refuses it with status {status}")]
    Refused {
        /// Whose.
        host: String,
        /// What it answered.
        status: u16,
    },
    /// The receiver could not be reached, in all tries.
    #[error("the webhook's receiver at {host} does not answer")]
    Unreachable {
        /// Whose.
        host: String,
    },
    /// The store, which remembers what was sent, does not answer.
    #[error("the approval store does not answer")]
    Store(#[from] redis::RedisError),
}

/// Where to send, and the secret that both sides know.
pub struct Endpoint {
    url: Url,
    key: Key,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("host", &self.host()).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint. The secret is raw, or base64 after `whsec_`.
    pub fn new(url: Url, secret: &SecretString) -> Result<Self, Error> {
        let here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if !(url.scheme() == "https" || (url.scheme() == "http" && here)) {
            return Err(Error::Insecure);
        }
        Ok(Self { url, key: Key::new(secret)? })
    }

    fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }
}

/// How often and how long a message is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often at most; at least 1.
    pub attempts: u32,
    /// Wait before the second try; doubles each time.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// How long one try may take.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
        }
    }
}

/// The webhooks of a deployment.
pub struct Webhooks {
    conn: Connection,
    prefix: String,
    client: reqwest::Client,
    endpoints: Vec<Endpoint>,
    options: Options,
    confirm: Script,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<String> = self.endpoints.iter().map(Endpoint::host).collect();
        f.debug_struct("Webhooks").field("endpoints", &hosts).finish_non_exhaustive()
    }
}

/// A message as it is sent.
#[derive(Serialize)]
struct Message<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: String,
    data: &'a T,
}

impl Occasion {
    /// The message's type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "approval.requested",
            Self::Granted => "approval.granted",
            Self::Rejected => "approval.rejected",
        }
    }
}

impl Webhooks {
    /// Sends to every endpoint. Redirects are not followed.
    pub fn new(
        conn: impl Into<Connection>,
        prefix: &str,
        endpoints: Vec<Endpoint>,
        options: Options,
    ) -> Result<Self, Error> {
        // Fails if the process has a provider already, which is just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(options.timeout)
            .user_agent(concat!("airlock/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Client(error.without_url()))?;
        let confirm = Script::new(include_str!("lua/confirm.lua"));
        Ok(Self {
            conn: conn.into(),
            prefix: prefix.to_owned(),
            client,
            endpoints,
            options,
            confirm,
        })
    }

    /// Tells every endpoint, and tries again while that may help; this may take minutes, so spawn
    /// it. An answer for each endpoint: true if it was sent now, false if it had been sent or is
    /// being sent by somebody else.
    ///
    /// Cancel-safe: a message that was being sent may be sent again once its claim has ended.
    pub async fn deliver(
        &self,
        approval: &Approval,
        occasion: Occasion,
    ) -> Vec<Result<bool, Error>> {
        let id = message_id(approval, occasion);
        // In the slot of the approval.
        let place = format!("{}:approval:{{{}}}", self.prefix, approval.id);
        self.send(&place, &id, occasion.as_str(), approval).await
    }

    /// Tells every endpoint of something else than an approval, in the same way: a message of type
    /// `kind` with `data`, once for each `id`, which holds no braces. What was sent is remembered for
    /// seven days.
    ///
    /// Cancel-safe as [`deliver`](Self::deliver).
    pub async fn announce(
        &self,
        id: &str,
        kind: &str,
        data: &impl Serialize,
    ) -> Vec<Result<bool, Error>> {
        self.send(&format!("{}:announced:{{{id}}}", self.prefix), id, kind, data).await
    }

    async fn send(
        &self,
        place: &str,
        id: &str,
        kind: &str,
        data: &impl Serialize,
    ) -> Vec<Result<bool, Error>> {
        let timestamp = rfc3339(Timestamp::now().as_millisecond());
        let body = serde_json::to_string(&Message { kind, timestamp, data }).unwrap_or_default();
        let sends = self.endpoints.iter().map(|endpoint| {
            let to = endpoint.key.fingerprint(endpoint.url.as_str());
            self.once(endpoint, format!("{place}:sent:{id}:{to}"), id, &body)
        });
        join_all(sends.collect::<Vec<_>>()).await
    }

    /// Sends unless somebody else does or did.
    async fn once(
        &self,
        endpoint: &Endpoint,
        key: String,
        id: &str,
        body: &str,
    ) -> Result<bool, Error> {
        let token = format!("{:032x}", rand::random::<u128>());
        let mut conn = self.conn.clone();
        let claimed: Option<String> = redis::cmd("SET")
            .arg(&key)
            .arg(&token)
            .arg("NX")
            .arg("PX")
            .arg(millis(self.longest_delivery()))
            .query_async(&mut conn)
            .await?;
        if claimed.is_none() {
            return Ok(false);
        }
        let retry = Retry { client: &self.client, options: self.options };
        let sent = retry.send(endpoint, id, body).await;
        // Sent: remember. Not sent: give the claim up, so that the next call may try.
        let keep = if sent.is_ok() { millis(REMEMBER_SENT) } else { 0 };
        let () = self.confirm.key(&key).arg(&token).arg(keep).invoke_async(&mut conn).await?;
        sent.map(|()| true)
    }

    /// Longer than all tries and waits take.
    fn longest_delivery(&self) -> Duration {
        let one = self.options.timeout.saturating_add(self.options.longest_wait);
        one.saturating_mul(self.options.attempts.max(1)).saturating_add(Duration::from_secs(10))
    }
}

/// The same for the same occasion of the same request; one that was asked for anew is another.
fn message_id(approval: &Approval, occasion: Occasion) -> String {
    format!("{}.{}.{}", approval.id, approval.created_at_ms, occasion.as_str())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 50)
}
