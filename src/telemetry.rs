//! Log lines: to standard error, and never with a secret in them.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use airlock_redaction::Redactor;
use airlock_redaction::logs::{LogRedactor, RedactingWriter};
use parking_lot::Mutex;
use secrecy::SecretString;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info,temporalio_sdk_core=warn,temporalio_client=warn,hyper=warn";

/// Secrets that the log learns while the process runs, at most; each makes its redactor larger.
const MOST_LEARNT: usize = 256;

static LOG: OnceLock<LogRedactor> = OnceLock::new();

/// Lets no log line from now on carry the value behind `reference`, which this process has just
/// fetched for a run.
pub(crate) fn learn(reference: &str, value: &SecretString) {
    static LEARNT: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
    let Some(log) = LOG.get() else { return };
    let mut learnt = LEARNT.lock();
    if learnt.len() < MOST_LEARNT && learnt.insert(fingerprint(reference, value)) {
        log.learn([(reference.to_owned(), value.clone())]);
    }
}

/// Tells values apart without keeping them.
fn fingerprint(reference: &str, value: &SecretString) -> u64 {
    use secrecy::ExposeSecret as _;
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (reference, value.expose_secret()).hash(&mut hasher);
    hasher.finish()
}

/// What other people's code logs at its most detailed levels is whole payloads, encoded so that no
/// redactor can know them: inputs of runs, with whatever a caller put in. No `RUST_LOG` brings that
/// out.
fn dumps_nothing(meta: &Metadata<'_>) -> bool {
    const PAYLOADS: &[&str] = &["temporalio"];
    const BYTES: &[&str] = &["h2", "hyper", "tonic", "tower", "reqwest", "rustls", "redis", "mio"];
    let from = |roots: &[&str]| roots.iter().any(|root| meta.target().starts_with(root));
    match *meta.level() {
        Level::TRACE => !from(PAYLOADS) && !from(BYTES),
        Level::DEBUG => !from(PAYLOADS),
        _ => true,
    }
}

/// Installs the process's subscriber; every line passes `redactor` first.
pub(crate) fn init(format: LogFormat, redactor: &Redactor, quiet: bool) {
    let default = if quiet { "warn,temporalio_sdk_core=error" } else { DEFAULT_FILTER };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let redactor = LOG.get_or_init(|| redactor.clone().into());
    let writer = RedactingWriter::new(redactor.clone(), io::stderr);
    let terminal = io::stderr().is_terminal();
    let as_json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(terminal);
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(dumps_nothing));
    // The default hook prints a panic's text as it is; it may quote anything.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or_default();
        tracing::error!(place, text, "panic");
    }));
    // A second subscriber in one process (tests) is no failure: the first one stays.
    drop(if as_json {
        registry.with(layer.json().flatten_event(true).with_ansi(false)).try_init()
    } else {
        registry.with(layer.with_target(false)).try_init()
    });
}
