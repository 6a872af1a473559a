//! Reading a policy document: typed TOML with positions, so that every refusal names its line.

mod contradiction;
mod error;
mod reader;
mod rule;

use std::collections::BTreeMap;

use toml::de::DeTable;

use crate::action::Action;
use crate::decision::{Mode, Outcome};
use crate::eval::Unanalysed;
use crate::hosts::HostPattern;
use crate::rules::{Approvals, Rule, Switch};

pub use error::LoadError;
use reader::Reader;

/// A value and the line it was written on, if it was written.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) line: Option<usize>,
}

/// One environment as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) extends: Option<String>,
    pub(crate) overrides: bool,
    pub(crate) default: Option<Placed<Outcome>>,
    pub(crate) mode: Option<Placed<Mode>>,
    pub(crate) approvals: Option<Placed<Approvals>>,
    pub(crate) actions: BTreeMap<Action, Placed<Switch>>,
    pub(crate) network: Network,
    pub(crate) unanalysed: BTreeMap<Unanalysed, Placed<Outcome>>,
    pub(crate) rules: Vec<Placed<Rule>>,
    pub(crate) line: Option<usize>,
}

/// An entry of an allowlist and what it stands for.
pub(crate) type Entry = (String, Vec<HostPattern>);

/// The `network` table of an environment as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    /// Entries with their patterns; `None` says nothing, an empty list allows no host.
    pub(crate) allow: Option<Vec<Placed<Entry>>>,
    pub(crate) otherwise: Option<Placed<Outcome>>,
}

/// A document as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) approvals: Option<Approvals>,
    pub(crate) floor: Vec<Placed<Rule>>,
    pub(crate) environments: BTreeMap<String, Environment>,
}

/// The root keys of a policy.
pub(crate) const ROOT_KEYS: &[&str] = &["approvals", "floor", "env"];

/// What a text is, and so what its lines and its other keys mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A policy alone: any other key is wrong.
    Policy,
    /// A larger configuration file: other root keys are somebody else's.
    Configuration,
    /// Text that nobody wrote, so that lines mean nothing.
    Table,
}

/// Reads a document.
pub(crate) fn read(text: &str, source: Source) -> Result<Document, LoadError> {
    let reader = Reader::new(text, source != Source::Table);
    let table = DeTable::parse(text).map_err(|error| LoadError::Toml {
        line: error.span().and_then(|span| reader.line(span.start)),
        message: error.message().to_owned(),
    })?;
    let mut document = Document::default();
    for (key, value) in table.get_ref() {
        match key.get_ref().as_ref() {
            "approvals" => document.approvals = Some(reader.approvals("approvals", value)?),
            "floor" => {
                for (inner, value) in reader.table("floor", value)? {
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
            _ if source == Source::Configuration => {}
            other => return Err(reader.unknown(key, "", other, ROOT_KEYS)),
        }
    }
    Ok(document)
}
