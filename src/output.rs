//! The only place that prints: results to standard output, errors to standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::exit::Error;

/// Writes one JSON document and a line feed to standard output.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let written = if out.is_terminal() {
        serde_json::to_writer_pretty(&mut out, value)
    } else {
        serde_json::to_writer(&mut out, value)
    };
    written.map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Writes a line to standard output.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), Error> {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Writes a line to standard error; one that cannot be written is nobody's loss.
pub(crate) fn note(text: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{text}"));
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
