//! The engine's metrics: names, units and meaning in one place.

use std::time::Duration;

use airlock_contract::{BatchOutcome, FailureType, PolicyOutcome, RunStatus, Usd};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Finished runs, by `status`.
pub const RUNS: &str = "airlock_runs_total";
/// Finished batches, by `outcome`.
pub const BATCHES: &str = "airlock_batches_total";
/// Runs that ended with a failure, by `type`.
pub const FAILURES: &str = "airlock_failures_total";
/// Policy decisions, by `outcome`.
pub const DECISIONS: &str = "airlock_policy_decisions_total";
/// Attempts to reload the policy, by `outcome`: `loaded`, `refused`.
pub const POLICY_RELOADS: &str = "airlock_policy_reloads_total";
/// 1 while the policy's file cannot be used and an older policy holds, else 0.
pub const POLICY_STALE: &str = "airlock_policy_stale";
/// Nano-dollars held by reservations.
pub const RESERVED: &str = "airlock_reserved_nanousd_total";
/// Nano-dollars booked.
pub const SPENT: &str = "airlock_spent_nanousd_total";
/// Seconds that the provider's times say more than the worker's clock, for each run.
pub const COST_DRIFT: &str = "airlock_cost_drift_seconds";
/// Alert thresholds of budgets that were crossed, by `threshold` in percent.
pub const ALERTS: &str = "airlock_budget_alerts_total";
/// How long it took to create a sandbox.
pub const SANDBOX_CREATE: &str = "airlock_sandbox_create_seconds";
/// How long runs waited for the fleet to have room for a sandbox; only those that were let in.
pub const QUEUED: &str = "airlock_sandbox_queue_seconds";
/// Calls that were not made because the fleet takes the sandbox provider to be down.
pub const BREAKER_REFUSALS: &str = "airlock_sandbox_breaker_refusals_total";
/// Secrets that were masked in output.
pub const REDACTIONS: &str = "airlock_redactions_total";
/// Heartbeats handed to the door.
pub const HEARTBEATS: &str = "airlock_heartbeats_total";
/// Runs handed over to a later attempt, by `reason`.
pub const HAND_OVERS: &str = "airlock_hand_overs_total";
/// Commands that a later attempt took over instead of starting them again.
pub const REATTACHED: &str = "airlock_reattached_total";
/// Expired leases that the reaper looked at, by `outcome`: `killed`, `kept`, `failed`.
pub const REAPED: &str = "airlock_reaped_total";

/// Shared sandboxes that were opened.
pub const SHARED_OPENED: &str = "airlock_shared_sandboxes_opened_total";
/// Shared sandboxes that were closed, by `reason`.
pub const SHARED_CLOSED: &str = "airlock_shared_sandboxes_closed_total";

/// Describes every metric to the process's recorder; call once, after it is installed.
pub fn describe() {
    describe_counter!(RUNS, "Finished runs by status");
    describe_counter!(BATCHES, "Finished batches by outcome");
    describe_counter!(FAILURES, "Runs that ended with a failure, by type");
    describe_counter!(DECISIONS, "Policy decisions by outcome");
    describe_counter!(POLICY_RELOADS, "Attempts to reload the policy, by outcome");
    describe_gauge!(POLICY_STALE, "1 while the policy's file cannot be used");
    gauge!(POLICY_STALE).set(0.0);
    describe_counter!(RESERVED, "Nano-dollars held by reservations");
    describe_counter!(SPENT, "Nano-dollars booked");
    describe_histogram!(
        COST_DRIFT,
        Unit::Seconds,
        "Seconds that the provider's times say more than the worker's clock, for each run"
    );
    describe_counter!(ALERTS, "Alert thresholds of budgets that were crossed, by percent");
    describe_histogram!(SANDBOX_CREATE, Unit::Seconds, "Time to create a sandbox");
    describe_histogram!(QUEUED, Unit::Seconds, "Time that runs waited for room for a sandbox");
    describe_counter!(BREAKER_REFUSALS, "Calls not made because the provider is taken to be down");
    describe_counter!(REDACTIONS, "Secrets masked in output");
    describe_counter!(HEARTBEATS, "Heartbeats handed to the door");
    describe_counter!(HAND_OVERS, "Runs handed over to a later attempt, by reason");
    describe_counter!(REATTACHED, "Commands taken over instead of being started again");
    describe_counter!(SHARED_OPENED, "Shared sandboxes opened");
    describe_counter!(SHARED_CLOSED, "Shared sandboxes closed, by reason");
    describe_counter!(REAPED, "Expired leases that the reaper looked at, by outcome");
}

