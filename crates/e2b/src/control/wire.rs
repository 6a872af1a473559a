//! The control plane's JSON, as it is on the wire. Unknown fields are ignored: the API grows.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

use super::types::{CreateSandbox, Network, SandboxInfo, SandboxState};
use crate::error::Error;
use crate::ids;

/// The body of `POST /v2/sandboxes` and `POST /sandboxes`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateBody<'a> {
    #[serde(rename = "templateID")]
    template_id: &'a str,
    timeout: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env_vars: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a Network>,
    #[serde(rename = "allow_internet_access", skip_serializing_if = "Option::is_none")]
    allow_internet_access: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    auto_pause: bool,
    /// Only v1 knows it; v2 is always secured.
    #[serde(skip_serializing_if = "Option::is_none")]
    secure: Option<bool>,
}

impl<'a> CreateBody<'a> {
    pub(super) fn new(spec: &'a CreateSandbox, is_v1: bool) -> Self {
        Self {
            template_id: &spec.template,
            timeout: whole_seconds(spec.timeout),
            metadata: &spec.metadata,
            env_vars: &spec.envs,
            network: spec.network.as_ref(),
            allow_internet_access: spec.allow_internet_access,
            auto_pause: spec.auto_pause,
            secure: is_v1.then_some(true),
        }
    }
}

impl fmt::Debug for CreateBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateBody").field("template_id", &self.template_id).finish_non_exhaustive()
    }
}

/// Whole seconds, rounded up, at least one and at most what the API's `int32` holds.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    seconds.clamp(1, i32::MAX as u64)
}

/// The reply to creation and connection.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SandboxReply {
    #[serde(rename = "sandboxID")]
    pub(super) sandbox_id: String,
    #[serde(rename = "templateID")]
    pub(super) template_id: String,
    pub(super) envd_version: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) envd_access_token: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) traffic_access_token: Option<SecretString>,
    pub(super) domain: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

/// The reply to a look at one sandbox, and an entry of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InfoReply {
    #[serde(rename = "sandboxID")]
    sandbox_id: String,
    #[serde(rename = "templateID")]
    template_id: String,
    alias: Option<String>,
    started_at: Timestamp,
    end_at: Timestamp,
    cpu_count: u32,
    #[serde(rename = "memoryMB")]
    memory_mb: u32,
    #[serde(rename = "diskSizeMB")]
    disk_size_mb: Option<u64>,
    /// The v1 list has none: everything in it runs.
    state: Option<SandboxState>,
    metadata: Option<BTreeMap<String, String>>,
    envd_version: Option<String>,
}

impl InfoReply {
    /// The caller's view; an id that could not be used in a URL is refused.
    pub(crate) fn into_info(self, operation: &'static str) -> Result<SandboxInfo, Error> {
        let id = ids::sandbox_id(&self.sandbox_id)
            .map_err(|_| Error::protocol(operation, "a sandbox id with characters no id has"))?
            .to_owned();
        Ok(SandboxInfo {
            id,
            template: self.template_id,
            alias: self.alias,
            started_at: self.started_at,
            end_at: self.end_at,
            cpu_count: self.cpu_count,
            memory_mb: self.memory_mb,
            disk_mb: self.disk_size_mb,
            state: self.state.unwrap_or(SandboxState::Running),
            metadata: self.metadata.unwrap_or_default(),
            envd_version: self.envd_version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up_and_kept_in_range() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (u64::MAX, i32::MAX as u64)]
        {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis} ms");
        }
    }

    #[test]
    fn what_the_caller_did_not_set_is_not_sent() {
        let spec = CreateSandbox::new("base", Duration::from_mins(1));
        let json = serde_json::to_string(&CreateBody::new(&spec, false)).unwrap();
        assert_eq!(json, r#"{"templateID":"base","timeout":60}"#);
    }

    #[test]
    fn everything_set_is_sent_under_its_wire_name() {
        let mut spec = CreateSandbox::new("base", Duration::from_millis(1500));
        spec.metadata.insert("k".into(), "v".into());
        spec.envs.insert("E".into(), "1".into());
        spec.network = Some(Network::only(["pypi.org"]));
        spec.allow_internet_access = Some(false);
        spec.auto_pause = true;
        let json = serde_json::to_value(CreateBody::new(&spec, true)).unwrap();
        let expected = serde_json::json!({
            "templateID": "base", "timeout": 2, "metadata": {"k": "v"}, "envVars": {"E": "1"},
            "network": {"allowOut": ["pypi.org"], "denyOut": ["0.0.0.0/0"]},
            "allow_internet_access": false, "autoPause": true, "secure": true,
        });
        assert_eq!(json, expected);
    }
}
