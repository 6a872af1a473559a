//! Values: where they end, and whether they are secrets.

use crate::class::Class;
use crate::gate::{self, Trust};
use crate::text::{Text, Verdict};

/// A value longer than this is taken whole, without looking for its end.
const LONGEST_VALUE: usize = 4096;
/// Bytes of an unquoted value that are searched for its end.
const LONGEST_CUT: usize = 1024;

/// A value that begins at `at`.
pub(crate) fn value(text: &mut Text<'_>, at: usize, trust: Trust) -> Verdict {
    let at = match unwrapped(text, at) {
        Unwrapped::At(at) => at,
        Unwrapped::Undecided => {
            return Verdict::More { start: at, from: text.end(), class: None };
        }
    };
    let lead = text.slice(at, at + 8);
    let prefix = match lead {
        [b'b' | b'f' | b'r' | b'u' | b'@' | b'$', b'"' | b'\'', ..] => 1,
        _ => 0,
    };
    let slashes = lead[prefix.min(lead.len())..].iter().take_while(|b| **b == b'\\').count();
    let open = at + prefix + slashes;
    match text.get(open) {
        Some(quote @ (b'"' | b'\'' | b'`')) => quoted(text, open + 1, quote, slashes > 0, trust),
        _ if slashes > 0 && open == text.end() && !text.complete() => {
            Verdict::More { start: at, from: text.end(), class: None }
        }
        _ => unquoted(text, at, trust),
    }
}

/// Bytes of what may be put around a value.
const LONGEST_WRAPPER: usize = 64;

/// Names of what only holds a text: `Some("...")`, `String::from("...")`.
const WRAPPERS: &[&[u8]] = &[
    b"some",
    b"ok",
    b"just",
    b"new",
    b"from",
    b"string",
    b"str",
    b"text",
    b"secret",
    b"secretstring",
    b"secretstr",
    b"password",
    b"token",
];

enum Unwrapped {
    At(usize),
    Undecided,
}

/// Where the quote of a wrapped value stands, over line breaks too.
fn unwrapped(text: &Text<'_>, at: usize) -> Unwrapped {
    let lead = text.slice(at, at + LONGEST_WRAPPER);
    let name =
        lead.iter().take_while(|b| Class::LETTER.has(**b) || **b == b':' || **b == b'_').count();
    let last = lead[..name].rsplit(|b| *b == b':').next().unwrap_or_default();
    let known = |known: &&[u8]| last.eq_ignore_ascii_case(known);
    let undecided = |seen: usize| {
        let more = seen == lead.len() && seen < LONGEST_WRAPPER && !text.complete();
        if more { Unwrapped::Undecided } else { Unwrapped::At(at) }
    };
    if !WRAPPERS.iter().any(known) {
        return Unwrapped::At(at);
    }
    let Some(b'(') = lead.get(name) else { return undecided(name) };
    let mut inner = name + 1;
    // PHP says how long a string is.
    let digits = lead[inner..].iter().take_while(|b| b.is_ascii_digit()).count();
    if digits > 0 && lead.get(inner + digits) == Some(&b')') {
        inner += digits + 1;
    }
    inner += lead[inner..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    match lead.get(inner) {
        Some(b'"' | b'\'') => Unwrapped::At(at + inner),
        Some(_) => Unwrapped::At(at),
        None => undecided(inner),
    }
}

fn quoted(text: &mut Text<'_>, start: usize, quote: u8, escaped: bool, trust: Trust) -> Verdict {
    let rest = text.slice(start, start + LONGEST_VALUE);
    let mut at = 0;
    while let Some(length) =
        memchr::memchr3(quote, b'\n', b'\\', rest.get(at..).unwrap_or_default())
    {
        at += length;
        if rest[at] != b'\\' {
            break;
        }
        let slashes = rest[at..].iter().take_while(|b| **b == b'\\').count();
        if escaped && rest.get(at + slashes) == Some(&quote) {
            break;
        }
        at += if escaped { slashes } else { 2 };
    }
    crate::work::count(at / 8);
    if !matches!(rest.get(at), Some(b) if *b == quote || matches!(b, b'\n' | b'\\')) {
        at = rest.len();
    }
    let at = at.min(rest.len());
    if at == rest.len() {
        if rest.len() == LONGEST_VALUE {
            return Verdict::Grow { start, from: start, class: Class::VALUE };
        }
        if !text.complete() {
            return Verdict::More { start, from: text.end(), class: None };
        }
    }
    if at == rest.len() || rest[at] == b'\n' {
        return unquoted(text, start, trust);
    }
    // A shell runs what stands between back quotes.
    let run = quote == b'`' && rest[..at].contains(&b' ');
    if !run && gate::is_secret(&rest[..at], true, trust) {
        Verdict::Hit { start, end: start + at }
    } else {
        Verdict::No
    }
}

fn unquoted(text: &mut Text<'_>, start: usize, trust: Trust) -> Verdict {
    let run = text.run(Class::VALUE, start);
    if run.end - start > LONGEST_VALUE {
        return Verdict::Grow { start, from: start, class: Class::VALUE };
    }
    if run.open {
        return Verdict::More { start, from: run.end, class: Some(Class::VALUE) };
    }
    let end = start + cut(text.slice(start, run.end), trust == Trust::Env);
    if gate::is_secret(text.slice(start, end), false, trust) {
        Verdict::Hit { start, end }
    } else {
        Verdict::No
    }
}

/// Where an unquoted value ends inside of a run without blanks.
fn cut(value: &[u8], env: bool) -> usize {
    let mut end = value.len();
    let seen = &value[..end.min(LONGEST_CUT)];
    crate::work::count(seen.len() / 8);
    let mut joints = memchr::memchr3_iter(b'&', b';', b',', seen).peekable();
    let mut others = memchr::memchr3_iter(b'\\', b'<', b'|', seen).peekable();
    for _ in 0..8 {
        let next = match (joints.peek(), others.peek()) {
            (Some(joint), Some(other)) if joint > other => others.next(),
            (None, _) => others.next(),
            _ => joints.next(),
        };
        let Some(at) = next else { break };
        let b = value[at];
        let rest = &value[at + 1..];
        let named = || {
            let name = Class::DOTTED.run(&rest[..rest.len().min(64)]);
            name > 0 && matches!(rest.get(name), Some(b'=' | b':'))
        };
        let ends = match b {
            b'&' => rest.first() == Some(&b'&') || named(),
            b'\\' => matches!(rest.first(), Some(b'n' | b'r' | b't' | b'u')) || rest.is_empty(),
            b'<' => rest.first() == Some(&b'/'),
            b'|' => !env && rest.is_empty(),
            _ => rest.is_empty() || named() || rest.starts_with(b"\\"),
        };
        if ends {
            end = at;
            break;
        }
    }
    for _ in 0..4 {
        let Some(last) = end.checked_sub(1).map(|last| value[last]) else { break };
        let opener = match last {
            b')' => Some(b'('),
            b']' => Some(b'['),
            b'}' => Some(b'{'),
            b',' | b';' => None,
            _ => break,
        };
        if opener
            .is_some_and(|opener| value[end.saturating_sub(LONGEST_CUT)..end].contains(&opener))
        {
            break;
        }
        end -= 1;
    }
    end
}
