//! Shared sandboxes on real servers: the Lua is the logic.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use airlock_contract::{CloseReason, ExecutionId, RunIdentity, SharedState, Usd};
use airlock_runs::shared::{Ended, Enter, Fixed, Shared, SharedRecord};
use airlock_runs::{BoundSandbox, Claim, Error, Fence, RunKey, Runs};
use airlock_testing::{RedisServer, redis_servers};
use serde_json::json;

const OLD: Fence = Fence(1_790_000_000_000_001);
const NEW: Fence = Fence(1_790_000_000_000_002);
const TTL: Duration = Duration::from_hours(1);
const LATER: i64 = 4_000_000_000_000;

fn identity(activity: &str) -> RunIdentity {
    RunIdentity {
        namespace: "default".into(),
        workflow_id: "w".into(),
        run_id: "r".into(),
        activity_id: activity.into(),
        scheduled_at_us: 7,
    }
}

fn record(sandbox: &str, seats: u32) -> SharedRecord {
    let owner = identity("open");
    let fixed = Fixed {
        account: "team/a".parse().unwrap(),
        execution: ExecutionId::of(&owner),
        owner,
        sandbox: sandbox.into(),
        slot: 0,
        template: "base".into(),
        network: None,
        created_at_ms: 1000,
        closes_at_ms: 3_601_000,
        idle_ms: 60_000,
        seats,
        fee: Usd::ZERO,
        max: None,
    };
    SharedRecord {
        fixed,
        state: SharedState::Open,
        reason: None,
        covers_ms: 10_000,
        held: Usd::from_nanos(300_000),
        lease_until_ms: 5000,
        used_at_ms: 2000,
        seats: Vec::new(),
        ended: None,
    }
}

fn opener(record: &SharedRecord) -> RunKey {
    record.fixed.opener()
}

async fn claim(runs: &Runs, record: &SharedRecord, fence: Fence) -> Claim {
    runs.claim(&opener(record), fence, "digest", TTL).await.unwrap()
}

/// A registered sandbox.
async fn registered(runs: &Runs, record: &SharedRecord) -> Shared {
    claim(runs, record, OLD).await;
    let bound = BoundSandbox {
        id: record.fixed.sandbox.clone(),
        slot: 0,
        template: "base".into(),
        access_token: "token".into(),
        domain: None,
        lease_until_ms: LATER,
        workflow: None,
        identity: None,
        created_at_ms: 1000,
    };
    runs.bind_sandbox(&opener(record), OLD, &bound).await.unwrap();
    let shared = runs.shared();
    shared.register(OLD, record, &json!({"result": 1})).await.unwrap();
    shared
}

async fn enter(shared: &Shared, record: &SharedRecord, activity: &str, fence: Fence) -> Enter {
    let fixed = &record.fixed;
    let who = identity(activity);
    shared.enter(&fixed.account, &fixed.sandbox, &who, fence, LATER, 3000).await.unwrap()
}

/// Runs a test body on every server, each time empty.
macro_rules! on_every_server {
    ($(#[doc = $doc:literal] async fn $name:ident($runs:ident) $body:block)+) => {$(
        #[doc = $doc]
        #[tokio::test]
        async fn $name() {
            for binary in redis_servers() {
                let server = RedisServer::start(&binary);
                let $runs = Runs::new(server.connect().await, "airlock");
                $body
            }
        }
    )+};
}

