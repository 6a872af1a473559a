//! The configuration file: written, then meant.
//!
//! One TOML file (`AIRLOCK_CONFIG`) holds the policy (`[env.*]`, `[floor]`, `approvals`), which
//! `airlock-policy` reads, and what is read here. It is checked whole at start: a wrong key names
//! itself, its line and the nearest right one. No file is as good as an empty one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use airlock_approval::webhook::Endpoint;
use airlock_budget::PriceCard;
use airlock_contract::{NetworkInput, Usd};
use airlock_engine::{AutoCreate, Config as EngineConfig, Rate};
use airlock_policy::Gate;
use airlock_redaction::{CustomPattern, Redactor};
use serde::Deserialize;

use crate::cli::ConfigArgs;
use crate::exit::Error;

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    sandbox: RawSandbox,
    #[serde(default)]
    fleet: RawFleet,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    secret_env: RawSecretEnv,
    #[serde(default)]
    budget: RawBudget,
    #[serde(default)]
    redaction: RawRedaction,
    prices: Option<toml::Table>,
    #[serde(rename = "approvals")]
    _approvals: Option<toml::Value>,
    #[serde(rename = "env")]
    _env: Option<toml::Value>,
    #[serde(rename = "floor")]
    _floor: Option<toml::Value>,
}

/// `[sandbox]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSandbox {
    /// Template of runs that name none. Default `base`.
    template: Option<String>,
    /// The Linux user that commands run as. Default `user`.
    user: Option<String>,
    /// "none" or a list of hosts for runs that name none. Default: what the policy allows.
    network: Option<NetworkInput>,
    /// Seconds that a reservation adds for creation and uploads. Default 60.
    setup_seconds: Option<u64>,
    /// Seconds that it adds for collecting, and for the next attempt if a worker dies. Default 60.
    cleanup_seconds: Option<u64>,
    /// Longest wait between two attempts of callers' retry policies, in seconds: a sandbox outlives
    /// it. Default 100.
    retry_backoff_seconds: Option<u64>,
    /// Seconds that a sandbox lives beyond heartbeat timeout and backoff, for a busy worker and
    /// skewed clocks. Default 60.
    lease_slack_seconds: Option<u64>,
}

/// `[fleet]`: what all workers together ask of the sandbox provider. Runs beyond it wait in turn.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFleet {
    /// Sandboxes at the same time, of all workers. Default: any number.
    sandboxes_at_once: Option<u32>,
    /// New sandboxes a second, of all workers; 0.5 is one each two seconds. Default: any rate.
    creations_per_second: Option<f64>,
    /// How many may be created at once after a quiet time. Default 1.
    creation_burst: Option<u32>,
    /// Seconds that an attempt waits for its turn before it fails with `SandboxCapacity`, at most
    /// 600. Default 300.
    queue_seconds: Option<u64>,
    /// Failures of the provider within the window after which no worker calls it. Default 5.
    breaker_failures: Option<u32>,
    /// Default 30.
    breaker_window_seconds: Option<u64>,
    /// Seconds until one call finds out whether the provider is back. Default 15.
    breaker_pause_seconds: Option<u64>,
}

impl RawFleet {
    /// What is wrong with it.
    fn problem(&self) -> Option<&'static str> {
        let is_rate = |rate: f64| rate.is_finite() && (0.001..=1000.0).contains(&rate);
        if self.sandboxes_at_once == Some(0) {
            Some("fleet.sandboxes_at_once must be at least 1; leave it out for any number")
        } else if self.creations_per_second.is_some_and(|rate| !is_rate(rate)) {
            Some("fleet.creations_per_second must be from 0.001 to 1000")
        } else if self.creation_burst.is_some() && self.creations_per_second.is_none() {
            Some("fleet.creation_burst needs fleet.creations_per_second as well")
        } else if self.queue_seconds.is_some_and(|seconds| seconds > 600) {
            Some("fleet.queue_seconds must be at most 600")
        } else if self.breaker_failures == Some(0) || self.breaker_pause_seconds == Some(0) {
            Some("fleet.breaker_failures and fleet.breaker_pause_seconds must be at least 1")
        } else {
            None
        }
    }

    fn apply(self, config: &mut EngineConfig) {
        let limits = &mut config.admission.limits;
        limits.at_once = self.sandboxes_at_once;
        limits.rate = self.creations_per_second.map(|rate| Rate {
            interval: Duration::from_secs_f64(1.0 / rate),
            burst: self.creation_burst.unwrap_or(1),
        });
        let seconds = |slot: &mut Duration, value: Option<u64>| {
            *slot = value.map_or(*slot, Duration::from_secs);
        };
        seconds(&mut config.admission.wait, self.queue_seconds);
        let breaker = &mut config.breaker;
        breaker.failures = self.breaker_failures.unwrap_or(breaker.failures);
        seconds(&mut breaker.window, self.breaker_window_seconds);
        seconds(&mut breaker.pause, self.breaker_pause_seconds);
    }
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    /// Longest `timeoutMs`. Default 3600000.
    max_timeout_ms: Option<u64>,
    /// Bytes of all uploaded files of a run. Default 1 MiB.
    max_files_bytes: Option<usize>,
    /// Commands in a batch. Default 100.
    max_batch_commands: Option<usize>,
    /// Bytes of one output stream in a result. Default 65536.
    output_bytes: Option<usize>,
    /// Bytes of all output of a batch. Default 1 MiB.
    batch_output_bytes: Option<usize>,
}

