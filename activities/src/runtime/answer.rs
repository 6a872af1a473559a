//! How an attempt is answered.
//!
//! Only a real cancellation is answered as cancelled: the server takes such an answer of a paused
//! or reset activity silently, and the attempt then hangs until a timeout. Those get a retryable
//! failure, and so does a worker that stops.

use airlock_contract::{Failure, FailureType};
use airlock_engine::{Ending, StopReason};
use serde_json::{Value, json};
use temporalio_common::protos::coresdk::activity_result::{
    self as wire_result, ActivityExecutionResult, activity_execution_result::Status,
};

use super::wire;

/// Longest details of a failure or a cancellation, in bytes.
const MAX_DETAILS_BYTES: usize = 512 * 1024;

/// What the server is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// The result.
    Completed(Value),
    /// A failure; its type says whether it is tried again.
    Failed(Failure),
    /// Cancelled as asked, with what there was.
    Cancelled(Value),
}

impl Answer {
    /// What to answer to a handler's `outcome`, given why it had to stop.
    pub(super) fn of(outcome: Result<Value, Ending>, reason: Option<StopReason>) -> Self {
        match outcome {
            Ok(result) => Self::Completed(result),
            Err(Ending::Failed(failure)) => Self::Failed(failure),
            Err(Ending::Cancelled(details)) => match reason {
                // Of an attempt that is gone nobody reads the answer.
                Some(StopReason::Cancelled | StopReason::NotFound | StopReason::TimedOut) => {
                    Self::Cancelled(details)
                }
                Some(StopReason::Paused) => Self::hand_over(FailureType::ActivityPause),
                Some(StopReason::Reset) => Self::hand_over(FailureType::ActivityReset),
                Some(StopReason::WorkerShutdown) => Self::hand_over(FailureType::WorkerDraining),
                None => {
                    let message = "the activity reported a cancellation that nobody asked for";
                    Self::Failed(Failure::new(FailureType::Internal, message))
                }
            },
        }
        .within_limits()
    }

    /// The answer for a handler that did not stop although the worker must end.
    pub(super) fn hard_stop() -> Self {
        Self::hand_over(FailureType::WorkerDraining)
    }

    /// The answer for a handler that panicked. The text of the panic is in the log, under `id`.
    pub(super) fn panicked(id: &str) -> Self {
        let message = format!("a bug in Airlock; the worker's log has it as {id}");
        let failure = Failure::new(FailureType::Internal, message);
        Self::Failed(failure.with_details(&json!({ "correlationId": id })))
    }

    fn hand_over(kind: FailureType) -> Self {
        let message = match kind {
            FailureType::ActivityPause => "the activity was paused; the next attempt goes on",
            FailureType::ActivityReset => "the activity was reset; the next attempt takes over",
            _ => "the worker stops; the next attempt takes over",
        };
        Self::Failed(Failure::new(kind, message))
    }

    /// Replaces what the server would refuse as too large.
    fn within_limits(self) -> Self {
        let size = |value: &Value| value.to_string().len();
        match self {
            Self::Completed(result) if size(&result) > wire::MAX_PAYLOAD_BYTES => {
                let message = format!(
                    "the result of {} bytes is above the {} that Temporal takes; ask for less",
                    size(&result),
                    wire::MAX_PAYLOAD_BYTES
                );
                Self::Failed(Failure::new(FailureType::ResultTooLarge, message))
            }
            Self::Failed(mut failure) => {
                failure.details = failure.details.filter(|d| size(d) <= MAX_DETAILS_BYTES);
                Self::Failed(failure)
            }
            Self::Cancelled(details) if size(&details) > MAX_DETAILS_BYTES => {
                Self::Cancelled(json!({ "omitted": "what there was is too large to show" }))
            }
            other => other,
        }
    }

    /// One word for logs and metrics: `completed`, `cancelled` or the failure type.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Cancelled(_) => "cancelled",
            Self::Failed(failure) => failure.kind.as_str(),
        }
    }

    /// As core takes it.
    pub(super) fn into_wire(self) -> ActivityExecutionResult {
        let status = match self {
            Self::Completed(result) => {
                let result = Some(wire::json_payload(&result));
                Status::Completed(wire_result::Success { result })
            }
            Self::Failed(failure) => Status::Failed(wire_result::Failure {
                failure: Some(wire::wire_failure(&failure)),
                ..wire_result::Failure::default()
            }),
            Self::Cancelled(details) => {
                let failure = Some(wire::wire_cancellation(&details));
                Status::Cancelled(wire_result::Cancellation { failure })
            }
        };
        ActivityExecutionResult { status: Some(status) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancelled(reason: Option<StopReason>) -> Answer {
        Answer::of(Err(Ending::Cancelled(json!("partial"))), reason)
    }

    #[test]
    fn only_a_real_cancellation_is_answered_as_cancelled() {
        let table = [
            (Some(StopReason::Cancelled), "cancelled"),
            (Some(StopReason::NotFound), "cancelled"),
            (Some(StopReason::TimedOut), "cancelled"),
            (Some(StopReason::Paused), "ActivityPause"),
            (Some(StopReason::Reset), "ActivityReset"),
            (Some(StopReason::WorkerShutdown), "WorkerDraining"),
            (None, "Internal"),
        ];
        for (reason, label) in table {
            assert_eq!(cancelled(reason).label(), label, "{reason:?}");
        }
    }

    #[test]
    fn a_result_above_the_limit_is_a_failure_that_is_not_retried() {
        let large = Value::String("x".repeat(wire::MAX_PAYLOAD_BYTES));
        let Answer::Failed(failure) = Answer::of(Ok(large), None) else { panic!("not refused") };
        assert_eq!(failure.kind, FailureType::ResultTooLarge);
        assert!(!failure.kind.is_retryable());
        let fits = Value::String("x".repeat(wire::MAX_PAYLOAD_BYTES - 2));
        assert_eq!(Answer::of(Ok(fits.clone()), None), Answer::Completed(fits));
    }

    #[test]
    fn details_above_the_limit_are_left_out() {
        let large = Value::String("x".repeat(MAX_DETAILS_BYTES));
        let failure = Failure::new(FailureType::SandboxBusy, "busy").with_details(&large);
        let Answer::Failed(kept) = Answer::of(Err(Ending::Failed(failure)), None) else {
            panic!("not a failure")
        };
        assert_eq!((kept.kind, kept.details), (FailureType::SandboxBusy, None));
        let answer = Answer::of(Err(Ending::Cancelled(large)), Some(StopReason::Cancelled));
        let Answer::Cancelled(details) = answer else { panic!("not cancelled") };
        assert!(details.get("omitted").is_some(), "{details}");
    }
}
