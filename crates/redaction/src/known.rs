//! Known values: secrets that this process knows, in every form they may be printed in.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use crate::index::Anchor;
use crate::text::{Text, Verdict};

/// A shorter value would hide ordinary text.
pub(crate) const LEAST_VALUE: usize = 6;
/// A line of a longer value counts alone from this length.
const LEAST_LINE: usize = 12;
/// A longer value is known by pieces of this length.
const LONGEST_VALUE: usize = 4096;
/// From this length on a value is found even if broken over lines.
const LEAST_BROKEN: usize = 16;
/// Line breaks skipped on the way back to the first byte.
const MOST_BREAKS: usize = 6;

/// What RFC 3986 asks for.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// As JavaScript's `encodeURIComponent`.
const COMPONENT: &AsciiSet =
    &UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
/// As Python's `quote`, which leaves slashes.
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// One form of a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Form {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fold: bool,
}

/// Every form of a value, each once.
pub(crate) fn forms(value: &str) -> BTreeSet<Form> {
    let mut forms = BTreeSet::new();
    let mut pieces = vec![value.trim_matches(['\n', '\r'])];
    if value.contains('\n') {
        pieces.extend(
            value
                .lines()
                .map(str::trim)
                .filter(|line| line.len() >= LEAST_LINE && !line.starts_with("-----")),
        );
    }
    for piece in pieces {
        let mut rest = piece;
        while rest.len() > LONGEST_VALUE {
            let (head, tail) = rest.split_at(rest.floor_char_boundary(LONGEST_VALUE));
            forms_of(head, &mut forms);
            rest = tail;
        }
        forms_of(rest, &mut forms);
    }
    forms.retain(|form| form.bytes.len() >= LEAST_VALUE);
    forms
}

fn forms_of(value: &str, forms: &mut BTreeSet<Form>) {
    let mut add = |bytes: Vec<u8>, fold: bool| forms.insert(Form { bytes, fold });
    add(value.as_bytes().to_vec(), false);
    for shift in 0..3 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(value.as_bytes());
        let first = [0, 2, 3][shift];
        let cut = usize::from(shifted.len() % 3 != 0);
        for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            if let Some(own) = text.get(first..text.len() - cut) {
                add(own.as_bytes().to_vec(), false);
                // The same inside of a URL.
                let percent = own.replace('+', "%2B").replace('/', "%2F");
                if percent != own {
                    add(percent.into_bytes(), true);
                }
            }
        }
    }
    add(hex(value).into_bytes(), true);
    for text in escaped(value) {
        add(text.into_bytes(), false);
    }
}

/// The value as URLs, JSON, shells and XML write it.
fn escaped(value: &str) -> Vec<String> {
    let percent = percent_encoding::utf8_percent_encode(value, UNRESERVED).to_string();
    let component = percent_encoding::utf8_percent_encode(value, COMPONENT).to_string();
    let path = percent_encoding::utf8_percent_encode(value, PATH).to_string();
    let json = serde_json::to_string(value).unwrap_or_default();
    let json = json.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(value).to_owned();
    let twice = json.replace('\\', "\\\\").replace('"', "\\\"");
    let ascii: String = json
        .chars()
        .map(|c| if c.is_ascii() { c.to_string() } else { unicode_escape(c) })
        .collect();
    let html = json
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\'', "\\u0027");
    let xml = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let shell: String = value
        .chars()
        .map(|c| {
            let plain = c.is_alphanumeric() || "_-./:=@%+,".contains(c);
            if plain { c.to_string() } else { format!("\\{c}") }
        })
        .collect();
    vec![
        percent.replace("%20", "+"),
        lower_percent(&percent),
        percent,
        component,
        path,
        json.replace('/', "\\/"),
        twice,
        ascii,
        html,
        json,
        value.replace('\'', "'\\''"),
        value.replace('\'', "'\"'\"'"),
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('`', "\\`"),
        shell,
        xml.replace('"', "&quot;").replace('\'', "&apos;"),
        xml.replace('"', "&#34;").replace('\'', "&#39;"),
        xml.replace('"', "&quot;").replace('\'', "&#x27;"),
        xml,
    ]
}

