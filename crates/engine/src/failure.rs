//! Every block's error as the failure that a caller sees: the one place where that is decided.
//!
//! A failure goes into a permanent history, so its message is ours: no foreign text, no URL, no
//! argument. What the other side said goes to the log, through its redaction.

use airlock_budget::Error as BudgetError;
use airlock_contract::{Failure, FailureType, Usd};
use airlock_e2b::Error as SandboxError;
use airlock_runs::Error as RunsError;
use serde_json::json;

use crate::context::StopReason;
use crate::run::Halt;

/// Longest wait for the audit log where its line is not what counts.
pub(crate) const AUDIT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A bug in Airlock. The id is in the log beside what happened.
pub(crate) fn internal(what: &'static str, error: &dyn std::fmt::Display) -> Failure {
    let id = correlation_id();
    tracing::error!(correlation_id = %id, what, error = %error, "internal error");
    Failure::new(
        FailureType::Internal,
        format!("Airlock met an internal error; look for correlation id {id} in the worker's log"),
    )
}

/// Short and unique enough to find a line in a log.
fn correlation_id() -> String {
    use sha2::{Digest as _, Sha256};
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = jiff::Timestamp::now().as_nanosecond();
    let seed = format!("{}:{now}:{count}", std::process::id());
    hex::encode(&Sha256::digest(seed)[..6])
}

/// A ledger's refusal.
pub fn budget(error: BudgetError) -> Failure {
    match error {
        BudgetError::NotFound { account } => Failure::new(
            FailureType::BudgetNotFound,
            format!("there is no budget account {account}; create it with createBudget first"),
        )
        .with_details(&json!({ "runId": account })),
        BudgetError::Exceeded { status, needed } => Failure::new(
            FailureType::BudgetExceeded,
            format!(
                "the budget does not cover this: {needed} USD needed, {} USD left of {} USD",
                status.remaining, status.limit
            ),
        )
        .with_details(&json!({ "status": status, "needed": needed })),
        BudgetError::CircuitOpen { status, .. } => Failure::new(
            FailureType::CircuitOpen,
            "the account's circuit breaker is open: nothing is spent until it is reset",
        )
        .with_retry_after(until(status.period_ends_at.as_deref()))
        .with_details(&json!({ "status": status })),
        BudgetError::Conflict { reason } => {
            Failure::new(FailureType::Conflict, format!("the budget disagrees: {reason}"))
        }
        BudgetError::Unavailable(source) => {
            tracing::warn!(error = %source, "the budget store does not answer");
            store_unavailable()
        }
        other => Failure::new(FailureType::InvalidInput, other.to_string()),
    }
}

/// How long it is until a moment that may come.
fn until(moment: Option<&str>) -> Option<std::time::Duration> {
    let moment: jiff::Timestamp = moment?.parse().ok()?;
    std::time::Duration::try_from(moment.duration_since(jiff::Timestamp::now())).ok()
}

/// Over the run's own cap, which is below the budget.
pub(crate) fn over_cap(needed: Usd, max: Usd, affordable: std::time::Duration) -> Failure {
    Failure::new(
        FailureType::BudgetExceeded,
        format!(
            "the worst case of this run is {needed} USD, over its own cost.maxUsd of {max} USD; \
             raise the cap or lower timeoutMs"
        ),
    )
    .with_details(&json!({
        "needed": needed, "maxUsd": max, "affordableSeconds": affordable.as_secs(),
    }))
}

fn store_unavailable() -> Failure {
    Failure::new(
        FailureType::BudgetStoreUnavailable,
        "the store of budgets and runs does not answer; nothing was started",
    )
}

/// A run record's refusal.
pub(crate) fn runs(error: RunsError) -> Halt {
    match error {
        RunsError::Superseded => Halt::Superseded,
        RunsError::Conflict => Halt::Failed(Failure::new(
            FailureType::Conflict,
            "this activity was already run with another input; give it another activity id",
        )),
        RunsError::Unavailable(source) => {
            tracing::warn!(error = %source, "the run store does not answer");
            Halt::Failed(store_unavailable())
        }
        RunsError::Missing => Halt::Failed(Failure::new(
            FailureType::OutcomeUnknown,
            "the record of this run is gone, so what it did before is not known",
        )),
        error @ (RunsError::OutOfOrder(_)
        | RunsError::TooLarge { .. }
        | RunsError::NewerSchema { .. }
        | RunsError::Corrupt(_)) => Halt::Failed(internal("run record", &error)),
    }
}

