//! Context rules: a name that promises a secret, a separator, a value.
//!
//! From the word the whole identifier is read; what follows the word in it must be an
//! allowed suffix (`_key`, `_id`, not `_path`). Then a separator (`=`, `:`, `=>`, the
//! blank after `--flag`), then a value with its own terminator, then the gate.

use crate::class::Class;
use crate::gate::{self, Trust};
use crate::lists::Words;
use crate::text::{Text, Verdict};

/// A word that names secrets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) kind: &'static str,
    pub(crate) literal: &'static str,
    trust: Trust,
    /// Must begin an identifier or a part of one (`pass`, not `bypass`).
    bounded: bool,
    /// Counts only in upper case, as in an environment (`_KEY`).
    upper: bool,
}

const fn word(kind: &'static str, literal: &'static str, trust: Trust) -> Word {
    Word { kind, literal, trust, bounded: false, upper: false }
}

const fn bounded(kind: &'static str, literal: &'static str, trust: Trust) -> Word {
    Word { kind, literal, trust, bounded: true, upper: false }
}

const fn upper(kind: &'static str, literal: &'static str) -> Word {
    Word { kind, literal, trust: Trust::Strong, bounded: false, upper: true }
}

/// Every word, folded to lower case.
pub(crate) const WORDS: &[Word] = &[
    word("password", "password", Trust::Strong),
    word("password", "passwd", Trust::Strong),
    word("password", "passwort", Trust::Strong),
    word("password", "passphrase", Trust::Strong),
    word("password", "passcode", Trust::Strong),
    bounded("password", "pwd", Trust::Strong),
    bounded("password", "pass", Trust::Strong),
    upper("password", "_PW"),
    upper("secret", "_KEY"),
    upper("token", "_PAT"),
    word("secret", "secret", Trust::Strong),
    word("token", "token", Trust::Weak),
    word("credential", "credential", Trust::Weak),
    bounded("auth", "auth", Trust::Weak),
    bounded("session", "session", Trust::Weak),
    bounded("session", "sessid", Trust::Weak),
    bounded("cookie", "cookie", Trust::Weak),
    word("api_key", "apikey", Trust::Strong),
    word("api_key", "api_key", Trust::Strong),
    word("api_key", "api-key", Trust::Strong),
    word("api_key", "api key", Trust::Strong),
    word("access_key", "accesskey", Trust::Strong),
    word("access_key", "access_key", Trust::Strong),
    word("access_key", "access-key", Trust::Strong),
    word("access_key", "access key", Trust::Strong),
    word("private_key", "privatekey", Trust::Strong),
    word("private_key", "private_key", Trust::Strong),
    word("private_key", "private-key", Trust::Strong),
    word("secret", "presharedkey", Trust::Strong),
    word("secret", "signing_key", Trust::Strong),
    word("secret", "signing-key", Trust::Strong),
    word("secret", "signingkey", Trust::Strong),
    word("secret", "encryption_key", Trust::Strong),
    word("secret", "encryption-key", Trust::Strong),
    word("secret", "encryptionkey", Trust::Strong),
    word("secret", "master_key", Trust::Strong),
    word("secret", "master-key", Trust::Strong),
    word("secret", "masterkey", Trust::Strong),
    word("secret", "storage_key", Trust::Strong),
    word("secret", "storagekey", Trust::Strong),
    word("secret", "account_key", Trust::Strong),
    word("secret", "accountkey", Trust::Strong),
    word("secret", "service_key", Trust::Strong),
    word("secret", "shared_key", Trust::Strong),
    word("secret", "sharedkey", Trust::Strong),
    word("secret", "license_key", Trust::Strong),
    word("secret", "app_key", Trust::Strong),
    word("secret", "auth_key", Trust::Strong),
    word("secret", "authkey", Trust::Strong),
    word("secret", "hmac_key", Trust::Strong),
    word("secret", "jwt_key", Trust::Strong),
];

/// Parts that may follow the word in an identifier.
static SUFFIXES: Words = Words::by_first(&[
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "access",
    "api",
    "auth",
    "admin",
    "app",
    "base64",
    "b64",
    "base",
    "current",
    "development",
    "dev",
    "default",
    "db",
    "id",
    "key",
    "live",
    "new",
    "old",
    "password",
    "plaintext",
    "plain",
    "previous",
    "production",
    "prod",
    "primary",
    "raw",
    "root",
    "secret",
    "string",
    "salt",
    "staging",
    "secondary",
    "s",
    "token",
    "testing",
    "test",
    "user",
    "value",
]);

