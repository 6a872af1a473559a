//! The redactor, its builder and its streams.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::compiled::{BUILTIN, Compiled};
use crate::custom::CustomPattern;
use crate::error::Error;
use crate::known::{self, Refusal};
use crate::report::Report;
use crate::scan::Scanner;
use crate::text::LOOK_BACK;

/// Bytes that a stream takes in at once.
const PIECE: usize = 64 * 1024;
/// Raw bytes that a stream keeps behind its position, so that rules can look back.
const KEPT: usize = 2 * LOOK_BACK;

/// Finds and replaces secrets. Cheap to clone: the rules are shared.
#[derive(Clone)]
pub struct Redactor {
    compiled: Arc<Compiled>,
}

impl Redactor {
    /// The kind of a known value in markers and reports.
    pub const KNOWN_VALUE: &'static str = crate::compiled::KNOWN;

    /// Every built-in rule, no known values.
    pub fn builtin() -> Self {
        Self { compiled: Arc::clone(&BUILTIN) }
    }

    /// Built-in rules with known values and patterns on top.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The same redactor with more known values, such as one run's environment. A value
    /// that would hide ordinary text is left out; see [`refuse`](Self::refuse).
    #[must_use]
    pub fn with_values<I>(&self, values: I) -> Self
    where
        I: IntoIterator<Item = (String, SecretString)>,
    {
        let values: Vec<_> = values.into_iter().collect();
        if values.is_empty() {
            return self.clone();
        }
        let values = values.iter().map(|(_, value)| value.expose_secret());
        Self { compiled: Arc::new(self.compiled.with_values(values)) }
    }

    /// Why a value would not be masked, if it would not.
    pub fn refuse(value: &SecretString) -> Option<Refusal> {
        known::refusal(value.expose_secret())
    }

    /// Replaces each secret in `text` by `[REDACTED:kind]`. Borrowed if there is none.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redact_report(text).0
    }

    /// As [`redact`](Self::redact), for bytes that need not be UTF-8.
    pub fn redact_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.redact_bytes_report(bytes).0
    }

    /// As [`redact`](Self::redact), and says what was replaced.
    pub fn redact_report<'a>(&self, text: &'a str) -> (Cow<'a, str>, Report) {
        match self.redact_bytes_report(text.as_bytes()) {
            (Cow::Borrowed(_), report) => (Cow::Borrowed(text), report),
            (Cow::Owned(bytes), report) => {
                let text = String::from_utf8(bytes)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
                (Cow::Owned(text), report)
            }
        }
    }

    /// As [`redact_bytes`](Self::redact_bytes), and says what was replaced.
    pub fn redact_bytes_report<'a>(&self, bytes: &'a [u8]) -> (Cow<'a, [u8]>, Report) {
        let mut scanner = Scanner::new();
        scanner.advance(&self.compiled, bytes, 0, true);
        if scanner.is_clean() {
            return (Cow::Borrowed(bytes), Report::default());
        }
        let mut out = Vec::with_capacity(bytes.len() + 64);
        scanner.emit(&self.compiled, bytes, 0, true, &mut out);
        (Cow::Owned(out), scanner.into_report())
    }

    /// The kind of a secret in `text` that is known by its look or its value alone, whatever
    /// stands around it: for names, where `token:...` says nothing.
    pub fn token_in(&self, text: &str) -> Option<&str> {
        let (_, report) = self.redact_report(text);
        report.found.iter().find_map(|found| self.compiled.kind_by_look(&found.kind))
    }

    /// A stream of bytes, such as one file descriptor of a process.
    pub fn stream(&self) -> Stream {
        Stream {
            compiled: Arc::clone(&self.compiled),
            scanner: Scanner::new(),
            buffer: Vec::new(),
            base: 0,
        }
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::builtin()
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Known values are secrets.
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

/// Collects known values and patterns.
#[derive(Clone, Default)]
pub struct Builder {
    values: Vec<SecretString>,
    patterns: Vec<CustomPattern>,
}

impl Builder {
    /// Adds a value to be masked wherever it stands, in every usual encoding. `name` is what
    /// the value is called; it is not printed. A value that would hide ordinary text is left
    /// out; see [`Redactor::refuse`].
    #[must_use]
    pub fn known_value(mut self, name: impl Into<String>, value: SecretString) -> Self {
        let _: String = name.into();
        self.values.push(value);
        self
    }

    /// Adds a pattern.
    #[must_use]
    pub fn custom(mut self, pattern: CustomPattern) -> Self {
        self.patterns.push(pattern);
        self
    }

    /// Compiles everything and runs the patterns' examples.
    pub fn build(self) -> Result<Redactor, Error> {
        let values = self.values.iter().map(SecretString::expose_secret);
        let compiled = BUILTIN.with_values(values).with_customs(&self.patterns)?;
        Ok(Redactor { compiled: Arc::new(compiled) })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("values", &self.values.len())
            .field("patterns", &self.patterns)
            .finish()
    }
}

/// Redacts one stream of bytes as it arrives.
///
/// The output does not depend on how the bytes were cut into chunks. What may be the
/// beginning of a secret is held back: usually under 128 bytes, never over 16 KiB.
#[derive(Clone)]
pub struct Stream {
    compiled: Arc<Compiled>,
    scanner: Scanner,
    buffer: Vec<u8>,
    /// Absolute position of the buffer's first byte.
    base: usize,
}

impl Stream {
    /// Takes the next bytes, appends what is settled to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        for piece in chunk.chunks(PIECE) {
            self.buffer.extend_from_slice(piece);
            self.scanner.advance(&self.compiled, &self.buffer, self.base, false);
            self.scanner.emit(&self.compiled, &self.buffer, self.base, false, out);
            self.forget();
        }
    }

    /// Nothing came for a while, as at a prompt without a line's end: writes all that is
    /// held back, a marker in place of what may be a secret, and swallows its rest later.
    pub fn idle(&mut self, out: &mut Vec<u8>) {
        self.scanner.idle(&self.compiled, &self.buffer, self.base, out);
    }

    /// The stream is over.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Report {
        self.scanner.advance(&self.compiled, &self.buffer, self.base, true);
        self.scanner.emit(&self.compiled, &self.buffer, self.base, true, out);
        self.scanner.into_report()
    }

    /// What was replaced so far.
    pub fn report(&self) -> &Report {
        self.scanner.report()
    }

    /// Bytes taken in that are not yet written or masked.
    pub fn held_back(&self) -> usize {
        self.scanner.held_back(self.base + self.buffer.len())
    }

    /// Rules with other known values from here on, such as a rotated secret. What is held
    /// back is judged by the new rules.
    pub fn swap(&mut self, redactor: &Redactor) {
        let compiled = self.scanner.swap(&self.compiled, &redactor.compiled);
        self.compiled = compiled;
    }

    fn forget(&mut self) {
        let needed = self.scanner.needed_from(&self.compiled) - self.base;
        let unneeded = needed.saturating_sub(KEPT);
        if unneeded > 0 {
            crate::work::count(self.buffer.len() / 8);
            self.buffer.drain(..unneeded);
            self.base += unneeded;
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("position", &self.base).finish_non_exhaustive()
    }
}
