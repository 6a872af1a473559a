//! Reading a policy document: typed TOML with positions, so that every refusal names its line.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::action::Action;
use crate::decision::{Mode, Outcome, Severity};
use crate::effect::EffectKind;
use crate::eval::Unanalysed;
use crate::hosts::HostPattern;
use crate::nearest::nearest;
use crate::rules::{Approvals, NetworkPolicy, Rule, Switch};

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The text is not TOML.
    #[error("{place}not TOML: {message}", place = place(*.line))]
    Toml {
        /// The line, from 1.
        line: Option<usize>,
        /// What the reader says.
        message: String,
    },
    /// A key that means nothing here.
    #[error("{place}unknown key `{key}`{hint}", place = place(*.line), hint = hint(.nearest.as_deref()))]
    UnknownKey {
        /// The line, from 1; `None` for a table that was not read from text.
        line: Option<usize>,
        /// The key with its path.
        key: String,
        /// The nearest key that exists.
        nearest: Option<String>,
    },
    /// A value of the wrong type or outside of what is known.
    #[error("{place}`{key}`: {problem}{hint}", place = place(*.line), hint = hint(.nearest.as_deref()))]
    Value {
        /// The line, from 1.
        line: Option<usize>,
        /// The key with its path.
        key: String,
        /// What is wrong.
        problem: String,
        /// The nearest value that exists.
        nearest: Option<String>,
    },
    /// An environment that is not there.
    #[error("no environment `{name}`{hint}", hint = hint(.nearest.as_deref()))]
    UnknownEnvironment {
        /// The name that was asked for.
        name: String,
        /// The nearest that exists.
        nearest: Option<String>,
    },
    /// A rule's own example comes out differently.
    #[error("{place}rule `{rule}`: {key} example {example:?} {problem}", place = place(*.line))]
    Example {
        /// The line of the rule, from 1.
        line: Option<usize>,
        /// The rule's id.
        rule: String,
        /// `match` or `not_match`.
        key: &'static str,
        /// The example.
        example: String,
        /// What came out.
        problem: &'static str,
    },
}

fn place(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

/// One environment as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) extends: Option<String>,
    pub(crate) overrides: bool,
    pub(crate) default: Option<Outcome>,
    pub(crate) mode: Option<Mode>,
    pub(crate) approvals: Option<Approvals>,
    pub(crate) actions: BTreeMap<Action, Switch>,
    pub(crate) network: Option<NetworkPolicy>,
    pub(crate) unanalysed: BTreeMap<Unanalysed, Outcome>,
    pub(crate) rules: Vec<(Rule, Option<usize>)>,
    pub(crate) line: Option<usize>,
}

/// A document as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) approvals: Option<Approvals>,
    pub(crate) floor: Vec<(Rule, Option<usize>)>,
    pub(crate) environments: BTreeMap<String, Environment>,
}

/// Reads a document. `lines` is false for text that nobody wrote.
pub(crate) fn read(text: &str, lines: bool) -> Result<Document, LoadError> {
    let reader = Reader { text, lines };
    let table = DeTable::parse(text).map_err(|error| LoadError::Toml {
        line: error.span().and_then(|span| reader.line(span.start)),
        message: error.message().to_owned(),
    })?;
    let mut document = Document::default();
    for (key, value) in table.get_ref() {
        match key.get_ref().as_ref() {
            "approvals" => document.approvals = Some(reader.approvals("approvals", value)?),
            "floor" => {
                let table = reader.table("floor", value)?;
                for (inner, value) in table {
                    match inner.get_ref().as_ref() {
                        "rule" => document.floor = reader.rules("floor.rule", value, true)?,
                        other => return Err(reader.unknown(inner, "floor.", other, &["rule"])),
                    }
                }
            }
            "env" => {
                for (name, value) in reader.table("env", value)? {
                    let path = format!("env.{}", name.get_ref());
                    let environment = reader.environment(&path, value)?;
                    document.environments.insert(name.get_ref().to_string(), environment);
                }
            }
            other => return Err(reader.unknown(key, "", other, &["approvals", "floor", "env"])),
        }
    }
    Ok(document)
}

