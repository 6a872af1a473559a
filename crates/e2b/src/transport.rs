//! HTTP as everything else here uses it: four clients with pools of their own, no redirects,
//! answers read up to a cap, and the mapping of statuses that mean the same everywhere.
//!
//! * `api`: the control plane; HTTP/2 where the other side offers it.
//! * `rpc`, `streams`, `files`: envd, HTTP/1.1 only. Every stream has a connection of its own, so
//!   many long ones starve neither each other nor the short calls; and E2B's edge pads HTTP/2
//!   downloads with empty frames, for which Rust's h2 ends the whole connection.
//!
//! Redirects are refused, because the key and the token would go wherever they lead.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Host, Url};

use crate::config::Timeouts;
use crate::error::{Detail, Error};

/// How much of an error's body is read, in bytes.
const ERROR_BODY: usize = 64 << 10;
/// The longest wait that a provider may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
const USER_AGENT: &str = concat!("airlock-e2b/", env!("CARGO_PKG_VERSION"));

/// The HTTP clients of one [`Client`](crate::Client).
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    pub(crate) api: reqwest::Client,
    pub(crate) rpc: reqwest::Client,
    pub(crate) streams: reqwest::Client,
    pub(crate) files: reqwest::Client,
}

impl Transport {
    /// Builds the clients; `direct` when the other side is this machine, which no proxy reaches.
    pub(crate) fn new(timeouts: &Timeouts, direct: bool) -> Result<Self, Error> {
        // A provider that the process installed before is as good as ours.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .redirect(redirect::Policy::none())
                .connect_timeout(timeouts.connect)
                .tcp_keepalive(Duration::from_secs(30))
                .pool_idle_timeout(Duration::from_secs(50))
                .pool_max_idle_per_host(64);
            if direct { builder.no_proxy() } else { builder }
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| Error::transport("set up the HTTP client", error))
        };
        Ok(Self {
            api: build(builder())?,
            rpc: build(builder().http1_only())?,
            streams: build(builder().http1_only())?,
            files: build(builder().http1_only())?,
        })
    }
}

/// Refuses a base URL that is not plain `http(s)://host[:port][/path]`.
pub(crate) fn check_base(name: &str, url: &Url) -> Result<(), Error> {
    let problem = if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        "must begin with http:// or https:// and a host"
    } else if !url.username().is_empty() || url.password().is_some() {
        "must not carry credentials; the key goes into its own setting"
    } else if url.query().is_some() || url.fragment().is_some() {
        "must have neither a query nor a fragment"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("{name}: {problem}")))
}

/// Whether the URL leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// `base` with path segments appended. The caller has checked every segment it did not write.
pub(crate) fn join(base: &Url, segments: &[&str]) -> Result<Url, Error> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| Error::invalid("base URL: must begin with http:// or https://"))?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

/// A header value that no log shows.
pub(crate) fn secret_header(name: &str, secret: &SecretString) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(secret.expose_secret())
        .map_err(|_| Error::invalid(format!("{name}: holds a character no header can carry")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Bounds `future` by `limit`.
pub(crate) async fn within<T>(
    operation: &'static str,
    limit: Duration,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| Err(Error::timeout(operation)))
}

/// Sends a request; the error has no URL.
pub(crate) async fn send(
    operation: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<Response, Error> {
    request.send().await.map_err(|error| Error::transport(operation, error))
}

/// Reads a body of at most `cap` bytes.
pub(crate) async fn read_body(
    operation: &'static str,
    mut response: Response,
    cap: usize,
) -> Result<Bytes, Error> {
    refuse_encoding(operation, &response)?;
    let too_large = || Error::too_large(operation, cap as u64);
    if response.content_length().is_some_and(|length| length > cap as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| Error::transport(operation, error))?
    {
        if chunk.len() > cap - body.len() {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Nothing here asks for compressed answers, so a compressed one is a mistake or an attack.
pub(crate) fn refuse_encoding(operation: &'static str, response: &Response) -> Result<(), Error> {
    match response.headers().get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            Err(Error::protocol(operation, "a compressed body that was not asked for"))
        }
        _ => Ok(()),
    }
}

/// What an answer that is not a success says about itself.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// `Retry-After`, at most an hour.
    pub(crate) retry_after: Option<Duration>,
    /// `Should-Retry`.
    pub(crate) should_retry: Option<bool>,
    /// The body's `code` if it is a word, or its `error_code`.
    pub(crate) code: Option<String>,
    /// The body's `message`, else its beginning.
    pub(crate) message: String,
}

/// The error bodies of the control plane, the edge, envd and Connect, in one.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorBody {
    code: serde_json::Value,
    message: String,
    error_code: Option<String>,
}

impl Refusal {
    /// Reads the answer's headers and, up to a cap, its body. Never fails: a body that cannot be
    /// read or parsed is no body.
    pub(crate) async fn read(mut response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ERROR_BODY - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ERROR_BODY {
                break;
            }
        }
        Self::parse(status, &headers, &body)
    }

    pub(crate) fn parse(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let parsed = serde_json::from_slice::<ErrorBody>(body);
        let (code, message) = match parsed {
            Ok(body) => {
                let word = body.code.as_str().map(str::to_owned);
                (body.error_code.or(word), body.message)
            }
            Err(_) => (None, String::from_utf8_lossy(&body[..body.len().min(1024)]).into_owned()),
        };
        let should_retry = match headers.get("should-retry").map(HeaderValue::as_bytes) {
            Some(b"true") => Some(true),
            Some(b"false") => Some(false),
            _ => None,
        };
        let retry_after = retry_after(headers, Timestamp::now());
        Self { status, retry_after, should_retry, code, message }
    }

    pub(crate) fn detail(&self, operation: &'static str) -> Detail {
        Detail::new(operation)
            .with_status(self.status)
            .with_code(self.code.as_deref())
            .with_text(&self.message)
            .with_should_retry(self.should_retry)
    }

    /// The edge's word for a sandbox that was killed or reached its end of life.
    pub(crate) fn is_gone(&self) -> bool {
        self.status == 502 && self.message.contains("was not found")
    }
}

