//! Run records on real servers: the Lua is the logic.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use airlock_contract::{ExecutionId, Phase, RunIdentity};
use airlock_runs::{Bind, BoundSandbox, Claim, CommandState, Error, Fence, Lease, RunKey, Runs};
use airlock_testing::{RedisCluster, RedisServer, redis_servers};
use redis::aio::ConnectionManager;
use serde_json::json;

const OLD: Fence = Fence(1_790_000_000_000_001);
const NEW: Fence = Fence(1_790_000_000_000_002);
const TTL: Duration = Duration::from_hours(1);
const PREFIX: &str = "airlock";

fn run() -> RunKey {
    let identity = RunIdentity {
        namespace: "default".into(),
        workflow_id: "w".into(),
        run_id: "r".into(),
        activity_id: "1".into(),
        scheduled_at_us: 7,
    };
    RunKey::new("team/a".parse().unwrap(), ExecutionId::of(&identity))
}

fn sandbox(id: &str, lease_until_ms: i64) -> BoundSandbox {
    BoundSandbox {
        slot: 0,
        id: id.into(),
        template: "base".into(),
        access_token: "token-of-the-sandbox".into(),
        domain: None,
        lease_until_ms,
        workflow: Some("w".into()),
        identity: None,
        created_at_ms: 1,
    }
}

/// Far in the future, so that leases are not expired by the server's clock.
const LATER: i64 = 4_000_000_000_000;

async fn started(runs: &Runs, fence: Fence) {
    let claim = runs.claim(&run(), fence, "digest", TTL).await.unwrap();
    assert!(matches!(claim, Claim::Started(_)), "{claim:?}");
}

async fn ttl_ms(conn: &mut ConnectionManager) -> i64 {
    let key = format!("{PREFIX}:{{team}}:exec:{}", run().execution);
    redis::cmd("PTTL").arg(key).query_async(conn).await.unwrap()
}

/// Runs a test body on every server, each time empty.
macro_rules! on_every_server {
    ($(#[doc = $doc:literal] async fn $name:ident($runs:ident, $conn:ident) $body:block)+) => {$(
        #[doc = $doc]
        #[tokio::test]
        async fn $name() {
            for binary in redis_servers() {
                let server = RedisServer::start(&binary);
                let mut $conn = server.connect().await;
                let $runs = Runs::new($conn.clone(), PREFIX);
                // Unused in tests that look only through `Runs`.
                let _ = &mut $conn;
                $body
            }
        }
    )+};
}

