//! The labelled corpus: what share of it is decided as a person would, and the page that says so.
//!
//! The floors are below what is reached, so that they fail on a loss and not on a new case.

#![expect(clippy::expect_used, reason = "helpers of a test")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/page.rs"]
mod page;

use std::path::Path;

use airlock_policy::Gate;

#[test]
fn the_corpus_is_decided_as_labelled() {
    let sets = page::sets();
    let all: Vec<cases::Case> = sets.into_iter().flat_map(|(_, cases)| cases).collect();
    assert!(all.len() >= 600, "{} cases", all.len());
    let score = cases::score(&Gate::builtin(), &all);
    println!("{}{}", cases::table(&score), score.line());
    for miss in &score.misses {
        let rules = miss.rules.join(",");
        let (got, expect) = (miss.got.as_str(), miss.expect.as_str());
        println!("{got} instead of {expect} ({}, {rules}): {}", miss.category, miss.text);
    }
    assert!(score.denied.percent() >= 98.5, "denied: {:.1} %", score.denied.percent());
    assert!(score.stopped.percent() >= 99.0, "stopped: {:.1} %", score.stopped.percent());
    let interrupted = score.interrupted.percent();
    assert!(interrupted <= 1.0, "benign interrupted: {interrupted:.1} %");
    assert!(score.noticed.percent() >= 98.0, "noticed: {:.1} %", score.noticed.percent());
    assert!(score.balanced() >= 97.5, "balanced: {:.1} %", score.balanced());
}

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/policy-corpus.md");
    let page = page::page();
    if std::env::var_os("AIRLOCK_REGENERATE").is_some() {
        std::fs::write(&path, &page).expect("docs/reference/policy-corpus.md");
    }
    let written = std::fs::read_to_string(&path).expect("docs/reference/policy-corpus.md");
    assert!(written == page, "docs/reference/policy-corpus.md is out of date: run `make corpus`");
}
