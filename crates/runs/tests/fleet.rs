//! What a whole fleet shares: rates, permits, leadership.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::{Duration, Instant};

use airlock_runs::{Admission, AdmissionLimits, Admitted, Leadership, Rate};
use airlock_testing::{RedisCluster, RedisServer, redis_servers};
use tokio::time::sleep;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_mins(1);

const AT_ONCE: AdmissionLimits = AdmissionLimits { at_once: Some(7), rate: None };

async fn ask(admission: &Admission, holder: &str, limits: &AdmissionLimits) -> Admitted {
    admission.ask("e2b", holder, limits, LONG).await.unwrap()
}

fn is_in(answer: Admitted) -> bool {
    matches!(answer, Admitted::Yes { .. })
}

#[tokio::test]
async fn a_burst_is_let_in_at_once_and_the_rest_at_the_rate() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let admission = Admission::new(server.connect().await, "airlock");
        let rate = Rate { interval: Duration::from_hours(1), burst: 5 };
        let limits = AdmissionLimits { at_once: None, rate: Some(rate) };
        let mut askers = tokio::task::JoinSet::new();
        for n in 0..50 {
            let admission = admission.clone();
            askers.spawn(async move { ask(&admission, &format!("h{n}"), &limits).await });
        }
        let answers = askers.join_all().await;
        assert_eq!(answers.iter().filter(|answer| is_in(**answer)).count(), 5);
        let other = admission.ask("another", "h0", &limits, LONG).await.unwrap();
        assert!(is_in(other), "{other:?}");
    }
}

#[tokio::test]
async fn who_waits_as_long_as_told_is_let_in() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let admission = Admission::new(server.connect().await, "airlock");
        let rate = Rate { interval: Duration::from_millis(40), burst: 2 };
        let limits = AdmissionLimits { at_once: None, rate: Some(rate) };
        let begin = Instant::now();
        for n in 0..6 {
            while let Admitted::NotYet { ask_again, .. } =
                ask(&admission, &format!("h{n}"), &limits).await
            {
                assert!(ask_again <= rate.interval, "{ask_again:?}");
                sleep(ask_again).await;
            }
        }
        // Two at once, four at one each 40 ms.
        assert!(begin.elapsed() >= Duration::from_millis(155), "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn no_more_than_the_limit_are_in() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let admission = Admission::new(server.connect().await, "airlock");
        let mut askers = tokio::task::JoinSet::new();
        for n in 0..40 {
            let admission = admission.clone();
            askers.spawn(async move { ask(&admission, &format!("h{n}"), &AT_ONCE).await });
        }
        let answers = askers.join_all().await;
        assert_eq!(answers.iter().filter(|answer| is_in(**answer)).count(), 7);
        assert!(answers.iter().all(|answer| match answer {
            Admitted::Yes { in_use } => (1..=7).contains(in_use),
            Admitted::NotYet { before, .. } => *before < 40,
        }));
    }
}

#[tokio::test]
async fn who_came_first_is_let_in_first_whoever_asks_first() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let [one, two] = [
            Admission::new(server.connect().await, "airlock"),
            Admission::new(server.connect().await, "airlock"),
        ];
        let limits = AdmissionLimits { at_once: Some(1), rate: None };
        assert!(is_in(ask(&one, "a", &limits).await));
        for (n, waiter) in ["b", "c", "d"].into_iter().enumerate() {
            let Admitted::NotYet { before, .. } = ask(&two, waiter, &limits).await else {
                panic!("let in: {waiter}")
            };
            assert_eq!(before, n as u64);
        }
        one.release("e2b", "a").await.unwrap();
        assert!(!is_in(ask(&one, "d", &limits).await), "it came last");
        assert!(!is_in(ask(&two, "c", &limits).await));
        assert!(is_in(ask(&one, "b", &limits).await));
        two.release("e2b", "c").await.unwrap();
        one.release("e2b", "b").await.unwrap();
        assert!(is_in(ask(&one, "d", &limits).await), "the one before it gave up");
    }
}

#[tokio::test]
async fn a_permit_is_renewed_released_and_lost_when_its_holder_dies() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let admission = Admission::new(server.connect().await, "airlock");
        let limits = AdmissionLimits { at_once: Some(1), rate: None };
        let granted = Admitted::Yes { in_use: 1 };
        let ask = |holder: &'static str, lease| {
            let admission = admission.clone();
            async move { admission.ask("e2b", holder, &limits, lease).await.unwrap() }
        };
        assert_eq!(ask("one", SHORT).await, granted);
        assert!(admission.renew("e2b", "one", SHORT * 2).await.unwrap());
        assert!(!admission.renew("e2b", "two", LONG).await.unwrap(), "it holds none");
        sleep(SHORT + Duration::from_millis(5)).await;
        assert!(!is_in(ask("two", LONG).await), "the first one renewed");
        sleep(SHORT).await;
        assert_eq!(ask("two", LONG).await, granted, "and then no more");
        assert!(!admission.renew("e2b", "one", LONG).await.unwrap());
        admission.release("e2b", "two").await.unwrap();
        admission.release("e2b", "two").await.unwrap();
        assert_eq!(ask("one", LONG).await, granted);
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

#[tokio::test]
async fn admission_and_leadership_work_on_a_cluster() {
    for binary in redis_servers() {
        let cluster = RedisCluster::start(&binary).await;
        let admission = Admission::new(cluster.connect().await, "airlock");
        let mut askers = tokio::task::JoinSet::new();
        for n in 0..30 {
            let admission = admission.clone();
            askers.spawn(async move { ask(&admission, &format!("h{n}"), &AT_ONCE).await });
        }
        let answers = askers.join_all().await;
        assert_eq!(answers.iter().filter(|answer| is_in(**answer)).count(), 7);
        let one = Leadership::new(cluster.connect().await, "airlock", "reaper");
        let other = Leadership::new(cluster.connect().await, "airlock", "reaper");
        assert!(one.acquire(LONG).await.unwrap());
        assert!(!other.acquire(LONG).await.unwrap());
        one.release().await.unwrap();
        assert!(other.acquire(LONG).await.unwrap());
    }
}