on_every_server! {
    /// The old attempt still runs when the new one has claimed: nothing it does may count.
    async fn a_superseded_attempt_writes_nothing(runs, conn) {
        started(&runs, OLD).await;
        assert!(runs.starting(&run(), OLD, 0).await.unwrap());
        let claim = runs.claim(&run(), NEW, "digest", TTL).await.unwrap();
        assert!(matches!(claim, Claim::Resumed(_)), "{claim:?}");
        let before = runs.get(&run()).await.unwrap().unwrap();
        let done = json!({"exitCode": 0});
        let old = OLD;
        let answers = [
            runs.claim(&run(), old, "digest", TTL).await.map(drop),
            runs.bind_sandbox(&run(), old, &sandbox("old", LATER)).await.map(drop),
            runs.starting(&run(), old, 1).await.map(drop),
            runs.set_phase(&run(), old, Phase::Running).await,
            runs.note(&run(), old, "held", &done).await,
            runs.command_ended(&run(), old, 0, &done).await,
            runs.renew_lease(&run(), old, 0, LATER).await,
            runs.unbind_sandbox(&run(), old, 0).await,
            runs.finish(&run(), old, &done).await,
            runs.check(&run(), old).await,
        ];
        for (index, answer) in answers.into_iter().enumerate() {
            assert!(matches!(answer, Err(Error::Superseded)), "call {index}: {answer:?}");
        }
        assert_eq!(runs.get(&run()).await.unwrap().unwrap(), before);
        runs.check(&run(), NEW).await.unwrap();
    }

    /// Many attempts claim at once; afterwards only the last scheduled one holds the run.
    async fn the_highest_fence_wins_a_race(runs, conn) {
        let mut racers = tokio::task::JoinSet::new();
        for step in 0..40_i64 {
            let runs = runs.clone();
            racers.spawn(async move {
                let fence = Fence(OLD.0 + step);
                let claimed = runs.claim(&run(), fence, "digest", TTL).await;
                let bound = match claimed {
                    Ok(_) => {
                        let own = sandbox(&format!("s{step}"), LATER);
                        matches!(runs.bind_sandbox(&run(), fence, &own).await, Ok(Bind::Bound))
                    }
                    Err(Error::Superseded) => false,
                    Err(error) => panic!("{error:?}"),
                };
                (step, bound)
            });
        }
        let bound = racers.join_all().await.into_iter().filter(|(_, bound)| *bound).count();
        assert_eq!(bound, 1, "exactly one sandbox is bound");
        for step in 0..39 {
            let answer = runs.check(&run(), Fence(OLD.0 + step)).await;
            assert!(matches!(answer, Err(Error::Superseded)), "{step}: {answer:?}");
        }
        runs.check(&run(), Fence(OLD.0 + 39)).await.unwrap();
    }

    /// Two tasks of one attempt race with a sandbox each: the loser learns of the winner's.
    async fn of_two_sandboxes_exactly_one_is_bound(runs, conn) {
        started(&runs, OLD).await;
        let (one, two) = (sandbox("one", LATER), sandbox("two", LATER));
        let key = run();
        let (first, second) = tokio::join!(
            runs.bind_sandbox(&key, OLD, &one),
            runs.bind_sandbox(&key, OLD, &two),
        );
        let answers = [first.unwrap(), second.unwrap()];
        let record = runs.get(&run()).await.unwrap().unwrap();
        let winner = record.sandboxes[&0].clone();
        assert_eq!(answers.iter().filter(|answer| **answer == Bind::Bound).count(), 1);
        assert!(answers.contains(&Bind::Other(winner.clone())), "{answers:?}");
        // The loser keeps a lease until it is killed.
        assert_eq!(runs.lease_count().await.unwrap(), 2);
        let again = runs.bind_sandbox(&run(), OLD, &winner).await.unwrap();
        assert_eq!(again, Bind::Bound, "the winner may ask again");
    }

    /// A claim whose answer was lost is repeated by the client.
    async fn a_claim_is_idempotent_for_its_fence(runs, conn) {
        let first = runs.claim(&run(), OLD, "digest", TTL).await.unwrap();
        assert_eq!(runs.claim(&run(), OLD, "digest", TTL).await.unwrap(), first);
        let Claim::Started(record) = first else { panic!("{first:?}") };
        assert_eq!((record.fence, record.claims, record.v), (OLD, 1, 1));
        assert_eq!((record.phase, record.input_digest.as_str()), (Phase::Claiming, "digest"));
        runs.starting(&run(), OLD, 0).await.unwrap();
        let later = runs.claim(&run(), OLD, "digest", TTL).await.unwrap();
        assert!(matches!(later, Claim::Resumed(_)), "it may have run: {later:?}");
    }

    /// One execution cannot come with two inputs.
    async fn another_input_conflicts(runs, conn) {
        started(&runs, OLD).await;
        for fence in [OLD, NEW] {
            let answer = runs.claim(&run(), fence, "other", TTL).await;
            assert!(matches!(answer, Err(Error::Conflict)), "{answer:?}");
        }
        runs.check(&run(), OLD).await.unwrap();
    }

    /// The next attempt finds what the earlier one left.
    async fn a_later_attempt_resumes(runs, conn) {
        started(&runs, OLD).await;
        let bound = sandbox("one", LATER);
        assert_eq!(runs.bind_sandbox(&run(), OLD, &bound).await.unwrap(), Bind::Bound);
        assert!(runs.starting(&run(), OLD, 0).await.unwrap());
        assert!(!runs.starting(&run(), OLD, 0).await.unwrap());
        let large = json!({"stdout": "x".repeat(100_000)});
        runs.command_ended(&run(), OLD, 0, &large).await.unwrap();
        runs.command_ended(&run(), OLD, 0, &large).await.unwrap();
        assert!(runs.starting(&run(), OLD, 1).await.unwrap());
        runs.set_phase(&run(), OLD, Phase::Running).await.unwrap();
        runs.note(&run(), OLD, "reserved", &json!("0.25")).await.unwrap();
        let Claim::Resumed(record) = runs.claim(&run(), NEW, "digest", TTL).await.unwrap() else {
            panic!("not resumed")
        };
        assert_eq!(record.sandboxes, [(0, bound)].into());
        assert_eq!(record.commands[&0], CommandState::Ended(large));
        assert_eq!(record.commands[&1], CommandState::Starting);
        assert_eq!(record.notes["reserved"], json!("0.25"));
        assert_eq!((record.phase, record.claims, record.fence), (Phase::Running, 2, NEW));
        assert!(!runs.starting(&run(), NEW, 1).await.unwrap(), "it may have run");
    }

    /// The outcome stands: for every later attempt, and against a second outcome.
    async fn a_finished_run_answers_at_once(runs, conn) {
        started(&runs, OLD).await;
        runs.bind_sandbox(&run(), OLD, &sandbox("one", LATER)).await.unwrap();
        let outcome = json!({"exitCode": 3});
        runs.finish(&run(), OLD, &outcome).await.unwrap();
        runs.finish(&run(), OLD, &outcome).await.unwrap();
        let other = runs.finish(&run(), OLD, &json!({"exitCode": 0})).await;
        assert!(matches!(other, Err(Error::OutOfOrder(_))), "{other:?}");
        let more = runs.starting(&run(), OLD, 1).await;
        assert!(matches!(more, Err(Error::OutOfOrder(_))), "{more:?}");
        for fence in [OLD, NEW] {
            let claim = runs.claim(&run(), fence, "digest", TTL).await.unwrap();
            assert_eq!(claim, Claim::Finished(outcome.clone()));
        }
        // The next attempt may tidy what the finisher left, and the finisher may too.
        runs.unbind_sandbox(&run(), NEW, 0).await.unwrap();
        runs.unbind_sandbox(&run(), OLD, 0).await.unwrap();
        assert_eq!(runs.lease_count().await.unwrap(), 0);
    }

    /// What was never claimed, or is gone, cannot be written.
    async fn without_a_claim_nothing_is_written(runs, conn) {
        assert!(matches!(runs.starting(&run(), OLD, 0).await, Err(Error::Missing)));
        assert_eq!(runs.get(&run()).await.unwrap(), None);
        started(&runs, OLD).await;
        let unclaimed = runs.starting(&run(), NEW, 0).await;
        assert!(matches!(unclaimed, Err(Error::OutOfOrder(_))), "{unclaimed:?}");
        let unstarted = runs.command_ended(&run(), OLD, 0, &json!(1)).await;
        assert!(matches!(unstarted, Err(Error::OutOfOrder(_))), "{unstarted:?}");
        let unbound = runs.renew_lease(&run(), OLD, 0, LATER).await;
        assert!(matches!(unbound, Err(Error::OutOfOrder(_))), "{unbound:?}");
        let huge = json!("x".repeat(3 << 20));
        let kept = runs.finish(&run(), OLD, &huge).await;
        assert!(matches!(kept, Err(Error::TooLarge { .. })), "{kept:?}");
    }

    /// The reaper sees a lease from before the sandbox is bound until it is cleaned up.
    async fn leases_are_renewed_and_dropped_with_their_sandbox(runs, conn) {
        started(&runs, OLD).await;
        runs.bind_sandbox(&run(), OLD, &sandbox("one", 1_000)).await.unwrap();
        let expired = runs.expired_leases(1_000, 10, |_| true).await.unwrap();
        assert_eq!(expired.len(), 1);
        assert_eq!((expired[0].run.clone(), expired[0].sandbox_id.as_str()), (run(), "one"));
        assert_eq!(runs.expired_leases(999, 10, |_| true).await.unwrap(), []);
        runs.renew_lease(&run(), OLD, 0, 5_000).await.unwrap();
        runs.renew_lease(&run(), OLD, 0, 3_000).await.unwrap();
        assert_eq!(runs.expired_leases(4_999, 10, |_| true).await.unwrap(), [], "renewal only extends");
        assert_eq!(runs.expired_leases(5_000, 10, |_| true).await.unwrap().len(), 1);
        runs.unbind_sandbox(&run(), OLD, 0).await.unwrap();
        runs.unbind_sandbox(&run(), OLD, 0).await.unwrap();
        assert_eq!(runs.lease_count().await.unwrap(), 0);
        assert_eq!(runs.get(&run()).await.unwrap().unwrap().sandboxes, BTreeMap::new());
    }

    /// A run may have several sandboxes, each bound, renewed and forgotten by itself.
    async fn each_slot_has_a_sandbox_of_its_own(runs, conn) {
        started(&runs, OLD).await;
        let second = BoundSandbox { slot: 7, ..sandbox("two", 2_000) };
        assert_eq!(runs.bind_sandbox(&run(), OLD, &sandbox("one", 1_000)).await.unwrap(), Bind::Bound);
        assert_eq!(runs.bind_sandbox(&run(), OLD, &second).await.unwrap(), Bind::Bound);
        runs.renew_lease(&run(), OLD, 7, 3_000).await.unwrap();
        let leases = runs.expired_leases(3_000, 10, |_| true).await.unwrap();
        let ends: Vec<_> = leases.iter().map(|l| (l.slot, l.sandbox_id.as_str(), l.until_ms)).collect();
        assert_eq!(ends, [(0, "one", 1_000), (7, "two", 3_000)]);
        runs.unbind_sandbox(&run(), OLD, 0).await.unwrap();
        let left = runs.get(&run()).await.unwrap().unwrap().sandboxes;
        assert_eq!(left, [(7, BoundSandbox { lease_until_ms: 3_000, ..second })].into());
        assert_eq!(runs.lease_count().await.unwrap(), 1);
    }

    /// However many leases of others stand before ours, they do not hide it.
    async fn leases_that_are_not_wanted_hide_none_that_are(runs, conn) {
        started(&runs, OLD).await;
        for n in 0..2_500_u32 {
            let other = BoundSandbox { slot: n, ..sandbox(&format!("other{n}"), 1_000) };
            runs.bind_sandbox(&run(), OLD, &other).await.unwrap();
        }
        let ours = BoundSandbox { slot: 9_999, ..sandbox("ours", 1_001) };
        runs.bind_sandbox(&run(), OLD, &ours).await.unwrap();
        let found = runs.expired_leases(2_000, 10, |lease| lease.sandbox_id == "ours").await.unwrap();
        assert_eq!(found, [Lease::of(&run(), &ours)]);
        assert_eq!(runs.expired_leases(2_000, 3, |_| true).await.unwrap().len(), 3);
    }

    /// A worker that dies between the two writes of a binding leaves a lease, not an orphan.
    async fn an_interrupted_binding_leaves_a_lease(runs, conn) {
        started(&runs, OLD).await;
        runs.claim(&run(), NEW, "digest", TTL).await.unwrap();
        let refused = runs.bind_sandbox(&run(), OLD, &sandbox("lost", 1_000)).await;
        assert!(matches!(refused, Err(Error::Superseded)), "{refused:?}");
        let leases = runs.expired_leases(2_000, 10, |_| true).await.unwrap();
        assert_eq!(leases.len(), 1);
        runs.remove_lease(&leases[0]).await.unwrap();
        assert_eq!(runs.lease_count().await.unwrap(), 0);
    }

    /// A renewal that was interrupted between its two writes is put right by the reaper's look.
    async fn a_half_renewed_lease_is_not_reaped(runs, conn) {
        started(&runs, OLD).await;
        runs.bind_sandbox(&run(), OLD, &sandbox("one", 1_000)).await.unwrap();
        let key = format!("{PREFIX}:{{team}}:exec:{}", run().execution);
        let () = redis::cmd("HSET").arg(&key).arg("l:0").arg(9_000)
            .query_async(&mut conn).await.unwrap();
        assert_eq!(runs.expired_leases(2_000, 10, |_| true).await.unwrap(), []);
        assert_eq!(runs.expired_leases(9_000, 10, |_| true).await.unwrap()[0].until_ms, 9_000);
    }

    /// The access token is in the record and nowhere else.
    async fn the_token_is_not_in_the_leases(runs, conn) {
        started(&runs, OLD).await;
        runs.bind_sandbox(&run(), OLD, &sandbox("one", LATER)).await.unwrap();
        let leases: Vec<String> = redis::cmd("ZRANGE").arg("airlock:leases").arg(0).arg(-1)
            .query_async(&mut conn).await.unwrap();
        assert!(!leases.join("").contains("token-of-the-sandbox"), "{leases:?}");
        let record = runs.get(&run()).await.unwrap().unwrap();
        assert!(!format!("{record:?}").contains("token-of-the-sandbox"));
        assert_eq!(record.sandboxes[&0].clone().access_token, "token-of-the-sandbox");
    }

    /// A record lives for its ttl from the last claim, and beyond the lease of its sandbox.
    async fn the_record_outlives_claims_and_leases(runs, conn) {
        started(&runs, OLD).await;
        let short = runs.claim(&run(), NEW, "digest", Duration::from_secs(1)).await;
        assert!(short.is_ok());
        let kept = ttl_ms(&mut conn).await;
        assert!((3_500_000..=3_600_000).contains(&kept), "a shorter ttl cuts nothing: {kept}");
        runs.bind_sandbox(&run(), NEW, &sandbox("one", LATER)).await.unwrap();
        let until = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let needed = LATER - i64::try_from(until).unwrap();
        assert!(ttl_ms(&mut conn).await > needed);
    }

    /// A run's end does not depend on the connection that asked for it.
    async fn calls_go_on_after_a_cut_connection(runs, conn) {
        started(&runs, OLD).await;
        let () = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("no")
            .query_async(&mut conn).await.unwrap_or_default();
        let mut answer = runs.check(&run(), OLD).await;
        for _ in 0..200 {
            if answer.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            answer = runs.check(&run(), OLD).await;
        }
        answer.unwrap();
    }

    /// An old binary must not write into what a newer one keeps.
    async fn a_newer_schema_is_refused(runs, conn) {
        assert_eq!(runs.check_schema().await.unwrap(), 1);
        assert_eq!(runs.check_schema().await.unwrap(), 1);
        let () = redis::cmd("SET").arg("airlock:schema").arg(7).query_async(&mut conn).await.unwrap();
        let error = runs.check_schema().await.unwrap_err();
        assert!(matches!(error, Error::NewerSchema { found: 7, supported: 1 }));
        assert!(error.to_string().contains("AIRLOCK_REDIS_PREFIX"), "{error}");
        runs.ping().await.unwrap();
    }
}

