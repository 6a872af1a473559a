//! A seeded corpus of command output with secrets at known places, and look-alikes.
//!
//! The formats are written down here a second time, on purpose: a mistake in the table of
//! shapes does not repeat itself in what it is measured by.
#![allow(dead_code, reason = "each test uses a part")]

mod formats;
mod harmless;

pub(crate) use formats::SECRETS;
pub(crate) use harmless::{HARMLESS, LINES};

/// A small generator: the same numbers on every machine.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0) % limit
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Fills `{a36}`, `{h5-9}` in; the rest stays.
    pub(crate) fn fill(&mut self, template: &str) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some((head, tail)) = rest.split_once('{') {
            out += head;
            let hole = tail.split_once('}').and_then(|(hole, tail)| Some((self.hole(hole)?, tail)));
            if let Some((text, tail)) = hole {
                out += &text;
                rest = tail;
            } else {
                out.push('{');
                rest = tail;
            }
        }
        out + rest
    }

    fn hole(&mut self, hole: &str) -> Option<String> {
        let alphabet: Vec<u8> = match hole.get(..1)? {
            "a" => alphabet("AZaz09", ""),
            "l" => alphabet("az09", ""),
            "u" => alphabet("AZ09", ""),
            "h" => alphabet("af09", ""),
            "H" => alphabet("AF09", ""),
            "d" => alphabet("09", ""),
            "w" => alphabet("AZaz09", "_-"),
            "b" => alphabet("AZaz09", "+/"),
            "B" => alphabet("AZ27", ""),
            "L" => alphabet("AZaz", ""),
            "z" => alphabet("az", ""),
            "p" => alphabet("AZaz09", "!#%+-_.~^*"),
            _ => return None,
        };
        let (min, max) = hole[1..].split_once('-').unwrap_or_else(|| (&hole[1..], &hole[1..]));
        let (min, max): (usize, usize) = (min.parse().ok()?, max.parse().ok()?);
        let length = min + self.below(max - min + 1);
        Some((0..length).map(|_| char::from(*self.pick(&alphabet))).collect())
    }
}

fn alphabet(ranges: &str, more: &str) -> Vec<u8> {
    let ranges = ranges.as_bytes().chunks(2).flat_map(|r| r[0]..=r[1]);
    ranges.chain(more.bytes()).collect()
}

/// Bytes that must not survive, or must.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    /// The line it stands in.
    pub(crate) line: String,
    /// Number of that line, from 0; in a corpus of ordinary output.
    pub(crate) number: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Corpus {
    pub(crate) text: String,
    pub(crate) secrets: Vec<Part>,
    pub(crate) harmless: Vec<Part>,
    /// Number of the line that is being written, from 0.
    number: usize,
}

/// Places for a token that is known by itself.
const PLACES: &[&str] = &[
    "{}",
    "using {} now",
    "X={}",
    "export X=\"{}\"",
    "{\"k\": \"{}\"}",
    "k: {}",
    "'{}',",
    "({})",
    "[info] got {}.",
    "x?y={}&z=1",
    "<v>{}</v>",
    "\\\"{}\\\"",
    "a\\n{}\\nb",
    "\u{1b}[31m{}\u{1b}[0m",
    "2026-01-02T03:04:05Z DEBUG t={} ok",
    "curl -H 'X: {}' h",
    "`{}`",
    "x:{}",
    "a %22{}%22",
    "| {} |",
];

impl Corpus {
    /// About `lines` lines; of a hundred, `secret` hold a secret and `harmless` a look-alike.
    pub(crate) fn new(seed: u64, lines: usize, secret: usize, harmless: usize) -> Self {
        let mut dice = Dice::new(seed);
        let mut corpus = Self::default();
        for _ in 0..lines {
            let roll = dice.below(100);
            if roll < secret {
                let at = dice.below(SECRETS.len());
                corpus.secret(&mut dice, at);
            } else if roll < secret + harmless {
                let at = dice.below(HARMLESS.len());
                corpus.harmless(&mut dice, at);
            } else {
                let line = *dice.pick(LINES);
                corpus.text += &dice.fill(line);
            }
            corpus.text.push('\n');
            corpus.number += 1;
        }
        corpus
    }

    /// Each kind of secret and each look-alike once in every place.
    pub(crate) fn whole(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut corpus = Self::default();
        for at in 0..SECRETS.len() {
            for place in PLACES {
                corpus.place(&mut dice, at, place);
                corpus.text.push('\n');
            }
        }
        for at in 0..HARMLESS.len() {
            corpus.harmless(&mut dice, at);
            corpus.text.push('\n');
        }
        corpus
    }

    fn secret(&mut self, dice: &mut Dice, at: usize) {
        let place = *dice.pick(PLACES);
        self.place(dice, at, place);
    }

    /// The secret part of a template stands between `«` and `»`; a template without them
    /// is a token that can stand anywhere.
    fn place(&mut self, dice: &mut Dice, at: usize, place: &str) {
        let (kind, template) = SECRETS[at];
        let filled = dice.fill(template);
        let (line, secret) = match filled.split_once('«') {
            None => (place.replace("{}", &filled), filled.clone()),
            Some((head, tail)) => {
                let (secret, tail) = tail.split_once('»').unwrap_or((tail, ""));
                (format!("{head}{secret}{tail}"), secret.to_owned())
            }
        };
        self.text += &line;
        let number = self.number;
        self.number += line.matches('\n').count();
        self.secrets.push(Part { kind, text: secret, line, number });
    }

    fn harmless(&mut self, dice: &mut Dice, at: usize) {
        let line = dice.fill(HARMLESS[at]);
        self.text += &line;
        let number = self.number;
        self.harmless.push(Part { kind: "", text: line.clone(), line, number });
    }
}

/// Whether eight characters in a row of a secret survive, or all of a shorter one.
pub(crate) fn survives(clean: &str, secret: &str) -> bool {
    let secret = secret.as_bytes();
    let least = secret.len().min(8);
    secret.windows(least).any(|part| memchr::memmem::find(clean.as_bytes(), part).is_some())
}
