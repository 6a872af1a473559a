//! Redis is a Cluster of three.

use std::time::Duration;

use airlock_budget::{Error, Ledger, NewBudget};
use airlock_contract::AccountId;
use airlock_testing::{RedisCluster, redis_servers};
use tokio::task::JoinSet;

use crate::refused;
use crate::support::{LEASE, hold, id, usd};

async fn on_every_cluster(test: impl AsyncFn(&RedisCluster, Ledger)) {
    for binary in redis_servers() {
        println!("on three of {}", binary.display());
        let cluster = RedisCluster::start(&binary).await;
        let ledger = Ledger::new(cluster.connect().await, "airlock");
        test(&cluster, ledger).await;
    }
}

async fn sums(ledger: &Ledger, account: &AccountId) -> [String; 3] {
    let status = ledger.get(account).await.unwrap();
    [status.spent, status.reserved, status.remaining].map(|amount| amount.to_string())
}

/// Every operation once, on a family of its own.
async fn whole_life(ledger: Ledger, family: String) {
    let team = ledger.create(&NewBudget::new(id(&family), usd("5"))).await.unwrap().run_id;
    let leaf = id(&format!("{family}/a"));
    let new = NewBudget { parent: Some(team.clone()), ..NewBudget::new(leaf.clone(), usd("5")) };
    ledger.create(&new).await.unwrap();
    let (kept, lapsed) = (hold(&leaf, "kept"), hold(&leaf, "lapsed"));
    ledger.reserve(&lapsed, usd("1"), Duration::from_millis(1)).await.unwrap();
    ledger.reserve(&kept, usd("1"), LEASE).await.unwrap();
    ledger.extend(&kept, usd("2"), LEASE).await.unwrap();
    refused!(ledger.spend(&leaf, usd("3.5"), None, None).await, Error::Exceeded { .. });
    ledger.settle(&kept, usd("1.5"), "").await.unwrap();
    ledger.void(&lapsed).await.unwrap();
    ledger.spend(&leaf, usd("0.5"), Some("key"), None).await.unwrap();
    ledger.top_up(&leaf, usd("1"), Some("key")).await.unwrap();
    ledger.reset_circuit(&leaf).await.unwrap();
    assert!(ledger.can_spend(&leaf, usd("3")).await.unwrap().can_spend);
    assert_eq!(sums(&ledger, &team).await, ["2", "0", "3"]);
    assert_eq!(sums(&ledger, &leaf).await, ["2", "0", "4"]);
    assert!(ledger.history(&leaf, 100).await.unwrap().len() >= 6);
    ledger.delete(&leaf).await.unwrap();
}

#[tokio::test]
async fn every_operation_works_wherever_a_family_is() {
    on_every_cluster(async |cluster, ledger| {
        ledger.ping().await.unwrap();
        let mut lives = JoinSet::new();
        for n in 0..40 {
            lives.spawn(whole_life(ledger.clone(), format!("team-{n}")));
        }
        lives.join_all().await;
        // The families are in slots of all three, so the list went to all of them.
        for node in cluster.nodes() {
            let mut connection = node.connect().await;
            let keys: i64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
            assert!(keys > 0, "{keys}");
        }
        let found = ledger.list(None, 100).await.unwrap();
        assert_eq!(found.len(), 40, "{found:?}");
    })
    .await;
}

#[tokio::test]
async fn a_sweep_returns_the_lapsed_holds_of_every_node() {
    on_every_cluster(async |_, ledger| {
        for n in 0..12 {
            let new = NewBudget::new(id(&format!("run-{n}")), usd("1"));
            ledger.create(&new).await.unwrap();
            let key = hold(&new.account, "x");
            ledger.reserve(&key, usd("1"), Duration::from_millis(1)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(ledger.sweep().await.unwrap(), 12);
        assert_eq!(ledger.sweep().await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn cut_connections_and_forgotten_scripts_cost_no_failure() {
    on_every_cluster(async |cluster, ledger| {
        let new = NewBudget::new(id("run-1"), usd("5"));
        ledger.create(&new).await.unwrap();
        for n in 0..10 {
            for node in cluster.nodes() {
                node.cut_connections().await;
                let mut connection = node.connect().await;
                let mut flush = redis::cmd("SCRIPT");
                let () = flush.arg("FLUSH").query_async(&mut connection).await.unwrap();
            }
            let key = hold(&new.account, &n.to_string());
            ledger.reserve(&key, usd("0.1"), LEASE).await.unwrap();
        }
        assert_eq!(sums(&ledger, &new.account).await, ["0", "1", "4"]);
    })
    .await;
}

#[tokio::test]
async fn of_many_reservations_at_once_exactly_those_that_fit_are_granted() {
    on_every_cluster(async |cluster, ledger| {
        let new = NewBudget::new(id("run-1"), usd("5.00"));
        ledger.create(&new).await.unwrap();
        let mut tasks = JoinSet::new();
        for worker in 0..4 {
            let ledger = Ledger::new(cluster.connect().await, "airlock");
            for n in 0..50 {
                let (ledger, key) = (ledger.clone(), hold(&id("run-1"), &format!("{worker}-{n}")));
                tasks.spawn(async move { ledger.reserve(&key, usd("0.10"), LEASE).await.is_ok() });
            }
        }
        let granted = tasks.join_all().await.into_iter().filter(|granted| *granted).count();
        assert_eq!(granted, 50);
        assert_eq!(sums(&ledger, &new.account).await, ["0", "5", "0"]);
    })
    .await;
}
