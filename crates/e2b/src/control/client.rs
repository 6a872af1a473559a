//! [`Client`]: one account at one provider.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

use super::call::{Answer, Call, CallError, Repeat};
use super::types::{CreateSandbox, Metric, Network, SandboxInfo};
use super::wire::{CreateBody, InfoReply, SandboxReply, whole_seconds};
use crate::config::{Config, Limits, Timeouts};
use crate::envd::{Sandbox, SandboxParts};
use crate::error::Error;
use crate::ids;
use crate::transport::{self, Transport};

/// The control plane of one provider, for one account. Cheap to clone: clones share connections.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) transport: Transport,
    pub(super) api_url: Url,
    pub(super) api_key: HeaderValue,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    sandbox_url: Option<Url>,
    domain: String,
    /// v2 answered once, so its 404 means what it says.
    has_v2: AtomicBool,
}

impl Client {
    /// Checks the configuration and builds the connections' pools; makes no call.
    ///
    /// Installs `ring` as the process's TLS provider if none is installed yet.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a base URL with credentials, a query or a foreign scheme, an
    /// impossible domain, or a key that no header can carry.
    pub fn new(config: Config) -> Result<Self, Error> {
        transport::check_base("api_url", &config.api_url)?;
        if let Some(url) = &config.sandbox_url {
            transport::check_base("sandbox_url", url)?;
        }
        ids::check_domain(&config.domain)?;
        let is_direct = transport::is_loopback(&config.api_url)
            && config.sandbox_url.as_ref().is_none_or(transport::is_loopback);
        let transport = Transport::new(&config.timeouts, is_direct)?;
        let api_key = transport::secret_header("api_key", &config.api_key)?;
        Ok(Self(Arc::new(Inner {
            transport,
            api_url: config.api_url,
            api_key,
            timeouts: config.timeouts,
            limits: config.limits,
            sandbox_url: config.sandbox_url,
            domain: config.domain,
            has_v2: AtomicBool::new(false),
        })))
    }

    /// Creates a sandbox. Dropping the future leaves open whether one exists.
    ///
    /// # Errors
    /// [`Error::TemplateNotFound`], [`Error::Auth`] and [`Error::InvalidArgument`] are for good;
    /// [`Error::RateLimited`] and [`Error::Capacity`] left nothing behind; after anything else a
    /// sandbox may exist, to be found by the idempotency key or by its labels.
    pub async fn create(&self, spec: &CreateSandbox) -> Result<Sandbox, Error> {
        ids::check_template(&spec.template)?;
        spec.network.as_ref().map_or(Ok(()), Network::check)?;
        if let Some(key) = &spec.idempotency_key {
            ids::check_idempotency_key(key)?;
        }
        let operation = "create sandbox";
        let call = |is_v1: bool| -> Result<Call, Error> {
            let has_key = spec.idempotency_key.is_some() && !is_v1;
            Ok(Call {
                body: Some(encode(operation, &CreateBody::new(spec, is_v1))?),
                idempotency_key: spec.idempotency_key.clone(),
                repeat: if has_key { Repeat::Harmless } else { Repeat::OnlyIfNotDone },
                names_template: true,
                ..self.0.post(operation, &version(is_v1, &["sandboxes"]))?
            })
        };
        let answer = self.0.call_v2_or_v1(call).await?;
        self.0.sandbox(operation, &answer, None)
    }

    /// Looks at one sandbox, running or paused.
    pub async fn get(&self, id: &str) -> Result<SandboxInfo, Error> {
        let operation = "get sandbox";
        let id = ids::sandbox_id(id)?;
        let answer = self.0.call(&self.0.get(operation, &["sandboxes", id])?).await?;
        decode::<InfoReply>(operation, &answer)?.into_info(operation)
    }

    /// Ends a sandbox, running or paused. Returns `false` if it was not there.
    ///
    /// If an earlier try of this call failed without saying whether it was carried out, a sandbox
    /// that is not there any more counts as ended by it.
    pub async fn kill(&self, id: &str) -> Result<bool, Error> {
        let id = ids::sandbox_id(id)?;
        let call =
            Call { method: Method::DELETE, ..self.0.get("kill sandbox", &["sandboxes", id])? };
        match self.0.call(&call).await {
            Ok(_) => Ok(true),
            Err(CallError { error: Error::NotFound { .. }, was_ambiguous }) => Ok(was_ambiguous),
            Err(failed) => Err(failed.error),
        }
    }

