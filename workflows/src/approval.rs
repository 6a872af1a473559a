//! What a run waits for, and how a person answers.

use airlock_contract::ApprovalRequest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::options::redact;

/// Where a workflow is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WorkflowPhase {
    /// The policy decides and the run is priced.
    #[default]
    Planning,
    /// A person must approve.
    AwaitingApproval,
    /// The command runs.
    Running,
    /// The result stands.
    Done,
    /// It ended without a result.
    Failed,
}

/// Answer of the query `status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Where the workflow is.
    pub phase: WorkflowPhase,
    /// What the policy said, once it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Value>,
    /// What would run and what it would cost, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    /// The approval that is or was waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRequest>,
    /// Who answered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
}

/// What a person says with `approve` and `reject`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// Who says it.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Why an answer is not taken. The text goes to whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) &'static str);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refusal {}

/// The part of a workflow's state that queries and answers work on.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) status: Status,
    /// The answer that the run has not looked at yet.
    pub(crate) verdict: Option<(Verdict, Answer)>,
}

/// Which way it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Approved,
    Rejected,
}

impl Desk {
    /// Longest name and reason, in bytes: they stay in the history and come from anybody.
    const MAX_BYTES: usize = 1000;

    /// Whether an answer can be taken now.
    pub(crate) fn check(&self, answer: &Answer) -> Result<(), Refusal> {
        if self.status.phase != WorkflowPhase::AwaitingApproval {
            return Err(Refusal("nothing waits for an approval now"));
        }
        if self.verdict.is_some() {
            return Err(Refusal("it is answered already"));
        }
        if answer.by.trim().is_empty() {
            return Err(Refusal("by must not be empty: say who answers"));
        }
        if answer.by.len() > Self::MAX_BYTES || answer.reason.len() > Self::MAX_BYTES {
            return Err(Refusal("by and reason must be at most 1000 bytes"));
        }
        Ok(())
    }

    /// Takes an answer; one that cannot be taken is dropped, as a signal has nobody to tell.
    pub(crate) fn answer(&mut self, verdict: Verdict, answer: Answer) -> Status {
        if self.check(&answer).is_ok() {
            self.status.answered_by = Some(redact(&answer.by));
            self.verdict = Some((verdict, answer));
        }
        self.status.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(name: &str) -> Answer {
        Answer { by: name.to_owned(), reason: String::new() }
    }

    #[test]
    fn only_the_first_signed_answer_to_an_open_question_counts() {
        let mut desk = Desk::default();
        assert!(desk.check(&by("ann")).is_err(), "nothing is asked");
        desk.status.phase = WorkflowPhase::AwaitingApproval;
        assert!(desk.check(&by(" ")).is_err(), "nobody signed");
        assert!(desk.check(&by(&"x".repeat(1001))).is_err(), "too long");
        desk.answer(Verdict::Approved, by("ann"));
        desk.answer(Verdict::Rejected, by("bob"));
        assert_eq!(desk.verdict, Some((Verdict::Approved, by("ann"))));
        assert_eq!(desk.status.answered_by.as_deref(), Some("ann"));
    }
}