/// `[secret_env]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecretEnv {
    /// References that runs may use: `env:NAME`, `file:PATH`, with a trailing `*` if wanted.
    #[serde(default)]
    allow: Vec<String>,
}

/// `[budget]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBudget {
    /// Seconds of one command that are held at once; a longer one is held slice by slice while it
    /// runs. From 10 up. Default 900.
    slice_seconds: Option<u64>,
    auto_create: Option<RawAutoCreate>,
    alerts: Option<RawAlerts>,
    /// Seconds that a hold outlives what it covers, for an attempt that comes late to settle.
    /// Default 900.
    late_settle_seconds: Option<u64>,
}

/// `[budget.alerts]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlerts {
    /// Where crossed thresholds are told: https, or http to this machine. Signed with
    /// `AIRLOCK_WEBHOOK_SECRET`.
    webhook: String,
}

/// `[budget.auto_create]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAutoCreate {
    /// Limit of an account that is made on first use.
    limit: Usd,
    /// Seconds that it lives; for ever if absent.
    ttl_seconds: Option<u64>,
}

/// `[redaction]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRedaction {
    /// Patterns of your own, each with examples that are tried at start.
    #[serde(default)]
    pattern: Vec<CustomPattern>,
}

/// Settings that hold together.
#[derive(Debug)]
pub(crate) struct Config {
    /// The engine's part.
    pub(crate) engine: EngineConfig,
    /// What sandbox time costs.
    pub(crate) prices: PriceCard,
    /// The policy of the chosen environment.
    pub(crate) gate: Gate,
    /// The redactor with the file's own patterns.
    pub(crate) redactor: Redactor,
    /// What it was read from, to read it again.
    pub(crate) source: ConfigArgs,
    /// Where crossed budget thresholds are told, besides the audit log and the metrics.
    pub(crate) alerts: Option<Endpoint>,
}

/// Reads and checks everything.
pub(crate) fn load(args: &ConfigArgs) -> Result<Config, Error> {
    let file = File::read(args)?;
    let raw = file.raw()?;
    if let Some(problem) = raw.fleet.problem() {
        return Err(file.wrong(problem));
    }
    if raw.budget.slice_seconds.is_some_and(|seconds| seconds < 10) {
        return Err(file.wrong("budget.slice_seconds must be at least 10"));
    }
    Ok(Config {
        source: args.clone(),
        alerts: file.alerts(&raw, args)?,
        gate: file.gate(args.env.as_deref())?,
        redactor: file.redactor(&raw)?,
        prices: file.prices(&raw)?,
        engine: engine(raw),
    })
}

/// The policy alone, for `airlock check`.
pub(crate) fn gate(args: &ConfigArgs) -> Result<Gate, Error> {
    let file = File::read(args)?;
    file.raw()?;
    file.gate(args.env.as_deref())
}

/// The policy of one environment with its examples untried, and the environments that the file
/// defines, for `airlock policy`, which reports what is wrong with them.
pub(crate) fn untried(args: &ConfigArgs) -> Result<(Gate, Vec<String>), Error> {
    let file = File::read(args)?;
    file.raw()?;
    let gate = Gate::load_untried(&file.text, args.env.as_deref());
    let gate = gate.map_err(|error| file.wrong(error))?;
    let names = Gate::environments(&file.text).map_err(|error| file.wrong(error))?;
    Ok((gate, names))
}

/// The redactor alone, for `airlock redact`.
pub(crate) fn redactor(args: &ConfigArgs) -> Result<Redactor, Error> {
    let file = File::read(args)?;
    let raw = file.raw()?;
    file.redactor(&raw)
}

