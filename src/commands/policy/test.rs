//! `airlock policy test`: do the rules' examples hold, and do labelled cases come out as labelled?

use std::collections::BTreeMap;

use airlock_contract::PolicyOutcome;
use airlock_policy::{Example, Gate};
use serde_json::{Value, json};

use super::cases::{self, Case, word};
use super::{identity, title};
use crate::cli::{ConfigArgs, PolicyTestArgs};
use crate::config;
use crate::exit::{Error, Exit};
use crate::output;

/// A case that came out differently.
struct Miss {
    case: Case,
    expect: PolicyOutcome,
    got: PolicyOutcome,
    reason: String,
    rule_ids: Vec<String>,
}

/// What came of the cases with one label and category of one file.
#[derive(Default)]
struct Row {
    cases: usize,
    right: usize,
    interrupted: usize,
}

#[derive(Default)]
struct Report {
    examples: usize,
    broken: Vec<(String, Example)>,
    rows: BTreeMap<(String, PolicyOutcome, String), Row>,
    misses: Vec<Miss>,
}

/// Tries everything, reports, and fails if anything came out differently.
pub(super) fn run(args: &PolicyTestArgs, json: bool) -> Result<(), Error> {
    let source = config::shown(args.config.config.as_deref());
    let (gate, environments) = config::untried(&args.config)?;
    let mut report = Report::default();
    report.examples(&args.config, &gate, &environments)?;
    for path in &args.files {
        for case in cases::read(path, true)? {
            report.case(&gate, case)?;
        }
    }
    let passed = report.broken.is_empty() && report.misses.len() <= args.max_misses;
    if json {
        output::json(&report.json(&gate, &source, passed))?;
    } else {
        report.show(&gate, &source)?;
    }
    if passed { Ok(()) } else { Err(Error::silent(Exit::Failed)) }
}

impl Report {
    /// The examples of one environment if one is named, else of all that the file defines.
    fn examples(
        &mut self,
        args: &ConfigArgs,
        gate: &Gate,
        environments: &[String],
    ) -> Result<(), Error> {
        self.of_gate(gate);
        if args.env.is_some() {
            return Ok(());
        }
        for name in environments.iter().filter(|name| *name != gate.env()) {
            let args = ConfigArgs { env: Some(name.clone()), ..args.clone() };
            self.of_gate(&config::untried(&args)?.0);
        }
        Ok(())
    }

    fn of_gate(&mut self, gate: &Gate) {
        for example in gate.examples() {
            self.examples += 1;
            // An environment repeats the examples of what it extends.
            let known = self.broken.iter().any(|(_, other)| *other == example);
            if !example.holds && !known {
                self.broken.push((gate.env().to_owned(), example));
            }
        }
    }

    fn case(&mut self, gate: &Gate, case: Case) -> Result<(), Error> {
        let Some(expect) = case.expect else { return Ok(()) };
        let decision = case.decide(gate)?;
        let key = (case.file.clone(), expect, case.category().to_owned());
        let row = self.rows.entry(key).or_default();
        row.cases += 1;
        row.interrupted += usize::from(decision.outcome != PolicyOutcome::Allow);
        if decision.outcome == expect {
            row.right += 1;
            return Ok(());
        }
        self.misses.push(Miss {
            case,
            expect,
            got: decision.outcome,
            reason: decision.reason,
            rule_ids: decision.rule_ids,
        });
        Ok(())
    }

    fn json(&self, gate: &Gate, source: &str, passed: bool) -> Value {
        let broken = self.broken.iter().map(|(environment, example)| {
            json!({
                "environment": environment,
                "rule": example.rule,
                "origin": example.origin.to_string(),
                "line": example.origin.line,
                "key": example.key,
                "command": example.command,
            })
        });
        let rows = self.rows.iter().map(|((file, expect, category), row)| {
            json!({
                "file": file,
                "expect": word(*expect),
                "category": category,
                "cases": row.cases,
                "asExpected": row.right,
                "interrupted": row.interrupted,
            })
        });
        let misses = self.misses.iter().map(|miss| {
            json!({
                "file": miss.case.file,
                "line": miss.case.place,
                "case": miss.case.object,
                "expect": word(miss.expect),
                "outcome": word(miss.got),
                "reason": miss.reason,
                "ruleIds": miss.rule_ids,
            })
        });
        json!({
            "policy": identity(gate, source),
            "passed": passed,
            "warnings": gate.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "examples": {"tried": self.examples, "broken": broken.collect::<Vec<_>>()},
            "cases": {
                "tried": self.rows.values().map(|row| row.cases).sum::<usize>(),
                "rates": rows.collect::<Vec<_>>(),
                "misses": misses.collect::<Vec<_>>(),
            },
        })
    }

    fn show(&self, gate: &Gate, source: &str) -> Result<(), Error> {
        output::line(format_args!("policy    {}", title(gate, source)))?;
        for warning in gate.warnings() {
            output::line(format_args!("warning   {warning}"))?;
        }
        let held = self.examples - self.broken.len();
        output::line(format_args!("examples  {held} of {} hold", self.examples))?;
        for (environment, example) in &self.broken {
            let should = if example.key == "match" { "does not match" } else { "matches" };
            output::line(format_args!(
                "  broken  rule {} ({}, in environment {environment}): {:?} {should}, but is in `{}`",
                example.rule, example.origin, example.command, example.key
            ))?;
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        self.table()?;
        for miss in &self.misses {
            output::line(format_args!(
                "  miss    {}:{}  expected {}, got {} by {}: {}",
                miss.case.file,
                miss.case.place,
                word(miss.expect),
                word(miss.got),
                if miss.rule_ids.is_empty() { "no rule".into() } else { miss.rule_ids.join(", ") },
                miss.case.shown()
            ))?;
        }
        Ok(())
    }

    fn table(&self) -> Result<(), Error> {
        let (mut right, mut all) = (0, 0);
        output::line(format_args!(
            "{:24} {:17} {:16} {:>6} {:>12} {:>12}",
            "file", "expected", "category", "cases", "as expected", "interrupted"
        ))?;
        for ((file, expect, category), row) in &self.rows {
            output::line(format_args!(
                "{file:24} {:17} {category:16} {:>6} {:>12} {:>12}",
                word(*expect),
                row.cases,
                row.right,
                row.interrupted
            ))?;
            (right, all) = (right + row.right, all + row.cases);
        }
        output::line(format_args!("cases     {right} of {all} as expected"))
    }
}
