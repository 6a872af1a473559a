//! What stands between a secret's name and its value.

use crate::class::Class;

/// Bytes after a name in which a separator must end.
pub(super) const LONGEST_SEPARATOR: usize = 64;
/// Attributes of a tag, a default in brackets: longer ones are text.
const LONGEST_ASIDE: usize = 40;

/// A separator that was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Separator {
    pub(super) length: usize,
    /// `=` without blanks: as in an environment.
    pub(super) tight: bool,
    /// The end of an opening tag: a closing one must follow the value.
    pub(super) tag: bool,
    /// Proves little: the value must look like nothing else.
    pub(super) loose: bool,
}

/// Whether a separator may begin with this byte.
pub(super) fn may_separate(b: u8) -> bool {
    matches!(
        b,
        b' ' | b'\t'
            | b'='
            | b':'
            | b'"'
            | b'\''
            | b'`'
            | b'\\'
            | b'-'
            | b'>'
            | b'|'
            | b']'
            | b'('
            | b'{'
            | b'<'
            | b'\x1b'
            | b'\n'
            | b'\r'
    )
}

/// Walks the bytes after a name.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn left(&self) -> &'a [u8] {
        self.rest.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest.get(self.at).copied()
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) -> usize {
        let count = self.left().iter().take_while(|b| skipped(**b)).count();
        self.at += count;
        count
    }

    fn blanks(&mut self) -> usize {
        self.skip(|b| matches!(b, b' ' | b'\t'))
    }

    fn spaces(&mut self) -> usize {
        self.skip(|b| b.is_ascii_whitespace())
    }

    fn eat(&mut self, literal: &[u8]) -> bool {
        let found = self.left().get(..literal.len());
        let found = found.is_some_and(|found| found.eq_ignore_ascii_case(literal));
        if found {
            self.at += literal.len();
        }
        found
    }

    /// Colours of a terminal.
    fn colours(&mut self) {
        while let [b'\x1b', b'[', codes @ ..] = self.left() {
            let length = codes.iter().take_while(|b| matches!(b, b'0'..=b'9' | b';')).count();
            if codes.get(length) != Some(&b'm') {
                return;
            }
            self.at += length + 3;
        }
    }

    /// Whatever stands up to `close`, with it.
    fn aside(&mut self, open: u8, close: u8) -> bool {
        if self.peek() != Some(open) {
            return false;
        }
        let seen = &self.left()[..self.left().len().min(LONGEST_ASIDE)];
        let end = seen.iter().position(|b| *b == close);
        self.at += end.map_or(0, |end| end + 1);
        end.is_some()
    }
}

const fn is_quote(b: u8) -> bool {
    matches!(b, b'"' | b'\'' | b'`')
}

/// The separator that `rest` begins with, after `name`; `before` stands before the name.
pub(super) fn separator(rest: &[u8], name: &[u8], before: Option<u8>) -> Option<Separator> {
    let mut cursor = Cursor { rest, at: 0 };
    let found = at_cursor(&mut cursor, name, before)?;
    let length = cursor.at;
    (length < rest.len() || rest.len() < LONGEST_SEPARATOR).then_some(Separator { length, ..found })
}

fn at_cursor(cursor: &mut Cursor<'_>, name: &[u8], before: Option<u8>) -> Option<Separator> {
    let loose = Some(Separator { loose: true, ..Separator::default() });
    cursor.colours();
    let escapes = cursor.skip(|b| b == b'\\');
    let quoted = cursor.peek().is_some_and(is_quote);
    if quoted {
        cursor.at += 1;
        let mut next = *cursor;
        if pair(&mut next) {
            *cursor = next;
            return loose;
        }
    } else if escapes > 0 {
        return None;
    } else if matches!(cursor.peek(), Some(b'\n' | b'\r')) {
        return loose.filter(|_| pair(cursor));
    }
    let closed = cursor.peek() == Some(b']') && (quoted || before == Some(b'['));
    cursor.at += usize::from(closed);
    if matches!(before, Some(b'<' | b'>'))
        && let Some(tag) = tag(cursor, before == Some(b'>'))
    {
        return Some(tag);
    }
    cursor.colours();
    let start = cursor.at;
    let gap = cursor.blanks();
    let mut next = *cursor;
    // A marker is a value that was replaced, no default.
    let marker = next.left().starts_with(b"[REDACTED");
    if !marker && next.aside(b'[', b']') && next.peek() == Some(b':') {
        *cursor = next;
    }
    let flag = name.starts_with(b"--") || name.starts_with(b"-") && name.len() > 3;
    let tight = match cursor.left() {
        [b'=', b'=', b'=', rest @ ..] | [b'=', b'=', rest @ ..] => {
            let blank = rest.iter().take_while(|b| **b == b' ').count();
            let length = cursor.left().len() - rest.len();
            cursor.at += length + blank;
            return loose.filter(|_| cursor.peek().is_some_and(is_quote));
        }
        [b'=', b'~', b' ', ..] | [b':', b':', ..] | [b'|', b'|', ..] => return None,
        [b'=' | b'-', b'>', ..] | [b':', b'=', ..] => {
            cursor.at += 2;
            false
        }
        [b'=', ..] => {
            cursor.at += 1;
            start == 0 && gap == 0
        }
        [b':', ..] => {
            cursor.at += 1;
            cursor.blanks();
            cursor.at += annotation(cursor.left());
            false
        }
        [b'|', b' ', ..] => {
            cursor.at += 1;
            false
        }
        [b'|', ..] if gap > 0 => {
            cursor.at += 1;
            false
        }
        [b'(' | b'{', quote, ..] if !quoted && gap == 0 && is_quote(*quote) => {
            cursor.at += 1;
            return loose;
        }
        [b'\x1b', ..] => false,
        [_, ..] if flag && gap > 0 => false,
        [b, ..] if gap > 0 && !quoted && is_quote(*b) => return loose,
        [_, ..] if gap > 0 && !quoted && says(cursor) => return loose,
        _ => return None,
    };
    let mut after = 0;
    while {
        let from = cursor.at;
        after += cursor.blanks();
        cursor.colours();
        cursor.at > from
    } {}
    Some(Separator { tight: tight && after == 0, ..Separator::default() })
}

