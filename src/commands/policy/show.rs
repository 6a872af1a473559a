//! `airlock policy show`: what holds, where it comes from, and what the sandbox is told.

use airlock_policy::{Egress, Gate};
use serde_json::{Map, Value, json};

use super::{conditions, fields, title};
use crate::cli::PolicyShowArgs;
use crate::config;
use crate::exit::Error;
use crate::output;

/// Prints the effective policy of one environment.
pub(super) fn run(args: &PolicyShowArgs, json: bool) -> Result<(), Error> {
    let gate = config::gate(&args.config)?;
    let source = config::shown(args.config.config.as_deref());
    if json { output::json(&document(&gate, &source)) } else { show(&gate, &source) }
}

fn document(gate: &Gate, source: &str) -> Value {
    let rules = gate.placed_rules().map(|(rule, origin)| {
        let mut object = fields(rule);
        object.insert("origin".to_owned(), json!(origin.to_string()));
        object.insert("line".to_owned(), json!(origin.line));
        object.insert("match".to_owned(), json!(rule.examples));
        object.insert("notMatch".to_owned(), json!(rule.counter_examples));
        object
    });
    let settings: Map<String, Value> =
        gate.settings().into_iter().map(|(key, value)| (key, json!(value))).collect();
    json!({
        "source": source,
        "environment": gate.env(),
        "policyDigest": gate.digest(),
        "settings": settings,
        "network": gate.network().entries(),
        "rules": rules.collect::<Vec<_>>(),
        "sandbox": {
            "egress": match gate.network().egress() {
                Egress::Open => json!("open"),
                Egress::Shut => json!({"denyOut": ["0.0.0.0/0"]}),
                Egress::Only(hosts) => json!({"denyOut": ["0.0.0.0/0"], "allowOut": hosts}),
            },
            "unenforced": gaps(gate),
        },
        "warnings": gate.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn gaps(gate: &Gate) -> Vec<String> {
    gate.network().gaps().iter().map(ToString::to_string).collect()
}

fn show(gate: &Gate, source: &str) -> Result<(), Error> {
    output::line(format_args!("policy    {}", title(gate, source)))?;
    output::line(format_args!("digest    {}", gate.digest()))?;
    for warning in gate.warnings() {
        output::line(format_args!("warning   {warning}"))?;
    }
    for (key, value) in gate.settings() {
        output::line(format_args!("  {key:28} {value}"))?;
    }
    output::line("rules: the strictest one that speaks decides")?;
    for (rule, origin) in gate.placed_rules() {
        let (decision, id) = (rule.decision.as_str(), &rule.id);
        output::line(format_args!("  {decision:17} {id:22} {origin}"))?;
        output::line(format_args!("      {}", conditions(rule)))?;
    }
    output::line("network: listed hosts")?;
    for entry in gate.network().entries() {
        output::line(format_args!("  {entry}"))?;
    }
    output::line("sandbox: the network rules that it gets")?;
    match gate.network().egress() {
        Egress::Open => output::line("  none: every host is open")?,
        Egress::Shut => output::line("  no way out")?,
        Egress::Only(hosts) => {
            output::line(format_args!("  no way out but to {} hosts and ranges", hosts.len()))?;
            for line in wrapped(&hosts) {
                output::line(format_args!("    {line}"))?;
            }
        }
    }
    for gap in gaps(gate) {
        output::line(format_args!("  cannot hold: {gap}"))?;
    }
    Ok(())
}

/// Words in lines of about 90 characters.
fn wrapped(words: &[String]) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.clone_from(word),
            Some(line) if line.len() + word.len() < 90 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}
