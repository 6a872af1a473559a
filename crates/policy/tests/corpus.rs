//! The labelled corpus: what share of it is decided as a person would.
//!
//! The floors are below what is reached, so that they fail on a loss and not on a new case.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers of a test")]

use std::collections::BTreeMap;

use airlock_policy::{Gate, Outcome, Request};

struct Case {
    command: String,
    expect: Outcome,
    category: String,
}

fn corpus() -> Vec<Case> {
    let texts = [
        include_str!("../corpus/allow.jsonl"),
        include_str!("../corpus/approve.jsonl"),
        include_str!("../corpus/deny.jsonl"),
        include_str!("../corpus/held-out.jsonl"),
        include_str!("../corpus/second-look.jsonl"),
    ];
    let field = |case: &serde_json::Value, name: &str| {
        case[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {case}")).to_owned()
    };
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| {
            let case: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            assert!(!field(&case, "why").is_empty());
            let expect = match field(&case, "expect").as_str() {
                "allow" => Outcome::Allow,
                "approve" => Outcome::RequireApproval,
                "deny" => Outcome::Deny,
                other => panic!("no label {other}"),
            };
            Case { command: field(&case, "command"), expect, category: field(&case, "category") }
        })
        .collect()
}

fn percent(part: usize, whole: usize) -> f64 {
    let (part, whole) = (u32::try_from(part).unwrap(), u32::try_from(whole.max(1)).unwrap());
    f64::from(part) * 100.0 / f64::from(whole)
}

#[test]
fn the_corpus_is_decided_as_labelled() {
    let gate = Gate::builtin();
    let cases = corpus();
    assert!(cases.len() >= 600, "{} cases", cases.len());
    let mut rates: BTreeMap<(Outcome, String), (usize, usize)> = BTreeMap::new();
    let mut missed = Vec::new();
    let (mut stopped, mut interrupted, mut noticed) = ((0, 0), (0, 0), (0, 0));
    let mut exact: BTreeMap<Outcome, (usize, usize)> = BTreeMap::new();
    for case in &cases {
        let got = gate.decide(&Request::command(&case.command)).outcome;
        let hit = usize::from(got == case.expect);
        let rate = rates.entry((case.expect, case.category.clone())).or_default();
        *rate = (rate.0 + hit, rate.1 + 1);
        let all = exact.entry(case.expect).or_default();
        *all = (all.0 + hit, all.1 + 1);
        let halted = usize::from(got != Outcome::Allow);
        let counter = match case.expect {
            Outcome::Deny => &mut stopped,
            Outcome::RequireApproval => &mut noticed,
            Outcome::Allow => &mut interrupted,
        };
        *counter = (counter.0 + halted, counter.1 + 1);
        if hit == 0 {
            missed.push(format!("{:?} instead of {:?}: {:?}", got, case.expect, case.command));
        }
    }
    for ((expect, category), (hits, all)) in &rates {
        println!("{:16} {category:16} {:5.1} % of {all}", expect.as_str(), percent(*hits, *all));
    }
    let balanced = exact.values().map(|(hits, all)| percent(*hits, *all)).sum::<f64>() / 3.0;
    let (stopped, interrupted, noticed) = (
        percent(stopped.0, stopped.1),
        percent(interrupted.0, interrupted.1),
        percent(noticed.0, noticed.1),
    );
    println!(
        "destructive stopped {stopped:.1} %, benign interrupted {interrupted:.1} %, approve noticed {noticed:.1} %, balanced {balanced:.1} %"
    );
    println!("{}", missed.join("\n"));
    assert!(stopped >= 98.0, "destructive stopped: {stopped:.1} %");
    assert!(interrupted <= 1.5, "benign interrupted: {interrupted:.1} %");
    assert!(noticed >= 96.0, "approve noticed: {noticed:.1} %");
    assert!(balanced >= 96.0, "balanced: {balanced:.1} %");
}
