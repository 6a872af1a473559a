//! Shapes: secrets that are recognised by how they look, each a row of a table.
//!
//! A row says an anchor and the runs after it in a small notation: `a36+` is at least 36
//! of `[A-Za-z0-9]`, `h32` exactly 32 hex digits, `w20-64` a range, `'.'` a literal.
//! Providers lengthen their tokens, so rows give a minimum and swallow the rest of the
//! run; an exact length stands only where the anchor is too short to prove anything.

use crate::class::Class;
use crate::gate;
use crate::text::{Text, Verdict};

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) kind: &'static str,
    pub(crate) anchors: &'static [&'static str],
    pub(crate) body: &'static str,
    /// A run before the anchor that belongs to the secret.
    pub(crate) before: Option<&'static str>,
    /// The byte before must not be of base64 either; for anchors that blobs contain.
    pub(crate) strict: bool,
    /// The body needs two of digits, upper case and lower case.
    pub(crate) mixed: bool,
    /// The anchor itself is readable and stays: only what follows is secret.
    pub(crate) keep: bool,
    /// Looks alike and must stay; read by the tests of the table.
    #[cfg_attr(not(test), allow(dead_code, reason = "examples are run by the tests"))]
    pub(crate) leaves: &'static [&'static str],
}

/// A row with defaults.
pub(crate) const fn row(
    kind: &'static str,
    anchors: &'static [&'static str],
    body: &'static str,
) -> Row {
    Row { kind, anchors, body, before: None, strict: false, mixed: false, keep: false, leaves: &[] }
}

impl Row {
    pub(crate) const fn before(self, before: &'static str) -> Self {
        Self { before: Some(before), ..self }
    }

    pub(crate) const fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    pub(crate) const fn mixed(self) -> Self {
        Self { mixed: true, ..self }
    }

    pub(crate) const fn keep(self) -> Self {
        Self { keep: true, ..self }
    }

    pub(crate) const fn leaves(self, leaves: &'static [&'static str]) -> Self {
        Self { leaves, ..self }
    }
}

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Run { class: Class, min: usize, max: usize },
    Literal(Box<[u8]>),
}

/// A row, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) segments: Vec<Segment>,
    before: Option<(Class, usize, usize)>,
    strict: bool,
    mixed: bool,
    keep: bool,
}

impl Shape {
    /// None if the notation is wrong; a test holds that no row is.
    pub(crate) fn new(row: &Row) -> Option<Self> {
        let segments = parse(row.body)?;
        let before = match row.before.map(parse) {
            None => None,
            Some(parsed) => match *parsed? {
                [Segment::Run { class, min, max }] => Some((class, min, max)),
                _ => return None,
            },
        };
        let Row { strict, mixed, keep, .. } = *row;
        Some(Self { segments, before, strict, mixed, keep })
    }

    /// What may follow the anchor, to find short ones.
    pub(crate) fn first_class(&self) -> Option<Class> {
        match self.segments.first() {
            Some(Segment::Run { class, .. }) => Some(*class),
            _ => None,
        }
    }

    pub(crate) fn before_class(&self) -> Option<Class> {
        self.before.map(|(class, ..)| class)
    }

    pub(crate) fn verify(&self, text: &mut Text<'_>, anchor: usize, length: usize) -> Verdict {
        let Some(start) = self.start(text, anchor) else { return Verdict::No };
        let body = anchor + length;
        let start = if self.keep { body } else { start };
        let mut at = body;
        for (number, segment) in self.segments.iter().enumerate() {
            let last = number + 1 == self.segments.len();
            match segment {
                Segment::Literal(literal) => match follows(text, at, literal) {
                    Some(true) => at += literal.len(),
                    Some(false) => return Verdict::No,
                    None => return Verdict::More { start, from: text.end(), class: None },
                },
                &Segment::Run { class, min, max } => {
                    let run = text.run(class, at);
                    let length = run.end - at;
                    if last && max == usize::MAX && length >= min {
                        return self.grow(text, start, body, at + min, class);
                    }
                    if length > max || (length < min && !run.open) {
                        return Verdict::No;
                    }
                    if run.open {
                        return Verdict::More { start, from: run.end, class: Some(class) };
                    }
                    at = run.end;
                }
            }
        }
        if !self.plausible(text.slice(body, at))
            || text.get(at).is_some_and(|b| Class::ALNUM.has(b))
        {
            return Verdict::No;
        }
        Verdict::Hit { start, end: at }
    }

