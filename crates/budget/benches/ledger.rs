//! Pairs of reserve and settle beside a bare loop of scripts that send the very same commands to the
//! very same keys and decide nothing.
//!
//! `cargo bench -p airlock-budget` prints, for each server, number of callers and depth of the account,
//! calls a second, calls for each processor second of the server, and calls for each processor second of
//! server and client together; then the ledger's share of the bare loop's. The two take turns on one
//! server in short slices, so what else the machine does meets both alike. Before that the commands that
//! the server counted for either are compared, and the bench fails if they differ.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails by panicking and answers on standard output"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use airlock_budget::{HoldKey, Ledger, NewBudget};
use airlock_contract::{AccountId, Usd};
use airlock_testing::{RedisServer, redis_servers};
use redis::Script;
use redis::aio::ConnectionManager;
use tokio::task::JoinSet;

/// What a reservation sends, each command with as many arguments; `{parent}` is empty or reads and writes
/// the account above too.
const BARE_RESERVE: &str = "
redis.call('TIME')
local a = redis.call('HMGET', KEYS[2], 'limit', 'spent', 'reserved', 'circuit', 'trial', 'parent',
  'expires', 'born', 'refusals', 'created', 'thresholds', 'period', 'ends')
{read above}
redis.call('HMGET', KEYS[3], 'state', 'amount', 'born', 'above', 'asked', 'actual', 'lease')
redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', 1000, 'LIMIT', 0, 100)
redis.call('HSET', KEYS[3], 'v', 1, 'state', 'held', 'amount', ARGV[2], 'born', '1700000000.123456',
  'asked', ARGV[2], 'lease', ARGV[3])
{remember above}
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('HINCRBY', KEYS[2], 'reserved', ARGV[2])
{reserve above}
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'kind', 'reserved', 'id', ARGV[1], 'amount',
  ARGV[2], 'via', 'team', 'text', '')
return a";

/// The same for a settlement.
const BARE_SETTLE: &str = "
redis.call('TIME')
redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', 1000, 'LIMIT', 0, 100)
local a = redis.call('HMGET', KEYS[2], 'limit', 'spent', 'reserved', 'circuit', 'trial', 'parent',
  'expires', 'born', 'refusals', 'created', 'thresholds', 'period', 'ends')
{read above}
redis.call('HMGET', KEYS[3], 'state', 'amount', 'born', 'above', 'actual', 'before', 'late')
redis.call('HINCRBY', KEYS[2], 'reserved', '-100000')
{return above}
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[2], 'spent', ARGV[3])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'kind', 'settled', 'id', ARGV[1], 'amount',
  ARGV[3], 'via', 'team', 'text', '')
{book above}
redis.call('HSET', KEYS[3], 'state', 'settled', 'actual', ARGV[3], 'before', 0, 'late', 0)
redis.call('PEXPIRE', KEYS[3], 604800000)
return a";

/// What an account above adds to the two.
const ABOVE: [(&str, &str); 5] = [
    (
        "{read above}",
        "local b = redis.call('HMGET', KEYS[5], 'limit', 'spent', 'reserved', 'circuit', 'trial', \
         'parent', 'expires', 'born', 'refusals', 'created', 'thresholds', 'period', 'ends')",
    ),
    ("{remember above}", "redis.call('HSET', KEYS[3], 'above', 'team#1700000000.123456,')"),
    ("{reserve above}", "redis.call('HINCRBY', KEYS[5], 'reserved', ARGV[2])"),
    ("{return above}", "redis.call('HINCRBY', KEYS[5], 'reserved', '-100000')"),
    (
        "{book above}",
        "redis.call('HINCRBY', KEYS[5], 'spent', ARGV[3])\n\
         redis.call('XADD', KEYS[6], 'MAXLEN', '~', 1000, '*', 'kind', 'settled', 'id', ARGV[1], \
         'amount', ARGV[3], 'via', 'team/run', 'text', '')",
    ),
];

const LEASE: Duration = Duration::from_mins(5);
const HELD: i64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Bare,
    Ledger,
}