const ENVIRONMENT_KEYS: &[&str] = &[
    "extends",
    "override",
    "default",
    "mode",
    "approvals",
    "actions",
    "network",
    "unanalysed",
    "rule",
];
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

struct Reader<'t> {
    text: &'t str,
    lines: bool,
}

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;
type Value<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    fn line(&self, offset: usize) -> Option<usize> {
        let before = self.text.get(..offset)?;
        self.lines.then(|| before.bytes().filter(|b| *b == b'\n').count() + 1)
    }

    fn unknown(&self, key: &Key<'_>, path: &str, name: &str, known: &[&str]) -> LoadError {
        LoadError::UnknownKey {
            line: self.line(key.span().start),
            key: format!("{path}{name}"),
            nearest: nearest(name, known.iter().copied()).map(str::to_owned),
        }
    }

    fn wrong(&self, key: &str, value: &Value<'_>, problem: impl Into<String>) -> LoadError {
        LoadError::Value {
            line: self.line(value.span().start),
            key: key.to_owned(),
            problem: problem.into(),
            nearest: None,
        }
    }

    fn table<'v, 'i>(&self, key: &str, value: &'v Value<'i>) -> Result<&'v DeTable<'i>, LoadError> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.wrong(key, value, "must be a table")),
        }
    }

    fn string<'v>(&self, key: &str, value: &'v Value<'_>) -> Result<&'v str, LoadError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err(self.wrong(key, value, "must be a string")),
        }
    }

    fn boolean(&self, key: &str, value: &Value<'_>) -> Result<bool, LoadError> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.wrong(key, value, "must be true or false")),
        }
    }

    // A string or a list of strings, each with its place.
    fn strings(&self, key: &str, value: &Value<'_>) -> Result<Vec<String>, LoadError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(vec![text.to_string()]),
            DeValue::Array(items) => {
                items.iter().map(|item| self.string(key, item).map(str::to_owned)).collect()
            }
            _ => Err(self.wrong(key, value, "must be a string or a list of strings")),
        }
    }

    fn one_of<T: Copy>(
        &self,
        key: &str,
        value: &Value<'_>,
        known: &[(&str, T)],
    ) -> Result<T, LoadError> {
        let text = self.string(key, value)?;
        self.named(key, value, text, known)
    }

    fn named<T: Copy>(
        &self,
        key: &str,
        value: &Value<'_>,
        text: &str,
        known: &[(&str, T)],
    ) -> Result<T, LoadError> {
        known.iter().find(|(name, _)| *name == text).map(|(_, found)| *found).ok_or_else(|| {
            LoadError::Value {
                line: self.line(value.span().start),
                key: key.to_owned(),
                problem: format!("`{text}` is not known"),
                nearest: nearest(text, known.iter().map(|(name, _)| *name)).map(str::to_owned),
            }
        })
    }

    fn outcome(&self, key: &str, value: &Value<'_>) -> Result<Outcome, LoadError> {
        self.one_of(key, value, &Outcome::ALL.map(|outcome| (outcome.as_str(), outcome)))
    }

    fn approvals(&self, key: &str, value: &Value<'_>) -> Result<Approvals, LoadError> {
        let known = [("ask", Approvals::Ask), ("deny", Approvals::Deny)];
        if matches!(value.get_ref(), DeValue::String(_)) {
            return self.one_of(key, value, &known);
        }
        let mut approvals = Approvals::Ask;
        for (inner, value) in self.table(key, value)? {
            match inner.get_ref().as_ref() {
                "mode" => approvals = self.one_of(&format!("{key}.mode"), value, &known)?,
                other => return Err(self.unknown(inner, &format!("{key}."), other, &["mode"])),
            }
        }
        Ok(approvals)
    }

    fn environment(&self, path: &str, value: &Value<'_>) -> Result<Environment, LoadError> {
        let mut out = Environment { line: self.line(value.span().start), ..Environment::default() };
        for (key, value) in self.table(path, value)? {
            let name = key.get_ref().as_ref();
            let at = format!("{path}.{name}");
            match name {
                "extends" => out.extends = Some(self.string(&at, value)?.to_owned()),
                "override" => out.overrides = self.boolean(&at, value)?,
                "default" => out.default = Some(self.outcome(&at, value)?),
                "mode" => {
                    let known = [Mode::Enforce, Mode::Shadow].map(|mode| (mode.as_str(), mode));
                    out.mode = Some(self.one_of(&at, value, &known)?);
                }
                "approvals" => out.approvals = Some(self.approvals(&at, value)?),
                "actions" => out.actions = self.actions(&at, value)?,
                "network" => out.network = Some(self.network(&at, value)?),
                "unanalysed" => out.unanalysed = self.reasons(&at, value)?,
                "rule" => out.rules = self.rules(&at, value, false)?,
                other => {
                    return Err(self.unknown(key, &format!("{path}."), other, ENVIRONMENT_KEYS));
                }
            }
        }
        Ok(out)
    }

    fn actions(
        &self,
        path: &str,
        value: &Value<'_>,
    ) -> Result<BTreeMap<Action, Switch>, LoadError> {
        let known = [("on", Switch::On), ("off", Switch::Off), ("approval", Switch::Approval)];
        let names = Action::ALL.map(Action::as_str);
        let mut out = BTreeMap::new();
        for (key, value) in self.table(path, value)? {
            let name = key.get_ref().as_ref();
            let action = name
                .parse::<Action>()
                .map_err(|_| self.unknown(key, &format!("{path}."), name, &names))?;
            out.insert(action, self.one_of(&format!("{path}.{name}"), value, &known)?);
        }
        Ok(out)
    }

    fn reasons(
        &self,
        path: &str,
        value: &Value<'_>,
    ) -> Result<BTreeMap<Unanalysed, Outcome>, LoadError> {
        let mut out = BTreeMap::new();
        for (key, value) in self.table(path, value)? {
            let name = key.get_ref().as_ref();
            let codes = Unanalysed::ALL.map(Unanalysed::code);
            let reason = Unanalysed::ALL
                .into_iter()
                .find(|reason| reason.code() == name)
                .ok_or_else(|| self.unknown(key, &format!("{path}."), name, &codes))?;
            out.insert(reason, self.outcome(&format!("{path}.{name}"), value)?);
        }
        Ok(out)
    }

    fn network(&self, path: &str, value: &Value<'_>) -> Result<NetworkPolicy, LoadError> {
        let mut out = NetworkPolicy::default();
        for (key, value) in self.table(path, value)? {
            let name = key.get_ref().as_ref();
            let at = format!("{path}.{name}");
            match name {
                "allow" => {
                    for entry in self.strings(&at, value)? {
                        let patterns = HostPattern::parse_entry(&entry)
                            .map_err(|problem| self.wrong(&at, value, problem))?;
                        out.add(entry, patterns);
                    }
                }
                "otherwise" => out.otherwise = self.outcome(&at, value)?,
                other => {
                    let known = ["allow", "otherwise"];
                    return Err(self.unknown(key, &format!("{path}."), other, &known));
                }
            }
        }
        Ok(out)
    }

    fn rules(
        &self,
        path: &str,
        value: &Value<'_>,
        floor: bool,
    ) -> Result<Vec<(Rule, Option<usize>)>, LoadError> {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong(path, value, "must be a list of tables, written [[...]]"));
        };
        items
            .iter()
            .map(|item| {
                let mut rule = self.rule(path, item)?;
                rule.floor = floor;
                Ok((rule, self.line(item.span().start)))
            })
            .collect()
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
