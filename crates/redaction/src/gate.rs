//! Gates: what looks like a value and is no secret.
//!
//! A gate reads at most the first [`SEEN`] bytes of a value, so that its cost does not
//! depend on how long a hostile value is.

use crate::class::Class;

/// Bytes of a value that a gate reads.
pub(crate) const SEEN: usize = 256;

/// How much a value must prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// The name proves little (`auth`, `session`, `token` in prose): the value must look random.
    Weak,
    /// The name is one of passwords or keys.
    Strong,
    /// `NAME=value` in an environment: everything but a placeholder is secret.
    Env,
}

/// A body of a shape that nobody generated: `xxxx`, `your-key-here`.
pub(crate) fn is_placeholder_body(body: &[u8]) -> bool {
    (body.len() >= 8 && distinct(body) < 5)
        || ["xxxxx", "your", "placeholder", "redacted"].iter().any(|w| contains_fold(body, w))
}

/// Two at least of digits, upper case and lower case.
pub(crate) fn is_mixed(body: &[u8]) -> bool {
    let has = |of: fn(&u8) -> bool| u8::from(body.iter().any(of));
    has(u8::is_ascii_digit) + has(u8::is_ascii_uppercase) + has(u8::is_ascii_lowercase) > 1
}

fn distinct(body: &[u8]) -> u32 {
    let mut seen = [0_u64; 4];
    for &b in body {
        seen[usize::from(b >> 6)] |= 1 << (b & 63);
    }
    seen.iter().map(|word| word.count_ones()).sum()
}

pub(crate) fn contains_fold(body: &[u8], word: &str) -> bool {
    body.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
}

fn starts_fold(body: &[u8], word: &str) -> bool {
    body.len() >= word.len() && body[..word.len()].eq_ignore_ascii_case(word.as_bytes())
}

/// Words that stand where a secret would, in any case.
const STAND_INS: &[&str] = &[
    "null",
    "none",
    "nil",
    "undefined",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "string",
    "str",
    "int",
    "integer",
    "number",
    "bool",
    "boolean",
    "bytes",
    "text",
    "object",
    "any",
    "optional",
    "required",
    "redacted",
    "hidden",
    "masked",
    "placeholder",
    "todo",
    "tbd",
    "fixme",
    "n/a",
    "na",
    "empty",
    "unset",
    "not_set",
    "notset",
    "missing",
    "default",
    "example",
    "changeme",
    "change_me",
    "change-me",
    "changeit",
    "replaceme",
    "replace_me",
    "replace-me",
    "password",
    "passwd",
    "pass",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "bearer",
    "basic",
    "key",
    "apikey",
    "api_key",
    "api-key",
    "value",
    "enabled",
    "disabled",
    "encrypted",
    "valid",
    "invalid",
    "expired",
    "sensitive",
    "unknown",
    "varchar",
    "secretstring",
    "char",
    "function",
    "async",
    "await",
    "new",
    "return",
    "self",
    "this",
    "dummy",
    "foobar",
    "ok",
    "failed",
    "success",
    "username",
    "user",
];

/// A template, a variable, a mask, or one of the usual words.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    let value = &value[..value.len().min(SEEN)];
    let Some(&first) = value.first() else { return true };
    let last = value[value.len() - 1];
    let template = match first {
        b'$' => is_variable(&value[1..]),
        b'{' => value.starts_with(b"{{") || last == b'}',
        b'<' => last == b'>' || value.get(1) == Some(&b'/'),
        b'%' => last == b'%' || value == b"%s" || value.get(1) == Some(&b'('),
        b'[' => value.starts_with(b"[REDACTED") || last == b']',
        b'(' => last == b')',
        b'@' => value.starts_with(b"@{") || value.starts_with(b"@@"),
        b'#' => value.starts_with(b"#{"),
        b'*' => value.starts_with(b"***"),
        _ => false,
    };
    template
        || distinct(value) < 2
        || (value.len() >= 4 && distinct(value) < 3 && !Class::ALNUM.all(value))
        || STAND_INS.iter().any(|w| value.eq_ignore_ascii_case(w.as_bytes()))
        || [b"[REDACTED".as_slice(), b"${", b"{{", b"$(", b"xxxx", b"XXXX", b"****"]
            .iter()
            .any(|mark| value.windows(mark.len()).any(|w| w == *mark))
        || ["your", "my-", "my_", "some-", "some_", "insert", "enter", "the-", "<"]
            .iter()
            .any(|w| starts_fold(value, w) && !value.iter().any(u8::is_ascii_digit))
        || ["your-", "your_", "yourpass", "yoursecret", "yourtoken", "placeholder"]
            .iter()
            .any(|w| contains_fold(value, w))
}

