//! What core says about a task, in the engine's words.

use std::time::{Duration, SystemTime};

use airlock_contract::{Heartbeat, RunIdentity};
use airlock_engine::Attempt;
use temporalio_common::protos::coresdk::activity_task::Start;

use super::wire;

/// Seconds and nanoseconds since 1970, as on the wire.
type Timestamp = prost_wkt_types::Timestamp;

/// The same over all attempts of one activity execution.
///
/// For a standalone activity core leaves the workflow ids empty and gives the activity's own run
/// id; an empty id counts as absent.
pub(super) fn identity(start: &Start) -> RunIdentity {
    let workflow = start.workflow_execution.clone().unwrap_or_default();
    let run_id =
        if workflow.run_id.is_empty() { start.run_id.clone() } else { workflow.run_id.clone() };
    RunIdentity {
        namespace: start.workflow_namespace.clone(),
        workflow_id: workflow.workflow_id,
        run_id,
        activity_id: start.activity_id.clone(),
        scheduled_at_us: micros(start.scheduled_time.as_ref()),
    }
}

/// This attempt.
pub(super) fn attempt(start: &Start, task_queue: &str) -> Attempt {
    let scheduled = start.current_attempt_scheduled_time.as_ref().or(start.scheduled_time.as_ref());
    Attempt {
        number: start.attempt,
        fence_us: micros(scheduled),
        heartbeat_timeout: positive(start.heartbeat_timeout.as_ref()),
        deadline: deadline(start),
        previous: previous(start),
        workflow_type: Some(start.workflow_type.clone()).filter(|name| !name.is_empty()),
        activity_type: start.activity_type.clone(),
        task_queue: task_queue.to_owned(),
    }
}

/// The engine's heartbeat that the attempt before sent last.
fn previous(start: &Start) -> Option<Heartbeat> {
    let details = wire::value_of(start.heartbeat_details.first()?).ok()?;
    serde_json::from_value(details).ok()
}

/// The earlier of the attempt's end (from its start) and the activity's (from its first schedule).
fn deadline(start: &Start) -> Option<SystemTime> {
    let end = |from: Option<&Timestamp>, timeout: Option<&prost_wkt_types::Duration>| {
        let from = SystemTime::try_from(*from?).ok()?;
        from.checked_add(positive(timeout)?)
    };
    let attempt = end(start.started_time.as_ref(), start.start_to_close_timeout.as_ref());
    let whole = end(start.scheduled_time.as_ref(), start.schedule_to_close_timeout.as_ref());
    match (attempt, whole) {
        (Some(attempt), Some(whole)) => Some(attempt.min(whole)),
        (one, other) => one.or(other),
    }
}

/// Microseconds since 1970; 0 if absent.
fn micros(time: Option<&Timestamp>) -> i64 {
    time.map_or(0, |t| t.seconds.saturating_mul(1_000_000) + i64::from(t.nanos) / 1_000)
}

/// A duration above zero; zero means "not set" on the wire.
fn positive(duration: Option<&prost_wkt_types::Duration>) -> Option<Duration> {
    duration.and_then(|d| Duration::try_from(*d).ok()).filter(|d| !d.is_zero())
}

#[cfg(test)]
mod tests {
    use airlock_contract::ExecutionId;
    use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanos: 7_000 }
    }

    fn seconds(seconds: i64) -> prost_wkt_types::Duration {
        prost_wkt_types::Duration { seconds, nanos: 0 }
    }

    fn standalone(attempt: u32, now: i64) -> Start {
        Start {
            workflow_namespace: "default".into(),
            workflow_execution: Some(WorkflowExecution::default()),
            activity_id: "a".into(),
            run_id: "own-run".into(),
            attempt,
            scheduled_time: Some(at(100)),
            current_attempt_scheduled_time: Some(at(now)),
            started_time: Some(at(now + 1)),
            start_to_close_timeout: Some(seconds(10)),
            schedule_to_close_timeout: Some(seconds(15)),
            heartbeat_timeout: Some(seconds(0)),
            ..Start::default()
        }
    }

    #[test]
    fn a_standalone_activity_is_known_by_its_own_run_id_over_its_attempts() {
        let (first, second) = (standalone(1, 100), standalone(2, 105));
        assert_eq!(identity(&first).run_id, "own-run");
        assert_eq!(ExecutionId::of(&identity(&first)), ExecutionId::of(&identity(&second)));
        let (first, second) = (attempt(&first, "q"), attempt(&second, "q"));
        assert_eq!(first.fence_us, 100_000_007);
        assert!(second.fence_us > first.fence_us);
        assert_eq!((first.workflow_type, first.heartbeat_timeout), (None, None));
    }

    #[test]
    fn a_workflow_run_id_wins_over_the_activity_run_id() {
        let mut start = standalone(1, 100);
        start.workflow_execution =
            Some(WorkflowExecution { workflow_id: "w".into(), run_id: "r".into() });
        let identity = identity(&start);
        assert_eq!((identity.workflow_id.as_str(), identity.run_id.as_str()), ("w", "r"));
    }

    #[test]
    fn the_deadline_is_the_earlier_end() {
        let since = |start: &Start| {
            deadline(start).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
        };
        assert_eq!(since(&standalone(1, 100)), 111);
        assert_eq!(since(&standalone(2, 110)), 115);
        let unlimited = Start { started_time: Some(at(1)), ..Start::default() };
        assert_eq!(deadline(&unlimited), None);
    }
}
