//! What a deployment sets. Plain values: nothing here reads the environment.

use std::time::Duration;

use airlock_contract::{Limits, NetworkInput, Usd};
use airlock_runs::{AdmissionLimits, BreakerSettings};

use crate::shared::SharedTimes;

/// Settings of the engine. [`Config::default`] suits a laptop and E2B's cloud alike.
#[derive(Clone, Debug)]
pub struct Config {
    /// Template of a run that names none.
    pub default_template: String,
    /// The Linux user that commands run as, inside the sandbox.
    pub user: String,
    /// What inputs are held to.
    pub limits: Limits,
    /// How much output is kept.
    pub output: OutputCaps,
    /// Sandbox time around the command that a reservation covers.
    pub margins: Margins,
    /// The longest time of one command that is held at once. A longer one is held slice by slice
    /// while it runs, and ended with its output when the budget has none left.
    pub slice: Duration,
    /// How long a sandbox lives if nobody renews it.
    pub lease: LeaseLengths,
    /// How many sandboxes the whole fleet may have, and how fast it may create them.
    pub admission: AdmissionConfig,
    /// When the whole fleet takes the sandbox provider to be down.
    pub breaker: BreakerSettings,
    /// References that `secretEnv` may use, such as `env:NPM_TOKEN` or `file:/run/secrets/x`; a
    /// trailing `*` allows every reference that begins so. Empty: none.
    pub secret_env: Vec<String>,
    /// Makes an account at its first use; none: an account must be created.
    pub auto_create: Option<AutoCreate>,
    /// The network of a run that names none, within what the policy allows.
    pub network: Option<NetworkInput>,
    /// How long an approval may be answered and used where the policy does not say.
    pub approval_ttl: Duration,
    /// How shared sandboxes are kept.
    pub shared: SharedTimes,
    /// How long a finished run answers again; also how long an unfinished one is remembered
    /// beyond its attempt's deadline.
    pub remember: Duration,
}

/// Output that is kept, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputCaps {
    /// Of one stream in a result: half from the beginning, half from the end.
    pub stream: usize,
    /// Of all streams of a batch together.
    pub batch: usize,
    /// Of one stream in the sandbox; beyond it only the number of bytes and the end are kept.
    pub spool: u64,
    /// Of one artifact.
    pub artifact: u64,
    /// Of all artifacts of a run together.
    pub artifacts: u64,
}

/// Sandbox time around a command, all of it part of the worst case that is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margins {
    /// Creation and uploads.
    pub setup: Duration,
    /// Collecting, and waiting for the next attempt if a worker dies.
    pub cleanup: Duration,
    /// Installing one entry of `packages`, at most.
    pub install: Duration,
    /// Not reserved: the hold outlives what it covers by this much, for an attempt that comes late
    /// to settle.
    pub late: Duration,
}

/// The parts of a lease: heartbeat timeout (else time to the deadline) + backoff + slack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseLengths {
    /// Longest wait of the retry policy before the next attempt.
    pub backoff: Duration,
    /// For a busy worker and skewed clocks.
    pub slack: Duration,
    /// Never longer than this.
    pub max: Duration,
}

/// The fleet's limits on sandboxes: what the provider allows the account of all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionConfig {
    /// Sandboxes at once, and new ones a time. Default: no limits.
    pub limits: AdmissionLimits,
    /// How long an attempt waits for its turn before it fails retryably. Default 5 min, below the
    /// 15 min by which a reservation outlives what it covers.
    pub wait: Duration,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self { limits: AdmissionLimits::default(), wait: Duration::from_mins(5) }
    }
}

/// An account that is made at its first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoCreate {
    /// Its limit.
    pub limit: Usd,
    /// How long it lives; for ever if absent.
    pub ttl: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_template: "base".to_owned(),
            user: "user".to_owned(),
            limits: Limits::default(),
            output: OutputCaps::default(),
            margins: Margins::default(),
            slice: Duration::from_mins(15),
            lease: LeaseLengths::default(),
            admission: AdmissionConfig::default(),
            breaker: BreakerSettings::default(),
            secret_env: Vec::new(),
            auto_create: None,
            network: None,
            approval_ttl: Duration::from_hours(1),
            shared: SharedTimes::default(),
            remember: Duration::from_hours(24),
        }
    }
}

impl Default for OutputCaps {
    fn default() -> Self {
        Self {
            stream: 64 * 1024,
            batch: 1024 * 1024,
            spool: 8 * 1024 * 1024,
            artifact: 256 * 1024,
            artifacts: 512 * 1024,
        }
    }
}

impl Default for Margins {
    fn default() -> Self {
        Self {
            setup: Duration::from_mins(1),
            cleanup: Duration::from_mins(1),
            install: Duration::from_mins(3),
            late: Duration::from_mins(15),
        }
    }
}

impl Default for LeaseLengths {
    fn default() -> Self {
        Self {
            backoff: Duration::from_secs(100),
            slack: Duration::from_mins(1),
            max: Duration::from_hours(1),
        }
    }
}
