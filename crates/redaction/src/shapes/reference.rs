//! The rules of the table a second time, as plain regular expressions tried at every byte:
//! slow, without filter, cache or stream, and so easy to believe. The engine must find the
//! very same spans in random texts.

use std::collections::BTreeSet;

use regex::bytes::Regex;

use super::SHAPES;
use crate::class::Class;
use crate::compiled::Compiled;
use crate::scan::Scanner;
use crate::shape::{Row, Segment, parse};

/// A row, as expressions that are matched at a place.
struct Rule {
    row: &'static Row,
    before: Option<(Regex, usize, usize)>,
    /// Each part of the body, the run that it begins with, its least and its greatest length.
    parts: Vec<Part>,
}

enum Part {
    Literal(Vec<u8>),
    Run { run: Regex, min: usize, max: usize, tail: Regex },
}

fn regex(pattern: &str) -> Regex {
    Regex::new(&format!("(?s-u){pattern}")).expect("an expression of the reference")
}

fn set(letter: char) -> &'static str {
    match letter {
        'a' => "[A-Za-z0-9]",
        'l' => "[a-z0-9]",
        'u' => "[A-Z0-9]",
        'h' => "[0-9a-fA-F]",
        'd' => "[0-9]",
        'w' => "[A-Za-z0-9_-]",
        'b' => "[A-Za-z0-9+/=]",
        'B' => "[A-Z2-7]",
        'L' => "[A-Za-z]",
        't' => "[A-Za-z0-9._~+/=-]",
        'p' => "[A-Za-z0-9+/=%_-]",
        '.' => "[A-Za-z0-9_.-]",
        other => panic!("no class {other}"),
    }
}

/// What swallows the rest of a token: whole words if its letters are only some.
fn tail(letter: char) -> &'static str {
    if "luhdBL".contains(letter) { set('a') } else { set(letter) }
}

fn run_of(segment: &Segment, notation: &str) -> Part {
    match segment {
        Segment::Literal(literal) => Part::Literal(literal.to_vec()),
        &Segment::Run { min, max, .. } => {
            let letter = notation.chars().next().expect("a letter");
            let run = regex(&format!("^{}*", set(letter)));
            Part::Run { run, min, max, tail: regex(&format!("^{}*", tail(letter))) }
        }
    }
}

impl Rule {
    fn new(row: &'static Row) -> Self {
        let segments = parse(row.body).expect("a notation");
        let parts = segments.iter().zip(row.body.split(' ')).map(|(s, n)| run_of(s, n)).collect();
        let before = row.before.map(|notation| {
            let letter = notation.chars().next().expect("a letter");
            match parse(notation).as_deref() {
                Some(&[Segment::Run { min, max, .. }]) => {
                    (regex(&format!("^{}*$", set(letter))), min, max)
                }
                _ => panic!("{notation}"),
            }
        });
        Self { row, before, parts }
    }

    /// The span of a secret whose anchor stands at `at`.
    fn span(&self, edges: &Edges, text: &[u8], at: usize, anchor: &str) -> Option<(usize, usize)> {
        let start = match &self.before {
            None => at,
            Some((run, min, max)) => (*min..=(*max).min(at).min(128)).rev().find_map(|length| {
                let start = at - length;
                let escaped = edges.escape.is_match(&text[..start])
                    && matches!(text.get(start), Some(b'n' | b'r' | b't'));
                let fits = run.is_match(&text[start..at])
                    && edges.may_begin(&text[..start], self.row.strict)
                    && !escaped;
                fits.then_some(start)
            })?,
        };
        if !edges.may_begin(&text[..start], self.row.strict) {
            return None;
        }
        let body = at + anchor.len();
        let start = if self.row.keep { body } else { start };
        let mut end = body;
        let mut swallowed = None;
        for (number, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => {
                    end += text[end..].starts_with(literal).then_some(literal.len())?;
                }
                Part::Run { run, min, max, tail } => {
                    let length = run.find(&text[end..]).map_or(0, |found| found.end());
                    if number + 1 == self.parts.len() && *max == usize::MAX && length >= *min {
                        end += min;
                        swallowed =
                            Some(end + tail.find(&text[end..]).map_or(0, |found| found.end()));
                    } else if (*min..=*max).contains(&length) {
                        end += length;
                    } else {
                        return None;
                    }
                }
            }
        }
        if !self.is_plausible(&text[body..end]) {
            return None;
        }
        match swallowed {
            Some(end) => Some((start, end)),
            None => (!text.get(end).is_some_and(u8::is_ascii_alphanumeric)).then_some((start, end)),
        }
    }

    fn is_plausible(&self, body: &[u8]) -> bool {
        let seen = &body[..body.len().min(128)];
        let different = seen.iter().collect::<BTreeSet<_>>().len();
        let dummy = regex("(?i)xxxxx|your|placeholder|redacted").is_match(seen);
        let sorts = ["[0-9]", "[A-Z]", "[a-z]"].iter().filter(|s| regex(s).is_match(seen)).count();
        let dull = seen.len() >= 8 && different < 5;
        !(dummy || dull || self.row.mixed && sorts < 2)
    }
}

/// What may stand before a token.
struct Edges {
    begin: Regex,
    strict: Regex,
    escape: Regex,
}

