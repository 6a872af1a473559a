//! Where the provider is, who we are there, how long anything may take and how big it may be.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::error::Error;

/// E2B's own domain.
const DEFAULT_DOMAIN: &str = "e2b.app";

/// What a [`Client`](crate::Client) needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The control plane's base, `https://api.<domain>` in E2B's cloud. Plain `http` is allowed
    /// for hosts on the own machine. It must not carry credentials.
    pub api_url: Url,
    /// One base for the envd of every sandbox. If absent, the address comes from the sandbox's
    /// own domain.
    pub sandbox_url: Option<Url>,
    /// The domain of sandboxes for which the control plane names none. Default `e2b.app`.
    pub domain: String,
    /// Sent as `X-API-Key` to the control plane, never to a sandbox.
    pub api_key: SecretString,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How big answers may be.
    pub limits: Limits,
}

impl Config {
    /// The control plane at `api_url`, with defaults for everything else.
    #[must_use]
    pub fn new(api_url: Url, api_key: SecretString) -> Self {
        Self {
            api_url,
            sandbox_url: None,
            domain: DEFAULT_DOMAIN.to_owned(),
            api_key,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
        }
    }

    /// The control plane and the sandboxes of `domain`: `https://api.<domain>`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if `domain` is not a host name.
    pub fn for_domain(domain: &str, api_key: SecretString) -> Result<Self, Error> {
        crate::ids::check_domain(domain)?;
        let api_url = Url::parse(&format!("https://api.{domain}"))
            .map_err(|_| Error::invalid("domain: must be a host name like `e2b.app`"))?;
        Ok(Self { domain: domain.to_owned(), ..Self::new(api_url, api_key) })
    }
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Opening a connection. Default 10 s.
    pub connect: Duration,
    /// One request and its whole answer; for a stream, until its first message. Default 60 s.
    pub request: Duration,
    /// One call of the control plane with all its retries and waits. Default 90 s.
    pub call: Duration,
    /// A health probe. Default 5 s.
    pub health: Duration,
    /// Silence on a stream, which the other side breaks by a sign of life every
    /// [`keepalive`](Self::keepalive). Default 125 s, and never less than twice that interval.
    pub idle: Duration,
    /// How often envd is asked to give a sign of life. Default 50 s, whole seconds.
    pub keepalive: Duration,
    /// One whole upload or download. Default 10 min. Within it a download must not be silent for
    /// longer than [`request`](Self::request).
    pub transfer: Duration,
    /// How often one call of the control plane may be tried. Default 4, at least 1.
    pub attempts: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_mins(1),
            call: Duration::from_secs(90),
            health: Duration::from_secs(5),
            idle: Duration::from_secs(125),
            keepalive: Duration::from_secs(50),
            transfer: Duration::from_mins(10),
            attempts: 4,
        }
    }
}

impl Timeouts {
    /// The keepalive interval in whole seconds, at least one.
    pub(crate) fn keepalive_secs(&self) -> u64 {
        self.keepalive.as_secs().max(1)
    }

    /// How long a stream may be silent.
    pub(crate) fn stream_idle(&self) -> Duration {
        self.idle.max(Duration::from_secs(self.keepalive_secs() * 2))
    }
}

/// How big answers may be, in bytes. What is over it is [`Error::TooLarge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One answer of the control plane; a list may take eight of them. Default 8 MiB.
    pub control_body: usize,
    /// One answer of a unary envd call, such as a directory's listing. Default 8 MiB; never more
    /// than 100,000 entries.
    pub envd_body: usize,
    /// One message of an envd stream. Default 4 MiB; envd itself sends at most 32 KiB of output
    /// at once.
    pub stream_message: usize,
    /// How many sandboxes [`Client::list`](crate::Client::list) gathers. Default 100,000.
    pub list_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            control_body: 8 << 20,
            envd_body: 8 << 20,
            stream_message: 4 << 20,
            list_entries: 100_000,
        }
    }
}