    /// Sets the sandbox's end to `timeout` from now, sooner or later than it was. Whole seconds,
    /// rounded up.
    pub async fn set_timeout(&self, id: &str, timeout: Duration) -> Result<(), Error> {
        let body = json!({ "timeout": whole_seconds(timeout) });
        self.0.post_to_sandbox("set timeout", id, "timeout", &body).await
    }

    /// Puts the sandbox's end off to `duration` from now if that is later; never shortens. At
    /// most an hour, and the provider raises less than 15 s to 15 s.
    pub async fn refresh(&self, id: &str, duration: Duration) -> Result<(), Error> {
        let body = json!({ "duration": whole_seconds(duration).min(3600) });
        self.0.post_to_sandbox("refresh sandbox", id, "refreshes", &body).await
    }

    /// Gets the handle and token of a sandbox, resumes it if it is paused, and puts its end off to
    /// `timeout` from now if that is later. Without `timeout` the provider's default (300 s) rules.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown sandbox, [`Error::Conflict`] for one being killed.
    pub async fn connect(&self, id: &str, timeout: Option<Duration>) -> Result<Sandbox, Error> {
        let operation = "connect to sandbox";
        let id = ids::sandbox_id(id)?;
        let call = |is_v1: bool| -> Result<Call, Error> {
            // v1 requires what v2 has a default for.
            let timeout = timeout.or_else(|| is_v1.then_some(Duration::from_mins(5)));
            let body =
                timeout.map_or_else(|| json!({}), |t| json!({ "timeout": whole_seconds(t) }));
            Ok(Call {
                body: Some(encode(operation, &body)?),
                ..self.0.post(operation, &version(is_v1, &["sandboxes", id, "connect"]))?
            })
        };
        let answer = self.0.call_v2_or_v1(call).await?;
        self.0.sandbox(operation, &answer, Some(id))
    }

    /// Pauses a sandbox: it costs nothing and keeps its state until [`Client::connect`].
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is paused already or cannot be paused now.
    pub async fn pause(&self, id: &str) -> Result<(), Error> {
        self.0.post_to_sandbox("pause sandbox", id, "pause", &json!({})).await
    }

    /// Replaces what a sandbox may reach. What `network` does not name is cleared.
    pub async fn update_network(&self, id: &str, network: &Network) -> Result<(), Error> {
        let operation = "update network";
        network.check()?;
        let id = ids::sandbox_id(id)?;
        let call = Call {
            method: Method::PUT,
            body: Some(encode(operation, network)?),
            ..self.0.get(operation, &["sandboxes", id, "network"])?
        };
        self.0.call(&call).await?;
        Ok(())
    }

    /// What the sandbox used between two instants, oldest first; everything known if absent.
    pub async fn metrics(
        &self,
        id: &str,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
    ) -> Result<Vec<Metric>, Error> {
        let operation = "get metrics";
        let id = ids::sandbox_id(id)?;
        let mut call = self.0.get(operation, &["sandboxes", id, "metrics"])?;
        for (name, instant) in [("start", start), ("end", end)] {
            if let Some(instant) = instant {
                call.url.query_pairs_mut().append_pair(name, &instant.as_second().to_string());
            }
        }
        decode(operation, &self.0.call(&call).await?)
    }

    /// Whether the control plane answers. Not tried again.
    pub async fn health(&self) -> Result<(), Error> {
        let operation = "check health";
        let url = transport::join(&self.0.api_url, &["health"])?;
        let probe = async {
            let response = transport::send(operation, self.0.transport.api.get(url)).await?;
            if response.status().is_success() {
                return Ok(());
            }
            let detail = transport::Refusal::read(response).await.detail(operation);
            Err(Error::Unavailable { retry_after: None, detail })
        };
        transport::within(operation, self.0.timeouts.health, probe).await
    }

