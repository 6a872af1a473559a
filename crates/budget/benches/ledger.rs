//! Pairs of reserve and settle a second, beside a bare script that touches as many keys.
//!
//! `cargo bench -p airlock-budget` prints one line for each server and number of callers: pairs a
//! second, and calls that the server does in a second of its own processor time, which does not
//! depend on what else the machine does. Last the ledger's share of the calls of two bare
//! loops for each processor second. One does the least that any hold-and-settle must: two calls, each a
//! hash of sums, a hash of the hold, a sorted set of leases and a stream entry. The other sends the very
//! commands that the ledger's scripts come to, and decides nothing.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails by panicking and answers on standard output"
)]

use std::sync::LazyLock;
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

/// The commands that a reservation comes to on an account without a parent, each with as many
/// arguments, and nothing decided.
const SAME_RESERVE: &str = "
local t = redis.call('TIME')
local a = redis.call('HMGET', KEYS[2], 'limit', 'spent', 'reserved', 'circuit', 'trial', 'parent',
  'expires', 'born', 'refusals', 'created', 'thresholds', 'period', 'ends')
redis.call('HMGET', KEYS[3], 'state', 'asked', 'amount', 'lease', 'actual', 'born')
redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', 1000, 'LIMIT', 0, 100)
redis.call('HSET', KEYS[3], 'v', 1, 'state', 'held', 'asked', ARGV[2], 'amount', ARGV[2], 'lease',
  ARGV[3], 'born', '1700000000.123456')
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('HINCRBY', KEYS[2], 'reserved', ARGV[2])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'kind', 'reserved', 'id', ARGV[1], 'amount',
  ARGV[2], 'via', 'team', 'text', '')
return a";

/// The same for a settlement.
const SAME_SETTLE: &str = "
local t = redis.call('TIME')
local a = redis.call('HMGET', KEYS[2], 'limit', 'spent', 'reserved', 'circuit', 'trial', 'parent',
  'expires', 'born', 'refusals', 'created', 'thresholds', 'period', 'ends')
redis.call('HMGET', KEYS[3], 'state', 'amount', 'actual', 'before', 'born', 'late')
redis.call('HINCRBY', KEYS[2], 'reserved', '-' .. ARGV[2])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[2], 'spent', ARGV[3])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'kind', 'settled', 'id', ARGV[1], 'amount',
  ARGV[3], 'via', 'team', 'text', '')
redis.call('HSET', KEYS[3], 'state', 'settled', 'actual', ARGV[3], 'before', 0, 'late', 0)
redis.call('PEXPIRE', KEYS[3], 604800000)
redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', 1000, 'LIMIT', 0, 100)
return a";

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
            let same = pairs(&binary, tasks, round, Way::Same).await;
            let flat = pairs(&binary, tasks, round, Way::Ledger).await;
            let deep = pairs(&binary, tasks, round, Way::LedgerWithParent).await;
            println!(
                "{:<17} {tasks:>2} at once: bare {bare}; same commands {same}; ledger {flat}; with a \
                 parent {deep}; ledger is {:.0} % of bare and {:.0} % of the same commands",
                binary.file_name().unwrap().to_string_lossy(),
                100.0 * flat.calls_per_cpu_second / bare.calls_per_cpu_second,
                100.0 * flat.calls_per_cpu_second / same.calls_per_cpu_second,
            );
        }
    }
}

/// What a round came to.
struct Rate {
    pairs_per_second: f64,
    calls_per_cpu_second: f64,
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0}/s ({:.0} calls/CPU s)", self.pairs_per_second, self.calls_per_cpu_second)
    }
}

#[derive(Clone, Copy)]
enum Way {
    Bare,
    Same,
    Ledger,
    LedgerWithParent,
}

/// Pairs a second on a fresh server, by `tasks` callers that share a connection as a worker does.
async fn pairs(binary: &std::path::Path, tasks: usize, round: Duration, way: Way) -> Rate {
    let server = RedisServer::start(binary);
    let connection = server.connect().await;
    let ledger = Ledger::new(connection.clone(), "bench");
    let account = prepare(&ledger, way).await;
    let used = server_time(connection.clone()).await;
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
                    Way::Bare => bare_pair(connection.clone(), &id, &BARE).await,
                    Way::Same => bare_pair(connection.clone(), &id, &SAME).await,
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
    let took = start.elapsed().as_secs_f64();
    let used = server_time(connection).await - used;
    let done = f64::from(done);
    Rate { pairs_per_second: done / took, calls_per_cpu_second: 2.0 * done / used }
}

/// Processor seconds that the server has used, with all of its threads.
async fn server_time(mut connection: ConnectionManager) -> f64 {
    let mut command = redis::cmd("INFO");
    let cpu: String = command.arg("cpu").query_async(&mut connection).await.unwrap();
    let field = |name: &str| -> f64 {
        let line = cpu.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().parse().unwrap()
    };
    field("used_cpu_user") + field("used_cpu_sys")
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

type Scripts = LazyLock<[Script; 2]>;
static BARE: Scripts = LazyLock::new(|| [BARE_RESERVE, BARE_SETTLE].map(Script::new));
static SAME: Scripts = LazyLock::new(|| [SAME_RESERVE, SAME_SETTLE].map(Script::new));

async fn bare_pair(mut connection: ConnectionManager, id: &str, scripts: &[Script; 2]) {
    for (script, last) in scripts.iter().zip([1_800_000_000_000_i64, 30_250]) {
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
