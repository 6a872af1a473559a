//! The failures that a caller can meet, and whether trying again can help.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Problems;

/// The failure types that workflows match on. Part of the public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FailureType {
    /// The input is wrong. Details: every bad field.
    InvalidInput,
    /// The policy refuses. Details: the decision.
    PolicyDenied,
    /// A person must approve first. Details: the approval request.
    ApprovalRequired,
    /// The approval presented has the wrong digest, is used, expired or rejected.
    ApprovalInvalid,
    /// The same id or key came with other arguments.
    Conflict,
    /// A shared sandbox that is gone or not this account's.
    SandboxNotFound,
    /// A shared sandbox that runs another command.
    SandboxBusy,
    /// What the caller asked to have whole does not fit into a result.
    ResultTooLarge,
    /// No such budget account.
    BudgetNotFound,
    /// The budget does not cover the worst case. Details: status, needed, what the rest would buy.
    BudgetExceeded,
    /// The account's circuit breaker is open.
    CircuitOpen,
    /// The command may have run. Details: what is known.
    OutcomeUnknown,
    /// The sandbox provider refuses the key for good.
    SandboxAuth,
    /// The sandbox provider knows no such template.
    SandboxTemplateNotFound,
    /// The sandbox provider limits the rate.
    SandboxRateLimited,
    /// The sandbox provider does not answer or answers with an error of its own.
    SandboxUnavailable,
    /// The sandbox provider has no room.
    SandboxCapacity,
    /// The budget or run store does not answer: nothing runs.
    BudgetStoreUnavailable,
    /// The audit log cannot be written: nothing runs.
    AuditUnavailable,
    /// The worker stops; the command still runs and the next attempt takes it over.
    WorkerDraining,
    /// The activity was paused; the next attempt takes the command over.
    ActivityPause,
    /// The activity was reset; the next attempt takes the command over.
    ActivityReset,
    /// A bug in Airlock. The correlation id in the message is in the log.
    Internal,
}

impl FailureType {
    /// Every type, in the order of the reference page.
    pub const ALL: [Self; 23] = [
        Self::InvalidInput,
        Self::PolicyDenied,
        Self::ApprovalRequired,
        Self::ApprovalInvalid,
        Self::Conflict,
        Self::SandboxNotFound,
        Self::SandboxBusy,
        Self::ResultTooLarge,
        Self::BudgetNotFound,
        Self::BudgetExceeded,
        Self::CircuitOpen,
        Self::OutcomeUnknown,
        Self::SandboxAuth,
        Self::SandboxTemplateNotFound,
        Self::SandboxRateLimited,
        Self::SandboxUnavailable,
        Self::SandboxCapacity,
        Self::BudgetStoreUnavailable,
        Self::AuditUnavailable,
        Self::WorkerDraining,
        Self::ActivityPause,
        Self::ActivityReset,
        Self::Internal,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "InvalidInput",
            Self::PolicyDenied => "PolicyDenied",
            Self::ApprovalRequired => "ApprovalRequired",
            Self::ApprovalInvalid => "ApprovalInvalid",
            Self::Conflict => "Conflict",
            Self::SandboxNotFound => "SandboxNotFound",
            Self::SandboxBusy => "SandboxBusy",
            Self::ResultTooLarge => "ResultTooLarge",
            Self::BudgetNotFound => "BudgetNotFound",
            Self::BudgetExceeded => "BudgetExceeded",
            Self::CircuitOpen => "CircuitOpen",
            Self::OutcomeUnknown => "OutcomeUnknown",
            Self::SandboxAuth => "SandboxAuth",
            Self::SandboxTemplateNotFound => "SandboxTemplateNotFound",
            Self::SandboxRateLimited => "SandboxRateLimited",
            Self::SandboxUnavailable => "SandboxUnavailable",
            Self::SandboxCapacity => "SandboxCapacity",
            Self::BudgetStoreUnavailable => "BudgetStoreUnavailable",
            Self::AuditUnavailable => "AuditUnavailable",
            Self::WorkerDraining => "WorkerDraining",
            Self::ActivityPause => "ActivityPause",
            Self::ActivityReset => "ActivityReset",
            Self::Internal => "Internal",
        }
    }

    /// Whether the same call may succeed later. Temporal retries these and no others.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::SandboxBusy
            | Self::SandboxRateLimited
            | Self::SandboxUnavailable
            | Self::SandboxCapacity
            | Self::BudgetStoreUnavailable
            | Self::AuditUnavailable
            | Self::WorkerDraining
            | Self::ActivityPause
            | Self::ActivityReset => true,
            Self::InvalidInput
            | Self::PolicyDenied
            | Self::ApprovalRequired
            | Self::ApprovalInvalid
            | Self::Conflict
            | Self::SandboxNotFound
            | Self::ResultTooLarge
            | Self::BudgetNotFound
            | Self::BudgetExceeded
            | Self::CircuitOpen
            | Self::OutcomeUnknown
            | Self::SandboxAuth
            | Self::SandboxTemplateNotFound
            | Self::Internal => false,
        }
    }

    /// Whether it is an answer rather than a fault: such a failure raises no error alert.
    pub const fn is_benign(self) -> bool {
        matches!(
            self,
            Self::PolicyDenied
                | Self::ApprovalRequired
                | Self::BudgetExceeded
                | Self::CircuitOpen
                | Self::WorkerDraining
                | Self::ActivityPause
                | Self::ActivityReset
        )
    }
}

