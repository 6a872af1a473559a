//! The breaker that a fleet shares.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::{Duration, Instant};

use airlock_runs::{Breaker, BreakerSettings, Pass, Passage};
use airlock_testing::{RedisCluster, RedisServer, redis_servers};
use tokio::task::JoinSet;
use tokio::time::sleep;

const PAUSE: Duration = Duration::from_millis(200);
const PROBE: Duration = Duration::from_millis(400);
const SETTINGS: BreakerSettings =
    BreakerSettings { failures: 3, window: Duration::from_mins(1), pause: PAUSE, probe: PROBE };

async fn pass(breaker: &Breaker) -> Pass {
    match breaker.ask().await.unwrap() {
        Passage::Go(pass) => pass,
        Passage::Wait(wait) => panic!("told to wait {wait:?}"),
    }
}

async fn wait(breaker: &Breaker) -> Duration {
    match breaker.ask().await.unwrap() {
        Passage::Go(pass) => panic!("let through: {pass:?}"),
        Passage::Wait(wait) => wait,
    }
}

/// Fails until it is open.
async fn open(breaker: &Breaker) {
    for last in [false, false, true] {
        assert_eq!(pass(breaker).await.failed().await.unwrap(), last);
    }
}

/// Two workers of one fleet, on each server.
async fn on_every_server(
    settings: BreakerSettings,
    test: impl AsyncFn(&RedisServer, [Breaker; 2]),
) {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let one = Breaker::new(server.connect().await, "airlock", "e2b", settings);
        let other = Breaker::new(server.connect().await, "airlock", "e2b", settings);
        test(&server, [one, other]).await;
    }
}

#[tokio::test]
async fn failures_of_one_worker_stop_all_and_one_probe_lets_all_on() {
    on_every_server(SETTINGS, async |server, [one, other]| {
        open(&one).await;
        let told = wait(&other).await;
        assert!(told <= PAUSE, "{told:?}");
        let unrelated = Breaker::new(server.connect().await, "airlock", "else", SETTINGS);
        pass(&unrelated).await.succeeded().await.unwrap();

        sleep(told).await;
        // Of many that ask at once, one is the probe.
        let mut asking = JoinSet::new();
        for n in 0..40 {
            let breaker = [&one, &other][n % 2].clone();
            asking.spawn(async move { breaker.ask().await.unwrap() });
        }
        let answers = asking.join_all().await;
        let mut probes: Vec<Pass> = answers
            .into_iter()
            .filter_map(|answer| match answer {
                Passage::Go(pass) => Some(pass),
                Passage::Wait(wait) => {
                    assert!(wait <= PROBE, "{wait:?}");
                    None
                }
            })
            .collect();
        assert_eq!(probes.len(), 1);
        let probe = probes.remove(0);
        assert!(probe.is_probe());
        probe.succeeded().await.unwrap();
        assert!(!pass(&one).await.is_probe());
        assert!(!pass(&other).await.is_probe());
    })
    .await;
}

#[tokio::test]
async fn a_probe_that_fails_opens_it_for_another_pause() {
    on_every_server(SETTINGS, async |_, [one, other]| {
        open(&one).await;
        sleep(PAUSE).await;
        let start = Instant::now();
        let probe = pass(&one).await;
        assert!(probe.is_probe());
        assert!(probe.failed().await.unwrap());
        let told = wait(&other).await;
        assert!(told + start.elapsed() >= PAUSE, "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn a_probe_whose_caller_died_is_made_up_for_and_comes_too_late() {
    on_every_server(SETTINGS, async |_, [one, other]| {
        open(&one).await;
        sleep(PAUSE).await;
        let lost = pass(&one).await;
        assert!(lost.is_probe());
        sleep(wait(&other).await).await;
        let next = pass(&other).await;
        assert!(next.is_probe());
        // The lost one's word is not what counts any more.
        lost.succeeded().await.unwrap();
        wait(&one).await;
        next.succeeded().await.unwrap();
        pass(&one).await.succeeded().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn calls_that_began_before_it_opened_neither_close_nor_prolong_it() {
    on_every_server(SETTINGS, async |_, [one, other]| {
        let (good, bad) = (pass(&other).await, pass(&other).await);
        open(&one).await;
        good.succeeded().await.unwrap();
        sleep(PAUSE / 2).await;
        assert!(bad.failed().await.unwrap());
        let told = wait(&one).await;
        assert!(told <= PAUSE / 2, "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn failures_count_only_within_the_window() {
    let window = Duration::from_millis(150);
    on_every_server(BreakerSettings { window, ..SETTINGS }, async |_, [one, _]| {
        for _ in 0..4 {
            assert!(!pass(&one).await.failed().await.unwrap());
            sleep(window).await;
        }
        assert!(!pass(&one).await.is_probe());
    })
    .await;
}

#[tokio::test]
async fn an_open_breaker_answers_without_a_write() {
    let settings = BreakerSettings { pause: Duration::from_mins(1), ..SETTINGS };
    on_every_server(settings, async |server, [one, _]| {
        open(&one).await;
        let mut connection = server.connect().await;
        let mut info = redis::cmd("INFO");
        info.arg("persistence");
        let changes = async |connection: &mut redis::aio::ConnectionManager| {
            let text: String = info.query_async(connection).await.unwrap();
            let line = text.lines().find(|line| line.starts_with("rdb_changes_since_last_save:"));
            line.unwrap().to_owned()
        };
        let before = changes(&mut connection).await;
        for _ in 0..20 {
            wait(&one).await;
        }
        assert_eq!(changes(&mut connection).await, before);
    })
    .await;
}

#[tokio::test]
async fn it_works_on_a_cluster() {
    for binary in redis_servers() {
        let cluster = RedisCluster::start(&binary).await;
        for name in ["one", "two", "three", "four"] {
            let breaker = Breaker::new(cluster.connect().await, "airlock", name, SETTINGS);
            open(&breaker).await;
            sleep(wait(&breaker).await).await;
            pass(&breaker).await.succeeded().await.unwrap();
            pass(&breaker).await.succeeded().await.unwrap();
        }
    }
}
