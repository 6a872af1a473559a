//! How the workflows call their activities.

use std::time::Duration;

use airlock_contract::ExecuteInput;
use airlock_redaction::Redactor;
use serde_json::Value;
use temporalio_workflow::{
    ActivityCancellationType, ActivityOptions, RetryPolicy, WorkflowCancellationToken,
};

/// Around a command: sandbox, files, packages, artifacts, settling.
const AROUND: Duration = Duration::from_mins(10);
/// One entry of `packages`.
const PACKAGE: Duration = Duration::from_mins(4);
/// Removing a sandbox and booking it.
const CLOSE: Duration = Duration::from_mins(2);
/// A plan decides and prices; it runs nothing.
const PLAN: Duration = Duration::from_secs(30);
/// A third of it is the pace of the heartbeats, so a cancellation is heard within about 3 s.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A command of a batch that says nothing has as long as a single one.
const COMMANDS_AT_LEAST: u64 = 1;

/// Longest time that this workflow lets a run take, whatever its input says: a day.
pub(crate) const LONGEST_MS: u64 = 24 * 3600 * 1000;

/// For the run itself.
pub(crate) fn run(input: &Value) -> ActivityOptions {
    let command = Duration::from_millis(timeout_ms(input));
    ActivityOptions::with_start_to_close_timeout(command + AROUND)
        .heartbeat_timeout(HEARTBEAT)
        // The sandbox is settled and its output kept before the workflow ends.
        .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
        .retry_policy(retries(20))
        .summary(summary(input))
        .build()
}

/// For opening a sandbox: packages may take minutes.
pub(crate) fn open(input: &Value) -> ActivityOptions {
    let packages = input.get("packages").and_then(Value::as_array).map_or(0, Vec::len);
    let installs = PACKAGE.saturating_mul(u32::try_from(packages).unwrap_or(u32::MAX).min(20));
    ActivityOptions::with_start_to_close_timeout(AROUND + installs)
        .heartbeat_timeout(HEARTBEAT)
        .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
        .retry_policy(retries(20))
        .summary("open a sandbox".to_owned())
        .build()
}

/// For closing one: what was opened is closed, also by a workflow that is cancelled.
pub(crate) fn close() -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(CLOSE)
        .cancellation_token(WorkflowCancellationToken::new())
        .retry_policy(retries(20))
        .summary("close the sandbox".to_owned())
        .build()
}

/// For the plan.
pub(crate) fn plan(input: &Value) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(PLAN)
        .retry_policy(retries(10))
        .summary(format!("plan: {}", summary(input)))
        .build()
}

/// Which failures are final is the activities' word, not this policy's.
fn retries(attempts: u32) -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(30))
        .maximum_attempts(attempts)
        .build()
}

/// What the commands of `input` may take together. The activity checks the input; here a wrong one
/// only must not make a wrong time-out.
fn timeout_ms(input: &Value) -> u64 {
    let default = ExecuteInput::default_timeout_ms();
    let of = |value: &Value| value.get("timeoutMs").and_then(Value::as_u64);
    let commands = input.get("commands").and_then(Value::as_array);
    let all = match (of(input), commands) {
        (Some(given), _) => given,
        (None, Some(commands)) => {
            commands.iter().map(|one| of(one).unwrap_or(default)).fold(0, u64::saturating_add)
        }
        (None, None) => default,
    };
    all.clamp(COMMANDS_AT_LEAST, LONGEST_MS)
}

/// What a workflow writes into its history passes here. The rules may differ between versions of a
/// worker: nothing that a replay compares may depend on the text.
pub(crate) fn redact(text: &str) -> String {
    Redactor::builtin().redact(text).into_owned()
}

/// One line for the UI. The command itself is in the input beside it.
fn summary(input: &Value) -> String {
    let text = match input.get("commands").and_then(Value::as_array) {
        Some(commands) => format!("{} commands", commands.len()),
        None => input
            .get("command")
            .or_else(|| input.get("code").and_then(|code| code.get("language")))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
    };
    // Redacted before it is cut: half a secret looks like none.
    let text = redact(&text);
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_time_of_a_run_comes_from_its_input_within_bounds() {
        let table = [
            (json!({}), 60_000),
            (json!({"timeoutMs": 5}), 5),
            (json!({"timeoutMs": "x"}), 60_000),
            (json!({"timeoutMs": u64::MAX}), LONGEST_MS),
            (json!({"commands": ["a", {"command": "b", "timeoutMs": 7}]}), 60_007),
            (json!({"commands": ["a"], "timeoutMs": 9}), 9),
            (json!(null), 60_000),
        ];
        for (input, expected) in table {
            assert_eq!(timeout_ms(&input), expected, "{input}");
        }
    }

    #[test]
    fn the_summary_is_one_short_line() {
        assert_eq!(summary(&json!({"command": "one\ntwo"})), "one");
        assert_eq!(summary(&json!({"command": "ä".repeat(100)})).chars().count(), 80);
        assert_eq!(summary(&json!({"commands": [1, 2]})), "2 commands");
        assert_eq!(summary(&json!({"code": {"language": "python"}})), "python");
        assert_eq!(summary(&json!(3)), "");
    }
}