/// The fleet's leases are in a slot of their own, and each run's record in that of its account.
#[tokio::test]
async fn a_runs_whole_life_on_a_cluster() {
    for binary in redis_servers() {
        let cluster = RedisCluster::start(&binary).await;
        let runs = Runs::new(cluster.connect().await, PREFIX);
        runs.check_schema().await.unwrap();
        let mut lives = tokio::task::JoinSet::new();
        for n in 0..24_i64 {
            let runs = runs.clone();
            lives.spawn(async move {
                let identity = RunIdentity {
                    namespace: "default".into(),
                    workflow_id: "w".into(),
                    run_id: "r".into(),
                    activity_id: n.to_string(),
                    scheduled_at_us: n,
                };
                let account = format!("team-{n}/a").parse().unwrap();
                let run = RunKey::new(account, ExecutionId::of(&identity));
                let bound = sandbox(&format!("s{n}"), LATER);
                runs.claim(&run, OLD, "digest", TTL).await.unwrap();
                assert!(matches!(runs.bind_sandbox(&run, OLD, &bound).await.unwrap(), Bind::Bound));
                assert!(runs.starting(&run, OLD, 0).await.unwrap());
                let claim = runs.claim(&run, NEW, "digest", TTL).await.unwrap();
                assert!(matches!(claim, Claim::Resumed(_)), "{claim:?}");
                let late = runs.starting(&run, OLD, 1).await;
                assert!(matches!(late, Err(Error::Superseded)), "{late:?}");
                runs.note(&run, NEW, "held", &json!(1)).await.unwrap();
                runs.renew_lease(&run, NEW, 0, LATER + 1).await.unwrap();
                runs.command_ended(&run, NEW, 0, &json!({"exitCode": 0})).await.unwrap();
                runs.finish(&run, NEW, &json!({"result": n})).await.unwrap();
                runs.unbind_sandbox(&run, NEW, 0).await.unwrap();
                let record = runs.get(&run).await.unwrap().unwrap();
                assert_eq!(record.outcome, Some(json!({"result": n})));
            });
        }
        lives.join_all().await;
        assert_eq!(runs.lease_count().await.unwrap(), 0);
        for node in cluster.nodes() {
            let mut conn = node.connect().await;
            let keys: i64 = redis::cmd("DBSIZE").query_async(&mut conn).await.unwrap();
            assert!(keys > 0, "a node has no record");
        }
    }
}