fn engine(raw: Raw) -> EngineConfig {
    let mut config = EngineConfig::default();
    let sandbox = raw.sandbox;
    config.default_template = sandbox.template.unwrap_or(config.default_template);
    config.user = sandbox.user.unwrap_or(config.user);
    config.network = sandbox.network.or(config.network);
    let seconds = |slot: &mut Duration, value: Option<u64>| {
        // Longer than a day is never meant, and must not overflow where they are added up.
        *slot = value.map_or(*slot, |value| Duration::from_secs(value.min(86_400)));
    };
    seconds(&mut config.margins.setup, sandbox.setup_seconds);
    seconds(&mut config.margins.cleanup, sandbox.cleanup_seconds);
    seconds(&mut config.margins.late, raw.budget.late_settle_seconds);
    seconds(&mut config.lease.backoff, sandbox.retry_backoff_seconds);
    seconds(&mut config.lease.slack, sandbox.lease_slack_seconds);
    let limits = raw.limits;
    let set = |slot: &mut usize, value: Option<usize>| *slot = value.unwrap_or(*slot);
    config.limits.max_timeout_ms = limits.max_timeout_ms.unwrap_or(config.limits.max_timeout_ms);
    set(&mut config.limits.max_files_bytes, limits.max_files_bytes);
    set(&mut config.limits.max_batch_commands, limits.max_batch_commands);
    set(&mut config.output.stream, limits.output_bytes);
    set(&mut config.output.batch, limits.batch_output_bytes);
    config.slice = raw.budget.slice_seconds.map_or(config.slice, Duration::from_secs);
    raw.fleet.apply(&mut config);
    config.secret_env = raw.secret_env.allow;
    config.auto_create = raw.budget.auto_create.map(|auto| AutoCreate {
        limit: auto.limit,
        ttl: auto.ttl_seconds.map(Duration::from_secs),
    });
    config
}

/// The file's text and its name for messages.
struct File {
    path: Option<PathBuf>,
    text: String,
}

impl File {
    fn read(args: &ConfigArgs) -> Result<Self, Error> {
        let Some(path) = &args.config else { return Ok(Self { path: None, text: String::new() }) };
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::config(format_args!(
                "AIRLOCK_CONFIG: {} cannot be read: {error}",
                path.display()
            ))
        })?;
        Ok(Self { path: Some(path.clone()), text })
    }

    fn wrong(&self, problem: impl std::fmt::Display) -> Error {
        match &self.path {
            Some(path) => Error::config(format_args!("{}: {problem}", path.display())),
            None => Error::config(problem),
        }
    }

    fn raw(&self) -> Result<Raw, Error> {
        toml::from_str(&self.text).map_err(|error| {
            let line = error.span().map(|span| line_of(&self.text, span.start));
            let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            self.wrong(format_args!("{place}{}", with_nearest(error.message())))
        })
    }

    fn gate(&self, env: Option<&str>) -> Result<Gate, Error> {
        Gate::load_config(&self.text, env).map_err(|error| self.wrong(error))
    }

    fn redactor(&self, raw: &Raw) -> Result<Redactor, Error> {
        let builder = Redactor::builder();
        let builder =
            raw.redaction.pattern.iter().cloned().fold(builder, airlock_redaction::Builder::custom);
        builder.build().map_err(|error| self.wrong(format_args!("redaction.pattern: {error}")))
    }

    fn prices(&self, raw: &Raw) -> Result<PriceCard, Error> {
        match &raw.prices {
            None => Ok(PriceCard::e2b()),
            Some(table) => PriceCard::from_value(table.clone())
                .map_err(|error| self.wrong(format_args!("prices: {error}"))),
        }
    }
}

impl File {
    fn alerts(&self, raw: &Raw, args: &ConfigArgs) -> Result<Option<Endpoint>, Error> {
        let Some(alerts) = &raw.budget.alerts else { return Ok(None) };
        let Some(secret) = &args.webhook_secret else {
            return Err(self.wrong("budget.alerts.webhook needs AIRLOCK_WEBHOOK_SECRET as well"));
        };
        // An address may hold a token, so the message does not show it.
        let address = reqwest::Url::parse(&alerts.webhook)
            .map_err(|_| self.wrong("budget.alerts.webhook is no address such as https://..."))?;
        let endpoint = Endpoint::new(address, secret);
        let wrong = |why| self.wrong(format_args!("budget.alerts.webhook: {why}"));
        endpoint.map(Some).map_err(wrong)
    }
}

