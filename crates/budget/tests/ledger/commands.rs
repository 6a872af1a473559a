//! What each operation sends and what the server does for it: one round trip, a known list of commands.

use std::time::Duration;

use airlock_budget::{Error, Settings};
use futures_util::StreamExt as _;
use redis::aio::ConnectionManager;

use crate::refused;
use crate::support::{LEASE, Store, hold, on_every_server, usd};

/// What a server was sent, and what its scripts called.
struct Watch {
    lines: std::pin::Pin<Box<dyn futures_util::Stream<Item = String>>>,
    marker: ConnectionManager,
    count: u32,
}

/// The calls of one operation.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Round trips, by command.
    sent: Vec<String>,
    /// What scripts called, in order.
    called: Vec<String>,
}

impl Watch {
    async fn on(store: &Store) -> Self {
        let client = redis::Client::open(store.server.url()).unwrap();
        let monitor = client.get_async_monitor().await.unwrap();
        let marker = store.server.connect().await;
        let mut watch = Self { lines: Box::pin(monitor.into_on_message()), marker, count: 0 };
        watch.seen().await;
        watch
    }

    /// All since it was asked last.
    async fn seen(&mut self) -> Seen {
        self.count += 1;
        let end = format!("marker-{}", self.count);
        let _: String = redis::cmd("ECHO").arg(&end).query_async(&mut self.marker).await.unwrap();
        let mut seen = Seen { sent: Vec::new(), called: Vec::new() };
        loop {
            let line = self.lines.next().await.unwrap();
            if line.contains(&end) {
                return seen;
            }
            // `<time> [<db> <address, or lua>] "<command>" "<argument>"...`
            let (from, rest) = line.split_once("] ").unwrap();
            let command = rest.split('"').nth(1).unwrap().to_uppercase();
            let list = if from.ends_with("lua") { &mut seen.called } else { &mut seen.sent };
            list.push(command);
        }
    }
}

#[tokio::test]
async fn each_operation_is_one_round_trip_of_known_commands() {
    on_every_server(async |store| {
        let ledger = &store.ledger;
        let account = store.account("run-1", "5").await;
        // Each script is given to the server once; that is not what is counted here.
        warm_up(store).await;
        let mut watch = Watch::on(store).await;
        let key = hold(&account, "x");
        let read = ["TIME", "ZRANGEBYSCORE", "HMGET"];
        let reserve =
            ["TIME", "HMGET", "HMGET", "ZRANGEBYSCORE", "HSET", "ZADD", "HINCRBY", "XADD"];
        let settle = [
            "TIME",
            "ZRANGEBYSCORE",
            "HMGET",
            "HMGET",
            "HINCRBY",
            "ZREM",
            "HINCRBY",
            "XADD",
            "HSET",
            "PEXPIRE",
        ];
        let spend =
            ["TIME", "HMGET", "HMGET", "ZRANGEBYSCORE", "HINCRBY", "XADD", "HSET", "PEXPIRE"];
        let extend = [
            "TIME",
            "HMGET",
            "HMGET",
            "ZRANGEBYSCORE",
            "HINCRBY",
            "HSET",
            "PERSIST",
            "XADD",
            "HSET",
            "ZADD",
        ];
        let mut expect = async |what: &str, called: &[&str]| {
            let seen = watch.seen().await;
            assert_eq!((what, seen.sent), (what, vec!["EVALSHA".to_owned()]));
            assert_eq!(seen.called, called, "{what}");
        };
        ledger.get(&account).await.unwrap();
        expect("get", &read).await;
        ledger.can_spend(&account, usd("1")).await.unwrap();
        expect("can spend", &read).await;
        ledger.reserve(&key, usd("1"), LEASE).await.unwrap();
        expect("reserve", &reserve).await;
        ledger.reserve(&key, usd("1"), Duration::from_secs(1)).await.unwrap();
        expect("reserve again", &["TIME", "HMGET", "HMGET", "ZRANGEBYSCORE"]).await;
        ledger.extend(&key, usd("2"), LEASE).await.unwrap();
        expect("extend", &extend).await;
        ledger.settle(&key, usd("1"), "").await.unwrap();
        expect("settle", &settle).await;
        ledger.settle(&key, usd("1"), "").await.unwrap();
        expect("settle again", &["TIME", "ZRANGEBYSCORE", "HMGET", "HMGET"]).await;
        ledger.spend(&account, usd("1"), Some("key"), None).await.unwrap();
        expect("spend", &spend).await;
        ledger.spend(&account, usd("1"), Some("key"), None).await.unwrap();
        expect("spend again", &["TIME", "HMGET", "HMGET"]).await;
        ledger.void(&key).await.unwrap_err();
        expect("void of a settled one", &["TIME", "ZRANGEBYSCORE", "HMGET", "HMGET"]).await;
    })
    .await;
}

