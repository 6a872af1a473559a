//! Many at once: the limit holds, and an id counts once.

use std::process::Stdio;

use airlock_budget::{Error, Ledger, Settings};
use tokio::task::JoinSet;

use crate::support::{LEASE, hold, id, on_every_server, usd};

/// Where a process of the test finds the server; its number follows after a space.
const WORKER: &str = "AIRLOCK_TEST_BUDGET_WORKER";

/// Reserves 0.10 USD `count` times at once over five connections; answers how many were granted.
async fn reserve_all(url: &str, who: &str, count: usize) -> usize {
    let mut ledgers = Vec::new();
    for _ in 0..5 {
        let connection = airlock_testing::connect(url).await;
        // Refusals of a full account are the point here, not a caller's mistake.
        let settings = Settings { refusals_to_open: 0, ..Settings::default() };
        ledgers.push(Ledger::with_settings(connection, "airlock", settings));
    }
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let ledger = ledgers[n % ledgers.len()].clone();
        let key = hold(&id("run-1"), &format!("{who}-{n}"));
        tasks.spawn(async move { ledger.reserve(&key, usd("0.10"), LEASE).await });
    }
    let mut granted = 0;
    for result in tasks.join_all().await {
        match result {
            Ok(_) => granted += 1,
            Err(Error::Exceeded { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    granted
}

#[tokio::test]
async fn of_a_thousand_reservations_at_once_exactly_those_that_fit_are_granted() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5.00").await;
        assert_eq!(reserve_all(&store.server.url(), "task", 1000).await, 50);
        assert_eq!(store.sums(&account).await, ["0", "5", "0"]);
    })
    .await;
}

#[tokio::test]
async fn of_a_thousand_reservations_by_four_processes_exactly_those_that_fit_are_granted() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5.00").await;
        let mut workers = JoinSet::new();
        for n in 0..4 {
            let worker = tokio::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "concurrency::one_worker_process", "--ignored", "--nocapture"])
                .env(WORKER, format!("{} {n}", store.server.url()))
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .output();
            workers.spawn(worker);
        }
        let mut granted = 0;
        for output in workers.join_all().await {
            let output = output.unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{text}");
            let (_, count) = text.split_once("granted=").unwrap();
            granted += count.split_whitespace().next().unwrap().parse::<usize>().unwrap();
        }
        assert_eq!(granted, 50);
        assert_eq!(store.sums(&account).await, ["0", "5", "0"]);
    })
    .await;
}

/// Not a test of its own: one of the processes above.
#[tokio::test]
#[ignore = "a part of the test with four processes, which starts it"]
async fn one_worker_process() {
    let Ok(task) = std::env::var(WORKER) else {
        return;
    };
    let (url, who) = task.split_once(' ').unwrap();
    println!("granted={} ", reserve_all(url, who, 250).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_from_twenty_attempts_at_once_is_one_charge() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let key = hold(&account, "exec");
        let mut tasks = JoinSet::new();
        for _ in 0..20 {
            let ledger = Ledger::new(store.server.connect().await, "airlock");
            let (account, key) = (account.clone(), key.clone());
            tasks.spawn(async move {
                ledger.reserve(&key, usd("1"), LEASE).await.unwrap();
                ledger.spend(&account, usd("0.25"), Some("key"), None).await.unwrap();
                let settled = ledger.settle(&key, usd("0.5"), "").await.unwrap();
                (settled.replayed, settled.warnings)
            });
        }
        let settled = tasks.join_all().await;
        assert_eq!(settled.iter().filter(|(replayed, _)| !replayed).count(), 1);
        assert_eq!(store.sums(&account).await, ["0.75", "0", "4.25"]);
    })
    .await;
}
