//! Rules that are more than a shape or a name: headers, URLs, JSON web tokens, key blocks.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::class::Class;
use crate::gate::{self, Trust};
use crate::shape::{begins, follows};
use crate::text::{Text, Verdict};

/// Bytes of a URL's authority that are searched for user info.
const LONGEST_AUTHORITY: usize = 1024;
/// Bytes of a cookie that are searched for its end.
const LONGEST_COOKIE: usize = 1024;
/// Bytes after a header's name until its credential.
const LONGEST_LEAD: usize = 72;

/// `Authorization: Scheme credential`, also as JSON, a map's entry or an argument.
pub(crate) fn authorization(text: &mut Text<'_>, at: usize, length: usize) -> Verdict {
    let name_end = at + length;
    let lead = text.slice(name_end, name_end + LONGEST_LEAD);
    if lead.len() < LONGEST_LEAD && !text.complete() {
        let (start, scheme) = credential_start(lead).unwrap_or((lead.len(), b""));
        let start = name_end + if scheme.is_empty() { lead.len() } else { start };
        return Verdict::More { start, from: text.end(), class: None };
    }
    let Some((start, scheme)) = credential_start(lead) else { return Verdict::No };
    let start = name_end + start;
    if scheme.starts_with(b"AWS4") {
        return Verdict::No;
    }
    let fields = [b"digest".as_slice(), b"oauth"];
    let listed = fields.iter().any(|list| scheme.eq_ignore_ascii_case(list));
    let class = if listed { Class::LINE } else { Class::TOKEN };
    credential(text, start, class, gate::is_credential)
}

/// Position of the credential after a header's name, and the scheme word before it.
fn credential_start(lead: &[u8]) -> Option<(usize, &[u8])> {
    let skip =
        |from: usize, of: &[u8]| from + lead[from..].iter().take_while(|b| of.contains(b)).count();
    let quoted = skip(0, b"\\\"'`");
    let closed = if quoted > 0 { skip(quoted, b"]") } else { 0 };
    let name = skip(closed, b" \t");
    let separator = skip(name, if quoted > 0 { b":=>," } else { b":=>" });
    if separator == name || separator - name > 2 {
        return None;
    }
    let word = skip(separator, b" \t\\\"'`");
    let length = lead[word..].iter().take_while(|b| Class::WORD.has(**b)).count();
    let scheme = &lead[word..word + length];
    let blank = skip(word + length, b" ");
    let is_scheme = blank > word + length && length <= 20 && length > 0;
    Some(if is_scheme { (blank, scheme) } else { (word, b"") })
}

/// `Bearer xyz`, `Basic eDp5` outside of a header.
pub(crate) fn scheme(text: &mut Text<'_>, at: usize, length: usize, basic: bool) -> Verdict {
    if !begins(text, at, false) {
        return Verdict::No;
    }
    let gate = if basic { is_basic } else { gate::is_token };
    credential(text, at + length, Class::TOKEN, gate)
}

fn credential(text: &mut Text<'_>, start: usize, class: Class, gate: fn(&[u8]) -> bool) -> Verdict {
    let run = text.run(class, start);
    if run.open && run.end - start < gate::SEEN {
        return Verdict::More { start, from: run.end, class: Some(class) };
    }
    if gate(text.slice(start, run.end.min(start + gate::SEEN))) {
        Verdict::Grow { start, from: start, class }
    } else {
        Verdict::No
    }
}

/// Base64 of `user:password`.
fn is_basic(value: &[u8]) -> bool {
    let value = &value[..value.len() - value.iter().rev().take_while(|b| **b == b'=').count()];
    let whole = value.len() - usize::from(value.len() % 4 == 1);
    value.len() >= 6
        && STANDARD_NO_PAD.decode(&value[..whole]).is_ok_and(|plain| {
            let user = plain.iter().position(|b| *b == b':');
            user.is_some_and(|at| plain.iter().take(at + 2).all(|b| (b' '..0x7f).contains(b)))
        })
}

/// A value in a query whose name is too short to be a context word: `?key=`, `&sig=`.
pub(crate) fn parameter(text: &mut Text<'_>, at: usize, length: usize) -> Verdict {
    credential(text, at + length, Class::PERCENT, gate::is_token)
}

