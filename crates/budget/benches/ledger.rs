//! Pairs of reserve and settle a second, beside a bare script that touches as many keys.
//!
//! `cargo bench -p airlock-budget` prints one line for each server and number of callers, with the
//! microseconds that the server itself spent on a call: those do not depend on what else the machine
//! does. The bare loop
//! does what any hold-and-settle must: two calls, each a hash of sums, a hash of the hold, a sorted
//! set of leases and a stream entry.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails by panicking and answers on standard output"
)]

use std::time::{Duration, Instant};

use airlock_budget::{HoldKey, Ledger, NewBudget};
use airlock_contract::{AccountId, Usd};
use airlock_testing::{RedisServer, redis_servers};
use redis::Script;
use redis::aio::ConnectionManager;
use tokio::task::JoinSet;

/// The same keys and as many writes as a reservation, and nothing decided.
const BARE_RESERVE: &str = "
redis.call('HINCRBY', KEYS[2], 'reserved', ARGV[2])
redis.call('HSET', KEYS[3], 'state', 'held', 'amount', ARGV[2])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'id', ARGV[1], 'amount', ARGV[2])
return redis.call('HMGET', KEYS[2], 'limit', 'spent', 'reserved')";

/// The same for a settlement.
const BARE_SETTLE: &str = "
redis.call('HINCRBY', KEYS[2], 'reserved', '-' .. ARGV[2])
redis.call('HINCRBY', KEYS[2], 'spent', ARGV[3])
redis.call('HSET', KEYS[3], 'state', 'settled', 'actual', ARGV[3])
redis.call('PEXPIRE', KEYS[3], 604800000)
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'id', ARGV[1], 'amount', ARGV[3])
return redis.call('HMGET', KEYS[2], 'limit', 'spent', 'reserved')";

const ROUND: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_mins(5);

#[tokio::main]
async fn main() {
    // `cargo test --benches` runs it too: then one short round shows that it works.
    let round = if std::env::args().any(|arg| arg == "--bench") {
        ROUND
    } else {
        Duration::from_millis(50)
    };
    println!("reserve + settle pairs a second (two round trips a pair)");
    for binary in redis_servers() {
        for tasks in [1, 16, 64] {
            let bare = pairs(&binary, tasks, round, Way::Bare).await;
            let flat = pairs(&binary, tasks, round, Way::Ledger).await;
            let deep = pairs(&binary, tasks, round, Way::LedgerWithParent).await;
            println!(
                "{:<17} {tasks:>2} at once: bare {bare}; ledger {flat}; with a parent {deep}",
                binary.file_name().unwrap().to_string_lossy(),
            );
        }
    }
}

#[derive(Clone, Copy)]
enum Way {
    Bare,
    Ledger,
    LedgerWithParent,
}

/// Pairs a second on a fresh server, by `tasks` callers that share a connection as a worker does.
async fn pairs(binary: &std::path::Path, tasks: usize, round: Duration, way: Way) -> String {
    let server = RedisServer::start(binary);
    let connection = server.connect().await;
    let ledger = Ledger::new(connection.clone(), "bench");
    let account = prepare(&ledger, way).await;
    let start = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let (ledger, connection) = (ledger.clone(), connection.clone());
        let account = account.clone();
        running.spawn(async move {
            let mut done = 0_u32;
            while start.elapsed() < round {
                let id = format!("{task}-{done}");
                match way {
                    Way::Bare => bare_pair(connection.clone(), &id).await,
                    Way::Ledger | Way::LedgerWithParent => {
                        ledger_pair(&ledger, &HoldKey::new(account.clone(), id)).await;
                    }
                }
                done += 1;
            }
            done
        });
    }
    let done: u32 = running.join_all().await.into_iter().sum();
    let rate = f64::from(done) / start.elapsed().as_secs_f64();
    format!("{rate:.0}/s ({} us a call)", server_time(connection).await)
}

/// The server's own microseconds a script call, as it counts them.
async fn server_time(mut connection: ConnectionManager) -> String {
    let mut command = redis::cmd("INFO");
    let stats: String = command.arg("commandstats").query_async(&mut connection).await.unwrap();
    let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
    let (_, rest) = line.split_once("usec_per_call=").unwrap();
    rest.split(',').next().unwrap().to_owned()
}

async fn prepare(ledger: &Ledger, way: Way) -> AccountId {
    let new = NewBudget::new("team".parse().unwrap(), Usd::MAX);
    ledger.create(&new).await.unwrap();
    if !matches!(way, Way::LedgerWithParent) {
        return new.account;
    }
    let child: AccountId = "team/run".parse().unwrap();
    let parent = Some(new.account);
    ledger.create(&NewBudget { parent, ..NewBudget::new(child.clone(), Usd::MAX) }).await.unwrap();
    child
}

async fn ledger_pair(ledger: &Ledger, hold: &HoldKey) {
    ledger.reserve(hold, Usd::from_nanos(100_000), LEASE).await.unwrap();
    ledger.settle(hold, Usd::from_nanos(30_250), "").await.unwrap();
}

async fn bare_pair(mut connection: ConnectionManager, id: &str) {
    static SCRIPTS: std::sync::LazyLock<[Script; 2]> =
        std::sync::LazyLock::new(|| [Script::new(BARE_RESERVE), Script::new(BARE_SETTLE)]);
    for (script, last) in SCRIPTS.iter().zip([1_800_000_000_000_i64, 30_250]) {
        let _: redis::Value = script
            .key("bench:{team}:hold")
            .key("bench:{team}:budget:team")
            .key(format!("bench:{{team}}:hold:team#{id}"))
            .key("bench:{team}:ledger:team")
            .arg(id)
            .arg(100_000)
            .arg(last)
            .invoke_async(&mut connection)
            .await
            .unwrap();
    }
}