/// What a sandbox call came to, where nothing more particular is known.
pub(crate) fn sandbox(error: &SandboxError) -> Failure {
    let detail = error.detail();
    tracing::warn!(error = %error, detail = ?detail, "a sandbox call failed");
    let (kind, message) = match error {
        SandboxError::Auth { .. } => (
            FailureType::SandboxAuth,
            "the sandbox provider refused the worker's credentials; check E2B_API_KEY",
        ),
        SandboxError::TemplateNotFound { .. } => (
            FailureType::SandboxTemplateNotFound,
            "the sandbox provider knows no such template; check the field template",
        ),
        SandboxError::RateLimited { .. } => (
            FailureType::SandboxRateLimited,
            "the sandbox provider limits the rate of requests; this is tried again",
        ),
        SandboxError::Capacity { .. } => (
            FailureType::SandboxCapacity,
            "the sandbox provider has no room for another sandbox; this is tried again",
        ),
        SandboxError::Unavailable { .. }
        | SandboxError::Timeout { .. }
        | SandboxError::Cut { .. } => (
            FailureType::SandboxUnavailable,
            "the sandbox provider does not answer; this is tried again",
        ),
        SandboxError::InvalidArgument { .. } => (
            FailureType::InvalidInput,
            "the sandbox provider refused an argument; check template, cwd, files and network",
        ),
        SandboxError::NotFound { .. } | SandboxError::Gone { .. } => (
            FailureType::SandboxNotFound,
            "the sandbox is gone: it was killed or reached its end of life",
        ),
        SandboxError::Conflict { .. }
        | SandboxError::Protocol { .. }
        | SandboxError::TooLarge { .. } => return internal("sandbox provider", error),
    };
    Failure::new(kind, message).with_retry_after(error.retry_after())
}

/// The failure that hands a run over to the next attempt.
pub(crate) fn hand_over(reason: StopReason) -> Failure {
    let (kind, message) = match reason {
        StopReason::Paused => (
            FailureType::ActivityPause,
            "the activity was paused; its command keeps running and is taken over on unpause",
        ),
        StopReason::Reset => (
            FailureType::ActivityReset,
            "the activity was reset; its command keeps running and the next attempt takes it over",
        ),
        StopReason::Cancelled
        | StopReason::NotFound
        | StopReason::TimedOut
        | StopReason::WorkerShutdown => (
            FailureType::WorkerDraining,
            "this worker stops; the command keeps running and the next attempt takes it over",
        ),
    };
    Failure::new(kind, message)
}

/// The answer of an attempt that is not the last one any more. Nobody waits for it.
pub(crate) fn superseded() -> Failure {
    Failure::new(FailureType::ActivityReset, "a later attempt has taken this run over")
}

/// The audit log's refusal: what cannot be recorded is not done.
pub(crate) fn audit(error: &airlock_audit::Error) -> Failure {
    tracing::error!(error = %error, "the audit log cannot be written");
    Failure::new(
        FailureType::AuditUnavailable,
        "the audit log cannot be written, so nothing was started; this is tried again",
    )
}

/// An approval's refusal.
pub(crate) fn approval(error: airlock_approval::Error) -> Failure {
    use airlock_approval::Error;
    let message = match error {
        Error::Unavailable(source) => {
            tracing::warn!(error = %source, "the approval store does not answer");
            return store_unavailable();
        }
        Error::Corrupt(what) => return internal("approval", &what),
        Error::NotFound => "approvalId names no approval; leave it out to ask for one",
        Error::Rejected => "the approval was rejected",
        Error::Expired => "the approval has expired; leave approvalId out to ask for a new one",
        Error::WrongDigest => {
            "the approval was given for something else: another action, account or policy"
        }
        Error::UsedByAnother => "the approval was used by another execution; each opens once",
        Error::Pending => "the approval has not been answered yet",
        Error::AlreadyAnswered(_) => "the approval was already answered",
        Error::InvalidInput(why) => why,
    };
    Failure::new(FailureType::ApprovalInvalid, message)
}
