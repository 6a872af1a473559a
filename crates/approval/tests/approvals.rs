//! Approvals on real servers: the Lua is the logic.

use std::time::Duration;

use airlock_approval::{Approval, Approvals, Error, NewRequest, Options, State};
use airlock_contract::{ExecutionId, RunIdentity};
use airlock_testing::{RedisCluster, RedisServer, redis_servers};
use serde_json::json;
use tokio::time::sleep;

fn execution(number: i64) -> ExecutionId {
    ExecutionId::of(&RunIdentity {
        namespace: "default".into(),
        workflow_id: "w".into(),
        run_id: "r".into(),
        activity_id: "1".into(),
        scheduled_at_us: number,
    })
}

fn deploy() -> NewRequest {
    NewRequest {
        account: "team/a".parse().unwrap_or_else(|_| unreachable!("a valid name")),
        execution: execution(1),
        args_digest: "args".into(),
        policy_digest: "policy".into(),
        action_type: "deploy".into(),
        reason: "deploys to production".into(),
        preview: "kubectl apply -f prod.yaml".into(),
        details: json!({"ruleIds": ["deploy.production"]}),
        ttl: Duration::from_hours(1),
    }
}

/// Runs a test body on every server, each time empty.
macro_rules! on_every_server {
    ($(async fn $name:ident($approvals:ident, $server:ident) $body:block)+) => {$(
        #[tokio::test]
        async fn $name() {
            for binary in redis_servers() {
                let $server = RedisServer::start(&binary);
                let conn = $server.connect().await;
                let $approvals = Approvals::new(conn, "airlock", Options::default());
                $body
            }
        }
    )+};
}