/// How long a slice is and how many of each way there are.
#[derive(Clone, Copy)]
struct Plan {
    slice: Duration,
    rounds: u32,
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` runs it too: then a short round shows that it works.
    let plan = if std::env::args().any(|arg| arg == "--bench") {
        Plan { slice: Duration::from_millis(400), rounds: 8 }
    } else {
        Plan { slice: Duration::from_millis(20), rounds: 1 }
    };
    println!(
        "reserve + settle, two calls a pair, each one round trip; the ledger's share is of bare"
    );
    for binary in redis_servers() {
        let name = binary.file_name().unwrap().to_string_lossy().into_owned();
        for deep in [false, true] {
            let bench = Bench::start(&binary, deep).await;
            let commands = bench.same_commands().await;
            println!("{name}, {}: {commands}", if deep { "with a parent" } else { "one account" });
            for callers in [1, 16, 64] {
                let [bare, ledger] = bench.take_turns(callers, plan).await;
                println!("  {callers:>2} at once: bare {bare}");
                println!("              ledger {ledger}; {}", ledger.share_of(&bare));
            }
        }
    }
}

/// A server with one account to charge; a clone charges the same.
#[derive(Clone)]
struct Bench {
    _server: Arc<RedisServer>,
    connection: ConnectionManager,
    ledger: Ledger,
    account: AccountId,
    bare: &'static [Script; 2],
}

static FLAT: LazyLock<[Script; 2]> = LazyLock::new(|| scripts(false));
static DEEP: LazyLock<[Script; 2]> = LazyLock::new(|| scripts(true));

fn scripts(deep: bool) -> [Script; 2] {
    [BARE_RESERVE, BARE_SETTLE].map(|text| {
        let filled = ABOVE.iter().fold(text.to_owned(), |text, (place, commands)| {
            text.replace(place, if deep { commands } else { "" })
        });
        Script::new(&filled)
    })
}

impl Bench {
    async fn start(binary: &std::path::Path, deep: bool) -> Self {
        let server = RedisServer::start(binary);
        let connection = server.connect().await;
        let ledger = Ledger::new(connection.clone(), "bench");
        let account = if deep { "team/run" } else { "team" }.parse().unwrap();
        let bare = if deep { &*DEEP } else { &*FLAT };
        Self { _server: Arc::new(server), connection, ledger, account, bare }
    }

    /// An empty server with fresh accounts.
    async fn prepare(&self) {
        let () = redis::cmd("FLUSHALL").query_async(&mut self.connection.clone()).await.unwrap();
        let team = NewBudget::new("team".parse().unwrap(), Usd::MAX);
        self.ledger.create(&team).await.unwrap();
        if self.account != team.account {
            let parent = Some(team.account);
            let new = NewBudget { parent, ..NewBudget::new(self.account.clone(), Usd::MAX) };
            self.ledger.create(&new).await.unwrap();
        }
    }

    async fn pair(&self, way: Way, id: &str) {
        match way {
            Way::Ledger => {
                let hold = HoldKey::new(self.account.clone(), id);
                self.ledger.reserve(&hold, Usd::from_nanos(HELD), LEASE).await.unwrap();
                self.ledger.settle(&hold, Usd::from_nanos(30_250), "").await.unwrap();
            }
            Way::Bare => {
                let mut connection = self.connection.clone();
                for (script, last) in self.bare.iter().zip([1_800_000_000_000_i64, 30_250]) {
                    let mut call = script.prepare_invoke();
                    call.key("bench:{team}:hold")
                        .key(format!("bench:{{team}}:budget:{}", self.account))
                        .key(format!("bench:{{team}}:hold:{}#{id}", self.account))
                        .key(format!("bench:{{team}}:ledger:{}", self.account));
                    if self.account.as_str() != "team" {
                        call.key("bench:{team}:budget:team").key("bench:{team}:ledger:team");
                    }
                    call.arg(id).arg(HELD).arg(last);
                    let _: redis::Value = call.invoke_async(&mut connection).await.unwrap();
                }
            }
        }
    }

    /// Fails unless both ways make the server do the same; answers what that is.
    async fn same_commands(&self) -> String {
        let mut counts = Vec::new();
        for way in [Way::Bare, Way::Ledger] {
            self.prepare().await;
            self.pair(way, "first").await;
            let mut connection = self.connection.clone();
            let () =
                redis::cmd("CONFIG").arg("RESETSTAT").query_async(&mut connection).await.unwrap();
            for n in 0..100 {
                self.pair(way, &n.to_string()).await;
            }
            let text: String =
                redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
            let calls = |line: &str| {
                let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
                let count: u32 = rest.split(',').next()?.parse().ok()?;
                (!["config|resetstat", "config", "info"].contains(&name))
                    .then(|| (name.to_owned(), count))
            };
            counts.push(text.lines().filter_map(calls).collect::<BTreeMap<_, _>>());
        }
        assert_eq!(counts[0], counts[1], "the bare loop is not the ledger's like");
        let shown: Vec<String> = counts[0]
            .iter()
            .map(|(name, count)| format!("{name} {}", f64::from(*count) / 100.0))
            .collect();
        format!("commands a pair, the same for both: {}", shown.join(", "))
    }

    async fn take_turns(&self, callers: usize, plan: Plan) -> [Rate; 2] {
        let mut rates = [Rate::default(), Rate::default()];
        for round in 0..plan.rounds {
            for turn in 0..2 {
                // Who begins changes, so that neither always follows the other.
                let at = (turn + round as usize) % 2;
                self.prepare().await;
                let rate = self.slice([Way::Bare, Way::Ledger][at], callers, plan.slice).await;
                rates[at].add(&rate);
            }
        }
        rates
    }

    /// Pairs by `callers` that share a connection as those of a worker do.
    async fn slice(&self, way: Way, callers: usize, slice: Duration) -> Rate {
        let before = (self.server_time().await, client_time());
        let start = Instant::now();
        let mut running = JoinSet::new();
        for caller in 0..callers {
            let bench = self.clone();
            running.spawn(async move {
                let mut done = 0_u32;
                while start.elapsed() < slice {
                    bench.pair(way, &format!("{caller}-{done}")).await;
                    done += 1;
                }
                done
            });
        }
        let pairs: u32 = running.join_all().await.into_iter().sum();
        Rate {
            calls: 2.0 * f64::from(pairs),
            seconds: start.elapsed().as_secs_f64(),
            server: self.server_time().await - before.0,
            client: client_time() - before.1,
        }
    }

    /// Processor seconds that the server has used, with all of its threads.
    async fn server_time(&self) -> f64 {
        let mut command = redis::cmd("INFO");
        let mut connection = self.connection.clone();
        let cpu: String = command.arg("cpu").query_async(&mut connection).await.unwrap();
        let field = |name: &str| -> f64 {
            let line = cpu.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap().trim().parse().unwrap()
        };
        field("used_cpu_user") + field("used_cpu_sys")
    }
}

/// Processor seconds that this process has used; none where there is no `/proc`.
fn client_time() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    // After the name, which ends with the last bracket: user and system time are the 12th and 13th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// What slices came to.
#[derive(Default)]
struct Rate {
    calls: f64,
    seconds: f64,
    server: f64,
    client: f64,
}

impl Rate {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.seconds += other.seconds;
        self.server += other.server;
        self.client += other.client;
    }

    /// Calls for each second, server second, and second of both.
    fn rates(&self) -> [f64; 3] {
        [self.seconds, self.server, self.server + self.client].map(|of| self.calls / of)
    }

    fn share_of(&self, bare: &Self) -> String {
        let shares = self
            .rates()
            .into_iter()
            .zip(bare.rates())
            .map(|(own, bare)| format!("{:.0} %", 100.0 * own / bare));
        shares.collect::<Vec<_>>().join(" / ")
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [second, server, both] = self.rates();
        write!(f, "{second:.0}/s, {server:.0}/server CPU s, {both:.0}/CPU s")
    }
}
