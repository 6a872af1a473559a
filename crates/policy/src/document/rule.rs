//! The rules of a document.

use std::time::Duration;

use toml::de::DeValue;

use super::reader::{Reader, Value};
use super::{LoadError, Placed, contradiction};
use crate::action::Action;
use crate::decision::Severity;
use crate::effect::EffectKind;
use crate::hosts::HostPattern;
use crate::nearest::nearest;
use crate::rules::Rule;

const RULE_KEYS: &[&str] = &[
    "id",
    "effect",
    "action",
    "class",
    "target",
    "path",
    "host",
    "decision",
    "reason",
    "instead",
    "severity",
    "expires",
    "match",
    "not_match",
];

impl Reader<'_> {
    pub(super) fn rules(
        &self,
        path: &str,
        value: &Value<'_>,
        floor: bool,
    ) -> Result<Vec<Placed<Rule>>, LoadError> {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong(path, value, "must be a list of tables, written [[...]]"));
        };
        let rules = items
            .iter()
            .map(|item| {
                let mut rule = self.rule(path, item)?;
                rule.floor = floor;
                Ok(Placed { value: rule, line: self.line(item.span().start) })
            })
            .collect::<Result<Vec<_>, LoadError>>()?;
        contradiction::check(&rules)?;
        Ok(rules)
    }

    fn rule(&self, path: &str, value: &Value<'_>) -> Result<Rule, LoadError> {
        let mut rule = Rule::default();
        let mut has_decision = false;
        let kinds = EffectKind::ALL.map(|kind| (kind.as_str(), kind));
        for (key, value) in self.table(path, value)? {
            let name = key.get_ref().as_ref();
            let at = format!("{path}.{name}");
            match name {
                "id" => self.string(&at, value)?.clone_into(&mut rule.id),
                "effect" => {
                    for text in self.strings(&at, value)? {
                        rule.effects.push(self.named(&at, value, &text, &kinds)?);
                    }
                }
                "action" => {
                    let known = Action::ALL.map(|action| (action.as_str(), action));
                    rule.action = Some(self.one_of(&at, value, &known)?);
                }
                "class" => rule.classes = self.strings(&at, value)?,
                "target" => rule.targets = self.strings(&at, value)?,
                "path" => rule.paths = self.strings(&at, value)?,
                "host" => {
                    for entry in self.strings(&at, value)? {
                        let patterns = HostPattern::parse_entry(&entry)
                            .map_err(|problem| self.wrong(&at, value, problem))?;
                        rule.hosts.extend(patterns);
                    }
                }
                "decision" => {
                    rule.decision = self.outcome(&at, value)?;
                    has_decision = true;
                }
                "reason" => self.string(&at, value)?.clone_into(&mut rule.reason),
                "instead" => rule.remedy = Some(self.string(&at, value)?.to_owned()),
                "severity" => {
                    let known = Severity::ALL.map(|severity| (severity.as_str(), severity));
                    rule.severity = Some(self.one_of(&at, value, &known)?);
                }
                "expires" => rule.expires = Some(self.duration(&at, value)?),
                "match" => rule.examples = self.strings(&at, value)?,
                "not_match" => rule.counter_examples = self.strings(&at, value)?,
                other => return Err(self.unknown(key, &format!("{path}."), other, RULE_KEYS)),
            }
        }
        self.whole(path, value, &rule, has_decision)?;
        Ok(rule)
    }

    fn whole(
        &self,
        path: &str,
        value: &Value<'_>,
        rule: &Rule,
        has_decision: bool,
    ) -> Result<(), LoadError> {
        if rule.id.is_empty() {
            return Err(self.wrong(path, value, "a rule needs an `id`"));
        }
        if !has_decision {
            return Err(self.wrong(path, value, format!("rule `{}` needs a `decision`", rule.id)));
        }
        if rule.effects.is_empty() && rule.action.is_none() {
            let problem = format!("rule `{}` needs an `effect` or an `action`", rule.id);
            return Err(self.wrong(path, value, problem));
        }
        let known: Vec<&str> =
            rule.effects.iter().flat_map(|kind| kind.classes().iter().copied()).collect();
        for class in &rule.classes {
            if !known.contains(&class.as_str()) {
                return Err(LoadError::Value {
                    line: self.line(value.span().start),
                    key: format!("{path}.class"),
                    problem: format!("`{class}` is not a class of the rule's effects"),
                    nearest: nearest(class, known.iter().copied()).map(str::to_owned),
                });
            }
        }
        Ok(())
    }

    fn duration(&self, key: &str, value: &Value<'_>) -> Result<Duration, LoadError> {
        let text = self.string(key, value)?;
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text.get(digits.len()..) {
            Some("s") => 1,
            Some("m") => 60,
            Some("h") => 3600,
            Some("d") => 86_400,
            _ => 0,
        };
        match digits.parse::<u64>() {
            Ok(number) if unit > 0 && number > 0 => {
                Ok(Duration::from_secs(number.saturating_mul(unit)))
            }
            _ => Err(self.wrong(key, value, "must be a duration such as 30s, 15m, 2h or 1d")),
        }
    }
}
