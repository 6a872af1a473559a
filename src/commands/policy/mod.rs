//! `airlock policy`: the policy tried, compared and shown, without any server.

mod cases;
mod diff;
mod show;
mod test;

use airlock_policy::{Gate, Rule};
use serde_json::{Map, Value, json};

use crate::cli::PolicyCommand;
use crate::exit::Error;

/// Runs one of the commands.
pub(crate) fn run(command: &PolicyCommand, json: bool) -> Result<(), Error> {
    match command {
        PolicyCommand::Test(args) => test::run(args, json),
        PolicyCommand::Diff(args) => diff::run(args, json),
        PolicyCommand::Show(args) => show::run(args, json),
    }
}

/// A policy by name and digest, for a line.
fn title(gate: &Gate, source: &str) -> String {
    let digest = gate.digest().get(..12).unwrap_or_default();
    format!("{} {digest} ({source})", gate.env())
}

/// The same for JSON.
fn identity(gate: &Gate, source: &str) -> Value {
    json!({"source": source, "environment": gate.env(), "policyDigest": gate.digest()})
}

/// A rule as written in a document: key and value, without its examples.
fn fields(rule: &Rule) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    put("id", json!(rule.id));
    put("decision", json!(rule.decision.as_str()));
    put("severity", json!(rule.severity().as_str()));
    for (key, values) in rule.conditions() {
        put(key, json!(values));
    }
    put("reason", json!(rule.reason));
    if let Some(remedy) = &rule.remedy {
        put("instead", json!(remedy));
    }
    if let Some(expires) = rule.expires {
        put("expiresSeconds", json!(expires.as_secs()));
    }
    out
}

/// What a rule speaks of, on one line.
fn conditions(rule: &Rule) -> String {
    let parts: Vec<String> = rule
        .conditions()
        .into_iter()
        .map(|(key, values)| match key {
            "effect" => values.join(", "),
            key => format!("{key} {}", values.join(", ")),
        })
        .collect();
    parts.join("; ")
}