/// After a name in quotes: `, "value"`, `, "value": ...`, a line with `value: ...`, the body of a
/// form's part.
fn pair(cursor: &mut Cursor<'_>) -> bool {
    if cursor.eat(b"\r\n\r\n") {
        return true;
    }
    let comma = cursor.eat(b",");
    let spaces = cursor.spaces();
    if !comma && spaces == 0 {
        return false;
    }
    let quoted = cursor.skip(|b| b == b'\\' || is_quote(b)) > 0;
    let mut next = *cursor;
    if next.eat(b"value") {
        next.skip(|b| b == b'\\' || is_quote(b));
        next.blanks();
        if next.skip(|b| matches!(b, b':' | b'=' | b'>')) > 0 {
            next.blanks();
            *cursor = next;
            return true;
        }
    }
    // The value's own quote is part of the value.
    if quoted && comma {
        while cursor.at > 0 && cursor.rest.get(cursor.at - 1).is_some_and(|b| is_quote(*b)) {
            cursor.at -= 1;
        }
    }
    quoted && comma && cursor.peek().is_some_and(is_quote)
}

/// The end of an opening tag, or of a closing one and the next that holds the value.
fn tag(cursor: &mut Cursor<'_>, inside: bool) -> Option<Separator> {
    let tag = Some(Separator { tag: true, ..Separator::default() });
    let mut next = *cursor;
    if inside {
        if !next.aside(b'<', b'>') || cursor.left().get(1) != Some(&b'/') {
            return None;
        }
        next.spaces();
        let value = next.left();
        let opens = [b"<string".as_slice(), b"<value"];
        let of_value = opens.iter().any(|name| {
            value.len() >= name.len() && value[..name.len()].eq_ignore_ascii_case(name)
        });
        if !of_value || !next.aside(b'<', b'>') {
            return None;
        }
    } else if !next.eat(b">") && !next.aside(b' ', b'>') {
        return None;
    }
    next.blanks();
    *cursor = next;
    tag
}

/// ` is `, ` was: `: what people write.
fn says(cursor: &mut Cursor<'_>) -> bool {
    let mut next = *cursor;
    let said = [b"is".as_slice(), b"was"].iter().any(|verb| next.eat(verb));
    next.eat(b":");
    if !said || next.blanks() == 0 {
        return false;
    }
    *cursor = next;
    true
}

/// Length of a type between a colon and an equals sign: `password: str = ...`.
fn annotation(rest: &[u8]) -> usize {
    let of_type = |b: &&u8| {
        Class::ALNUM.has(**b)
            || matches!(**b, b'_' | b'&' | b'[' | b']' | b'<' | b'>' | b'.' | b'|' | b' ' | b'?')
    };
    let length = rest.iter().take_while(of_type).count();
    match &rest[length..] {
        [b'=', next, ..]
            if !matches!(next, b'=' | b'>') && length > 2 && rest[length - 1] == b' ' =>
        {
            length + 1
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(before: &str, name: &str, rest: &str) -> Option<(usize, bool, bool, bool)> {
        let found = separator(rest.as_bytes(), name.as_bytes(), before.bytes().last());
        found.map(|s| (s.length, s.tight, s.tag, s.loose))
    }

    #[test]
    fn every_way_to_give_a_name_a_value() {
        let strict = |length| Some((length, false, false, false));
        let loose = |length| Some((length, false, false, true));
        let table = [
            ("", "KEY", "=x", Some((1, true, false, false))),
            ("", "key", " = x", strict(3)),
            ("\"", "key", "\": \"x", strict(3)),
            ("\"", "key", "\"=>\"x", strict(3)),
            ("[", "key", "] => x", strict(5)),
            ("", "key", ": str = 'x'", strict(8)),
            ("", "Key", " [None]: x", strict(9)),
            ("", "--key", " x", strict(1)),
            ("", "KEY", "\x1b[0m=\x1b[33mx", strict(10)),
            ("<", "key", ">x</key>", Some((1, false, true, false))),
            ("<", "key", " a=\"b\">x</key>", Some((7, false, true, false))),
            (">", "key", "</key>\n <string>x", Some((16, false, true, false))),
            ("", "key", " \"x\"", loose(1)),
            ("", "key", "(\"x\")", loose(1)),
            ("", "key", " == \"x\"", loose(4)),
            ("\"", "key", "\", \"x\"", loose(3)),
            ("\"", "key", "\",\"value\":\"x\"", loose(10)),
            ("\"", "key", "\"\r\n\r\nx", loose(5)),
            ("", "key", " is x", loose(4)),
            ("", "KEY", "\n  value: x", loose(10)),
            ("", "KEY", "\nvalues: x", None),
            ("", "key", " was: x", loose(6)),
            ("", "key", "::x", None),
            ("", "key", " and x", None),
            ("", "key", " == x", None),
        ];
        for (before, name, rest, expected) in table {
            assert_eq!(of(before, name, rest), expected, "{before}{name}{rest:?}");
        }
    }
}
