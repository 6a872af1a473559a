//! Gates: what looks like a value and is no secret.
//!
//! A gate reads at most the first [`SEEN`] bytes of a value, so that its cost does not
//! depend on how long a hostile value is.

use crate::class::Class;
use crate::lists::Words;

/// Bytes of a value that a gate reads.
pub(crate) const SEEN: usize = 96;

/// How much a value must prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// The name proves next to nothing (`_key`): the value must be long and random.
    Long,
    /// The name proves little (`auth`, `session`, `token` in prose): the value must look random.
    Weak,
    /// The name is one of passwords or keys.
    Strong,
    /// `NAME=value` in an environment: everything but a placeholder is secret.
    Env,
}

/// A body of a shape that nobody generated: `xxxx`, `your-key-here`.
pub(crate) fn is_placeholder_body(body: &[u8]) -> bool {
    (body.len() >= 8 && holds_fewer(body, 5))
        || any_mark(body, |rest| {
            let word = match rest[0] {
                b'x' | b'X' => "xxxxx",
                b'y' | b'Y' => "your",
                b'p' | b'P' => "placeholder",
                b'r' | b'R' => "redacted",
                b'E' if rest.starts_with(b"EXAMPLE") => return true,
                _ => return false,
            };
            starts_fold(rest, word)
        })
}

/// Whether `is_mark` holds at any byte that marks begin with.
fn any_mark(value: &[u8], is_mark: impl Fn(&[u8]) -> bool) -> bool {
    let mut rest = value;
    loop {
        rest = &rest[Class::UNMARKED.run(rest)..];
        if rest.is_empty() {
            return false;
        }
        if is_mark(rest) {
            return true;
        }
        rest = &rest[1..];
    }
}

/// Two at least of digits, upper case and lower case.
pub(crate) fn is_mixed(body: &[u8]) -> bool {
    let has = |of: fn(&u8) -> bool| u8::from(body.iter().any(of));
    has(u8::is_ascii_digit) + has(u8::is_ascii_uppercase) + has(u8::is_ascii_lowercase) > 1
}

/// Whether a value is made of fewer than `limit` different bytes.
fn holds_fewer(body: &[u8], limit: u32) -> bool {
    let mut seen = [0_u64; 4];
    let mut count = 0;
    for &b in body {
        let (word, bit) = (&mut seen[usize::from(b >> 6)], 1 << (b & 63));
        if *word & bit == 0 {
            *word |= bit;
            count += 1;
            if count == limit {
                return false;
            }
        }
    }
    true
}

fn contains_fold(body: &[u8], word: &str) -> bool {
    body.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
}

fn starts_fold(body: &[u8], word: &str) -> bool {
    body.len() >= word.len() && body[..word.len()].eq_ignore_ascii_case(word.as_bytes())
}

/// Words that stand where a secret would, in any case.
static STAND_INS: Words = Words::by_first(&[
    "any",
    "apikey",
    "api_key",
    "api-key",
    "async",
    "await",
    "bool",
    "boolean",
    "bytes",
    "bearer",
    "basic",
    "cram-md5",
    "changeme",
    "change_me",
    "change-me",
    "changeit",
    "char",
    "default",
    "disabled",
    "dummy",
    "empty",
    "example",
    "enabled",
    "encrypted",
    "expired",
    "false",
    "fixme",
    "function",
    "foobar",
    "failed",
    "hidden",
    "int",
    "integer",
    "invalid",
    "key",
    "masked",
    "missing",
    "null",
    "none",
    "nil",
    "no",
    "name",
    "number",
    "n/a",
    "na",
    "not_set",
    "notset",
    "new",
    "on",
    "off",
    "object",
    "optional",
    "ok",
    "placeholder",
    "password",
    "passwd",
    "pass",
    "pwd",
    "passphrase",
    "required",
    "redacted",
    "replaceme",
    "replace_me",
    "replace-me",
    "return",
    "string",
    "str",
    "secret",
    "sensitive",
    "secretstring",
    "scram-sha-256",
    "self",
    "success",
    "true",
    "text",
    "todo",
    "tbd",
    "token",
    "this",
    "undefined",
    "unset",
    "unknown",
    "username",
    "user",
    "value",
    "valid",
    "varchar",
    "yes",
]);

const LONGEST_STAND_IN: usize = 13;