/// Last parts of an environment variable's name that make it no secret.
static NOT_SECRET: Words = Words::by_first(&[
    "age",
    "arn",
    "algorithm",
    "alg",
    "audience",
    "bits",
    "count",
    "dir",
    "driver",
    "duration",
    "expiry",
    "expires",
    "expiration",
    "enabled",
    "endpoint",
    "file",
    "field",
    "format",
    "host",
    "header",
    "issuer",
    "interval",
    "length",
    "len",
    "limit",
    "limits",
    "lifetime",
    "min",
    "max",
    "method",
    "manager",
    "mode",
    "name",
    "path",
    "port",
    "policy",
    "prefix",
    "provider",
    "required",
    "rotation",
    "region",
    "rounds",
    "suffix",
    "size",
    "store",
    "sock",
    "socket",
    "strength",
    "ttl",
    "type",
    "timeout",
    "url",
    "uri",
    "version",
]);

/// What before the word makes it harmless: pagination, counts, public halves.
static HARMLESS: Words = Words::by_last(&[
    "pub",
    "sync",
    "public",
    "pad",
    "cached",
    "keyboard",
    "page",
    "continue",
    "cache",
    "publishable",
    "hide",
    "toggle",
    "anti",
    "unk",
    "mask",
    "total",
    "num",
    "com",
    "pagination",
    "continuation",
    "min",
    "completion",
    "foreign",
    "partition",
    "cancellation",
    "no",
    "sep",
    "stop",
    "http",
    "sur",
    "eos",
    "bos",
    "cls",
    "has",
    "is",
    "tres",
    "tokens",
    "next",
    "prompt",
    "input",
    "output",
    "forgot",
    "sort",
    "object",
    "count",
    "user_agent",
    "show",
    "max",
    "by",
    "primary",
]);

const LONGEST_SUFFIX: usize = 40;
const LONGEST_SEPARATOR: usize = 40;
/// A value longer than this is taken whole, without looking for its end.
const LONGEST_VALUE: usize = 4096;
/// Bytes of an unquoted value that are searched for its end.
const LONGEST_CUT: usize = 1024;

impl Word {
    pub(crate) fn verify(&self, text: &mut Text<'_>, at: usize) -> Verdict {
        let end = at + self.literal.len();
        if self.upper && text.slice(at, end) != self.literal.as_bytes() {
            return Verdict::No;
        }
        let suffix = Class::WORD.run(text.slice(end, end + LONGEST_SUFFIX + 1));
        if suffix > LONGEST_SUFFIX {
            return Verdict::No;
        }
        let name_end = end + suffix;
        if name_end + LONGEST_SEPARATOR > text.end() && !text.complete() {
            let harmless = self.left(text, at).is_none();
            return if harmless { Verdict::No } else { undecided(text, name_end) };
        }
        let rest = text.slice(name_end, name_end + LONGEST_SEPARATOR);
        // Most words in a text are followed by nothing that separates a name from a value.
        if !rest.first().is_some_and(|b| may_separate(*b)) {
            return Verdict::No;
        }
        let glued = suffix > 0 && self.literal.len() <= 4 && text.get(end) != Some(b'_');
        if glued && !self.suffix(text.slice(end, name_end), false) {
            return Verdict::No;
        }
        let Some(left) = self.left(text, at) else { return Verdict::No };
        let name = &text.slice(at - left.len(), name_end);
        let before = text.previous(at - left.len());
        let Some(separator) = separator(rest, name, before) else { return Verdict::No };
        let env = separator.tight && !name.iter().any(|b| b.is_ascii_lowercase() || *b == b'-');
        if (self.upper && !env) || !self.suffix(text.slice(end, name_end), env) {
            return Verdict::No;
        }
        let literal = env || separator.tag || (separator.tight && name.starts_with(b"--"));
        let trust = if literal { Trust::Env } else { self.trust };
        match value(text, name_end + separator.length, trust) {
            Verdict::Hit { end, .. } if separator.tag && text.slice(end, end + 2) != b"</" => {
                Verdict::No
            }
            verdict => verdict,
        }
    }