    /// Where the secret begins, if what stands before the anchor allows one.
    fn start(&self, text: &Text<'_>, anchor: usize) -> Option<usize> {
        let start = match self.before {
            None => anchor,
            Some((class, min, max)) => {
                let length = class.run_back(text.before(anchor)).min(max);
                let fits = |&length: &usize| {
                    let start = anchor - length;
                    // The letter of an escape is not of the token.
                    let escape = text.previous(start) == Some(b'\\')
                        && matches!(text.get(start), Some(b'n' | b'r' | b't'));
                    begins(text, start, self.strict) && !escape
                };
                anchor - (min..=length).rev().find(fits)?
            }
        };
        begins(text, start, self.strict).then_some(start)
    }

    fn grow(
        &self,
        text: &Text<'_>,
        start: usize,
        body: usize,
        from: usize,
        class: Class,
    ) -> Verdict {
        if !self.plausible(text.slice(body, from)) {
            return Verdict::No;
        }
        Verdict::Grow { start, from, class: widened(class) }
    }

    fn plausible(&self, body: &[u8]) -> bool {
        let seen = &body[..body.len().min(128)];
        !gate::is_placeholder_body(seen) && (!self.mixed || gate::is_mixed(seen))
    }
}

/// The class that ends a token: never in the middle of a word.
fn widened(class: Class) -> Class {
    match class {
        Class::LOWER | Class::UPPER | Class::HEX | Class::DIGIT | Class::BASE32 | Class::LETTER => {
            Class::ALNUM
        }
        other => other,
    }
}

/// Whether a token may begin at `at`: not in the middle of a word, unless what stands
/// before is the letter of an escape (`\n`, `%3D`, a terminal colour's `m`).
pub(crate) fn begins(text: &Text<'_>, at: usize, strict: bool) -> bool {
    let before = text.before(at);
    let Some(&last) = before.last() else { return true };
    if strict && matches!(last, b'+' | b'/' | b'_' | b'-') {
        return false;
    }
    if !Class::ALNUM.has(last) {
        return true;
    }
    let head = &before[..before.len() - 1];
    match last {
        b'n' | b'r' | b't' | b'b' | b'f' if head.ends_with(b"\\") => true,
        // Telegram's URLs.
        b't' if head.ends_with(b"/bo") => true,
        b'm' => {
            let codes = head.iter().rev().position(|b| !matches!(b, b'0'..=b'9' | b';'));
            codes.is_some_and(|n| {
                let head = &head[..head.len() - n];
                head.ends_with(b"\x1b[") || head.ends_with(b"\\e[") || head.ends_with(b"033[")
            })
        }
        _ if Class::HEX.has(last) => {
            let escape = head.len().checked_sub(2).map(|n| &head[n..]);
            escape.is_some_and(|e| e[0] == b'%' && Class::HEX.has(e[1]))
                || head.len() >= 5
                    && head[head.len() - 5..].starts_with(b"\\u00")
                    && Class::HEX.has(head[head.len() - 1])
        }
        _ => false,
    }
}

/// Whether `literal` follows at `at`; None if the text ends before that is known.
pub(crate) fn follows(text: &Text<'_>, at: usize, literal: &[u8]) -> Option<bool> {
    let found = text.slice(at, at + literal.len());
    if found.len() == literal.len() {
        return Some(found == literal);
    }
    if literal.starts_with(found) && !text.complete() { None } else { Some(false) }
}

/// Reads the notation of a body.
pub(crate) fn parse(body: &str) -> Option<Vec<Segment>> {
    body.split(' ').map(parse_segment).collect()
}

fn parse_segment(segment: &str) -> Option<Segment> {
    if let Some(literal) = segment.strip_prefix('\'').and_then(|s| s.strip_suffix('\'')) {
        return Some(Segment::Literal(literal.as_bytes().into()));
    }
    let (class, length) = segment.split_at_checked(1)?;
    let class = match class {
        "a" => Class::ALNUM,
        "l" => Class::LOWER,
        "u" => Class::UPPER,
        "h" => Class::HEX,
        "d" => Class::DIGIT,
        "w" => Class::WORD,
        "b" => Class::BASE64,
        "B" => Class::BASE32,
        "L" => Class::LETTER,
        "t" => Class::TOKEN,
        "p" => Class::PERCENT,
        "." => Class::DOTTED,
        _ => return None,
    };
    if let Some(min) = length.strip_suffix('+') {
        return Some(Segment::Run { class, min: min.parse().ok()?, max: usize::MAX });
    }
    let (min, max) = length.split_once('-').unwrap_or((length, length));
    Some(Segment::Run { class, min: min.parse().ok()?, max: max.parse().ok()? })
}
