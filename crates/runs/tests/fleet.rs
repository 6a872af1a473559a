//! What a whole fleet shares: rates, permits, leadership.

use std::time::{Duration, Instant};

use airlock_runs::{Admission, Leadership, Permit, Rate};
use airlock_testing::{RedisServer, redis_servers};
use tokio::time::sleep;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_burst_is_taken_at_once_and_the_rest_at_the_rate() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let admission = Admission::new(server.connect().await, "airlock");
        let rate = Rate { interval: Duration::from_hours(1), burst: 5 };
        let mut takers = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let admission = admission.clone();
            takers.spawn(async move { admission.take("e2b", rate).await.unwrap() });
        }
        let waits = takers.join_all().await;
        assert_eq!(waits.iter().filter(|wait| wait.is_none()).count(), 5);
        for wait in waits.into_iter().flatten() {
            assert!(wait <= rate.interval && wait > Duration::from_mins(59), "{wait:?}");
        }
        assert_eq!(admission.take("another", rate).await.unwrap(), None);
    }
}

#[tokio::test]
async fn who_waits_as_long_as_told_is_let_in() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let admission = Admission::new(server.connect().await, "airlock");
        let rate = Rate { interval: Duration::from_millis(40), burst: 2 };
        let begin = Instant::now();
        for _ in 0..6 {
            while let Some(wait) = admission.take("e2b", rate).await.unwrap() {
                assert!(wait <= rate.interval, "{wait:?}");
                sleep(wait).await;
            }
        }
        // Two at once, four at one each 40 ms.
        assert!(begin.elapsed() >= Duration::from_millis(155), "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn no_more_permits_than_the_limit_are_held() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let admission = Admission::new(server.connect().await, "airlock");
        let mut takers = tokio::task::JoinSet::new();
        for holder in 0..40 {
            let admission = admission.clone();
            takers.spawn(async move {
                admission.acquire("e2b", &format!("h{holder}"), 7, LONG).await.unwrap()
            });
        }
        let answers = takers.join_all().await;
        let granted = answers.iter().filter(|a| matches!(a, Permit::Granted { .. })).count();
        assert_eq!(granted, 7);
        assert!(answers.iter().all(|answer| match answer {
            Permit::Granted { in_use } => (1..=7).contains(in_use),
            Permit::Full { in_use, next_in } => *in_use == 7 && *next_in <= LONG,
        }));
    }
}

#[tokio::test]
async fn a_permit_is_renewed_released_and_lost_when_its_holder_dies() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let admission = Admission::new(server.connect().await, "airlock");
        let acquire = |holder: &'static str, lease| {
            let admission = admission.clone();
            async move { admission.acquire("e2b", holder, 1, lease).await.unwrap() }
        };
        let granted = Permit::Granted { in_use: 1 };
        assert_eq!(acquire("one", LONG).await, granted);
        assert_eq!(acquire("one", SHORT).await, granted, "renewed");
        let Permit::Full { next_in, .. } = acquire("two", SHORT).await else { panic!("granted") };
        assert!(next_in <= SHORT);
        sleep(next_in + Duration::from_millis(5)).await;
        assert_eq!(acquire("two", LONG).await, granted, "the first holder did not renew");
        admission.release("e2b", "two").await.unwrap();
        admission.release("e2b", "two").await.unwrap();
        assert_eq!(acquire("one", LONG).await, granted);
    }
}

#[tokio::test]
async fn one_process_leads_until_it_resigns_or_dies() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let conn = server.connect().await;
        let [one, two] = [(), ()].map(|()| Leadership::new(conn.clone(), "airlock", "reaper"));
        let (first, second) = tokio::join!(one.acquire(LONG), two.acquire(LONG));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_ne!(first, second, "exactly one leads");
        let (leader, other) = if first { (one, two) } else { (two, one) };
        assert!(leader.acquire(LONG).await.unwrap(), "the leader renews");
        assert!(!other.release().await.unwrap(), "only the leader resigns");
        assert!(!other.acquire(LONG).await.unwrap());
        assert!(leader.release().await.unwrap());
        assert!(other.acquire(SHORT).await.unwrap());
        sleep(SHORT + Duration::from_millis(20)).await;
        assert!(leader.acquire(LONG).await.unwrap(), "the seat of a dead leader is free");
        assert!(!other.release().await.unwrap());
    }
}