    /// The part of the identifier before the word, if that leaves it a secret's name.
    fn left<'a>(&self, text: &Text<'a>, at: usize) -> Option<&'a [u8]> {
        let before = text.slice(at.saturating_sub(96), at);
        let left = &before[before.len() - Class::WORD.run_back(before)..];
        let first = text.get(at)?;
        if self.bounded
            && let Some(&last) = left.last()
            && Class::ALNUM.has(last)
        {
            let camel = first.is_ascii_uppercase() && last.is_ascii_lowercase();
            let upper = first.is_ascii_uppercase() && last.is_ascii_uppercase();
            if !camel && !upper {
                return None;
            }
        }
        // A name whose beginning was replaced was judged before that.
        if before[..before.len() - left.len()].ends_with(b"]")
            && memchr::memmem::find(before, b"[REDACTED:").is_some()
        {
            return None;
        }
        let trimmed = match left {
            [head @ .., b'_' | b'-'] => head,
            _ => left,
        };
        let Some(&last) = trimmed.last() else { return Some(left) };
        let harmless = HARMLESS.of(last).iter().any(|h| {
            let Some(cut) = trimmed.len().checked_sub(h.len()) else { return false };
            trimmed[cut..].eq_ignore_ascii_case(h.as_bytes())
                && (cut == 0
                    || !Class::ALNUM.has(trimmed[cut - 1])
                    || (trimmed[cut].is_ascii_uppercase() && trimmed[cut - 1].is_ascii_lowercase()))
        });
        (!harmless).then_some(left)
    }

    fn suffix(&self, suffix: &[u8], env: bool) -> bool {
        if env {
            let last = suffix.rsplit(|b| *b == b'_').next().unwrap_or_default();
            let words = last.first().map_or(&[][..], |first| NOT_SECRET.of(*first));
            return suffix.is_empty()
                || (suffix[0] == b'_' || self.literal.len() > 4)
                    && !words.iter().any(|n| last.eq_ignore_ascii_case(n.as_bytes()));
        }
        let mut rest = suffix;
        while !rest.is_empty() {
            let part = match rest {
                [b'_' | b'-', part @ ..] => part,
                _ => rest,
            };
            let Some(&first) = part.first() else { return false };
            let known = SUFFIXES.of(first).iter().find(|s| {
                part.len() >= s.len() && part[..s.len()].eq_ignore_ascii_case(s.as_bytes())
            });
            let Some(known) = known else { return false };
            rest = &part[known.len()..];
        }
        true
    }
}

/// Whether a separator may begin with this byte.
fn may_separate(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'=' | b':' | b'"' | b'\'' | b'`' | b'\\' | b'-' | b'>' | b'|')
}

/// Waits for the separator. What follows one already seen is held, the prompt itself not.
fn undecided(text: &Text<'_>, name_end: usize) -> Verdict {
    let rest = text.rest(name_end);
    let skipped = rest
        .iter()
        .position(|b| !matches!(b, b'"' | b'\'' | b'\\' | b' ' | b'\t' | b'=' | b':' | b'>' | b']'))
        .unwrap_or(rest.len());
    let separated = rest[..skipped].iter().any(|b| matches!(b, b'=' | b':'));
    let start = if separated { name_end + skipped } else { text.end() };
    Verdict::More { start, from: text.end(), class: None }
}

struct Separator {
    length: usize,
    /// `=` without blanks: as in an environment.
    tight: bool,
    /// The end of an opening tag: a closing one must follow the value.
    tag: bool,
}

fn separator(rest: &[u8], name: &[u8], before: Option<u8>) -> Option<Separator> {
    let blanks = |at: usize| {
        rest[at..].iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(rest.len() - at)
    };
    let mut at = rest.iter().position(|b| *b != b'\\')?;
    if matches!(rest.get(at), Some(b'"' | b'\'' | b'`')) {
        at += 1;
        if rest.get(at) == Some(&b']') {
            at += 1;
        }
    } else if at > 0 {
        return None;
    }
    let gap = blanks(at);
    let sign = at + gap;
    let flag = name.starts_with(b"--") || name.starts_with(b"-") && name.len() > 3;
    let (length, tight) = match &rest[sign..] {
        [b'=', b'=', ..] | [b'=', b'~', b' ', ..] | [b':', b':', ..] | [b'|', b'|', ..] => {
            return None;
        }
        [b'=' | b'-', b'>', ..] | [b':', b'=', ..] => (2, false),
        [b'=', ..] => (1, at == 0 && gap == 0),
        [b':', ..] => (1, false),
        [b'|', ..] if gap > 0 => (1, false),
        [b'>', ..] if before == Some(b'<') && gap == 0 => (1, false),
        [_, ..] if flag && gap > 0 => (0, false),
        _ => return None,
    };
    let tag = rest[sign] == b'>';
    let after = blanks(sign + length);
    let length = sign + length + after;
    let length = if rest[sign] == b':' { length + annotation(&rest[length..]) } else { length };
    (length < rest.len() || rest.len() < LONGEST_SEPARATOR).then_some(Separator {
        length,
        tight: tight && after == 0,
        tag,
    })
}

/// Length of a type between a colon and an equals sign: `password: str = ...`.
fn annotation(rest: &[u8]) -> usize {
    let of_type = |b: &&u8| {
        Class::ALNUM.has(**b)
            || matches!(**b, b'_' | b'&' | b'[' | b']' | b'<' | b'>' | b'.' | b'|' | b' ')
    };
    let length = rest.iter().take_while(of_type).count();
    match &rest[length..] {
        [b'=', next, ..]
            if !matches!(next, b'=' | b'>') && length > 2 && rest[length - 1] == b' ' =>
        {
            length + 1 + rest[length + 1..].iter().take_while(|b| **b == b' ').count()
        }
        _ => 0,
    }
}

/// A value that begins at `at`.
pub(crate) fn value(text: &mut Text<'_>, at: usize, trust: Trust) -> Verdict {
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
    if gate::is_secret(&rest[..at], true, trust) {
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
