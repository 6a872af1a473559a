//! Each row proves itself: bodies made from its notation match, shorter ones and the
//! row's own look-alikes do not.

use super::SHAPES;
use crate::Redactor;
use crate::class::Class;
use crate::shape::{Segment, Shape, parse};

/// `length` bytes of a class, the same for a seed.
fn bytes(class: Class, length: usize, seed: usize) -> String {
    let members: Vec<u8> = (b'0'..=b'z').filter(|b| class.has(*b) && *b != b'=').collect();
    let mut state = seed as u64 + 77;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(members[(state >> 33) as usize % members.len()])
    };
    (0..length).map(|_| next()).collect()
}

/// A body with `missing` bytes too few in its last run.
fn body(notation: &str, seed: usize, missing: usize) -> String {
    let segments = parse(notation).expect("a notation that reads");
    let last = segments.len() - 1;
    let mut text = String::new();
    for (number, segment) in segments.iter().enumerate() {
        match segment {
            Segment::Literal(literal) => text += std::str::from_utf8(literal).expect("ASCII"),
            Segment::Run { class, min, .. } => {
                let missing = if number == last { missing } else { 0 };
                text += &bytes(*class, min.saturating_sub(missing), seed + number);
            }
        }
    }
    text
}

#[test]
fn every_row_reads() {
    for row in SHAPES {
        assert!(Shape::new(row).is_some(), "{}: {}", row.kind, row.body);
        assert!(row.anchors.iter().all(|anchor| anchor.len() >= 2), "{}", row.kind);
    }
}

#[test]
fn every_row_matches_what_it_says() {
    let redactor = Redactor::builtin();
    for row in SHAPES {
        for anchor in row.anchors {
            for seed in 1..5 {
                let before = row.before.map(|before| body(before, seed, 0)).unwrap_or_default();
                let body = body(row.body, seed, 0);
                let text = format!("a {before}{anchor}{body} z");
                let clean = redactor.redact(&text);
                assert!(clean.contains("[REDACTED:"), "{}: {text}", row.kind);
                assert!(body.is_empty() || !clean.contains(&body), "{}: {text}", row.kind);
                assert!(clean.ends_with("] z"), "{}: {text} -> {clean}", row.kind);
            }
        }
    }
}

#[test]
fn a_body_too_short_stays() {
    let redactor = Redactor::builtin();
    for row in SHAPES.iter().filter(|row| row.body != "h0+") {
        for anchor in row.anchors {
            let before = row.before.map(|before| body(before, 2, 0)).unwrap_or_default();
            let Some(Segment::Run { min, .. }) = parse(row.body).and_then(|s| s.last().cloned())
            else {
                panic!("{}: a body ends with a run", row.kind)
            };
            let short = body(row.body, 2, min - min / 4);
            let text = format!("a {before}{anchor}{short} z");
            let clean = redactor.redact(&text);
            let marker = format!("[REDACTED:{}]", row.kind);
            let other = SHAPES.iter().any(|r| r.kind == row.kind && r.body != row.body);
            assert!(other || !clean.contains(&marker), "{}: {text} -> {clean}", row.kind);
        }
    }
}

#[test]
fn look_alikes_and_placeholders_stay() {
    let redactor = Redactor::builtin();
    for row in SHAPES {
        for text in row.leaves {
            assert_eq!(redactor.redact(text), *text, "{}", row.kind);
        }
        for anchor in row.anchors {
            let text =
                format!("a {anchor}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx z");
            assert_eq!(redactor.redact(&text), *text, "{}", row.kind);
        }
    }
}
