//! Recall and precision on a generated corpus.

mod corpus;

use airlock_redaction::Redactor;
use corpus::{Corpus, survives};
use std::collections::BTreeMap;

#[test]
fn every_format_is_replaced_in_every_place() {
    let redactor = Redactor::builtin();
    let mut missed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut count = 0;
    for seed in 0..5 {
        for secret in Corpus::whole(seed).secrets {
            count += 1;
            if survives(&redactor.redact(&secret.line), &secret.text) {
                missed.entry(secret.kind).or_default().push(secret.line);
            }
        }
    }
    let total: usize = missed.values().map(Vec::len).sum();
    for (kind, lines) in &missed {
        println!("{kind}: {} missed, such as {:?}", lines.len(), &lines[..lines.len().min(9)]);
    }
    // Random letters that read as a word, where a word is likelier: one in some thousands.
    let wordless = |line: &String| {
        let value = line.trim_end_matches("</password>").rsplit([' ', '=']).next().unwrap();
        value.bytes().any(|b| !b.is_ascii_alphabetic())
    };
    assert!(!missed.values().flatten().any(wordless), "of {count}");
    assert!(total * 5000 <= count, "{total} of {count}");
}

#[test]
fn look_alikes_stay() {
    let redactor = Redactor::builtin();
    let mut hit = BTreeMap::new();
    for seed in 0..20 {
        for part in Corpus::whole(seed).harmless {
            let clean = redactor.redact(&part.line);
            if clean != part.line {
                hit.insert(clean.into_owned(), part.line);
            }
        }
    }
    for (clean, line) in &hit {
        println!("{line}\n  -> {clean}");
    }
    assert_eq!(hit.len(), 0);
}