/// `Cookie: a=b; c=d` whole, of `Set-Cookie: a=b; Path=/` the value.
pub(crate) fn cookie(text: &mut Text<'_>, at: usize, length: usize) -> Verdict {
    let before = text.before(at);
    let set = before.len() >= 4 && before[before.len() - 4..].eq_ignore_ascii_case(b"set-");
    let head = &before[..before.len() - if set { 4 } else { 0 }];
    let quote = head.last().copied().filter(|b| matches!(b, b'"' | b'\'' | b'`'));
    let lead = text.slice(at + length, at + length + 8);
    let skipped = lead.iter().take_while(|b| matches!(b, b' ' | b'"' | b'\'' | b'\\')).count();
    let start = at + length + skipped;
    let run = text.run(Class::QUOTED, start);
    let seen = text.slice(start, run.end.min(start + LONGEST_COOKIE));
    crate::work::count(seen.len() / 8);
    let end = match (quote, set) {
        (Some(quote), true) => memchr::memchr2(quote, b';', seen),
        (Some(quote), false) => memchr::memchr(quote, seen),
        (None, true) => memchr::memchr(b';', seen),
        (None, false) => None,
    };
    let Some(length) =
        end.or_else(|| (!run.open || seen.len() == LONGEST_COOKIE).then_some(seen.len()))
    else {
        return Verdict::More { start, from: run.end, class: None };
    };
    let value = &seen[..length];
    let name = value[..length.min(128)].iter().position(|b| *b == b'=');
    let Some(name) = name.filter(|name| *name > 0) else { return Verdict::No };
    if !Class::DOTTED.all(&value[..name]) || value.len() < name + 7 {
        return Verdict::No;
    }
    let from = if set { name + 1 } else { 0 };
    if (!set && gate::is_placeholder(value)) || gate::is_placeholder(&value[name + 1..]) {
        return Verdict::No;
    }
    if end.is_none() {
        return Verdict::Grow { start: start + from, from: start + from, class: Class::QUOTED };
    }
    Verdict::Hit { start: start + from, end: start + length }
}

/// The password of `scheme://user:password@host`; a user that looks like a token.
pub(crate) fn url(text: &mut Text<'_>, at: usize) -> Verdict {
    if !text.previous(at).is_some_and(|b| Class::ALNUM.has(b)) {
        return Verdict::No;
    }
    let start = at + 3;
    let run = text.run(Class::AUTHORITY, start);
    let end = run.end.min(start + LONGEST_AUTHORITY);
    let authority = text.slice(start, end);
    let colon = authority.iter().position(|b| *b == b':');
    if run.open && end == run.end {
        let secret = colon.map_or(end, |colon| start + colon + 1);
        return Verdict::More { start: secret, from: end, class: Some(Class::AUTHORITY) };
    }
    match (colon, authority.iter().rposition(|b| *b == b'@')) {
        (Some(colon), _) if authority[..colon].ends_with(b"[REDACTED") => Verdict::No,
        (Some(colon), Some(host)) if colon < host => {
            let password = &authority[colon + 1..host];
            let hit = Verdict::Hit { start: start + colon + 1, end: start + host };
            if gate::is_placeholder(password) { Verdict::No } else { hit }
        }
        (None, Some(host))
            if host >= 20
                && gate::is_token(&authority[..host])
                && memchr::memmem::find(&authority[host..], b"sentry").is_none() =>
        {
            Verdict::Hit { start, end: start + host }
        }
        (Some(colon), None) => {
            let rest = &authority[colon + 1..];
            let port = Class::DIGIT.all(rest) && (text.get(end) == Some(b'/') || !rest.is_empty());
            if port { Verdict::No } else { slashed(text, start + colon + 1, end) }
        }
        _ => Verdict::No,
    }
}

/// A password that holds a slash, which it should not.
fn slashed(text: &mut Text<'_>, start: usize, from: usize) -> Verdict {
    let rest = text.slice(from, from + 128);
    if rest.len() == 128 && memchr::memchr(b'@', rest).is_none() {
        return Verdict::No;
    }
    crate::work::count(rest.len());
    let length = Class::VALUE.run(rest);
    if length == rest.len() && length < 128 && !text.complete() {
        return Verdict::More { start, from: text.end(), class: None };
    }
    let Some(host) = rest[..length].iter().position(|b| *b == b'@') else { return Verdict::No };
    let password = text.slice(start, from + host);
    let host_follows = rest.get(host + 1).is_some_and(|b| Class::ALNUM.has(*b));
    if gate::is_placeholder(password) || password.contains(&b',') || !host_follows {
        return Verdict::No;
    }
    Verdict::Hit { start, end: from + host }
}

