//! `airlock policy diff`: what another policy would change, and which commands would notice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use airlock_contract::PolicyDecision;
use airlock_policy::{Gate, Origin, Rule};
use serde_json::{Map, Value, json};

use super::cases::{self, Case, word};
use super::{conditions, fields, identity, title};
use crate::cli::{ConfigArgs, PolicyDiffArgs};
use crate::config;
use crate::exit::{Error, Exit};
use crate::output;

/// A policy and how it was named.
struct Side {
    source: String,
    gate: Gate,
}

/// A setting or field with another value: key, old, new.
type Change = (String, Value, Value);

/// A case that is decided differently.
struct Moved {
    case: Case,
    old: PolicyDecision,
    new: PolicyDecision,
}

#[derive(Default)]
struct Difference {
    settings: Vec<Change>,
    hosts_added: Vec<String>,
    hosts_removed: Vec<String>,
    rules_added: Vec<(Rule, Origin)>,
    rules_removed: Vec<(Rule, Origin)>,
    rules_changed: Vec<(String, Vec<Change>)>,
    compared: usize,
    moved: Vec<Moved>,
}

/// Compares, reports; with `--exit-code` a difference is exit code 1.
pub(super) fn run(args: &PolicyDiffArgs, json: bool) -> Result<(), Error> {
    let (old, new) = (side(&args.old, &args.config)?, side(&args.new, &args.config)?);
    let mut difference = Difference::of(&old.gate, &new.gate);
    for case in cases_of(args, &old.gate, &new.gate)? {
        difference.case(case, &old.gate, &new.gate)?;
    }
    if json {
        output::json(&difference.json(&old, &new))?;
    } else {
        difference.show(&old, &new)?;
    }
    let same = difference.is_empty() || !args.exit_code;
    if same { Ok(()) } else { Err(Error::silent(Exit::Failed)) }
}

/// A file, `FILE:ENV`, `built-in`, or an environment of the configuration.
fn side(name: &str, args: &ConfigArgs) -> Result<Side, Error> {
    let load = |config: Option<PathBuf>, env: Option<String>| {
        let args = ConfigArgs { config, env, ..args.clone() };
        Ok(Side { source: name.to_owned(), gate: config::gate(&args)? })
    };
    if name == "built-in" {
        return load(None, args.env.clone());
    }
    if Path::new(name).is_file() {
        return load(Some(name.into()), args.env.clone());
    }
    if let Some((file, env)) = name.rsplit_once(':')
        && Path::new(file).is_file()
    {
        return load(Some(file.into()), Some(env.to_owned()));
    }
    if name.contains('/') || Path::new(name).extension().is_some() {
        return Err(Error::config(format_args!("{name} cannot be read: there is no such file")));
    }
    load(args.config.clone(), Some(name.to_owned()))
}

/// The cases of the files, or else every example of both policies' rules.
fn cases_of(args: &PolicyDiffArgs, old: &Gate, new: &Gate) -> Result<Vec<Case>, Error> {
    let mut out = Vec::new();
    for path in &args.cases {
        out.append(&mut cases::read(path, false)?);
    }
    if !args.cases.is_empty() {
        return Ok(out);
    }
    let rules = old.rules().chain(new.rules());
    let examples: BTreeSet<&String> =
        rules.flat_map(|rule| rule.examples.iter().chain(&rule.counter_examples)).collect();
    let cases = examples.into_iter().enumerate();
    Ok(cases.map(|(at, command)| Case::of_command("examples", at + 1, command)).collect())
}

impl Difference {
    fn of(old: &Gate, new: &Gate) -> Self {
        let settings = |gate: &Gate| -> Map<String, Value> {
            gate.settings().into_iter().map(|(key, value)| (key, json!(value))).collect()
        };
        let (old_hosts, new_hosts) = (old.network().entries(), new.network().entries());
        let without = |list: &[String], other: &[String]| -> Vec<String> {
            list.iter().filter(|entry| !other.contains(entry)).cloned().collect()
        };
        let mut out = Self {
            settings: changes(&settings(old), &settings(new)),
            hosts_added: without(new_hosts, old_hosts),
            hosts_removed: without(old_hosts, new_hosts),
            ..Self::default()
        };
        let mut before = by_key(old);
        for (key, (rule, origin)) in by_key(new) {
            match before.remove(&key) {
                None => out.rules_added.push((rule.clone(), origin.clone())),
                Some((was, _)) => {
                    let changed = changes(&fields(was), &fields(rule));
                    if !changed.is_empty() {
                        out.rules_changed.push((rule.id.clone(), changed));
                    }
                }
            }
        }
        let removed = before.into_values().map(|(rule, origin)| (rule.clone(), origin.clone()));
        out.rules_removed = removed.collect();
        out
    }

