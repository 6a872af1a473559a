//! Labelled cases and how they are scored: what the corpus test, the `judge` example and the
//! published page share.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use airlock_policy::{Decision, Gate, Outcome, Request};

/// One labelled step.
pub(crate) struct Case {
    pub(crate) command: Option<String>,
    /// Language and source, in place of a command.
    pub(crate) code: Option<(String, String)>,
    pub(crate) expect: Outcome,
    pub(crate) category: String,
    pub(crate) why: String,
}

impl Case {
    pub(crate) fn decide(&self, gate: &Gate) -> Decision {
        match (&self.command, &self.code) {
            (Some(command), _) => gate.decide(&Request::command(command)),
            (None, Some((language, source))) => gate.decide(&Request::code(language, source)),
            (None, None) => unreachable!("read() refuses such a case"),
        }
    }

    /// What is decided about, on one line.
    pub(crate) fn text(&self) -> String {
        match (&self.command, &self.code) {
            (Some(command), _) => command.replace('\n', "⏎"),
            (None, Some((language, source))) => {
                format!("{language}: {}", source.replace('\n', "⏎"))
            }
            (None, None) => String::new(),
        }
    }
}

/// Reads JSON Lines: `command` or `context.code`, `expect`, `category`, `why`.
pub(crate) fn read(text: &str) -> Vec<Case> {
    text.lines().filter(|line| !line.trim().is_empty()).map(one).collect()
}

fn one(line: &str) -> Case {
    let case: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
    let field = |name: &str| {
        let text = case[name].as_str().unwrap_or_default().to_owned();
        assert!(!text.is_empty(), "{name} is missing in {case}");
        text
    };
    let code = &case["context"]["code"];
    let code = code["language"].as_str().zip(code["source"].as_str());
    let command = case["command"].as_str().map(str::to_owned);
    assert!(command.is_some() || code.is_some(), "nothing to decide about in {case}");
    let expect = match field("expect").as_str() {
        "allow" => Outcome::Allow,
        "approve" | "require_approval" => Outcome::RequireApproval,
        "deny" => Outcome::Deny,
        other => panic!("no label {other}"),
    };
    Case {
        command,
        code: code.map(|(language, source)| (language.to_owned(), source.to_owned())),
        expect,
        category: field("category"),
        why: field("why"),
    }
}

/// How many of how many.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rate {
    pub(crate) hits: u32,
    pub(crate) all: u32,
}

impl Rate {
    fn count(&mut self, hit: bool) {
        self.hits += u32::from(hit);
        self.all += 1;
    }

    pub(crate) fn percent(self) -> f64 {
        f64::from(self.hits) * 100.0 / f64::from(self.all.max(1))
    }
}

/// What came out of a set of cases.
#[derive(Default)]
pub(crate) struct Score {
    /// Deny cases that were denied or held for approval, by exactly what is written below.
    pub(crate) denied: Rate,
    /// Deny cases that did not pass: denied, or held for an approval.
    pub(crate) stopped: Rate,
    /// Allow cases that did not pass at once.
    pub(crate) interrupted: Rate,
    /// Approve cases that did not pass at once.
    pub(crate) noticed: Rate,
    /// Approve cases that asked for an approval, neither more nor less.
    pub(crate) asked: Rate,
    /// By label and category: decided exactly as labelled, and stopped at all.
    pub(crate) categories: BTreeMap<(Outcome, String), (Rate, Rate)>,
    /// Everything that came out differently.
    pub(crate) misses: Vec<Miss>,
}

/// A case that came out differently.
pub(crate) struct Miss {
    pub(crate) expect: Outcome,
    pub(crate) got: Outcome,
    pub(crate) category: String,
    pub(crate) text: String,
    pub(crate) why: String,
    pub(crate) rules: Vec<String>,
}

impl Score {
    /// Mean of the three exact rates.
    pub(crate) fn balanced(&self) -> f64 {
        (self.denied.percent() + (100.0 - self.interrupted.percent()) + self.asked.percent()) / 3.0
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "destructive stopped {:.1} % (denied {:.1} %) of {}, benign interrupted {:.1} % of {}, \
             approvals noticed {:.1} % (asked {:.1} %) of {}, balanced {:.1} %",
            self.stopped.percent(),
            self.denied.percent(),
            self.denied.all,
            self.interrupted.percent(),
            self.interrupted.all,
            self.noticed.percent(),
            self.asked.percent(),
            self.asked.all,
            self.balanced()
        )
    }
}

/// Decides every case.
pub(crate) fn score(gate: &Gate, cases: &[Case]) -> Score {
    let mut score = Score::default();
    for case in cases {
        let decision = case.decide(gate);
        let (got, hit) = (decision.outcome, decision.outcome == case.expect);
        let halted = got != Outcome::Allow;
        match case.expect {
            Outcome::Deny => {
                score.denied.count(hit);
                score.stopped.count(halted);
            }
            Outcome::RequireApproval => {
                score.asked.count(hit);
                score.noticed.count(halted);
            }
            Outcome::Allow => score.interrupted.count(halted),
        }
        let key = (case.expect, case.category.clone());
        let (exact, stopped) = score.categories.entry(key).or_default();
        exact.count(hit);
        stopped.count(halted);
        if !hit {
            score.misses.push(Miss {
                expect: case.expect,
                got,
                category: case.category.clone(),
                text: case.text(),
                why: case.why.clone(),
                rules: decision.rule_ids,
            });
        }
    }
    score
}

/// The categories as a table.
pub(crate) fn table(score: &Score) -> String {
    let mut out = String::new();
    for ((expect, category), (exact, stopped)) in &score.categories {
        let _ = writeln!(
            out,
            "{:16} {category:18} {:5.1} % as labelled, {:5.1} % interrupted, of {}",
            expect.as_str(),
            exact.percent(),
            stopped.percent(),
            exact.all
        );
    }
    out
}