async fn warm_up(store: &Store) {
    let account = store.account("warm", "5").await;
    let key = hold(&account, "w");
    store.ledger.get(&account).await.unwrap();
    store.ledger.can_spend(&account, usd("0")).await.unwrap();
    store.ledger.reserve(&key, usd("0.1"), LEASE).await.unwrap();
    store.ledger.extend(&key, usd("0.2"), LEASE).await.unwrap();
    store.ledger.settle(&key, usd("0"), "").await.unwrap();
    store.ledger.void(&hold(&account, "none")).await.unwrap();
    store.ledger.spend(&account, usd("0"), None, None).await.unwrap();
    store.ledger.top_up(&account, usd("1"), None).await.unwrap();
    store.ledger.reset_circuit(&account).await.unwrap();
}

#[tokio::test]
async fn an_open_circuit_costs_two_reads_and_a_top_up_or_reset_lets_one_through() {
    on_every_server(async |store| {
        warm_up(store).await;
        let account = store.account("run-1", "1").await;
        let ledger = &store.ledger;
        let over = hold(&account, "over");
        ledger.reserve(&over, usd("1"), LEASE).await.unwrap();
        ledger.settle(&over, usd("1.5"), "").await.unwrap();
        let mut watch = Watch::on(store).await;
        let (key, other) = (hold(&account, "next"), hold(&account, "other"));
        refused!(ledger.reserve(&key, usd("0.1"), LEASE).await, Error::CircuitOpen { .. });
        refused!(ledger.spend(&account, usd("0.1"), None, None).await, Error::CircuitOpen { .. });
        let seen = watch.seen().await;
        assert_eq!(seen.sent, ["EVALSHA", "EVALSHA"]);
        assert_eq!(seen.called, ["TIME", "HMGET", "HMGET", "TIME", "HMGET", "HMGET"]);

        // A reset and a top-up are a round trip each; then one trial goes through, whose mark is one
        // write more, and the next asker is told without a write that it is not its turn.
        ledger.reset_circuit(&account).await.unwrap();
        assert_eq!(watch.seen().await.sent, ["EVALSHA"]);
        ledger.top_up(&account, usd("1"), Some("more")).await.unwrap();
        assert_eq!(watch.seen().await.sent, ["EVALSHA"]);
        ledger.reserve(&key, usd("0.1"), LEASE).await.unwrap();
        let seen = watch.seen().await;
        let writes: Vec<&String> =
            seen.called.iter().filter(|command| *command == "HSET").collect();
        assert_eq!((seen.sent.len(), writes.len()), (1, 2), "{seen:?}");
        refused!(ledger.reserve(&other, usd("0.1"), LEASE).await, Error::CircuitOpen { .. });
        let seen = watch.seen().await;
        assert_eq!(seen.called, ["TIME", "HMGET", "HMGET", "ZRANGEBYSCORE"]);
        ledger.settle(&key, usd("0.1"), "").await.unwrap();
        ledger.reserve(&other, usd("0.1"), LEASE).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_one_round_trip_and_at_most_one_write() {
    on_every_server(async |store| {
        warm_up(store).await;
        let account = store.account("run-1", "1").await;
        let ledger = store.with(Settings { refusals_to_open: 10, ..Settings::default() }).await;
        let mut watch = Watch::on(store).await;
        refused!(
            ledger.reserve(&hold(&account, "x"), usd("2"), LEASE).await,
            Error::Exceeded { .. }
        );
        let seen = watch.seen().await;
        let reads = ["TIME", "HMGET", "ZRANGEBYSCORE"];
        let mut writes: Vec<&str> = seen.called.iter().map(String::as_str).collect();
        writes.retain(|command| !reads.contains(command));
        assert_eq!((seen.sent.len(), writes), (1, vec!["HINCRBY"]), "{seen:?}");
    })
    .await;
}