on_every_server! {
    async fn asking_again_finds_the_same_request(approvals, server) {
        let first = approvals.request(&deploy()).await.unwrap();
        assert_eq!(approvals.request(&deploy()).await.unwrap(), first);
        assert_eq!((first.state, first.digest.as_str()), (State::Pending, deploy().digest().as_str()));
        assert_eq!((first.preview.as_str(), &first.details), (deploy().preview.as_str(), &deploy().details));
        assert_eq!(first.expires_at_ms - first.created_at_ms, 3_600_000);
        let others = [
            NewRequest { execution: execution(2), ..deploy() },
            NewRequest { args_digest: "other".into(), ..deploy() },
            NewRequest { policy_digest: "other".into(), ..deploy() },
            NewRequest { account: "team/b".parse().unwrap(), ..deploy() },
        ];
        for other in &others {
            assert_ne!(approvals.request(other).await.unwrap().id, first.id, "{other:?}");
        }
        assert_eq!(approvals.list(100).await.unwrap().len(), 5);
        assert_eq!(approvals.list(2).await.unwrap().len(), 2);
        assert_eq!(approvals.get(&first.id).await.unwrap(), Some(first.clone()));
        let asked = first.to_contract();
        assert!(asked.how_to_answer.contains(&first.id) && asked.expires_at.ends_with('Z'));
    }

    async fn a_granted_approval_opens_the_way_for_one_execution(approvals, server) {
        let id = approvals.request(&deploy()).await.unwrap().id;
        let digest = deploy().digest();
        assert!(matches!(approvals.consume(&id, &digest, &execution(9)).await, Err(Error::Pending)));
        let granted = approvals.approve(&id, "ada").await.unwrap();
        assert_eq!((granted.state, granted.answered_by.as_deref()), (State::Granted, Some("ada")));
        let wrong = approvals.consume(&id, "another digest", &execution(9)).await;
        assert!(matches!(wrong, Err(Error::WrongDigest)), "{wrong:?}");
        for _ in 0..3 {
            let used = approvals.consume(&id, &digest, &execution(9)).await.unwrap();
            assert_eq!((used.state, used.used_by), (State::Used, Some(execution(9).to_string())));
        }
        let second = approvals.consume(&id, &digest, &execution(10)).await;
        assert!(matches!(second, Err(Error::UsedByAnother)), "{second:?}");
        let wrong = approvals.consume(&id, "another digest", &execution(9)).await;
        assert!(matches!(wrong, Err(Error::WrongDigest)), "also for who used it: {wrong:?}");
    }

    async fn of_many_executions_exactly_one_uses_it(approvals, server) {
        let id = approvals.request(&deploy()).await.unwrap().id;
        approvals.approve(&id, "ada").await.unwrap();
        let mut users = tokio::task::JoinSet::new();
        for number in 0..50 {
            let (approvals, id) = (approvals.clone(), id.clone());
            users.spawn(async move {
                approvals.consume(&id, &deploy().digest(), &execution(number)).await
            });
        }
        let answers = users.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(answers.iter().all(|a| matches!(a, Ok(_) | Err(Error::UsedByAnother))));
    }

    async fn a_rejection_stands(approvals, server) {
        let id = approvals.request(&deploy()).await.unwrap().id;
        let rejected = approvals.reject(&id, "ada", "not on a Friday").await.unwrap();
        assert_eq!(rejected.answer_reason.as_deref(), Some("not on a Friday"));
        assert_eq!(approvals.reject(&id, "bob", "").await.unwrap(), rejected);
        let granted = approvals.approve(&id, "bob").await;
        assert!(matches!(granted, Err(Error::AlreadyAnswered(kept)) if *kept == rejected));
        let used = approvals.consume(&id, &deploy().digest(), &execution(1)).await;
        assert!(matches!(used, Err(Error::Rejected)), "{used:?}");
        assert_eq!(approvals.request(&deploy()).await.unwrap(), rejected, "asking again is no way out");
        assert_eq!(approvals.list(10).await.unwrap(), []);
    }

    async fn the_first_answer_stands(approvals, server) {
        let id = approvals.request(&deploy()).await.unwrap().id;
        let (one, two) = tokio::join!(approvals.approve(&id, "ada"), approvals.reject(&id, "bob", ""));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let kept: Approval = one.or(two).unwrap();
        assert_eq!(approvals.get(&id).await.unwrap(), Some(kept));
    }

    async fn what_is_not_answered_in_time_is_void(approvals, server) {
        let short = NewRequest { ttl: Duration::from_millis(30), ..deploy() };
        let first = approvals.request(&short).await.unwrap();
        sleep(Duration::from_millis(40)).await;
        let approved = approvals.approve(&first.id, "ada").await;
        assert!(matches!(approved, Err(Error::Expired)), "{approved:?}");
        let used = approvals.consume(&first.id, &first.digest, &execution(1)).await;
        assert!(matches!(used, Err(Error::Expired)), "{used:?}");
        assert_eq!(approvals.get(&first.id).await.unwrap().unwrap().state, State::Expired);
        assert_eq!(approvals.list(10).await.unwrap(), []);
        let anew = approvals.request(&deploy()).await.unwrap();
        assert_eq!((anew.id.as_str(), anew.state), (first.id.as_str(), State::Pending));
        assert!(anew.expires_at_ms > first.expires_at_ms);
    }

    async fn what_is_not_used_in_time_is_void_and_what_is_stays(approvals, server) {
        for in_time in [true, false] {
            let ttl = Duration::from_millis(150);
            let new = NewRequest { ttl, args_digest: in_time.to_string(), ..deploy() };
            let asked = approvals.request(&new).await.unwrap();
            approvals.approve(&asked.id, "ada").await.unwrap();
            if in_time {
                approvals.consume(&asked.id, &asked.digest, &execution(3)).await.unwrap();
            }
            sleep(Duration::from_millis(160)).await;
            let answer = approvals.consume(&asked.id, &asked.digest, &execution(3)).await;
            if in_time {
                assert_eq!(answer.unwrap().state, State::Used, "a retry of the same execution");
            } else {
                assert!(matches!(answer, Err(Error::Expired)), "{answer:?}");
            }
        }
    }

    async fn ids_that_nobody_gave_out_are_not_found(approvals, server) {
        for id in ["", "x", "{a}", &"0".repeat(32), &"*".repeat(32), "airlock:schema\n"] {
            assert_eq!(approvals.get(id).await.unwrap(), None);
            for answer in [
                approvals.approve(id, "ada").await,
                approvals.reject(id, "ada", "").await,
                approvals.consume(id, "d", &execution(1)).await,
            ] {
                assert!(matches!(answer, Err(Error::NotFound)), "{id:?}: {answer:?}");
            }
        }
        let id = approvals.request(&deploy()).await.unwrap().id;
        for by in ["", "  ", "a\nb", &"x".repeat(300)] {
            let answer = approvals.approve(&id, by).await;
            assert!(matches!(answer, Err(Error::InvalidInput(_))), "{by:?}: {answer:?}");
        }
    }

    async fn a_list_forgets_what_was_answered_meanwhile(approvals, server) {
        let id = approvals.request(&deploy()).await.unwrap().id;
        // A crash between the answer and striking it off the list.
        let mut conn = server.connect().await;
        let () = redis::cmd("HSET").arg(format!("airlock:approval:{{{id}}}")).arg("state")
            .arg("granted").query_async(&mut conn).await.unwrap();
        assert_eq!(approvals.list(10).await.unwrap(), []);
        let left: i64 = redis::cmd("ZCARD").arg("airlock:approvals:pending")
            .query_async(&mut conn).await.unwrap();
        assert_eq!(left, 0);
    }

    async fn long_texts_are_cut_and_large_details_refused(approvals, server) {
        let long = NewRequest { preview: "ä".repeat(10_000), ..deploy() };
        assert_eq!(approvals.request(&long).await.unwrap().preview, "ä".repeat(4096));
        let large = NewRequest { details: json!("x".repeat(70_000)), execution: execution(5), ..deploy() };
        let answer = approvals.request(&large).await;
        assert!(matches!(answer, Err(Error::InvalidInput(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn approvals_are_asked_for_answered_listed_and_used_on_a_cluster() {
    for binary in redis_servers() {
        let cluster = RedisCluster::start(&binary).await;
        let approvals = Approvals::new(cluster.connect().await, "airlock", Options::default());
        let mut ids = Vec::new();
        for n in 0..12 {
            let asked = NewRequest { execution: execution(n), ..deploy() };
            ids.push(approvals.request(&asked).await.unwrap().id);
        }
        assert_eq!(approvals.list(100).await.unwrap().len(), 12);
        for (n, id) in ids.iter().enumerate() {
            if n % 2 == 0 {
                approvals.reject(id, "ada", "not now").await.unwrap();
                continue;
            }
            approvals.approve(id, "ada").await.unwrap();
            let user = execution(100);
            approvals.consume(id, &deploy().digest(), &user).await.unwrap();
            let again = approvals.consume(id, &deploy().digest(), &execution(101)).await;
            assert!(matches!(again, Err(Error::UsedByAnother)), "{again:?}");
        }
        assert_eq!(approvals.list(100).await.unwrap(), vec![]);
    }
}