/// Three parts in base64url, of which the first says an algorithm.
pub(crate) fn jwt(text: &mut Text<'_>, at: usize) -> Verdict {
    if matches!(text.previous(at), Some(b'-' | b'_')) || !begins(text, at, false) {
        return Verdict::No;
    }
    let header = text.run(Class::WORD, at);
    if header.open {
        return Verdict::More { start: at, from: header.end, class: Some(Class::WORD) };
    }
    if text.get(header.end) != Some(b'.') || header.end - at < 12 {
        return Verdict::No;
    }
    let payload = text.run(Class::WORD, header.end + 1);
    if payload.open && payload.end - header.end < 12 {
        return Verdict::More { start: at, from: payload.end, class: Some(Class::WORD) };
    }
    let grow = Verdict::Grow { start: at, from: header.end, class: Class::DOTTED };
    let body = text.slice(header.end + 1, payload.end);
    if body.starts_with(b"eyJ") && body.len() >= 10 || names_algorithm(text.slice(at, header.end)) {
        grow
    } else {
        Verdict::No
    }
}

fn names_algorithm(header: &[u8]) -> bool {
    let seen = &header[..header.len().min(512)];
    let whole = seen.len() - usize::from(seen.len() % 4 == 1);
    let lenient = URL_SAFE_NO_PAD.decode(&seen[..whole / 4 * 4]).unwrap_or_default();
    [b"\"alg\"".as_slice(), b"\"enc\"", b"\"typ\"", b"\"kid\""]
        .iter()
        .any(|name| lenient.windows(name.len()).any(|w| w == *name))
}