/// The line of a byte offset, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// Adds the nearest of the expected words to serde's "unknown field `x`, expected one of ...".
fn with_nearest(message: &str) -> String {
    let mut words = message.split('`').skip(1).step_by(2);
    let Some(unknown) = words.next().filter(|_| message.starts_with("unknown field")) else {
        return message.to_owned();
    };
    let nearest = words
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score > 0.7);
    match nearest {
        Some((_, known)) => format!("unknown key `{unknown}`; did you mean `{known}`?"),
        None => message.replacen("field", "key", 1),
    }
}

/// The path of the configuration, for logs.
pub(crate) fn shown(path: Option<&Path>) -> String {
    path.map_or_else(|| "built-in defaults".to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str) -> Result<Config, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let args = ConfigArgs { config: Some(file.path().to_owned()), ..ConfigArgs::default() };
        let name = format!("{}: ", file.path().display());
        load(&args).map_err(|error| error.message.replace(&name, ""))
    }

    #[test]
    fn a_whole_file_is_read() {
        let config = load_text(
            r#"
            [sandbox]
            template = "agents"
            [limits]
            output_bytes = 1000
            [fleet]
            sandboxes_at_once = 20
            creations_per_second = 0.5
            [secret_env]
            allow = ["env:NPM_TOKEN"]
            [budget.auto_create]
            limit = "0.50"
            [[redaction.pattern]]
            name = "ticket"
            regex = "TCK-[0-9]{6}"
            matches = ["TCK-123456"]
            [env.base]
            extends = "base"
            "#,
        );
        let config = match config {
            Ok(config) => config,
            // An environment may not extend itself; the rest is what this test is about.
            Err(message) => panic!("{message}"),
        };
        assert_eq!(config.engine.default_template, "agents");
        assert_eq!(config.engine.output.stream, 1000);
        assert_eq!(config.engine.admission.limits.at_once, Some(20));
        let rate = config.engine.admission.limits.rate.unwrap();
        assert_eq!((rate.interval, rate.burst), (Duration::from_secs(2), 1));
        assert_eq!(config.engine.auto_create.unwrap().limit, "0.5".parse().unwrap());
        assert_eq!(config.redactor.redact("see TCK-123456"), "see [REDACTED:ticket]");
    }

    #[test]
    fn a_webhook_needs_a_secret_and_a_safe_address() {
        for (address, secret, says) in [
            ("https://hooks.example/x", None, "needs AIRLOCK_WEBHOOK_SECRET"),
            ("http://hooks.example/x", Some("a-secret-of-some-length"), "must be https"),
            ("https://hooks.example/x", Some("short"), "at least 16 bytes"),
            ("https://hooks.example/x", Some("a-secret-of-some-length"), ""),
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let text = format!("[budget.alerts]\nwebhook = \"{address}\"\n");
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            let config = Some(file.path().to_owned());
            let webhook_secret = secret.map(Into::into);
            let args = ConfigArgs { config, webhook_secret, ..ConfigArgs::default() };
            match load(&args) {
                Ok(config) => assert!(says.is_empty() && config.alerts.is_some(), "{address}"),
                Err(error) => {
                    assert!(!says.is_empty() && error.message.contains(says), "{}", error.message);
                }
            }
        }
    }

    #[test]
    fn wrong_keys_name_themselves_their_line_and_the_nearest() {
        for (text, says) in [
            (
                "[limits]\noutput_byte = 3\n",
                "line 2: unknown key `output_byte`; did you mean `output_bytes`?",
            ),
            ("[limit]\n", "line 1: unknown key `limit`; did you mean `limits`?"),
            ("[budget.auto_create]\nlimit = \"-1\"\n", "line 2: must not be negative"),
            (
                "[sandbox]\n\n[env.base]\ndefalt = \"allow\"\n",
                "line 4: unknown key `env.base.defalt`; did you mean `default`?",
            ),
            ("[fleet]\nsandboxes_at_once = 0\n", "fleet.sandboxes_at_once must be at least 1"),
            ("[fleet]\ncreations_per_second = -1\n", "fleet.creations_per_second must be"),
            ("[fleet]\ncreation_burst = 3\n", "fleet.creation_burst needs"),
            ("[budget]\nslice_seconds = 9\n", "budget.slice_seconds must be at least 10"),
            ("[[redaction.pattern]]\nname = \"x\"\nregex = \"(\"\n", "redaction.pattern: "),
            ("nonsense", "line 1: "),
        ] {
            let message = load_text(text).expect_err(text);
            assert!(message.starts_with(says), "{text:?}: {message}");
        }
    }
}