/// `$NAME`, `${...}`, `$(...)`, `$1`: not `$2b$...` or `$ecret9!`.
fn is_variable(rest: &[u8]) -> bool {
    match rest.first() {
        None | Some(b'{' | b'(') => true,
        Some(b) if b.is_ascii_digit() => rest.len() == 1,
        Some(_) => {
            let name = rest.iter().all(|b| Class::ALNUM.has(*b) || *b == b'_');
            let upper = !rest.iter().any(u8::is_ascii_lowercase);
            let lower = !rest.iter().any(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            name && (upper || lower || rest.contains(&b'_'))
        }
    }
}

/// Whether a value of a secret's name is a secret.
pub(crate) fn is_secret(value: &[u8], quoted: bool, trust: Trust) -> bool {
    let seen = &value[..value.len().min(SEEN)];
    if is_placeholder(seen) || is_path(seen) || is_plain_url(seen) {
        return false;
    }
    let least = match trust {
        Trust::Env => 4,
        Trust::Strong if quoted => 5,
        Trust::Strong => 6,
        Trust::Weak => 8,
    };
    if value.len() < least {
        return false;
    }
    if Class::DIGIT.all(seen) {
        return trust >= Trust::Strong && value.len() >= 4;
    }
    if trust == Trust::Env {
        return !is_call(seen);
    }
    if seen.contains(&b' ') {
        return trust == Trust::Strong && quoted && is_phrase(seen);
    }
    if !quoted && (is_call(seen) || is_reference(seen)) {
        return false;
    }
    if is_word(seen) {
        return quoted && trust == Trust::Strong && !names_a_secret(seen);
    }
    trust == Trust::Strong || looks_random(seen)
}

/// Only letters, underscores and hyphens, cased as words are.
fn is_word(value: &[u8]) -> bool {
    if !value.iter().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.')) {
        return false;
    }
    let turns = value.windows(2).filter(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase());
    turns.count() * 5 < value.len()
}

/// A string that talks about secrets: `enter-password`, `userToken`.
fn names_a_secret(value: &[u8]) -> bool {
    ["password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key", "enter"]
        .iter()
        .any(|w| contains_fold(value, w))
}

/// Code that yields a value: `getenv(...)`, `input["x"]`.
fn is_call(value: &[u8]) -> bool {
    let opens = value.iter().position(|b| matches!(b, b'(' | b'['));
    opens.is_some_and(|at| {
        let name = value[..at].iter().all(|b| {
            Class::ALNUM.has(*b) || matches!(b, b'_' | b'.' | b':' | b'&' | b'*' | b'!' | b'$')
        });
        name && (at > 0 || value.len() < 3)
    })
}

/// Names joined by dots, colons or arrows: `self.password`, `req.body.token`, `Foo::BAR`.
fn is_reference(value: &[u8]) -> bool {
    let Some(first) = value.first() else { return false };
    let start = first.is_ascii_alphabetic() || matches!(first, b'_' | b'&' | b'*' | b'@' | b'!');
    let names = value.iter().all(|b| {
        Class::ALNUM.has(*b)
            || matches!(b, b'_' | b'.' | b':' | b'?' | b'&' | b'*' | b'>' | b'!' | b'@')
    });
    let joined = value
        .windows(2)
        .any(|w| (w[0] == b'.' || w == b"::") && (w[1].is_ascii_alphabetic() || w[1] == b':'));
    start && names && joined && value.len() < 64 && !digits_inside(value)
}

fn digits_inside(value: &[u8]) -> bool {
    value.iter().filter(|b| b.is_ascii_digit()).count() > 2
}

/// A passphrase in quotes: words of which one holds letters and digits both.
fn is_phrase(value: &[u8]) -> bool {
    !value.iter().any(|b| matches!(b, b'{' | b'(' | b'<'))
        && value
            .split(|b| *b == b' ')
            .any(|word| word.len() > 4 && is_mixed(word) && word.iter().any(u8::is_ascii_digit))
        && value.split(|b| *b == b' ').count() < 8
}

/// Letters and digits, or letters of random case, or enough symbols.
fn looks_random(value: &[u8]) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let turns = value
        .windows(2)
        .filter(|w| w[0].is_ascii_alphanumeric() && w[1].is_ascii_alphanumeric())
        .filter(|w| {
            kind_of(w[0]) != kind_of(w[1])
                && !(w[0].is_ascii_uppercase() && w[1].is_ascii_lowercase())
        })
        .count();
    (digits > 0 && turns >= 2) || turns * 4 >= value.len()
}

fn kind_of(b: u8) -> u8 {
    match b {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    }
}

/// `/etc/x`, `./x`, `~/x`, `C:\x`.
pub(crate) fn is_path(value: &[u8]) -> bool {
    let rooted = match value {
        [b'/', rest @ ..] => rest.first().is_none_or(|b| Class::DOTTED.has(*b)),
        [b'.', b'/', ..] | [b'~', b'/', ..] | [b'.', b'.', b'/', ..] => true,
        [drive, b':', b'\\' | b'/', ..] => drive.is_ascii_alphabetic(),
        _ => false,
    };
    rooted && value.split(|b| matches!(b, b'/' | b'\\')).all(|part| !is_random_part(part))
}

fn is_random_part(part: &[u8]) -> bool {
    part.len() >= 12
        && !part.contains(&b'.')
        && part.iter().any(u8::is_ascii_digit)
        && part.iter().any(u8::is_ascii_uppercase)
        && part.iter().any(u8::is_ascii_lowercase)
}

/// A URL; what it may hold of a secret, other rules find.
fn is_plain_url(value: &[u8]) -> bool {
    let scheme = Class::DOTTED.run(value);
    scheme > 1 && value[scheme..].starts_with(b"://")
}

/// A credential of an `Authorization` header, without its scheme.
pub(crate) fn is_credential(value: &[u8]) -> bool {
    let seen = &value[..value.len().min(SEEN)];
    value.len() >= 6 && !is_placeholder(seen) && !(is_word(seen) && value.len() < 12)
}

/// A long token after a word that is also ordinary English.
pub(crate) fn is_token(value: &[u8]) -> bool {
    let seen = &value[..value.len().min(SEEN)];
    value.len() >= 16 && !is_placeholder(seen) && !is_path(seen) && looks_random(seen)
}
