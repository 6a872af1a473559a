//! `airlock redact`: standard input to standard output, without the secrets, as bytes arrive.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use airlock_redaction::{Redactor, Stream};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use secrecy::SecretString;
use serde_json::json;

use crate::cli::RedactArgs;
use crate::config;
use crate::exit::Error;

/// After this many milliseconds without input, what is settled is shown: a prompt has no line feed.
const IDLE: u8 = 200;

/// Streams until the input ends.
pub(crate) fn run(args: &RedactArgs) -> Result<(), Error> {
    let redactor = config::redactor(&args.config)?;
    let redactor = match &args.secrets_from {
        Some(path) => redactor.with_values(known_values(path)?),
        None => redactor,
    };
    let report = copy(&redactor)?;
    if let Some(path) = &args.report {
        let text = json!({ "counts": report.counts, "found": report.found }).to_string();
        std::fs::write(path, text).map_err(|error| {
            Error::failed(format_args!("{} cannot be written: {error}", path.display()))
        })?;
    }
    Ok(())
}

fn copy(redactor: &Redactor) -> Result<airlock_redaction::Report, Error> {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut stream: Stream = redactor.stream();
    let mut buffer = vec![0_u8; 64 * 1024];
    let mut clean = Vec::with_capacity(buffer.len());
    loop {
        clean.clear();
        if waits(&input) {
            stream.idle(&mut clean);
            output.write_all(&clean)?;
            output.flush()?;
            clean.clear();
        }
        let count = input.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        stream.push(&buffer[..count], &mut clean);
        output.write_all(&clean)?;
        output.flush()?;
    }
    clean.clear();
    let report = stream.finish(&mut clean);
    output.write_all(&clean)?;
    output.flush()?;
    Ok(report)
}

/// Whether nothing comes for a while.
fn waits(input: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::from(IDLE)), Ok(0))
}

/// Reads known values: JSON `{"NAME": "value"}`, or `NAME=value` lines.
fn known_values(path: &Path) -> Result<Vec<(String, SecretString)>, Error> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::config(format_args!("{shown} cannot be read: {error}")))?;
    if text.trim_start().starts_with('{') {
        let map: BTreeMap<String, SecretStringValue> =
            serde_json::from_str(&text).map_err(|error| {
                // serde's text may quote the value: only the place is told.
                Error::config(format_args!(
                    "{shown} is no JSON object of strings (line {}, column {})",
                    error.line(),
                    error.column()
                ))
            })?;
        return Ok(map.into_iter().map(|(name, value)| (name, value.0)).collect());
    }
    let mut values = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            let number = number + 1;
            return Err(Error::config(format_args!("{shown} line {number} is not NAME=value")));
        };
        let value = value.trim();
        let unquoted = ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
            .unwrap_or(value);
        values.push((name.trim().to_owned(), SecretString::from(unquoted.to_owned())));
    }
    Ok(values)
}

/// A value that is a secret from the moment it is read.
struct SecretStringValue(SecretString);

impl<'de> serde::Deserialize<'de> for SecretStringValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}
