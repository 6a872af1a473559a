//! Patterns of the operator's own: regular expressions, searched line by line.
//!
//! A line is searched as soon as it is complete; a line longer than [`WINDOW`] in windows
//! that overlap by half, at fixed distances from its beginning. So a match may be at most
//! half a window long, and the result does not depend on how the stream was cut.

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::compiled::Compiled;
use crate::error::Error;

/// Bytes of a line that are searched at once.
const WINDOW: usize = 8 * 1024;
/// Longest match of a custom pattern, in bytes.
pub(crate) const LONGEST_MATCH: usize = WINDOW / 2;
/// Most patterns of one redactor.
pub(crate) const MOST_PATTERNS: usize = 64;
/// Memory of one compiled expression, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

/// A pattern of the operator's own, with the examples that prove it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct CustomPattern {
    /// Becomes the kind: `[REDACTED:name]`.
    pub name: String,
    /// A regular expression in the syntax of the `regex` crate. Group 1, if there is one,
    /// is the secret; otherwise the whole match. It sees one line at a time.
    pub regex: String,
    /// A longer match is ignored. In bytes, at most 4096; 1024 unless set.
    #[serde(default)]
    pub max_length: Option<usize>,
    /// Texts in which it must find something.
    #[serde(default)]
    pub matches: Vec<String>,
    /// Texts in which it must find nothing.
    #[serde(default)]
    pub leaves: Vec<String>,
}

/// A pattern, compiled and proved by its examples.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    regex: Regex,
    longest: usize,
    pub(crate) kind: u16,
}

impl Custom {
    pub(crate) fn new(pattern: &CustomPattern, kind: u16) -> Result<Self, Error> {
        let name = || pattern.name.clone();
        let proper = pattern.name.len() <= 40
            && pattern.name.starts_with(|c: char| c.is_ascii_lowercase())
            && pattern
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
        if !proper {
            return Err(Error::Name { name: name() });
        }
        let longest = pattern.max_length.unwrap_or(1024);
        if longest == 0 || longest > LONGEST_MATCH {
            return Err(Error::Length { name: name(), length: longest, limit: LONGEST_MATCH });
        }
        let regex = RegexBuilder::new(&pattern.regex)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|source| Error::Syntax { name: name(), source: Box::new(source) })?;
        if regex.is_match(b"") {
            return Err(Error::Empty { name: name() });
        }
        let custom = Self { regex, longest, kind };
        let finds =
            |text: &String| text.lines().any(|line| custom.spans(line.as_bytes()).next().is_some());
        if let Some(at) = pattern.matches.iter().position(|text| !finds(text)) {
            return Err(Error::NotMatched { name: name(), number: at + 1 });
        }
        if let Some(at) = pattern.leaves.iter().position(finds) {
            return Err(Error::Matched { name: name(), number: at + 1 });
        }
        Ok(custom)
    }

    fn spans<'a>(&'a self, line: &'a [u8]) -> impl Iterator<Item = (usize, usize)> + 'a {
        self.regex.captures_iter(line).filter_map(|found| {
            let span = found.get(1).or_else(|| found.get(0))?;
            (!span.is_empty() && span.len() <= self.longest).then(|| (span.start(), span.end()))
        })
    }
}

/// How far the lines of a stream were searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines {
    /// Beginning of the window not yet searched.
    start: usize,
    /// No line break between `start` and here.
    seen: usize,
}

impl Lines {
    pub(crate) const fn new() -> Self {
        Self { start: 0, seen: 0 }
    }

    pub(crate) fn start(&self, compiled: &Compiled) -> usize {
        if compiled.customs.is_empty() { usize::MAX } else { self.start }
    }

    /// No span of a custom pattern will begin before this.
    pub(crate) fn settled(&self, compiled: &Compiled) -> usize {
        self.start(compiled)
    }

    /// After a pause the rest of the line counts as a new one.
    pub(crate) fn skip_to(&mut self, position: usize) {
        self.start = self.start.max(position);
        self.seen = self.seen.max(position);
    }

    pub(crate) fn advance(
        &mut self,
        compiled: &Compiled,
        bytes: &[u8],
        base: usize,
        complete: bool,
        mut found: impl FnMut(usize, usize, u16),
    ) {
        if compiled.customs.is_empty() {
            return;
        }
        loop {
            let start = self.start - base;
            let seen = self.seen.max(self.start) - base;
            let limit = bytes.len().min(start + WINDOW);
            let line = memchr::memchr(b'\n', bytes.get(seen..limit).unwrap_or_default());
            let (end, next) = match line {
                Some(length) => (seen + length, seen + length + 1),
                None if limit == start + WINDOW => (limit, start + WINDOW / 2),
                None if complete && start < bytes.len() => (bytes.len(), bytes.len()),
                None => {
                    self.seen = base + limit;
                    return;
                }
            };
            for custom in &compiled.customs {
                for (from, to) in custom.spans(&bytes[start..end]) {
                    found(base + start + from, base + start + to, custom.kind);
                }
            }
            self.start = base + next;
            self.seen = base + next;
        }
    }
}