fn unicode_escape(c: char) -> String {
    let mut units = [0; 2];
    c.encode_utf16(&mut units).iter().fold(String::new(), |mut text, unit| {
        text.push_str("\\u");
        for byte in unit.to_be_bytes() {
            push_hex(byte, &mut text);
        }
        text
    })
}

fn hex(value: &str) -> String {
    value.bytes().fold(String::with_capacity(2 * value.len()), |mut text, byte| {
        push_hex(byte, &mut text);
        text
    })
}

fn push_hex(byte: u8, text: &mut String) {
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    }
}

/// `%2F` as `%2f`.
fn lower_percent(percent: &str) -> String {
    let mut lower = String::with_capacity(percent.len());
    let mut digits = 0;
    for c in percent.chars() {
        lower.push(if digits > 0 { c.to_ascii_lowercase() } else { c });
        digits = if c == '%' { 2_u8 } else { digits.saturating_sub(1) };
    }
    lower
}

/// Compares the whole form around its trigram at `at`, which stands `offset` bytes in.
pub(crate) fn verify(anchor: &Anchor, text: &mut Text<'_>, at: usize, offset: usize) -> Verdict {
    let literal = &*anchor.literal;
    let same = |a: u8, b: u8| if anchor.fold { a.eq_ignore_ascii_case(&b) } else { a == b };
    let skips = literal.len() >= LEAST_BROKEN;
    let is_break = |b: u8| skips && matches!(b, b'\n' | b'\r');
    let mut start = at;
    let mut breaks = 0;
    for &expected in literal[..offset].iter().rev() {
        loop {
            let Some(found) = text.previous(start) else { return Verdict::No };
            start -= 1;
            if same(found, expected) {
                break;
            }
            if !is_break(found) || breaks == MOST_BREAKS {
                return Verdict::No;
            }
            breaks += 1;
        }
    }
    let mut end = at;
    crate::work::count(literal.len());
    for &expected in &literal[offset..] {
        loop {
            match text.get(end) {
                Some(found) if same(found, expected) => break,
                Some(found) if is_break(found) => end += 1,
                None if !text.complete() => {
                    return Verdict::More { start, from: text.end(), class: None };
                }
                _ => return Verdict::No,
            }
        }
        end += 1;
    }
    Verdict::Hit { start, end }
}

/// Why a value cannot be masked everywhere without hiding ordinary text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Under six bytes.
    TooShort,
    /// A number, a version, a date.
    Number,
    /// An ordinary word.
    Word,
    /// A file's path.
    Path,
    /// A host, an address or a URL without credentials.
    Host,
}

/// Why a value is refused, if it is.
pub(crate) fn refusal(value: &str) -> Option<Refusal> {
    let value = value.trim();
    if value.len() < LEAST_VALUE {
        return Some(Refusal::TooShort);
    }
    if value
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'-' | b':' | b'+' | b'%'))
    {
        return Some(Refusal::Number);
    }
    let folded = value.to_ascii_lowercase();
    if crate::words::COMMON.contains(&folded.as_str()) || is_repeated(&folded) {
        return Some(Refusal::Word);
    }
    if crate::gate::is_path(value.as_bytes()) {
        return Some(Refusal::Path);
    }
    is_host(&folded).then_some(Refusal::Host)
}

fn is_repeated(value: &str) -> bool {
    let first = value.bytes().next();
    value.bytes().all(|b| Some(b) == first)
}

fn is_host(value: &str) -> bool {
    let (scheme, rest) = value.split_once("://").unwrap_or(("", value));
    if !scheme.is_empty() && !rest.contains('@') && !rest.contains('?') {
        return scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-'))
            && rest.split('/').skip(1).all(|part| part.len() < 20);
    }
    let (host, port) = rest.split_once(':').unwrap_or((rest, ""));
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let names = labels.iter().all(|label| {
        !label.is_empty()
            && label.len() < 20
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    });
    let domain = labels.last().is_some_and(|last| {
        last.bytes().all(|b| b.is_ascii_lowercase())
            && (2..=6).contains(&last.len())
            && crate::words::DOMAINS.contains(last)
    });
    names && (host == "localhost" || (labels.len() > 1 && domain))
}