on_every_server! {
    /// Registering hands the sandbox over in one step, and only the run's holder can do it.
    async fn a_sandbox_is_handed_over_by_the_attempt_that_holds_the_run(runs) {
        let record = record("sbx", 1);
        let shared = registered(&runs, &record).await;
        let fixed = &record.fixed;
        assert_eq!(shared.get(&fixed.account, "sbx").await.unwrap(), Some(record.clone()));
        let run = runs.get(&opener(&record)).await.unwrap().unwrap();
        assert!(run.sandboxes.is_empty() && run.outcome.is_some(), "{run:?}");
        assert_eq!(claim(&runs, &record, NEW).await, Claim::Finished(json!({"result": 1})));
        shared.register(OLD, &record, &json!({"result": 1})).await.unwrap();
        assert_eq!(shared.count().await.unwrap(), 1);

        let mut other = self::record("sbx2", 1);
        other.fixed.execution = ExecutionId::of(&identity("other"));
        claim(&runs, &other, OLD).await;
        claim(&runs, &other, NEW).await;
        let late = shared.register(OLD, &other, &json!({})).await;
        assert!(matches!(late, Err(Error::Superseded)), "{late:?}");
        assert_eq!(shared.get(&other.fixed.account, "sbx2").await.unwrap(), None);
    }

    /// Seats are executions', and a later attempt has its execution's seat.
    async fn seats_are_counted_and_fenced(runs) {
        let record = record("sbx", 2);
        let shared = registered(&runs, &record).await;
        let (fixed, who) = (&record.fixed, ExecutionId::of(&identity("a")));
        assert!(matches!(enter(&shared, &record, "a", OLD).await, Enter::In(_)));
        assert!(matches!(enter(&shared, &record, "b", OLD).await, Enter::In(_)));
        let Enter::Busy(seats) = enter(&shared, &record, "c", OLD).await else { panic!("a seat") };
        assert_eq!(seats.len(), 2);
        assert_eq!(seats.iter().filter(|seat| seat.identity == identity("a")).count(), 1);
        assert!(matches!(enter(&shared, &record, "a", NEW).await, Enter::In(_)), "its own seat");
        assert_eq!(enter(&shared, &record, "a", OLD).await, Enter::Superseded);
        let late = shared.stay(fixed, &who, OLD, LATER, 3000).await;
        assert!(matches!(late, Err(Error::Superseded)), "{late:?}");
        assert_eq!(shared.stay(fixed, &who, NEW, LATER, 3000).await.unwrap(), 10_000);
        shared.leave(fixed, &who, OLD, 4000).await.unwrap();
        assert!(matches!(enter(&shared, &record, "c", OLD).await, Enter::Busy(_)), "not left");
        shared.leave(fixed, &who, NEW, 4000).await.unwrap();
        assert!(matches!(enter(&shared, &record, "c", OLD).await, Enter::In(_)));

        let stranger = "team/b".parse().unwrap();
        let asked = shared.enter(&stranger, "sbx", &identity("x"), OLD, LATER, 3000).await;
        assert_eq!(asked.unwrap(), Enter::Missing, "another account of the same slot");
        assert_eq!(shared.get(&stranger, "sbx").await.unwrap(), None);
        assert_eq!(shared.touch(&fixed.account, "{x}", 1).await.unwrap(), Enter::Missing);
    }

    /// Renewals that come late or twice take nothing back.
    async fn what_is_paid_and_how_long_it_lives_only_grow(runs) {
        let record = record("sbx", 1);
        let shared = registered(&runs, &record).await;
        let fixed = &record.fixed;
        shared.paid(fixed, 20_000, Usd::from_nanos(600_000)).await.unwrap();
        shared.paid(fixed, 15_000, Usd::from_nanos(450_000)).await.unwrap();
        shared.prolonged(fixed, 9000).await.unwrap();
        shared.prolonged(fixed, 8000).await.unwrap();
        let now = shared.get(&fixed.account, "sbx").await.unwrap().unwrap();
        assert_eq!((now.covers_ms, now.held.nanos(), now.lease_until_ms), (20_000, 600_000, 9000));
    }

    /// Closing goes one way; the first reason, end and cost stand.
    async fn it_is_closed_once_for_the_first_reason(runs) {
        let record = record("sbx", 1);
        let shared = registered(&runs, &record).await;
        let fixed = &record.fixed;
        let ended = |at_ms, nanos| Ended { at_ms, cost: Usd::from_nanos(nanos) };
        assert!(matches!(shared.ended(fixed, ended(1, 1)).await, Err(Error::OutOfOrder(_))));
        enter(&shared, &record, "a", OLD).await;
        let idle = async |since| shared.closing(fixed, CloseReason::Idle, Some(since)).await.unwrap();
        assert_eq!(idle(LATER).await, None, "a seat is taken");
        shared.leave(fixed, &ExecutionId::of(&identity("a")), OLD, 4000).await.unwrap();
        assert_eq!(idle(3999).await, None, "it was used since");
        let closing = idle(4000).await.unwrap();
        assert_eq!((closing.state, closing.reason), (SharedState::Closing, Some(CloseReason::Idle)));
        let second = shared.closing(fixed, CloseReason::Closed, None).await.unwrap().unwrap();
        assert_eq!(second.reason, Some(CloseReason::Idle), "the first reason stands");
        assert_eq!(enter(&shared, &record, "b", OLD).await, Enter::Closed);
        assert!(matches!(shared.closed(fixed, TTL).await, Err(Error::OutOfOrder(_))));
        assert_eq!(shared.ended(fixed, ended(5000, 7)).await.unwrap(), ended(5000, 7));
        assert_eq!(shared.ended(fixed, ended(6000, 8)).await.unwrap(), ended(5000, 7));
        assert!(shared.closed(fixed, TTL).await.unwrap());
        assert!(!shared.closed(fixed, TTL).await.unwrap(), "it was closed before");
        assert_eq!(shared.count().await.unwrap(), 0);
        let last = shared.get(&fixed.account, "sbx").await.unwrap().unwrap();
        assert_eq!((last.state, last.ended), (SharedState::Closed, Some(ended(5000, 7))));
    }

    /// What it is time to look at comes in order, and only what still is there is put off.
    async fn the_agenda_says_what_to_look_at_next(runs) {
        let (first, second) = (record("sbx1", 1), record("sbx2", 1));
        let shared = runs.shared();
        shared.schedule(&first.fixed, 200).await.unwrap();
        shared.schedule(&second.fixed, 100).await.unwrap();
        let due = shared.due(200, 10).await.unwrap();
        let ids: Vec<&str> = due.iter().map(|due| due.sandbox.as_str()).collect();
        assert_eq!(ids, ["sbx2", "sbx1"]);
        assert_eq!(shared.due(150, 10).await.unwrap().len(), 1);
        shared.postpone(&due[0], 500).await.unwrap();
        shared.forget(&due[1]).await.unwrap();
        shared.postpone(&due[1], 1).await.unwrap();
        assert_eq!(shared.due(499, 10).await.unwrap(), []);
        assert_eq!(shared.count().await.unwrap(), 1);
    }
}