/// The policy's file was read again: it is in force, or the old policy holds.
pub fn policy_reload(loaded: bool) {
    let outcome = if loaded { "loaded" } else { "refused" };
    counter!(POLICY_RELOADS, "outcome" => outcome).increment(1);
    gauge!(POLICY_STALE).set(if loaded { 0.0 } else { 1.0 });
}

pub(crate) fn run(status: RunStatus) {
    let word = match status {
        RunStatus::Completed => "completed",
        RunStatus::TimedOut => "timedOut",
        RunStatus::Killed => "killed",
        RunStatus::OutOfBudget => "outOfBudget",
        RunStatus::DryRun => "dryRun",
    };
    counter!(RUNS, "status" => word).increment(1);
}

pub(crate) fn batch(outcome: BatchOutcome) {
    let word = match outcome {
        BatchOutcome::Completed => "completed",
        BatchOutcome::Stopped => "stopped",
        BatchOutcome::OutcomeUnknown => "outcomeUnknown",
    };
    counter!(BATCHES, "outcome" => word).increment(1);
}

pub(crate) fn failure(kind: FailureType) {
    counter!(FAILURES, "type" => kind.as_str()).increment(1);
}

pub(crate) fn decision(outcome: PolicyOutcome) {
    let word = match outcome {
        PolicyOutcome::Allow => "allow",
        PolicyOutcome::RequireApproval => "require_approval",
        PolicyOutcome::Deny => "deny",
    };
    counter!(DECISIONS, "outcome" => word).increment(1);
}

pub(crate) fn reserved(amount: Usd) {
    counter!(RESERVED).increment(u64::try_from(amount.nanos()).unwrap_or(0));
}

pub(crate) fn spent(amount: Usd) {
    counter!(SPENT).increment(u64::try_from(amount.nanos()).unwrap_or(0));
}

pub(crate) fn drift(seconds: f64) {
    histogram!(COST_DRIFT).record(seconds);
}

pub(crate) fn budget_alert(threshold: u8) {
    counter!(ALERTS, "threshold" => threshold.to_string()).increment(1);
}

pub(crate) fn sandbox_created(took: Duration) {
    histogram!(SANDBOX_CREATE).record(took.as_secs_f64());
}

pub(crate) fn queued(time: Duration) {
    histogram!(QUEUED).record(time.as_secs_f64());
}

pub(crate) fn refused_by_breaker() {
    counter!(BREAKER_REFUSALS).increment(1);
}

pub(crate) fn redactions(count: u64) {
    counter!(REDACTIONS).increment(count);
}

pub(crate) fn heartbeat() {
    counter!(HEARTBEATS).increment(1);
}

pub(crate) fn hand_over(reason: &'static str) {
    counter!(HAND_OVERS, "reason" => reason).increment(1);
}

pub(crate) fn reattached() {
    counter!(REATTACHED).increment(1);
}

pub(crate) fn reaped(outcome: &'static str) {
    counter!(REAPED, "outcome" => outcome).increment(1);
}

pub(crate) fn shared_opened() {
    counter!(SHARED_OPENED).increment(1);
}

pub(crate) fn shared_closed(reason: &str) {
    counter!(SHARED_CLOSED, "reason" => reason.to_owned()).increment(1);
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    /// The page of metrics, from what stands above each name in this file.
    fn page() -> String {
        let mut page = String::from(
            "# Metrics of the engine\n\nWritten from the names in `crates/engine/src/metrics.rs`; a \
             test compares. Do not edit by hand:\n`AIRLOCK_REGENERATE=1 cargo test -p airlock-engine \
             metrics` writes it anew. `/metrics` serves them.\nWhat ends in `_total` counts up, what \
             ends in `_seconds` is a histogram, anything else is a gauge.\n\n| metric | what it \
             counts |\n|---|---|\n",
        );
        let mut said = String::new();
        for line in include_str!("metrics.rs").lines() {
            if let Some(text) = line.strip_prefix("/// ") {
                said.push_str(if said.is_empty() { "" } else { " " });
                said.push_str(text);
                continue;
            }
            let name = line.strip_prefix("pub const ").and_then(|rest| rest.split('"').nth(1));
            if let Some(name) = name {
                let _ = writeln!(page, "| `{name}` | {said} |");
            }
            said.clear();
        }
        page
    }

    #[test]
    fn the_reference_page_of_metrics_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
        if std::env::var_os("AIRLOCK_REGENERATE").is_some() {
            std::fs::write(&path, page()).expect("docs/reference/metrics.md");
        }
        let written = std::fs::read_to_string(&path).expect("docs/reference/metrics.md");
        assert!(written == page(), "AIRLOCK_REGENERATE=1 cargo test -p airlock-engine metrics");
    }
}