/// `password X` after `login Y`, as in a netrc file.
pub(crate) fn netrc(text: &mut Text<'_>, at: usize, length: usize) -> Verdict {
    let before = text.before(at);
    let mut words = before.rsplit(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
    let (_user, login) = (words.next(), words.next());
    if login != Some(b"login") {
        return Verdict::No;
    }
    let start = at + length;
    let run = text.run(Class::VALUE, start);
    if run.open && run.end - start < gate::SEEN {
        return Verdict::More { start, from: run.end, class: Some(Class::VALUE) };
    }
    if run.end - start < 3 || gate::is_placeholder(text.slice(start, run.end)) {
        return Verdict::No;
    }
    Verdict::Grow { start, from: start, class: Class::VALUE }
}

/// `curl -u user:password`.
pub(crate) fn user(text: &mut Text<'_>, at: usize, length: usize) -> Verdict {
    let lead = text.slice(at + length, at + length + 2);
    let start = at + length + lead.iter().take_while(|b| matches!(b, b'"' | b'\'' | b' ')).count();
    let run = text.run(Class::VALUE, start);
    let seen = text.slice(start, run.end.min(start + gate::SEEN));
    let name = Class::DOTTED.run(seen);
    let password = start + name + 1;
    if run.open && seen.len() < gate::SEEN {
        let start = if seen.get(name) == Some(&b':') { password } else { run.end };
        return Verdict::More { start, from: run.end, class: Some(Class::VALUE) };
    }
    match seen.get(name..) {
        Some([b':', rest @ ..]) if name > 0 && gate::is_secret(rest, false, Trust::Strong) => {
            Verdict::Grow { start: password, from: password, class: Class::VALUE }
        }
        _ => Verdict::No,
    }
}

/// Bytes after a command's name in which its password must begin.
const LONGEST_CALL: usize = 160;

/// `redis-cli ... -a password`, `mysql ... -ppassword`, also as a list of arguments. `MySQL`'s
/// password is glued to its letter; a blank after it means that it will be asked for.
pub(crate) fn tool(text: &mut Text<'_>, from: usize, letter: u8) -> Verdict {
    let rest = text.slice(from, from + LONGEST_CALL);
    let line = memchr::memchr2(b'\n', b'|', rest).unwrap_or(rest.len());
    crate::work::count(line / 8);
    let glued = letter == b'p';
    let opens = |b: u8| matches!(b, b' ' | b'\'' | b'"');
    let flag = rest[..line].windows(3).position(|w| opens(w[0]) && w[1..] == [b'-', letter]);
    let Some(flag) = flag else {
        return if line == rest.len() && rest.len() < LONGEST_CALL && !text.complete() {
            Verdict::More { start: text.end(), from: text.end(), class: None }
        } else {
            Verdict::No
        };
    };
    let after = &rest[flag + 3..];
    let gap =
        if glued { 0 } else { after.iter().take_while(|b| opens(**b) || **b == b',').count() };
    let quote = usize::from(matches!(after.get(gap), Some(b'"' | b'\'')) && glued);
    let start = from + flag + 3 + gap + quote;
    let run = text.run(Class::VALUE, start);
    if run.open && run.end - start < gate::SEEN {
        return Verdict::More { start, from: run.end, class: Some(Class::VALUE) };
    }
    let value = text.slice(start, run.end.min(start + gate::SEEN));
    if (!glued && gap == 0) || !gate::is_secret(value, false, Trust::Strong) {
        return Verdict::No;
    }
    Verdict::Grow { start, from: start, class: Class::VALUE }
}

/// `host:5432:database:user:password`, from its port, as in a pgpass file.
pub(crate) fn pgpass(text: &mut Text<'_>, at: usize, length: usize) -> Verdict {
    let run = text.run(Class::VALUE, at + length);
    let seen = text.slice(at + length, run.end.min(at + length + gate::SEEN));
    let mut fields = seen.splitn(3, |b| *b == b':');
    let (database, user, password) = (fields.next(), fields.next(), fields.next());
    let start = at + length + seen.len() - password.unwrap_or_default().len();
    if run.open && seen.len() < gate::SEEN {
        return Verdict::More { start, from: run.end, class: Some(Class::VALUE) };
    }
    let named = |field: Option<&[u8]>| {
        field
            .is_some_and(|f| !f.is_empty() && f.iter().all(|b| Class::DOTTED.has(*b) || *b == b'*'))
    };
    match password {
        Some(password)
            if named(database) && named(user) && gate::is_secret(password, true, Trust::Env) =>
        {
            Verdict::Grow { start, from: start, class: Class::VALUE }
        }
        _ => Verdict::No,
    }
}

/// A Discord bot's token: base64 of its number, a time, a code.
pub(crate) fn discord(text: &mut Text<'_>, at: usize) -> Verdict {
    if !begins(text, at, true) {
        return Verdict::No;
    }
    let mut start = at;
    for (min, max) in [(22, 28), (5, 8)] {
        let run = text.run(Class::WORD, start);
        if run.open && run.end - start <= max {
            return Verdict::More { start: at, from: run.end, class: Some(Class::WORD) };
        }
        if !(min..=max).contains(&(run.end - start)) || text.get(run.end) != Some(b'.') {
            return Verdict::No;
        }
        start = run.end + 1;
    }
    let number = text.slice(at, at + 20);
    let digits = STANDARD_NO_PAD.decode(number).is_ok_and(|plain| Class::DIGIT.all(&plain));
    let run = text.run(Class::WORD, start);
    match (digits, run.end - start >= 27) {
        (true, true) => Verdict::Grow { start: at, from: start, class: Class::WORD },
        (true, false) if run.open => {
            Verdict::More { start: at, from: run.end, class: Some(Class::WORD) }
        }
        _ => Verdict::No,
    }
}

/// `-----BEGIN ... PRIVATE KEY-----`, from its middle.
pub(crate) fn pem(text: &mut Text<'_>, at: usize, length: usize) -> Verdict {
    let before = text.slice(at.saturating_sub(32), at);
    let label = before.len()
        - before.iter().rev().take_while(|b| b.is_ascii_uppercase() || matches!(b, b' ')).count();
    // The label run takes `BEGIN` with it.
    let dashes = before[..label].ends_with(b"-----");
    if !dashes || !before[label..].starts_with(b"BEGIN ") {
        return Verdict::No;
    }
    let start = at - (before.len() - label) - 5;
    for close in [b"-----".as_slice(), b" BLOCK-----"] {
        match follows(text, at + length, close) {
            Some(true) => return Verdict::Pem { start, from: at + length + close.len() },
            Some(false) => {}
            None => return Verdict::More { start, from: text.end(), class: None },
        }
    }
    Verdict::No
}
