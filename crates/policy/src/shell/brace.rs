//! Brace expansion over word parts: `{a,b}` and `{1..3}` become several words.

use super::Part;

/// Words one word may become; the rest is dropped, which the caller reports.
const MAX_WORDS: usize = 64;

// A word as a sequence of unquoted characters and of parts that braces do not look into.
#[derive(Clone)]
enum Unit {
    Char(char),
    Part(Part),
}

/// Expands the braces of a word; `None` if it has none.
pub(crate) fn expand(parts: &[Part]) -> Option<Vec<Vec<Part>>> {
    let has_brace = parts
        .iter()
        .any(|part| matches!(part, Part::Text { text, quoted: false } if text.contains('{')));
    if !has_brace {
        return None;
    }
    let mut units = Vec::new();
    for part in parts {
        match part {
            Part::Text { text, quoted: false } => units.extend(text.chars().map(Unit::Char)),
            other => units.push(Unit::Part(other.clone())),
        }
    }
    let mut pending = vec![units];
    let mut done: Vec<Vec<Unit>> = Vec::new();
    let mut changed = false;
    while let Some(units) = pending.pop() {
        if done.len() + pending.len() >= MAX_WORDS {
            done.push(units);
            break;
        }
        match first_brace(&units) {
            Some(alternatives) => {
                changed = true;
                pending.extend(alternatives.into_iter().rev().take(MAX_WORDS));
            }
            None => done.push(units),
        }
    }
    changed.then(|| done.into_iter().map(rebuild).collect())
}

fn rebuild(units: Vec<Unit>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    for unit in units {
        match unit {
            Unit::Char(c) => text.push(c),
            Unit::Part(part) => {
                if !text.is_empty() {
                    parts.push(Part::Text { text: std::mem::take(&mut text), quoted: false });
                }
                parts.push(part);
            }
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text { text, quoted: false });
    }
    parts
}

// The alternatives of the first brace that expands.
fn first_brace(units: &[Unit]) -> Option<Vec<Vec<Unit>>> {
    // Unclosed braces would make this quadratic; people write few.
    for (open, _) in units.iter().enumerate().filter(|(_, u)| is(u, '{')).take(16) {
        let mut depth = 0usize;
        let mut commas = Vec::new();
        for (at, unit) in units.iter().enumerate().skip(open) {
            if is(unit, '{') {
                depth += 1;
            } else if is(unit, ',') && depth == 1 {
                commas.push(at);
            } else if is(unit, '}') {
                depth -= 1;
                if depth == 0 {
                    if let Some(found) = alternatives(units, open, at, &commas) {
                        return Some(found);
                    }
                    break;
                }
            }
        }
    }
    None
}

fn is(unit: &Unit, c: char) -> bool {
    matches!(unit, Unit::Char(x) if *x == c)
}

fn alternatives(
    units: &[Unit],
    open: usize,
    close: usize,
    commas: &[usize],
) -> Option<Vec<Vec<Unit>>> {
    let around = |middle: &[Unit]| {
        let mut out = units.get(..open).unwrap_or_default().to_vec();
        out.extend_from_slice(middle);
        out.extend_from_slice(units.get(close + 1..).unwrap_or_default());
        out
    };
    if !commas.is_empty() {
        let mut out = Vec::new();
        let mut from = open + 1;
        for &comma in commas.iter().take(MAX_WORDS) {
            out.push(around(units.get(from..comma).unwrap_or_default()));
            from = comma + 1;
        }
        out.push(around(units.get(from..close).unwrap_or_default()));
        return Some(out);
    }
    let text: String = units
        .get(open + 1..close)?
        .iter()
        .map(|unit| match unit {
            Unit::Char(c) => *c,
            Unit::Part(_) => '\0',
        })
        .collect();
    let values = sequence(&text)?;
    Some(
        values
            .iter()
            .map(|value| around(&value.chars().map(Unit::Char).collect::<Vec<_>>()))
            .collect(),
    )
}

fn sequence(text: &str) -> Option<Vec<String>> {
    let mut ends = text.split("..");
    let (from, to) = (ends.next()?, ends.next()?);
    if let (Ok(from), Ok(to)) = (from.parse::<i64>(), to.parse::<i64>()) {
        let count = usize::try_from(from.abs_diff(to)).unwrap_or(usize::MAX).min(MAX_WORDS - 1);
        let step = if from <= to { 1 } else { -1 };
        return Some(
            (0..=i64::try_from(count).ok()?).map(|i| (from + i * step).to_string()).collect(),
        );
    }
    let (mut from_chars, mut to_chars) = (from.chars(), to.chars());
    let (a, b) = (from_chars.next()?, to_chars.next()?);
    if from_chars.next().is_some() || to_chars.next().is_some() || !a.is_ascii() || !b.is_ascii() {
        return None;
    }
    Some(if a <= b {
        (a..=b).take(MAX_WORDS).map(String::from).collect()
    } else {
        (b..=a).rev().take(MAX_WORDS).map(String::from).collect()
    })
}
