//! `airlock check`: what the policy says, without any server.

use std::io::{BufRead, Write};

use airlock_contract::{CheckPolicyInput, Failure, FailureType, PolicyDecision, PolicyOutcome};
use airlock_engine::{decide, redacted};
use airlock_policy::Gate;
use serde_json::{Map, Value, json};

use super::command_line;
use crate::cli::CheckArgs;
use crate::config;
use crate::exit::{Error, Exit};
use crate::output;

/// A line of `--jsonl` longer than this is refused: no command is.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// Decides one command, or one a line.
pub(crate) fn run(args: &CheckArgs, json: bool) -> Result<(), Error> {
    let gate = config::gate(&args.config)?;
    if args.jsonl {
        return many(&gate);
    }
    if args.cmd.is_empty() {
        return Err(Error::new(Exit::Usage, "give a command after --, or --jsonl; see --help"));
    }
    let command = command_line(&args.cmd);
    let input = json!({"actionType": args.action_type, "context": {"command": command}});
    let decision = one(&gate, &input)?;
    if json {
        output::json(&decision)?;
    } else {
        show(&command, &decision, args.explain)?;
    }
    if decision.allowed { Ok(()) } else { Err(Error::silent(Exit::Refused)) }
}

pub(super) fn one(gate: &Gate, input: &Value) -> Result<PolicyDecision, Failure> {
    let input = CheckPolicyInput::parse(input)?;
    Ok(redacted(decide(gate, &input)?, output::redactor()))
}

/// The same object with `decision` added, line by line, as fast as it goes.
fn many(gate: &Gate) -> Result<(), Error> {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let mut line = Vec::new();
    let mut failed = false;
    for number in 1.. {
        line.clear();
        let count =
            std::io::Read::take(&mut input, MAX_LINE as u64).read_until(b'\n', &mut line)?;
        if count == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        if count == MAX_LINE {
            return Err(Error::new(
                Exit::Usage,
                format_args!("line {number} is over {MAX_LINE} bytes"),
            ));
        }
        match answer(gate, &line) {
            Ok(object) => {
                serde_json::to_writer(&mut output, &object).map_err(std::io::Error::from)?;
                output.write_all(b"\n")?;
            }
            Err(failure) => {
                failed = true;
                output.flush()?;
                output::note(format_args!("line {number}: {}", failure.message));
            }
        }
    }
    output.flush()?;
    if failed { Err(Error::silent(Exit::Failed)) } else { Ok(()) }
}

fn answer(gate: &Gate, line: &[u8]) -> Result<Value, Failure> {
    let invalid = |message: String| Failure::new(FailureType::InvalidInput, message);
    let value: Value =
        serde_json::from_slice(line).map_err(|error| invalid(format!("is no JSON ({error})")))?;
    let Value::Object(mut object) = value else {
        return Err(invalid("is no JSON object".to_owned()));
    };
    let decision = one(gate, &question(&object))?;
    object.insert("decision".to_owned(), serde_json::to_value(decision).unwrap_or_default());
    Ok(Value::Object(object))
}

/// The question that a line asks: its `command`, or its `actionType` and `context`.
pub(super) fn question(object: &Map<String, Value>) -> Value {
    let action = object.get("actionType").cloned().unwrap_or_else(|| json!("execute_code"));
    let mut context = object.get("context").cloned().unwrap_or_else(|| json!({}));
    if let (Some(command), Some(context)) = (object.get("command"), context.as_object_mut()) {
        context.insert("command".to_owned(), command.clone());
    }
    json!({"actionType": action, "context": context})
}

fn show(command: &str, decision: &PolicyDecision, explain: bool) -> Result<(), Error> {
    let word = match decision.outcome {
        PolicyOutcome::Allow => "allowed",
        PolicyOutcome::RequireApproval => "needs approval",
        PolicyOutcome::Deny => "denied",
    };
    output::line(format_args!("{word}: {}", decision.reason))?;
    if let Some(remedy) = &decision.remedy {
        output::line(format_args!("  instead: {remedy}"))?;
    }
    if !explain {
        return Ok(());
    }
    for rule in &decision.rule_ids {
        output::line(format_args!("  rule     {rule}"))?;
    }
    for effect in &decision.effects {
        let [start, end] = effect.span;
        let place = command.get(start..end).unwrap_or_default();
        let kind = json!(effect.kind);
        let kind = kind.as_str().unwrap_or_default();
        output::line(format_args!(
            "  effect   {kind:16} {}   at {start}..{end} {place:?}",
            effect.target
        ))?;
    }
    for unseen in &decision.unseen {
        output::line(format_args!("  unseen   {unseen}"))?;
    }
    for gap in &decision.unenforced {
        output::line(format_args!("  sandbox  {gap}"))?;
    }
    output::line(format_args!("  policy   {}", decision.policy_digest))
}
