//! Crossed thresholds reach the observer, each once.

use std::sync::Arc;

use airlock_budget::{AlertNotice, Ledger, NewBudget};
use airlock_contract::Period;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::support::{LEASE, Store, hold, id, on_every_server, usd};

type Notices = Arc<Mutex<Vec<AlertNotice>>>;

/// A worker's ledger and what its observer was told.
async fn observed(store: &Store) -> (Ledger, Notices) {
    let notices = Notices::default();
    let seen = Arc::clone(&notices);
    let ledger = Ledger::new(store.server.connect().await, "airlock");
    let observer = Arc::new(move |notice| seen.lock().push(notice));
    (ledger.with_alerts(observer), notices)
}

fn told(notices: &Notices) -> Vec<(String, u8, bool)> {
    let seen = notices.lock();
    let plain = |notice: &AlertNotice| {
        (notice.status.run_id.to_string(), notice.threshold, notice.replayed)
    };
    seen.iter().map(plain).collect()
}

#[tokio::test]
async fn each_threshold_is_told_once_by_whoever_crosses_it() {
    on_every_server(async |store| {
        let new = NewBudget {
            alert_thresholds: vec![10, 50, 100],
            ..NewBudget::new(id("run-1"), usd("1"))
        };
        store.ledger.create(&new).await.unwrap();
        let (one, notices) = observed(store).await;
        let mut tasks = JoinSet::new();
        for n in 0..100 {
            let (ledger, key) = (one.clone(), format!("k{n}"));
            let account = new.account.clone();
            tasks.spawn(async move {
                ledger.spend(&account, usd("0.01"), Some(&key), None).await.unwrap();
            });
        }
        tasks.join_all().await;
        let mut told = told(&notices);
        told.sort();
        let expected = [10, 50, 100].map(|percent| ("run-1".to_owned(), percent, false));
        assert_eq!(told, expected);
    })
    .await;
}

#[tokio::test]
async fn accounts_above_are_told_of_and_a_repeated_booking_says_so() {
    on_every_server(async |store| {
        store.account("team", "100").await;
        let parent = Some(id("team"));
        let new = NewBudget {
            parent: Some(id("team/a")),
            alert_thresholds: vec![50],
            ..NewBudget::new(id("team/a/1"), usd("10"))
        };
        let above = NewBudget {
            parent,
            alert_thresholds: vec![80],
            ..NewBudget::new(id("team/a"), usd("10"))
        };
        store.ledger.create(&above).await.unwrap();
        store.ledger.create(&new).await.unwrap();
        let (ledger, notices) = observed(store).await;
        let key = hold(&new.account, "x");
        ledger.reserve(&key, usd("9"), LEASE).await.unwrap();
        assert_eq!(told(&notices), []);
        ledger.settle(&key, usd("9"), "").await.unwrap();
        let expected = [("team/a/1".to_owned(), 50, false), ("team/a".to_owned(), 80, false)];
        assert_eq!(told(&notices), expected);

        // The process died before it could tell; the retry settles the same again.
        let (ledger, again) = observed(store).await;
        ledger.settle(&key, usd("9"), "").await.unwrap();
        assert_eq!(told(&again), [("team/a/1".to_owned(), 50, true)]);
        let ids = [&notices, &again].map(|notices| notices.lock()[0].id());
        assert_eq!(ids[0], ids[1], "the same crossing has the same id");
    })
    .await;
}

#[tokio::test]
async fn a_crossing_after_a_top_up_or_in_a_new_period_is_another() {
    on_every_server(async |store| {
        let new = NewBudget {
            alert_thresholds: vec![50],
            period: Some(Period::Day),
            ..NewBudget::new(id("run-1"), usd("1"))
        };
        store.ledger.create(&new).await.unwrap();
        let (ledger, notices) = observed(store).await;
        ledger.spend(&new.account, usd("0.5"), None, None).await.unwrap();
        ledger.top_up(&new.account, usd("1"), None).await.unwrap();
        ledger.spend(&new.account, usd("0.5"), None, None).await.unwrap();
        let ids: Vec<String> = notices.lock().iter().map(AlertNotice::id).collect();
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0], ids[1]);
    })
    .await;
}