/// A template, a variable, a mask, or one of the usual words.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    let value = &value[..value.len().min(SEEN)];
    crate::work::count(value.len());
    let Some(&first) = value.first() else { return true };
    let last = value[value.len() - 1];
    let template = match first {
        b'$' => is_variable(&value[1..]),
        b'{' => value.starts_with(b"{{") || last == b'}',
        b'<' => last == b'>' || value.get(1) == Some(&b'/'),
        b'%' => last == b'%' || value == b"%s" || value.get(1) == Some(&b'('),
        b'[' => value.starts_with(b"[REDACTED") || last == b']',
        b'(' => last == b')' || Class::LETTER.all(&value[1..]),
        b'@' => value.starts_with(b"@{") || value.starts_with(b"@@"),
        b'#' => value.starts_with(b"#{"),
        b'*' => value.starts_with(b"***"),
        _ => false,
    };
    template
        || holds_fewer(value, 2)
        || (value.len() >= 4 && holds_fewer(value, 3) && !Class::ALNUM.all(value))
        || is_stand_in(value, first)
        || is_constant(value)
        || value.ends_with(b"...")
        || is_pattern(value)
        || PUBLIC.iter().any(|public| value.starts_with(public))
        || is_instruction(value, first)
        || holds_mark(value)
}

/// What providers print for everybody to see.
const PUBLIC: &[&[u8]] =
    &[b"pk_live_", b"pk_test_", b"pk.eyJ", b"sb_publishable_", b"ssh-rsa", b"ssh-ed25519", b"phc_"];

/// Five groups of hexadecimal digits: more often the name of something than a secret.
fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// A regular expression: `[A-Za-z0-9]{88}`.
fn is_pattern(value: &[u8]) -> bool {
    value.contains(&b'[')
        && [b"A-Z".as_slice(), b"a-z", b"\\d", b"\\w"]
            .iter()
            .any(|class| memchr::memmem::find(value, class).is_some())
}

/// A number as code writes it: `0x1f`, `2048u32`.
fn is_number(value: &[u8]) -> bool {
    let (of, digits) = match value {
        [b'0', b'x' | b'X', rest @ ..] => (Class::HEX, rest),
        _ => (Class::DIGIT, value),
    };
    let count = of.run(digits);
    let rest = digits.get(count..).filter(|_| count > 0 && count < 17);
    rest.is_some_and(|suffix| {
        suffix.len() < 6
            && matches!(suffix.first(), None | Some(b'u' | b'i' | b'U' | b'L'))
            && suffix.iter().all(u8::is_ascii_alphanumeric)
    })
}

/// Code around a name, an option, a path of names: `+cmd.Dir`, `string):`, `--no-pin`, `a::B`.
fn is_code(value: &[u8]) -> bool {
    let ornament = |b: &&u8| {
        matches!(**b, b'+' | b'&' | b'*' | b'!' | b'(' | b')' | b'{' | b'}' | b':' | b'<' | b'>')
    };
    if value.starts_with(b"--") && value[2..].iter().all(|b| b.is_ascii_lowercase() || *b == b'-') {
        return true;
    }
    let named = |b: &u8| Class::ALNUM.has(*b) || matches!(b, b'_' | b':' | b'<' | b'>' | b'&');
    if memchr::memmem::find(value, b"::").is_some() && value.iter().all(named) {
        return true;
    }
    let upper = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
    let parts = value.split(|b| *b == b'_').count() - 1;
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    if parts >= 2 && digits * 4 < value.len() && value.iter().all(upper) {
        return true;
    }
    let start = value.iter().take_while(ornament).count();
    let end = value.len() - value.iter().rev().take_while(ornament).count();
    let Some(name) = value.get(start..end).filter(|name| name.len() < value.len()) else {
        return false;
    };
    let digits = Class::DIGIT.run_back(name);
    digits < 3 && digits < name.len() && {
        let name = &name[..name.len() - digits];
        is_word(name) || is_reference(name)
    }
}

/// `VALUE_SPECIFIED_ELSEWHERE`: a constant's name.
fn is_constant(value: &[u8]) -> bool {
    value.contains(&b'_')
        && value.iter().all(|b| b.is_ascii_uppercase() || *b == b'_')
        && value.first().is_some_and(u8::is_ascii_uppercase)
        && is_word(value)
}

fn is_stand_in(value: &[u8], first: u8) -> bool {
    value.len() <= LONGEST_STAND_IN
        && STAND_INS.of(first).iter().any(|w| value.eq_ignore_ascii_case(w.as_bytes()))
}

/// `your-key`, `enter-token`: what to write, without a digit.
fn is_instruction(value: &[u8], first: u8) -> bool {
    let words: &[&str] = match first.to_ascii_lowercase() {
        b'y' => &["your"],
        b'm' => &["my-", "my_"],
        b's' => &["some-", "some_"],
        b'i' => &["insert"],
        b'e' => &["enter"],
        b't' => &["the-"],
        b'<' => &["<"],
        _ => return false,
    };
    words.iter().any(|w| starts_fold(value, w)) && !value.iter().any(u8::is_ascii_digit)
}