/// A failure as a caller sees it: it goes into a permanent history.
///
/// The message holds no secret, no URL with credentials and no foreign error text; `details` is
/// structured and redacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What workflows match on.
    #[serde(rename = "type")]
    pub kind: FailureType,
    /// One sentence that a person or a model can act on.
    pub message: String,
    /// Structured facts, in the shape that the contract gives for the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// When to try again, if the provider said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without details.
    pub fn new(kind: FailureType, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: None, retry_after: None }
    }

    /// The same with structured details. What cannot be shown as JSON is left out.
    #[must_use]
    pub fn with_details(mut self, details: &impl Serialize) -> Self {
        self.details = serde_json::to_value(details).ok();
        self
    }

    /// The same with the provider's own delay before the next try.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Option<Duration>) -> Self {
        self.retry_after = delay;
        self
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let message = format!("invalid input: {problems}");
        let details = serde_json::json!({ "fields": problems });
        Self { details: Some(details), ..Self::new(FailureType::InvalidInput, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of failure types, from their own words.
    fn page() -> String {
        let schema = schemars::schema_for!(FailureType).to_value();
        let kinds = schema["oneOf"].as_array().unwrap();
        let mut page = String::from(
            "# Failure types\n\nWritten from `crates/contract/src/failure.rs`; a test compares. Do \
             not edit by hand:\n`AIRLOCK_REGENERATE=1 cargo test -p airlock-contract failure` writes \
             it anew.\n\nA workflow matches on the type of an `ApplicationFailure`. Temporal retries \
             what is retryable, by the caller's policy;\nwhat is benign is an answer and raises no \
             error alert.\n\n| type | retryable | benign | when |\n|---|---|---|---|\n",
        );
        for kind in FailureType::ALL {
            let said = kinds.iter().find(|k| k["const"] == kind.as_str()).unwrap();
            let said = said["description"].as_str().unwrap().replace('\n', " ");
            let yes = |is: bool| if is { "yes" } else { "no" };
            let (retryable, benign) = (yes(kind.is_retryable()), yes(kind.is_benign()));
            let line = format!("| `{}` | {retryable} | {benign} | {said} |\n", kind.as_str());
            page.push_str(&line);
        }
        page
    }

    #[test]
    fn the_reference_page_of_failures_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs/reference/failures.md");
        if std::env::var_os("AIRLOCK_REGENERATE").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written == page(), "AIRLOCK_REGENERATE=1 cargo test -p airlock-contract failure");
    }
}