/// `Retry-After` in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_refusal_is_read_without_panic_and_shown_without_its_text(
            status in 100u16..1000,
            wait in "[ -~]{0,40}",
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let headers = [(RETRY_AFTER, HeaderValue::from_str(&wait).unwrap())];
            let refusal = Refusal::parse(status, &headers.into_iter().collect(), &body);
            prop_assert!(refusal.retry_after.is_none_or(|wait| wait <= LONGEST_WAIT));
            let detail = refusal.detail("x");
            prop_assert!(detail.foreign_text().is_none_or(|text| text.len() <= 1024));
        }
    }

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        [(name.parse().unwrap(), HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_more_than_an_hour() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (value, expected) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("999999999", Some(3600)),
            ("Thu, 01 Jan 2026 00:00:30 GMT", Some(30)),
            ("Wed, 31 Dec 2025 00:00:00 GMT", Some(0)),
            ("-3", None),
            ("soon", None),
        ] {
            let wait = retry_after(&headers("retry-after", value), now);
            assert_eq!(wait, expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn error_bodies_of_every_kind_are_read_and_garbage_is_no_body() {
        let none = HeaderMap::new();
        for (body, code, message) in [
            (
                r#"{"code":503,"message":"no room","error_code":"sandbox_capacity_unavailable"}"#,
                Some("sandbox_capacity_unavailable"),
                "no room",
            ),
            (r#"{"code":"not_found","message":"x"}"#, Some("not_found"), "x"),
            (r#"{"code":404,"message":"x"}"#, None, "x"),
            ("<html>", None, "<html>"),
            ("[[[[", None, "[[[["),
            ("", None, ""),
        ] {
            let refusal = Refusal::parse(500, &none, body.as_bytes());
            assert_eq!(
                (refusal.code.as_deref(), refusal.message.as_str()),
                (code, message),
                "{body}"
            );
        }
        let deep = "[".repeat(60_000);
        assert!(Refusal::parse(500, &none, deep.as_bytes()).code.is_none());
    }

    #[test]
    fn a_base_url_with_credentials_or_a_query_is_refused_without_showing_it() {
        for bad in [
            "https://u:hunter2@a.b",
            "https://a.b?x=hunter2",
            "ftp://hunter2.b",
            "https://a.b#hunter2",
        ] {
            let error = check_base("api_url", &bad.parse().unwrap()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("api_url") && !shown.contains("hunter2"), "{shown}");
        }
        check_base("api_url", &"http://127.0.0.1:1/prefix/".parse().unwrap()).unwrap();
    }

    #[test]
    fn segments_are_appended_to_a_prefix() {
        let url = join(&"http://h/p/".parse().unwrap(), &["sandboxes", "i1"]).unwrap();
        assert_eq!(url.as_str(), "http://h/p/sandboxes/i1");
    }
}