/// A mark of a template or a mask anywhere in a value.
fn holds_mark(value: &[u8]) -> bool {
    any_mark(value, |rest| match rest[0] {
        b'[' => rest.starts_with(b"[REDACTED"),
        b'$' => matches!(rest.get(1), Some(b'{' | b'(')),
        b'{' => rest.get(1) == Some(&b'{'),
        b'x' => rest.starts_with(b"xxxx"),
        b'X' => rest.starts_with(b"XXXX"),
        b'*' => rest.starts_with(b"****"),
        b'y' | b'Y' => ["your-", "your_", "yourpass", "yoursecret", "yourtoken"]
            .iter()
            .any(|w| starts_fold(rest, w)),
        b'p' | b'P' => starts_fold(rest, "placeholder"),
        _ => false,
    })
}

/// `$NAME`, `${...}`, `$(...)`, `$1`: not `$2b$...` or `$ecret9!`.
fn is_variable(rest: &[u8]) -> bool {
    match rest.first() {
        None | Some(b'{' | b'(') => true,
        Some(b) if b.is_ascii_digit() => rest.len() == 1,
        Some(_) => {
            let of_name = |b: &&u8| Class::ALNUM.has(**b) || **b == b'_';
            let length = rest.iter().take_while(of_name).count();
            let name = rest.get(length).is_none_or(|b| matches!(b, b')' | b'}' | b',' | b';'));
            let rest = &rest[..length];
            let upper = !rest.iter().any(u8::is_ascii_lowercase);
            let lower = !rest.iter().any(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            name && (upper || lower || rest.contains(&b'_'))
        }
    }
}

/// Whether a value of a secret's name is a secret.
pub(crate) fn is_secret(value: &[u8], quoted: bool, trust: Trust) -> bool {
    let seen = &value[..value.len().min(SEEN)];
    crate::work::count(seen.len());
    if is_placeholder(seen) || is_path(seen) || is_plain_url(seen) {
        return false;
    }
    let least = match trust {
        Trust::Env => 4,
        Trust::Strong if quoted => 5,
        Trust::Strong => 6,
        Trust::Weak => 8,
        Trust::Long => 20,
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
    if !quoted && (is_call(seen) || is_reference(seen) || is_number(seen) || is_code(seen)) {
        return false;
    }
    if is_word(seen) {
        return quoted && trust == Trust::Strong && !names_a_secret(seen);
    }
    if trust == Trust::Long {
        let plain = seen.iter().all(|b| Class::ALNUM.has(*b) || matches!(b, b'_' | b'-'));
        return plain && is_mixed(seen) && looks_random(seen) && !is_uuid(seen);
    }
    trust == Trust::Strong || looks_random(seen) || is_letters(seen)
}

/// Whether a value that little speaks for is a secret all the same: it looks like nothing else.
pub(crate) fn stands_alone(value: &[u8]) -> bool {
    let seen = &value[..value.len().min(SEEN)];
    crate::work::count(seen.len());
    seen.len() >= 6
        && (seen.iter().any(u8::is_ascii_digit) || is_letters(seen))
        && !Class::DIGIT.all(seen)
        && !seen.contains(&b'/')
        && !is_word(seen)
        && !is_reference(seen)
        && !is_call(seen)
        && !names_a_secret(seen)
}

/// Letters in words as people and programs write them, joined by `_`, `-` or `.`.
fn is_word(value: &[u8]) -> bool {
    let parts = value.split(|b| matches!(b, b'_' | b'-' | b'.'));
    parts.filter(|part| !part.is_empty()).all(is_plain_part)
}

/// One part of a word: no digits, humps as in `camelCase`, vowels as in a language.
fn is_plain_part(part: &[u8]) -> bool {
    if !Class::LETTER.all(part) {
        return false;
    }
    let (mut humps, mut odd, mut consonants, mut worst, mut vowels) = (0, 0, 0, 0, 0);
    for (at, &b) in part.iter().enumerate() {
        let upper = |at: usize| part.get(at).is_some_and(u8::is_ascii_uppercase);
        let lower = |at: usize| part.get(at).is_some_and(u8::is_ascii_lowercase);
        if b.is_ascii_uppercase() && at > 0 && lower(at - 1) {
            humps += 1;
            // Two capitals in the middle, or a single small letter between capitals.
            odd += usize::from(upper(at + 1)) + usize::from(at > 1 && upper(at - 2));
        }
        if Class::VOWEL.has(b) {
            vowels += 1;
            consonants = 0;
        } else {
            consonants += 1;
            worst = worst.max(consonants);
        }
    }
    odd < 2
        && humps * 4 + odd * 3 <= part.len()
        && worst <= 5
        && (part.len() < 6 || vowels * 6 >= part.len())
        && (Class::USUAL.all(part)
            || part.windows(2).filter(|pair| is_unheard_of(pair[0], pair[1])).count() < 2)
}

/// Two letters that words do not put side by side.
fn is_unheard_of(a: u8, b: u8) -> bool {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let vowel = |c: u8| matches!(c, b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    let rare = |c: u8| matches!(c, b'j' | b'q' | b'v' | b'x' | b'z');
    let heard: &[u8] = match a {
        b'x' => b"cpt",
        b'z' => b"zl",
        b'n' => b"jvz",
        b'd' => b"jv",
        b't' => b"zx",
        b'l' => b"v",
        b'r' => b"vz",
        b's' | b'c' => b"q",
        _ => b"",
    };
    !vowel(a) && !vowel(b) && (rare(a) || rare(b)) && !heard.contains(&b)
}

/// A string that talks about secrets: `enter-password`, `userToken`.
fn names_a_secret(value: &[u8]) -> bool {
    ["password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key", "enter"]
        .iter()
        .any(|w| contains_fold(value, w))
}

/// Code that yields a value: `getenv(...)`, `input["x"]`.
fn is_call(value: &[u8]) -> bool {
    // A generic type: `Option<T>`.
    let generic = value.iter().position(|b| *b == b'<').filter(|_| value.ends_with(b">"));
    if generic.is_some_and(|at| at > 0 && Class::LETTER.all(&value[..at])) {
        return true;
    }
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
    let start = value.iter().take_while(|b| matches!(b, b'&' | b'*' | b'@' | b'!' | b'$')).count();
    let mut names = value[start..]
        .split(|b| matches!(b, b'.' | b':' | b'?' | b'>'))
        .map(|name| name.strip_suffix(b"-").unwrap_or(name))
        .map(|name| name.strip_suffix(b"!").unwrap_or(name))
        .filter(|name| !name.is_empty());
    let joined = matches!(value.first(), Some(b'&' | b'*'))
        || value.iter().any(|b| matches!(b, b'.' | b':' | b'>'));
    joined
        && value.len() < 96
        && names.all(|name| {
            let digits = Class::DIGIT.run_back(name);
            digits < 3 && digits < name.len() && is_word(&name[..name.len() - digits])
        })
}

/// A passphrase in quotes: words of which one holds letters and digits both.
fn is_phrase(value: &[u8]) -> bool {
    !value.iter().any(|b| matches!(b, b'{' | b'(' | b'<'))
        && value
            .split(|b| *b == b' ')
            .any(|word| word.len() > 4 && is_mixed(word) && word.iter().any(u8::is_ascii_digit))
        && value.split(|b| *b == b' ').count() < 8
}

/// Letters and joints alone; the caller has ruled words out.
fn is_letters(value: &[u8]) -> bool {
    value.iter().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.'))
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
        [b'.' | b'~', b'/', ..] | [b'.', b'.', b'/', ..] => true,
        [drive, b':', b'\\' | b'/', ..] => drive.is_ascii_alphabetic(),
        _ => false,
    };
    rooted && value.split(|b| matches!(b, b'/' | b'\\')).all(|part| !is_random_part(part))
}

fn is_random_part(part: &[u8]) -> bool {
    let has = |of: fn(&u8) -> bool| part.iter().any(of);
    let cased = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    part.len() >= 12
        && !part.contains(&b'.')
        && cased
        && (has(u8::is_ascii_digit) || !is_word(part))
}

/// A URL; what it may hold of a secret, other rules find.
fn is_plain_url(value: &[u8]) -> bool {
    let scheme = Class::DOTTED.run(value);
    scheme > 1 && value[scheme..].starts_with(b"://")
}

/// A credential of an `Authorization` header, without its scheme.
pub(crate) fn is_credential(value: &[u8]) -> bool {
    let seen = &value[..value.len().min(SEEN)];
    value.len() >= 6
        && !is_placeholder(seen)
        && !(is_word(seen) && (value.len() < 12 || is_identifier(seen) || seen.contains(&b'-')))
}

/// `header_value`, `InFlightRequests`.
fn is_identifier(word: &[u8]) -> bool {
    word.contains(&b'_')
        || word.windows(2).any(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase())
}

/// A long token after a word that is also ordinary English.
pub(crate) fn is_token(value: &[u8]) -> bool {
    let seen = &value[..value.len().min(SEEN)];
    value.len() >= 16
        && !is_placeholder(seen)
        && !is_path(seen)
        && (looks_random(seen) || (is_letters(seen) && !is_word(seen)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_stand_in_is_known() {
        let longest = (0..128).flat_map(|b| STAND_INS.of(b)).map(|w| w.len()).max();
        assert_eq!(longest, Some(LONGEST_STAND_IN));
    }
}
