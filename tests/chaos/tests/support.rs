//! What these tests share.

use std::time::Duration;

use airlock_activities::client::{Execution, Outcome};
use airlock_chaos::rig::{Rig, Wanted, Worker};
use airlock_chaos::starts::Seen;
use airlock_chaos::template::Work;
use airlock_chaos::{House, Result};
use serde_json::json;

/// A command may take this much longer than its pauses on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_mins(4);

/// A rig without faults.
pub(crate) fn wanted(name: &str) -> Wanted {
    Wanted {
        name: name.to_owned(),
        own_temporal: false,
        host_rules: json!([]),
        lease_slack: 40,
        grace: 10,
    }
}

/// A number that may be raised for a longer test than an everyday one.
pub(crate) fn setting(name: &str, usual: u32) -> u32 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => usual,
    }
}

/// Waits until the worker polls.
pub(crate) async fn polls(worker: &Worker) {
    until("a worker polls", Duration::from_mins(1), || {
        std::fs::read_to_string(&worker.log).is_ok_and(|log| log.contains("\"polling\""))
    })
    .await;
}

/// Waits until `holds`.
pub(crate) async fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(limit, waited).await.is_ok(), "waited in vain until {what}");
}

/// The command ran once, to its end, and all that it printed is in the result.
pub(crate) async fn assert_whole(
    house: &House,
    rig: &Rig,
    execution: &Execution,
    work: Work,
) -> Result<()> {
    let over = tokio::time::timeout(Duration::from_mins(5), rig.client.result(execution)).await;
    let outcome = over.expect("it ends").expect("Temporal knows how");
    let Outcome::Completed(result) = outcome else { panic!("{}: {outcome:?}", execution.id) };
    let (out, err) = work.expected();
    assert_eq!(result["exitCode"], json!(7), "{result:#}");
    assert!(result["stdout"] == json!(out) && result["stderr"] == json!(err), "{result:#}");
    let seen = house.starts.of(&execution.id);
    assert_eq!(seen, Seen { starts: 1, ends: 1 }, "{}", execution.id);
    Ok(())
}

/// No sandbox is left.
pub(crate) async fn assert_clean(rig: &Rig) {
    let query = airlock_e2b::ListQuery::default();
    let left = rig.sandboxes().expect("a client").list(&query).await.expect("the host answers");
    assert!(left.is_empty(), "{left:?}");
}
