//! Typed values out of positioned TOML: settings of an environment.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Entry, Environment, LoadError, Network, Placed};
use crate::action::Action;
use crate::decision::{Mode, Outcome};
use crate::eval::Unanalysed;
use crate::hosts::HostPattern;
use crate::nearest::nearest;
use crate::rules::{Approvals, Switch};

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

/// Reads values of one text and knows their lines.
pub(super) struct Reader<'t> {
    text: &'t str,
    lines: bool,
}

pub(super) type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

impl<'t> Reader<'t> {
    /// A reader of `text`; without `lines` no refusal names one.
    pub(super) const fn new(text: &'t str, lines: bool) -> Self {
        Self { text, lines }
    }

    pub(super) fn line(&self, offset: usize) -> Option<usize> {
        let before = self.text.get(..offset)?;
        self.lines.then(|| before.bytes().filter(|b| *b == b'\n').count() + 1)
    }

    pub(super) fn unknown(
        &self,
        key: &Key<'_>,
        path: &str,
        name: &str,
        known: &[&str],
    ) -> LoadError {
        LoadError::UnknownKey {
            line: self.line(key.span().start),
            key: format!("{path}{name}"),
            nearest: nearest(name, known.iter().copied()).map(str::to_owned),
        }
    }

    pub(super) fn wrong(
        &self,
        key: &str,
        value: &Value<'_>,
        problem: impl Into<String>,
    ) -> LoadError {
        LoadError::Value {
            line: self.line(value.span().start),
            key: key.to_owned(),
            problem: problem.into(),
            nearest: None,
        }
    }

    pub(super) fn table<'v, 'i>(
        &self,
        key: &str,
        value: &'v Value<'i>,
    ) -> Result<&'v DeTable<'i>, LoadError> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.wrong(key, value, "must be a table")),
        }
    }

    pub(super) fn string<'v>(&self, key: &str, value: &'v Value<'_>) -> Result<&'v str, LoadError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err(self.wrong(key, value, "must be a string")),
        }
    }

    pub(super) fn boolean(&self, key: &str, value: &Value<'_>) -> Result<bool, LoadError> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.wrong(key, value, "must be true or false")),
        }
    }

    // A string or a list of strings, each with its place.
    pub(super) fn strings(&self, key: &str, value: &Value<'_>) -> Result<Vec<String>, LoadError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(vec![text.to_string()]),
            DeValue::Array(items) => {
                items.iter().map(|item| self.string(key, item).map(str::to_owned)).collect()
            }
            _ => Err(self.wrong(key, value, "must be a string or a list of strings")),
        }
    }

    pub(super) fn one_of<T: Copy>(
        &self,
        key: &str,
        value: &Value<'_>,
        known: &[(&str, T)],
    ) -> Result<T, LoadError> {
        let text = self.string(key, value)?;
        self.named(key, value, text, known)
    }

    pub(super) fn named<T: Copy>(
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

    pub(super) fn outcome(&self, key: &str, value: &Value<'_>) -> Result<Outcome, LoadError> {
        self.one_of(key, value, &Outcome::ALL.map(|outcome| (outcome.as_str(), outcome)))
    }

    pub(super) fn approvals(&self, key: &str, value: &Value<'_>) -> Result<Approvals, LoadError> {
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

    pub(super) fn environment(
        &self,
        path: &str,
        value: &Value<'_>,
    ) -> Result<Environment, LoadError> {
        let mut out = Environment { line: self.line(value.span().start), ..Environment::default() };
        for (key, value) in self.table(path, value)? {
            let name = key.get_ref().as_ref();
            let at = format!("{path}.{name}");
            match name {
                "extends" => out.extends = Some(self.string(&at, value)?.to_owned()),
                "override" => out.overrides = self.boolean(&at, value)?,
                "default" => out.default = Some(self.placed(value, self.outcome(&at, value)?)),
                "mode" => {
                    let known = [Mode::Enforce, Mode::Shadow].map(|mode| (mode.as_str(), mode));
                    out.mode = Some(self.placed(value, self.one_of(&at, value, &known)?));
                }
                "approvals" => {
                    out.approvals = Some(self.placed(value, self.approvals(&at, value)?));
                }
                "actions" => out.actions = self.actions(&at, value)?,
                "network" => out.network = self.network(&at, value)?,
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
    ) -> Result<BTreeMap<Action, Placed<Switch>>, LoadError> {
        let known = [("on", Switch::On), ("off", Switch::Off), ("approval", Switch::Approval)];
        let names = Action::ALL.map(Action::as_str);
        let mut out = BTreeMap::new();
        for (key, value) in self.table(path, value)? {
            let name = key.get_ref().as_ref();
            let action = name
                .parse::<Action>()
                .map_err(|_| self.unknown(key, &format!("{path}."), name, &names))?;
            let switch = self.one_of(&format!("{path}.{name}"), value, &known)?;
            out.insert(action, self.placed(value, switch));
        }
        Ok(out)
    }

    fn reasons(
        &self,
        path: &str,
        value: &Value<'_>,
    ) -> Result<BTreeMap<Unanalysed, Placed<Outcome>>, LoadError> {
        let mut out = BTreeMap::new();
        for (key, value) in self.table(path, value)? {
            let name = key.get_ref().as_ref();
            let codes = Unanalysed::ALL.map(Unanalysed::code);
            let reason = Unanalysed::ALL
                .into_iter()
                .find(|reason| reason.code() == name)
                .ok_or_else(|| self.unknown(key, &format!("{path}."), name, &codes))?;
            let outcome = self.outcome(&format!("{path}.{name}"), value)?;
            out.insert(reason, self.placed(value, outcome));
        }
        Ok(out)
    }

    fn network(&self, path: &str, value: &Value<'_>) -> Result<Network, LoadError> {
        let mut out = Network::default();
        for (key, value) in self.table(path, value)? {
            let name = key.get_ref().as_ref();
            let at = format!("{path}.{name}");
            match name {
                "allow" => out.allow = Some(self.hosts(&at, value)?),
                "otherwise" => {
                    out.otherwise = Some(self.placed(value, self.outcome(&at, value)?));
                }
                other => {
                    let known = ["allow", "otherwise"];
                    return Err(self.unknown(key, &format!("{path}."), other, &known));
                }
            }
        }
        Ok(out)
    }

    fn hosts(&self, at: &str, value: &Value<'_>) -> Result<Vec<Placed<Entry>>, LoadError> {
        let entry = |item: &Value<'_>| {
            let text = self.string(at, item)?;
            let patterns =
                HostPattern::parse_entry(text).map_err(|problem| self.wrong(at, item, problem))?;
            Ok(self.placed(item, (text.to_owned(), patterns)))
        };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().map(entry).collect(),
            _ => Ok(vec![entry(value)?]),
        }
    }

    /// A value with its line.
    fn placed<T>(&self, written: &Value<'_>, value: T) -> Placed<T> {
        Placed { value, line: self.line(written.span().start) }
    }
}