    fn case(&mut self, case: Case, old: &Gate, new: &Gate) -> Result<(), Error> {
        let (old, new) = (case.decide(old)?, case.decide(new)?);
        self.compared += 1;
        // A policy in shadow mode lets everything through, whatever its outcome.
        if old.outcome != new.outcome || old.allowed != new.allowed {
            self.moved.push(Moved { case, old, new });
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.settings.is_empty()
            && self.hosts_added.is_empty()
            && self.hosts_removed.is_empty()
            && self.rules_added.is_empty()
            && self.rules_removed.is_empty()
            && self.rules_changed.is_empty()
            && self.moved.is_empty()
    }

    fn json(&self, old: &Side, new: &Side) -> Value {
        let rule = |(rule, origin): &(Rule, Origin)| {
            let mut object = fields(rule);
            object.insert("origin".to_owned(), json!(origin.to_string()));
            object
        };
        let change = |(key, old, new): &Change| json!({"key": key, "old": old, "new": new});
        let moved = self.moved.iter().map(|moved| {
            json!({
                "file": moved.case.file,
                "line": moved.case.place,
                "case": moved.case.object,
                "direction": moved.direction(),
                "old": {"outcome": word(moved.old.outcome), "ruleIds": moved.old.rule_ids},
                "new": {"outcome": word(moved.new.outcome), "ruleIds": moved.new.rule_ids},
            })
        });
        json!({
            "old": identity(&old.gate, &old.source),
            "new": identity(&new.gate, &new.source),
            "same": self.is_empty(),
            "settings": self.settings.iter().map(change).collect::<Vec<_>>(),
            "network": {"added": self.hosts_added, "removed": self.hosts_removed},
            "rules": {
                "added": self.rules_added.iter().map(rule).collect::<Vec<_>>(),
                "removed": self.rules_removed.iter().map(rule).collect::<Vec<_>>(),
                "changed": self.rules_changed.iter().map(|(id, changes)| {
                    json!({"id": id, "changes": changes.iter().map(change).collect::<Vec<_>>()})
                }).collect::<Vec<_>>(),
            },
            "decisions": {"compared": self.compared, "changed": moved.collect::<Vec<_>>()},
        })
    }

    fn show(&self, old: &Side, new: &Side) -> Result<(), Error> {
        output::line(format_args!("old       {}", title(&old.gate, &old.source)))?;
        output::line(format_args!("new       {}", title(&new.gate, &new.source)))?;
        for (key, old, new) in &self.settings {
            output::line(format_args!("setting   {key}: {} -> {}", plain(old), plain(new)))?;
        }
        for host in &self.hosts_added {
            output::line(format_args!("host    + {host}"))?;
        }
        for host in &self.hosts_removed {
            output::line(format_args!("host    - {host}"))?;
        }
        for (sign, rules) in [('+', &self.rules_added), ('-', &self.rules_removed)] {
            for (rule, origin) in rules {
                let (id, decision) = (&rule.id, rule.decision.as_str());
                let about = conditions(rule);
                output::line(format_args!("rule    {sign} {id}: {decision} {about} ({origin})"))?;
            }
        }
        for (id, changes) in &self.rules_changed {
            for (key, old, new) in changes {
                let (old, new) = (plain(old), plain(new));
                output::line(format_args!("rule    ~ {id}: {key}: {old} -> {new}"))?;
            }
        }
        for moved in &self.moved {
            output::line(format_args!(
                "{:9} {} -> {}  {}",
                moved.direction(),
                word(moved.old.outcome),
                word(moved.new.outcome),
                moved.case.shown()
            ))?;
        }
        let (moved, all) = (self.moved.len(), self.compared);
        output::line(format_args!("cases     {moved} of {all} are decided differently"))
    }
}

impl Moved {
    fn direction(&self) -> &'static str {
        let (old, new) = (&self.old, &self.new);
        match new.outcome.cmp(&old.outcome) {
            std::cmp::Ordering::Less => "looser",
            std::cmp::Ordering::Equal if new.allowed => "looser",
            std::cmp::Ordering::Greater | std::cmp::Ordering::Equal => "tighter",
        }
    }
}

/// Rules by id; one id may stand in the floor and in an environment.
fn by_key(gate: &Gate) -> BTreeMap<(String, usize), (&Rule, &Origin)> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut out = BTreeMap::new();
    for (rule, origin) in gate.placed_rules() {
        let count = seen.entry(&rule.id).or_default();
        out.insert((rule.id.clone(), *count), (rule, origin));
        *count += 1;
    }
    out
}

fn changes(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<Change> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value = |map: &Map<String, Value>, key| map.get(key).cloned().unwrap_or(Value::Null);
    keys.into_iter()
        .map(|key| (key.clone(), value(old, key), value(new, key)))
        .filter(|(_, old, new)| old != new)
        .collect()
}

/// A value as a person reads it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
