//! A rule's own examples: what it says it speaks of, tried.

use super::Gate;
use crate::document::LoadError;
use crate::policy::Origin;
use crate::request::Request;
use crate::rules::Rule;

/// An example of a rule, tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The rule's id.
    pub rule: String,
    /// Where the rule stands.
    pub origin: Origin,
    /// `match`: the rule must speak of it; `not_match`: it must not.
    pub key: &'static str,
    /// The command.
    pub command: String,
    /// Whether it came out as written.
    pub holds: bool,
}

impl Example {
    pub(super) fn error(self) -> LoadError {
        LoadError::Example {
            line: self.origin.line,
            rule: self.rule,
            problem: if self.key == "match" {
                "is not something the rule speaks of"
            } else {
                "is something the rule speaks of"
            },
            key: self.key,
            example: self.command,
        }
    }
}

impl Gate {
    /// Tries the examples of every rule, one by one.
    pub fn examples(&self) -> impl Iterator<Item = Example> {
        self.examples_of(|_| true)
    }

    pub(super) fn examples_of(
        &self,
        wanted: impl Fn(&Origin) -> bool,
    ) -> impl Iterator<Item = Example> {
        let rules = self.policy.rules.iter().filter(move |(_, origin)| wanted(origin));
        rules.flat_map(|(rule, origin)| {
            let tried = |key, expected: bool, command: &String| Example {
                rule: rule.id.clone(),
                origin: origin.clone(),
                key,
                command: command.clone(),
                holds: speaks_of(rule, command) == expected,
            };
            let matching = rule.examples.iter().map(move |c| tried("match", true, c));
            let others = rule.counter_examples.iter().map(move |c| tried("not_match", false, c));
            matching.chain(others)
        })
    }
}

fn speaks_of(rule: &Rule, command: &str) -> bool {
    let findings = crate::analyse::analyse(&Request::command(command));
    findings.effects.iter().any(|effect| rule.speaks_of(effect))
}
