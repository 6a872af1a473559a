//! The body of a private key: a state that drops lines until the key ends.
//!
//! A key ends at its `END` line, or at the first line that cannot be part of one, so that
//! a key cut short by `head` does not swallow all that follows. Lines may be separated by
//! escapes, as in JSON, and carry a log's prefix: the last word of a line decides.

use crate::class::Class;

/// A piece of a line longer than this is taken as a line of its own.
const LONGEST_LINE: usize = 4096;
/// A last word of this length is a line of base64.
const LEAST_LINE: usize = 16;

/// Where a key's body stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pem {
    lines: bool,
    last: bool,
    /// Bytes of the line at hand in which no end was seen.
    seen: usize,
}

/// What became of the body with the bytes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The secret reaches to here.
    pub(crate) end: usize,
    /// To be looked at next.
    pub(crate) from: usize,
    pub(crate) done: bool,
}

impl Pem {
    /// Goes on at `from`; `end` is where the secret ended so far.
    pub(crate) fn advance(
        &mut self,
        bytes: &[u8],
        mut from: usize,
        mut end: usize,
        complete: bool,
    ) -> Progress {
        loop {
            let rest = bytes.get(from..).unwrap_or_default();
            let limit = rest.len().min(LONGEST_LINE);
            let seen = self.seen.min(limit);
            let line = memchr::memchr3(b'\n', b'\r', b'\\', &rest[seen..limit])
                .map_or(limit, |length| seen + length);
            crate::work::count((line - seen.min(line)) / 8 + 8);
            // Another key begins before this line is over: this one was cut short.
            let again = memchr::memmem::find(&rest[seen.saturating_sub(9)..line], b"-----BEGIN");
            if let Some(length) = again {
                let before = &rest[..seen.saturating_sub(9) + length];
                let end = match end_marker(before) {
                    Some(marker) => from + marker,
                    None if !before.is_empty() && self.accepts(before) => from + before.len(),
                    None => end,
                };
                return Progress { end, from: end, done: true };
            }
            self.seen = line;
            if line == rest.len() && line < LONGEST_LINE && !complete {
                return Progress { end, from, done: false };
            }
            // An escape at the very end may go on.
            let open = line < rest.len() && rest[line..].iter().all(|b| *b == b'\\');
            if open && !complete {
                return Progress { end, from, done: false };
            }
            self.seen = 0;
            let line = if line == LONGEST_LINE { whole(&rest[..line]) } else { line };
            if let Some(length) = end_marker(&rest[..line]) {
                return Progress { end: from + length, from: from + length, done: true };
            }
            if !self.accepts(&rest[..line]) {
                return Progress { end, from, done: true };
            }
            if !rest[..line].is_empty() {
                end = from + line;
            }
            from += line + separator(&rest[line..]);
            if from >= bytes.len() {
                return Progress { end, from, done: complete };
            }
        }
    }

    fn accepts(&mut self, line: &[u8]) -> bool {
        let quoting = |b: &u8| matches!(b, b'"' | b'\'' | b',' | b'+' | b'>' | b'|' | b'#');
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.iter().all(quoting))
            .map(|word| trim(word, quoting));
        let Some(first) = words.next() else { return true };
        let last = words.next_back();
        let only = last.is_none();
        let last = last.unwrap_or(first);
        if self.last {
            return false;
        }
        if last.len() >= LEAST_LINE && Class::BASE64.all(last) {
            self.lines = true;
            return true;
        }
        if only && Class::BASE64.all(last) {
            self.last = self.lines;
            return true;
        }
        !self.lines && first.ends_with(b":")
    }
}

/// Length of a piece of a line without a marker that goes on after it.
fn whole(piece: &[u8]) -> usize {
    let tail = piece.len() - 64;
    let dash = memchr::memchr(b'-', &piece[tail..]).map(|dash| tail + dash);
    match end_marker(piece) {
        Some(end) if end < piece.len() || piece.ends_with(b"-----") => piece.len(),
        _ => dash.unwrap_or(piece.len()),
    }
}

fn trim(word: &[u8], quoting: impl Fn(&u8) -> bool) -> &[u8] {
    let start = word.iter().take_while(|b| quoting(b) && **b != b'+').count();
    let end = word.iter().rev().take_while(|b| quoting(b) && **b != b'+').count();
    word.get(start..word.len() - end).unwrap_or_default()
}

/// Length of a line break, plain or escaped, however often escaped.
fn separator(rest: &[u8]) -> usize {
    let slashes = rest.iter().take_while(|b| **b == b'\\').count();
    if slashes > 0 {
        let letter = matches!(rest.get(slashes), Some(b'n' | b'r' | b't'));
        return slashes + usize::from(letter);
    }
    rest.iter().take_while(|b| matches!(b, b'\n' | b'\r')).count().min(1)
}

/// Where the `END` marker of a line ends.
fn end_marker(line: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(line, b"-----END")?;
    let label = at + 8;
    let close = memchr::memmem::find(&line[label..], b"-----");
    Some(close.map_or(line.len(), |close| label + close + 5))
}