    /// A handle to a sandbox whose token is known, without a call. `domain` is the one that its
    /// creation named, if it did.
    ///
    /// An id or domain that no sandbox can have makes every call of the handle fail with
    /// [`Error::InvalidArgument`].
    pub fn attach(&self, id: &str, access_token: SecretString, domain: Option<&str>) -> Sandbox {
        self.0.handle(SandboxParts {
            id: id.to_owned(),
            template: String::new(),
            domain: domain.map(str::to_owned),
            envd_version: None,
            access_token,
            traffic_token: None,
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("domain", &self.0.domain).finish_non_exhaustive()
    }
}

impl Inner {
    /// A call that reads, or is as harmless to repeat as one.
    pub(super) fn get(&self, operation: &'static str, path: &[&str]) -> Result<Call, Error> {
        Ok(Call {
            operation,
            method: Method::GET,
            url: transport::join(&self.api_url, path)?,
            body: None,
            idempotency_key: None,
            repeat: Repeat::Harmless,
            names_template: false,
        })
    }

    fn post(&self, operation: &'static str, path: &[&str]) -> Result<Call, Error> {
        Ok(Call { method: Method::POST, ..self.get(operation, path)? })
    }

    async fn post_to_sandbox(
        &self,
        operation: &'static str,
        id: &str,
        what: &str,
        body: &serde_json::Value,
    ) -> Result<(), Error> {
        let id = ids::sandbox_id(id)?;
        let call = Call {
            method: Method::POST,
            body: Some(encode(operation, body)?),
            ..self.get(operation, &["sandboxes", id, what])?
        };
        self.call(&call).await?;
        Ok(())
    }

    /// Calls v2, and v1 where v2 is not known.
    ///
    /// Never goes over to v1 with a creation that v2 may have carried out: v1 would do it again.
    pub(super) async fn call_v2_or_v1(
        &self,
        call: impl Fn(bool) -> Result<Call, Error>,
    ) -> Result<Answer, Error> {
        let first = call(false)?;
        let failed = match self.call(&first).await {
            Ok(answer) => {
                self.has_v2.store(true, Ordering::Relaxed);
                return Ok(answer);
            }
            Err(failed) => failed,
        };
        let is_unknown = matches!(failed.error.detail().status(), Some(404 | 405));
        let may_be_done = failed.was_ambiguous && first.repeat_needs_key();
        if !is_unknown || may_be_done || self.has_v2.load(Ordering::Relaxed) {
            return Err(failed.error);
        }
        Ok(self.call(&call(true)?).await?)
    }

    /// The handle of the sandbox that an answer describes; `asked` is the id it must have.
    fn sandbox(
        &self,
        operation: &'static str,
        answer: &Answer,
        asked: Option<&str>,
    ) -> Result<Sandbox, Error> {
        let reply: SandboxReply = decode(operation, answer)?;
        let Ok(id) = ids::sandbox_id(&reply.sandbox_id) else {
            return Err(Error::protocol(operation, "a sandbox id with characters no id has"));
        };
        if asked.is_some_and(|asked| asked != id) {
            return Err(Error::protocol(operation, "another sandbox than the one asked for"));
        }
        let domain = reply.domain.filter(|domain| !domain.is_empty());
        if domain.as_deref().is_some_and(|domain| ids::check_domain(domain).is_err()) {
            return Err(Error::protocol(operation, "a domain that is not a host name"));
        }
        Ok(self.handle(SandboxParts {
            id: id.to_owned(),
            template: reply.template_id,
            domain,
            envd_version: reply.envd_version,
            access_token: reply.envd_access_token.unwrap_or_default(),
            traffic_token: reply.traffic_access_token,
        }))
    }

    fn handle(&self, parts: SandboxParts) -> Sandbox {
        Sandbox::new(
            parts,
            &self.domain,
            self.sandbox_url.as_ref(),
            self.transport.clone(),
            self.timeouts.clone(),
            self.limits.clone(),
        )
    }
}

/// The path under `/v2` or, for v1, without it.
pub(super) fn version<'a>(is_v1: bool, path: &[&'a str]) -> Vec<&'a str> {
    let prefix: &[&str] = if is_v1 { &[] } else { &["v2"] };
    [prefix, path].concat()
}

fn encode(operation: &'static str, body: &impl Serialize) -> Result<Bytes, Error> {
    let json = serde_json::to_vec(body)
        .map_err(|_| Error::invalid(format!("{operation}: the arguments are not valid JSON")))?;
    Ok(json.into())
}

pub(super) fn decode<T: DeserializeOwned>(
    operation: &'static str,
    answer: &Answer,
) -> Result<T, Error> {
    serde_json::from_slice(&answer.body).map_err(|error| Error::Protocol {
        reason: "a body that is not the documented JSON",
        detail: crate::error::Detail::new(operation).with_text(&error.to_string()),
    })
}
