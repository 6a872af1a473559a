//! The only place that prints: results to standard output, errors to standard error. Nothing is
//! printed that did not pass a redactor.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

use serde::Serialize;

use airlock_redaction::Redactor;
use serde_json::Value;

use crate::exit::Error;
use crate::wiring::secrets::own_secrets;

/// Built-in rules, and this process's own secrets.
static REDACTOR: LazyLock<Redactor> =
    LazyLock::new(|| Redactor::builtin().with_values(own_secrets()));

/// What all that is printed passes.
pub(crate) fn redactor() -> &'static Redactor {
    &REDACTOR
}

/// Writes one JSON document and a line feed to standard output.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Error> {
    let text = written(value)?;
    if let Cow::Borrowed(_) = REDACTOR.redact(&text) {
        return put(&text);
    }
    let mut value: Value = serde_json::from_str(&text).map_err(io::Error::from)?;
    REDACTOR.redact_json(&mut value);
    json_as_it_is(&value)
}

/// The same for what was asked for because it is secret: a key that was just made.
pub(crate) fn json_as_it_is(value: &impl Serialize) -> Result<(), Error> {
    put(&written(value)?)
}

fn written(value: &impl Serialize) -> Result<String, Error> {
    let text = if io::stdout().is_terminal() {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    Ok(text.map_err(io::Error::from)?)
}

fn put(text: &str) -> Result<(), Error> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// Writes output of a command, which the worker has redacted.
pub(crate) fn stream(text: &str, to: &mut impl Write) -> Result<(), Error> {
    Ok(to.write_all(REDACTOR.redact(text).as_bytes())?)
}

/// As [`line()`], for what was asked for because it is secret.
pub(crate) fn line_as_it_is(text: impl std::fmt::Display) -> Result<(), Error> {
    put(&text.to_string())
}

/// Writes a line to standard output.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), Error> {
    put(&REDACTOR.redact(&text.to_string()))
}

/// Writes a line to standard error; one that cannot be written is nobody's loss.
pub(crate) fn note(text: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{}", REDACTOR.redact(&text.to_string())));
}

/// A caller's text without what a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Says how a command failed: a sentence, or JSON if that was asked for.
pub(crate) fn error(error: &Error, json: bool) {
    if error.message.is_empty() {
        return;
    }
    match &error.failure {
        Some(failure) if json => {
            note(serde_json::to_string(failure).unwrap_or_else(|_| error.message.clone()));
        }
        _ if json => note(serde_json::json!({ "message": error.message })),
        _ => note(format_args!("airlock: {}", error.message)),
    }
}
