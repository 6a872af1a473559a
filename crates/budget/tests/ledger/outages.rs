//! Redis goes away, loses its scripts, or refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use airlock_budget::{Error, Ledger, NewBudget};
use airlock_testing::{RedisServer, redis_servers};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::refused;
use crate::support::{LEASE, hold, id, on_every_server, usd};

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

/// Where new connections are led; what is open already stays where it is.
#[derive(Clone)]
struct Switch {
    near: std::net::SocketAddr,
    far: Arc<AtomicU16>,
}

impl Switch {
    /// What a name, a virtual address or a proxy in front of two servers is.
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = listener.local_addr().unwrap();
        let far = Arc::new(AtomicU16::new(port));
        let switch = Self { near, far: far.clone() };
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let port = far.load(Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        switch
    }

    async fn ledger(&self) -> Ledger {
        Ledger::new(airlock_testing::connect(&format!("redis://{}/", self.near)).await, "airlock")
    }
}

async fn send(server: &RedisServer, words: &[&str]) {
    let mut connection = server.connect().await;
    let mut command = redis::cmd(words[0]);
    let _: redis::Value = command.arg(&words[1..]).query_async(&mut connection).await.unwrap();
}

/// Makes `server` a copy of `primary` and waits until it has all.
async fn follow(server: &RedisServer, primary: &RedisServer) {
    send(server, &["REPLICAOF", "127.0.0.1", &primary.port().to_string()]).await;
    let mut connection = server.connect().await;
    for _ in 0..600 {
        let info: String =
            redis::cmd("INFO").arg("replication").query_async(&mut connection).await.unwrap();
        if info.contains("master_link_status:up") && info.contains("master_sync_in_progress:0") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the replica did not catch up");
}

#[tokio::test]
async fn a_failover_is_followed_and_what_it_forgot_is_booked_once() {
    for binary in redis_servers() {
        println!("on {}", binary.display());
        let (old, new) = (RedisServer::start(&binary), RedisServer::start(&binary));
        let switch = Switch::to(old.port()).await;
        let ledger = switch.ledger().await;
        let account = id("run-1");
        ledger.create(&NewBudget::new(account.clone(), usd("5"))).await.unwrap();
        ledger.reserve(&hold(&account, "kept"), usd("1"), LEASE).await.unwrap();
        follow(&new, &old).await;
        // What is written now does not reach the replica any more.
        send(&new, &["REPLICAOF", "NO", "ONE"]).await;
        ledger.reserve(&hold(&account, "forgotten"), usd("2"), LEASE).await.unwrap();

        // The old primary is demoted, and new connections go to the new one.
        switch.far.store(new.port(), Ordering::SeqCst);
        follow(&old, &new).await;
        let kept = hold(&account, "kept");
        let mut refusals = 0;
        let status = loop {
            match ledger.settle(&kept, usd("0.5"), "").await {
                Ok(settled) => break settled.status,
                Err(Error::Unavailable(_)) => refusals += 1,
                Err(error) => panic!("{error:?}"),
            }
            assert!(refusals < 50, "the demoted server is asked for ever");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(status.spent, usd("0.5"));
        assert_eq!(status.reserved, usd("0"), "the last reservation is what the failover lost");

        let forgotten = hold(&account, "forgotten");
        refused!(ledger.settle(&forgotten, usd("1.5"), "").await, Error::UnknownHold { .. });
        let settled = ledger.settle_forgotten(&forgotten, usd("1.5"), "").await.unwrap();
        assert!(settled.late && !settled.replayed, "{settled:?}");
        let again = ledger.settle_forgotten(&forgotten, usd("1.5"), "").await.unwrap();
        assert!(again.replayed, "{again:?}");
        refused!(ledger.settle_forgotten(&forgotten, usd("1"), "").await, Error::Conflict { .. });
        let status = ledger.get(&account).await.unwrap();
        assert_eq!((status.spent, status.reserved), (usd("2"), usd("0")));
    }
}

#[tokio::test]
async fn a_replica_that_may_only_be_read_grants_nothing() {
    for binary in redis_servers() {
        let (primary, replica) = (RedisServer::start(&binary), RedisServer::start(&binary));
        let account = id("run-1");
        let ledger = Ledger::new(primary.connect().await, "airlock");
        ledger.create(&NewBudget::new(account.clone(), usd("5"))).await.unwrap();
        follow(&replica, &primary).await;
        let there = Ledger::new(replica.connect().await, "airlock");
        for n in 0..3 {
            let key = hold(&account, &n.to_string());
            refused!(there.reserve(&key, usd("1"), LEASE).await, Error::Unavailable(_));
        }
        refused!(there.spend(&account, usd("1"), None, None).await, Error::Unavailable(_));
        assert_eq!(ledger.get(&account).await.unwrap().remaining, usd("5"));
    }
}

#[tokio::test]
async fn a_slow_server_fails_closed_and_the_retry_finds_what_was_done() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let config = redis::aio::ConnectionManagerConfig::new()
            .set_response_timeout(Some(Duration::from_millis(200)));
        let client = redis::Client::open(store.server.url()).unwrap();
        let connection = client.get_connection_manager_with_config(config).await.unwrap();
        let ledger = Ledger::new(connection, "airlock");
        ledger.get(&account).await.unwrap();
        let key = hold(&account, "x");
        let () = store.redis(&["CLIENT", "PAUSE", "1500"]).await;
        refused!(ledger.reserve(&key, usd("1"), LEASE).await, Error::Unavailable(_));
        // The server takes up the call in the end, whether or not anybody waits for it.
        let mut refusals = 0;
        while ledger.reserve(&key, usd("1"), LEASE).await.is_err() {
            refusals += 1;
            assert!(refusals < 100, "the server stays away");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(store.sums(&account).await, ["0", "1", "4"]);
    })
    .await;
}

#[tokio::test]
async fn a_script_that_somebody_kills_has_done_nothing_and_is_done_when_asked_again() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let () = store.redis(&["CONFIG", "SET", "lua-time-limit", "1"]).await;
        // Somebody else's script holds the server up; until it is killed, ours is told BUSY.
        let url = store.server.url();
        let hog = tokio::spawn(async move {
            let mut connection = airlock_testing::connect(&url).await;
            let script = "while true do end";
            redis::cmd("EVAL").arg(script).arg(0).exec_async(&mut connection).await
        });
        let key = hold(&account, "x");
        let mut busy = 0;
        let mut admin = store.server.connect().await;
        loop {
            match store.ledger.reserve(&key, usd("1"), LEASE).await {
                Ok(_) if busy > 0 => break,
                // Before the other one began.
                Ok(_) => store.ledger.void(&key).await.map(drop).unwrap_or_default(),
                Err(Error::Unavailable(_)) => {
                    busy += 1;
                    let mut kill = redis::cmd("SCRIPT");
                    let _ = kill.arg("KILL").exec_async(&mut admin).await;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(hog.await.unwrap().is_err(), "it was killed");
        assert_eq!(store.sums(&account).await, ["0", "1", "4"]);
    })
    .await;
}

#[tokio::test]
async fn without_the_replicas_that_it_asks_for_a_server_grants_nothing_or_says_that_it_does() {
    for binary in redis_servers() {
        let server = RedisServer::start_with(&binary, &["--min-replicas-to-write", "1"]);
        let ledger = Ledger::new(server.connect().await, "airlock");
        let created = ledger.create(&NewBudget::new(id("run-1"), usd("5"))).await;
        println!("{}: {created:?}", binary.display());
        refused!(created, Error::Unavailable(_));
    }
}
