//! Redis goes away, loses its scripts, or refuses.

use std::time::{Duration, Instant};

use airlock_budget::{Error, Ledger};
use airlock_testing::{RedisServer, redis_servers};

use crate::refused;
use crate::support::{LEASE, hold, on_every_server, usd};

#[tokio::test]
async fn scripts_that_the_server_forgot_are_given_again() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let () = store.redis(&["SCRIPT", "FLUSH"]).await;
        store.ledger.reserve(&hold(&account, "x"), usd("1"), LEASE).await.unwrap();
        let () = store.redis(&["SCRIPT", "FLUSH"]).await;
        store.ledger.settle(&hold(&account, "x"), usd("1"), "").await.unwrap();
        assert_eq!(store.sums(&account).await, ["1", "0", "4"]);
    })
    .await;
}

#[tokio::test]
async fn a_cut_connection_costs_no_failure() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        for n in 0..10 {
            assert!(store.server.cut_connections().await >= 1);
            let key = hold(&account, &n.to_string());
            store.ledger.reserve(&key, usd("0.1"), LEASE).await.unwrap();
        }
        assert_eq!(store.sums(&account).await, ["0", "1", "4"]);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable_and_not_waited_for() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let ledger = Ledger::new(server.connect().await, "airlock");
        ledger.ping().await.unwrap();
        drop(server);
        let start = Instant::now();
        let key = hold(&"run-1".parse().unwrap(), "x");
        refused!(ledger.reserve(&key, usd("1"), LEASE).await, Error::Unavailable(_));
        refused!(ledger.ping().await, Error::Unavailable(_));
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_server_that_may_not_write_fails_closed_and_counts_nothing() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        store.ledger.reserve(&hold(&account, "before"), usd("1"), LEASE).await.unwrap();
        let () = store.redis(&["CONFIG", "SET", "maxmemory", "1"]).await;
        let before = hold(&account, "before");
        let refusals = [
            store.ledger.reserve(&hold(&account, "x"), usd("1"), LEASE).await.err(),
            store.ledger.extend(&before, usd("2"), LEASE).await.err(),
            store.ledger.settle(&before, usd("1"), "").await.err(),
            store.ledger.void(&before).await.err(),
            store.ledger.spend(&account, usd("1"), None, None).await.err(),
        ];
        let () = store.redis(&["CONFIG", "SET", "maxmemory", "0"]).await;
        for refusal in refusals {
            assert!(matches!(refusal, Some(Error::Unavailable(_))), "{refusal:?}");
        }
        assert_eq!(store.sums(&account).await, ["0", "1", "4"]);
    })
    .await;
}
