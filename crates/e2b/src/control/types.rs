//! What callers say to and hear from the control plane.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Every address.
const EVERYWHERE: &str = "0.0.0.0/0";

/// A sandbox to create.
#[derive(Clone)]
pub struct CreateSandbox {
    /// The template's id, alias or snapshot. E2B's default is `base`.
    pub template: String,
    /// How long the sandbox lives unless prolonged; whole seconds, rounded up, at least one.
    pub timeout: Duration,
    /// Labels to find it by.
    pub metadata: BTreeMap<String, String>,
    /// Environment of every process in it.
    pub envs: BTreeMap<String, String>,
    /// What it may reach and be reached by; the provider's default if absent.
    pub network: Option<Network>,
    /// `false` cuts it off from the internet; the provider's default if absent.
    pub allow_internet_access: Option<bool>,
    /// Makes creation happen once however often it is asked for: 1-255 of `[a-z0-9-]`. Without it
    /// creation is not tried again when its outcome is unknown.
    pub idempotency_key: Option<String>,
    /// Pause the sandbox at its end of life instead of killing it.
    pub auto_pause: bool,
}

impl CreateSandbox {
    /// A sandbox of `template` that lives for `timeout`.
    pub fn new(template: impl Into<String>, timeout: Duration) -> Self {
        Self {
            template: template.into(),
            timeout,
            metadata: BTreeMap::new(),
            envs: BTreeMap::new(),
            network: None,
            allow_internet_access: None,
            idempotency_key: None,
            auto_pause: false,
        }
    }
}

impl fmt::Debug for CreateSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateSandbox")
            .field("template", &self.template)
            .field("timeout", &self.timeout)
            .field("metadata", &self.metadata)
            .field("envs", &self.envs.keys())
            .field("network", &self.network)
            .field("allow_internet_access", &self.allow_internet_access)
            .field("idempotency_key", &self.idempotency_key)
            .field("auto_pause", &self.auto_pause)
            .finish()
    }
}

/// What a sandbox may reach. Allow beats deny.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Addresses, CIDR blocks and domains (`*.example.com`) it may reach. Domains need
    /// `0.0.0.0/0` in [`deny_out`](Self::deny_out).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_out: Vec<String>,
    /// Addresses and CIDR blocks it may not reach; no domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny_out: Vec<String>,
    /// Whether its ports are reachable without a token; the provider's default (yes) if absent.
    /// Only looked at on creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_public_traffic: Option<bool>,
}

impl Network {
    /// No way out at all.
    pub fn none() -> Self {
        Self { deny_out: vec![EVERYWHERE.to_owned()], ..Self::default() }
    }

    /// A way out to these hosts, addresses and blocks only.
    pub fn only(allow: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { allow_out: allow.into_iter().map(Into::into).collect(), ..Self::none() }
    }

    /// Refuses what the provider would refuse without saying why.
    pub(super) fn check(&self) -> Result<(), Error> {
        let is_block = |entry: &String| {
            let address = entry.split_once('/').map_or(entry.as_str(), |(address, _)| address);
            address.parse::<IpAddr>().is_ok()
        };
        if !self.deny_out.iter().all(is_block) {
            return Err(Error::invalid(
                "network.deny_out: takes addresses and CIDR blocks, no domains; deny 0.0.0.0/0 \
                 and list in allow_out what may be reached",
            ));
        }
        let denies_all = self.deny_out.iter().any(|entry| entry == EVERYWHERE);
        if !denies_all && !self.allow_out.iter().all(is_block) {
            return Err(Error::invalid("network.allow_out: domains need 0.0.0.0/0 in deny_out"));
        }
        Ok(())
    }
}

/// What a sandbox is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxState {
    /// It runs and costs money.
    Running,
    /// It is stored and can be resumed.
    Paused,
    /// A state that this client does not know.
    #[serde(other)]
    Unknown,
}

/// What the control plane knows about a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxInfo {
    /// Its id.
    pub id: String,
    /// The template's id.
    pub template: String,
    /// The template's alias, if it has one.
    pub alias: Option<String>,
    /// When it began to run.
    pub started_at: Timestamp,
    /// When it will be killed or paused unless prolonged.
    pub end_at: Timestamp,
    /// Virtual CPUs.
    pub cpu_count: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Disk in MiB, where the provider says so.
    pub disk_mb: Option<u64>,
    /// What it is doing.
    pub state: SandboxState,
    /// Its labels.
    pub metadata: BTreeMap<String, String>,
    /// The version of its envd.
    pub envd_version: Option<String>,
}

/// The order of a list, by start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

/// Which sandboxes to list. The default is all of them, running and paused.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only those with all of these labels. Checked here too, so a provider that ignores the
    /// filter returns nobody else's sandbox.
    pub metadata: BTreeMap<String, String>,
    /// Only those in one of these states; all states if empty.
    pub states: Vec<SandboxState>,
    /// Only those of this template.
    pub template: Option<String>,
    /// Only those started after this instant.
    pub started_after: Option<Timestamp>,
    /// Newest or oldest first.
    pub order: Order,
    /// At most so many; all if absent.
    pub limit: Option<usize>,
}

/// What a sandbox used around one instant, as the provider samples it (about every 5 s).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Unix seconds.
    #[serde(default)]
    pub timestamp_unix: i64,
    /// Virtual CPUs.
    pub cpu_count: u32,
    /// Percent of all of them.
    pub cpu_used_pct: f64,
    /// Memory in use, in bytes.
    pub mem_used: u64,
    /// Memory there is, in bytes.
    pub mem_total: u64,
    /// Disk in use, in bytes.
    #[serde(default)]
    pub disk_used: u64,
    /// Disk there is, in bytes.
    #[serde(default)]
    pub disk_total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_the_provider_would_refuse_is_refused_with_the_remedy() {
        let network = |allow: &[&str], deny: &[&str]| {
            let list = |entries: &[&str]| entries.iter().map(|&entry| entry.to_owned()).collect();
            Network { allow_out: list(allow), deny_out: list(deny), allow_public_traffic: None }
        };
        for good in [
            Network::none(),
            Network::only(["pypi.org", "*.crates.io", "10.0.0.0/8"]),
            network(&["1.1.1.1", "fd00::/8"], &[]),
            network(&[], &["169.254.0.0/16"]),
        ] {
            good.check().unwrap();
        }
        for (bad, remedy) in [
            (network(&["pypi.org"], &[]), "0.0.0.0/0 in deny_out"),
            (network(&[], &["evil.example"]), "no domains"),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
        }
    }
}
