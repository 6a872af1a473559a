//! Log lines: to standard error, and never with a secret in them.

use std::io::{self, IsTerminal};

use airlock_redaction::Redactor;
use airlock_redaction::logs::RedactingWriter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info,temporalio_sdk_core=warn,temporalio_client=warn,hyper=warn";

/// Installs the process's subscriber; every line passes `redactor` first.
pub(crate) fn init(format: LogFormat, redactor: &Redactor, quiet: bool) {
    let default = if quiet { "warn,temporalio_sdk_core=error" } else { DEFAULT_FILTER };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let writer = RedactingWriter::new(redactor.clone(), io::stderr);
    let terminal = io::stderr().is_terminal();
    let as_json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(terminal);
    let registry = tracing_subscriber::registry().with(filter);
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