impl Edges {
    fn new() -> Self {
        let escapes =
            r"\\[nrtbf]|(?:\x1b\[|\\e\[|033\[)[0-9;]*m|%[0-9a-fA-F]{2}|\\u00[0-9a-fA-F]{2}";
        Self {
            begin: regex(&format!(r"(?:^|[^A-Za-z0-9]|{escapes})$")),
            strict: regex(&format!(r"(?:^|[^A-Za-z0-9+/_-]|{escapes})$")),
            escape: regex(r"\\$"),
        }
    }

    fn may_begin(&self, before: &[u8], strict: bool) -> bool {
        let before = &before[before.len().saturating_sub(128)..];
        if strict { self.strict.is_match(before) } else { self.begin.is_match(before) }
    }
}

/// Every span of the table in `text`, and the text with their groups replaced.
fn redact(rules: &[Rule], text: &[u8]) -> Vec<u8> {
    let edges = Edges::new();
    let mut spans = Vec::new();
    for at in 0..text.len() {
        for rule in rules {
            for anchor in rule.row.anchors {
                if text[at..].starts_with(anchor.as_bytes())
                    && let Some((start, end)) = rule.span(&edges, text, at, anchor)
                    && start < end
                {
                    spans.push((start, std::cmp::Reverse(end), rule.row.kind));
                }
            }
        }
    }
    spans.sort_by_key(|&(start, end, _)| (start, end));
    let (mut out, mut written, mut masked) = (Vec::new(), 0, 0);
    for (start, std::cmp::Reverse(end), kind) in spans {
        if start >= masked {
            out.extend_from_slice(&text[written..start]);
            out.extend_from_slice(format!("[REDACTED:{kind}]").as_bytes());
        }
        masked = masked.max(end);
        written = written.max(masked);
    }
    out.extend_from_slice(&text[written..]);
    out
}

fn engine(compiled: &Compiled, text: &[u8]) -> Vec<u8> {
    let mut scanner = Scanner::new();
    let mut out = Vec::new();
    scanner.advance(compiled, text, 0, true);
    scanner.emit(compiled, text, 0, true, &mut out);
    out
}

/// A random text that is full of halves of tokens.
fn random(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap_or(0) % limit
    };
    let edges: &[&str] = &[
        " ",
        "\n",
        "\\n",
        "\\",
        "\"",
        "=",
        "-",
        "_",
        "+",
        "/",
        ".",
        ",",
        ":",
        "%3D",
        "%",
        "\u{1b}[1m",
        "033[32m",
        "m",
        "x",
        "xxxxx",
        "your",
        "\\u0022",
        "\u{e9}",
        "~",
        "'",
        "redacted",
        "n",
    ];
    let mut text = Vec::new();
    for _ in 0..12 {
        for _ in 0..=below(2) {
            text.extend_from_slice(edges[below(edges.len())].as_bytes());
        }
        let row = &SHAPES[below(SHAPES.len())];
        let mut run = |notation: &str, text: &mut Vec<u8>| {
            for segment in parse(notation).expect("a notation") {
                match segment {
                    Segment::Literal(literal) => text.extend_from_slice(&literal),
                    Segment::Run { class, min, max } => {
                        // Right more often than not, else a few too many or too few.
                        let near = [min, min, min, min + 1, min + 9, min.saturating_sub(1), max];
                        let length = near[below(near.len())].min(min + 20);
                        let members: Vec<u8> = (0..128).filter(|b| class.has(*b)).collect();
                        let members = if below(9) == 0 { b"aab".to_vec() } else { members };
                        text.extend((0..length).map(|_| members[below(members.len())]));
                    }
                }
            }
        };
        if let Some(before) = row.before {
            run(before, &mut text);
        }
        text.extend_from_slice(row.anchors[text.len() % row.anchors.len()].as_bytes());
        run(row.body, &mut text);
    }
    text
}

#[test]
fn the_engine_agrees_with_plain_regular_expressions_span_by_span() {
    let compiled = Compiled::of_shapes();
    let rules: Vec<Rule> = SHAPES.iter().map(Rule::new).collect();
    let texts = std::env::var("AIRLOCK_LONG_TESTS").map_or(25, |_| 5000);
    let mut markers = 0;
    for seed in 1..=texts {
        let text = random(seed);
        let (found, expected) = (engine(&compiled, &text), redact(&rules, &text));
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(show(&found), show(&expected), "seed {seed}: {:?}", show(&text));
        markers += memchr::memmem::find_iter(&found, b"[REDACTED:").count();
    }
    assert!(markers as u64 > 3 * texts, "only {markers} spans were compared");
}

#[test]
fn classes_are_the_sets_that_the_reference_takes_them_for() {
    for (letter, class) in [
        ('a', Class::ALNUM),
        ('l', Class::LOWER),
        ('u', Class::UPPER),
        ('h', Class::HEX),
        ('d', Class::DIGIT),
        ('w', Class::WORD),
        ('b', Class::BASE64),
        ('B', Class::BASE32),
        ('L', Class::LETTER),
        ('t', Class::TOKEN),
        ('p', Class::PERCENT),
        ('.', Class::DOTTED),
    ] {
        let set = regex(set(letter));
        for byte in 0..=u8::MAX {
            assert_eq!(class.has(byte), set.is_match(&[byte]), "{letter}: {byte}");
        }
    }
}
