//! [`Sandbox`]: a handle to one sandbox, and how its envd is addressed.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::config::{Limits, Timeouts};
use crate::error::Error;
use crate::ids;
use crate::transport::{self, Refusal, Transport};

/// envd's port in every sandbox.
const ENVD_PORT: u16 = 49983;
/// Domains with one host for all sandboxes, where headers say which one is meant.
const SHARED_HOST_DOMAINS: &[&str] = &["e2b.app", "e2b.dev", "e2b.pro", "e2b-staging.dev"];

/// A handle to one sandbox's envd. Cheap to clone; holding it keeps nothing alive.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

/// What is known about a sandbox when its handle is made.
pub(crate) struct SandboxParts {
    pub(crate) id: String,
    pub(crate) template: String,
    pub(crate) domain: Option<String>,
    pub(crate) envd_version: Option<String>,
    pub(crate) access_token: SecretString,
    pub(crate) traffic_token: Option<SecretString>,
}

struct Inner {
    parts: SandboxParts,
    /// The parts' domain, else the configured one.
    domain: String,
    /// Where envd's calls go; `Err` says why there is no such place.
    base: Result<Url, &'static str>,
    /// Where plain links to the sandbox go.
    sandbox_url: Option<Url>,
    transport: Transport,
    timeouts: Timeouts,
    limits: Limits,
}

impl Sandbox {
    pub(crate) fn new(
        parts: SandboxParts,
        default_domain: &str,
        sandbox_url: Option<&Url>,
        transport: Transport,
        timeouts: Timeouts,
        limits: Limits,
    ) -> Self {
        let mut parts = parts;
        let domain = parts.domain.clone().unwrap_or_else(|| default_domain.to_owned());
        let base = match ids::sandbox_id(&parts.id).map(str::to_owned) {
            Ok(id) => {
                parts.id = id;
                base_url(&parts.id, &domain, sandbox_url)
            }
            Err(_) => Err("sandbox id: must be 1 to 64 lower-case letters and digits"),
        };
        let sandbox_url = sandbox_url.cloned();
        Self(Arc::new(Inner { parts, domain, base, sandbox_url, transport, timeouts, limits }))
    }

    /// Its id, without an old-style suffix.
    pub fn id(&self) -> &str {
        &self.0.parts.id
    }

    /// The id of the template it was made from; empty for an attached handle.
    pub fn template(&self) -> &str {
        &self.0.parts.template
    }

    /// The token of its envd; empty if it is not secured.
    pub fn access_token(&self) -> &SecretString {
        &self.0.parts.access_token
    }

    /// The token for its other ports, if these are closed to the public.
    pub fn traffic_token(&self) -> Option<&SecretString> {
        self.0.parts.traffic_token.as_ref()
    }

    /// The domain that the control plane named for it.
    pub fn domain(&self) -> Option<&str> {
        self.0.parts.domain.as_deref()
    }

    /// The version of its envd; unknown for an attached handle.
    pub fn envd_version(&self) -> Option<&str> {
        self.0.parts.envd_version.as_deref()
    }

    /// The public host name of one of its ports.
    pub fn host(&self, port: u16) -> String {
        format!("{port}-{}.{}", self.0.parts.id, self.0.domain)
    }

    /// Whether it runs: its envd answers. `false` once it was killed or reached its end.
    pub async fn is_running(&self) -> Result<bool, Error> {
        let operation = "check sandbox";
        let probe = async {
            let url = self.url(&["health"])?;
            let request = self.transport().rpc.get(url).headers(self.headers(None)?);
            let response = transport::send(operation, request).await?;
            if response.status().is_success() {
                return Ok(true);
            }
            let refusal = Refusal::read(response).await;
            if refusal.is_gone() {
                return Ok(false);
            }
            Err(super::rpc::refused(operation, &refusal))
        };
        transport::within(operation, self.0.timeouts.health, probe).await
    }

    /// envd's base with path segments of our own appended.
    pub(super) fn url(&self, segments: &[&str]) -> Result<Url, Error> {
        let base = self.0.base.as_ref().map_err(|reason| Error::invalid(*reason))?;
        transport::join(base, segments)
    }

    /// The base of links that carry no headers: the sandbox's own host.
    pub(super) fn direct_url(&self) -> Result<Url, Error> {
        let base = self.url(&[])?;
        if self.0.sandbox_url.is_some() {
            return Ok(base);
        }
        Url::parse(&format!("https://{}/", self.host(ENVD_PORT)))
            .map_err(|_| Error::invalid("domain: must be a host name like `e2b.app`"))
    }

    /// The headers of every request: which sandbox, whose token, which Linux user.
    pub(super) fn headers(&self, user: Option<&str>) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        let id = HeaderValue::from_str(self.id())
            .map_err(|_| Error::invalid("sandbox id: must be lower-case letters and digits"))?;
        headers.insert(HeaderName::from_static("e2b-sandbox-id"), id);
        headers.insert(HeaderName::from_static("e2b-sandbox-port"), ENVD_PORT.into());
        let token = self.access_token();
        if !token.expose_secret().is_empty() {
            let token = transport::secret_header("access token", token)?;
            headers.insert(HeaderName::from_static("x-access-token"), token);
        }
        if let Some(user) = user {
            ids::check_user(user)?;
            let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:")));
            let value = HeaderValue::from_str(&value)
                .map_err(|_| Error::invalid("user: must be the name of a Linux user"))?;
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.0.timeouts
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("id", &self.0.parts.id)
            .field("template", &self.0.parts.template)
            .field("domain", &self.0.domain)
            .field("envd_version", &self.0.parts.envd_version)
            .finish_non_exhaustive()
    }
}

fn base_url(id: &str, domain: &str, sandbox_url: Option<&Url>) -> Result<Url, &'static str> {
    if let Some(url) = sandbox_url {
        return Ok(url.clone());
    }
    ids::check_domain(domain).map_err(|_| "domain: must be a host name like `e2b.app`")?;
    let host = if SHARED_HOST_DOMAINS.contains(&domain) {
        format!("sandbox.{domain}")
    } else {
        format!("{ENVD_PORT}-{id}.{domain}")
    };
    Url::parse(&format!("https://{host}/"))
        .map_err(|_| "domain: must be a host name like `e2b.app`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_url_follows_the_providers_rules() {
        let own: Url = "http://127.0.0.1:4000/x".parse().unwrap();
        for (domain, url, expected) in [
            ("e2b.app", None, "https://sandbox.e2b.app/"),
            ("e2b.dev", None, "https://sandbox.e2b.dev/"),
            ("cluster.example", None, "https://49983-i1.cluster.example/"),
            ("e2b.app", Some(&own), "http://127.0.0.1:4000/x"),
        ] {
            assert_eq!(base_url("i1", domain, url).unwrap().as_str(), expected, "{domain}");
        }
        for hostile in ["e2b.app/x", "u@h", "a:1", "", "a b"] {
            assert!(base_url("i1", hostile, None).is_err(), "{hostile}");
        }
    }
}
