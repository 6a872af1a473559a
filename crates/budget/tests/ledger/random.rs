//! Thousands of random operations: the scripts and the model agree after each of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use airlock_budget::{Error, Ledger, NewBudget, Settings};
use airlock_contract::{AccountId, BudgetStatus, Period, Usd};
use airlock_testing::{RedisCluster, redis_servers};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redis::aio::ConnectionLike;

use crate::model::{Answer, At, Model, Op};
use crate::support::{hold, id, on_every_server};

/// Accounts with their parents and limits in nano-USD.
pub(crate) const TREE: [(&str, Option<At>, i64); 4] = [
    ("team", None, 1_000),
    ("team/a", Some(0), 900),
    ("team/b", Some(0), 400),
    ("team/a/leaf", Some(1), 600),
];
/// Those of them whose limit is given anew each day.
const PERIODIC: [At; 2] = [0, 2];
/// Holds end when an operation says so; the clock of a long run ends none.
const LONG: Duration = Duration::from_hours(24);
const IDS: u32 = 12;

pub(crate) fn model(refusals_to_open: u32) -> Model {
    Model::new(&TREE.map(|(_, parent, limit)| (parent, limit)), refusals_to_open)
}

pub(crate) fn account(at: At) -> AccountId {
    id(TREE[at].0)
}

pub(crate) async fn make(ledger: &Ledger, at: At) -> Result<BudgetStatus, Error> {
    let (name, parent, limit) = TREE[at];
    let parent = parent.map(account);
    let period = PERIODIC.contains(&at).then_some(Period::Day);
    let new = NewBudget { parent, period, ..NewBudget::new(id(name), Usd::from_nanos(limit)) };
    ledger.create(&new).await
}

/// Ids and keys are a few from `first` on, so that they come again.
pub(crate) fn random_op(random: &mut StdRng, first: u32) -> Op {
    let at = random.random_range(0..TREE.len());
    let id = first + random.random_range(0..IDS);
    // Few amounts, so that the same call comes again.
    let amount = [0, 1, 50, 100, 100, 250, 700][random.random_range(0..7)];
    match random.random_range(0..100) {
        0..30 => Op::Reserve { at, id, amount },
        30..42 => Op::Extend { at, id, total: amount },
        42..53 => Op::Settle { at, id, actual: amount },
        53..55 => Op::SettleForgotten { at, id, actual: amount },
        55..68 => Op::Void { at, id },
        68..76 => Op::Spend { at, key: id, amount: amount / 5 },
        76..79 => Op::TopUp { at, key: id, amount: amount.max(1) },
        79..81 => Op::Reset { at },
        81..85 => Op::CanSpend { at, amount },
        85..97 => Op::Lapse { at, id },
        97 => Op::Roll { at: PERIODIC[at % 2] },
        // An account with others below it would refuse them while it is away.
        _ => Op::Remake { at: at.max(2) },
    }
}

/// Does `op`; `Err` is an outage, after which the operation may have been done or not.
pub(crate) async fn run(
    redis: &mut impl ConnectionLike,
    ledger: &Ledger,
    op: Op,
) -> Result<Answer, Error> {
    let key = |at: At, id: u32| hold(&account(at), &id.to_string());
    let nanos = Usd::from_nanos;
    let result = match op {
        Op::Reserve { at, id, amount } => ledger
            .reserve(&key(at, id), nanos(amount), LONG)
            .await
            .map(|held| Answer::Amount(held.amount.nanos())),
        Op::Extend { at, id, total } => ledger
            .extend(&key(at, id), nanos(total), LONG)
            .await
            .map(|held| Answer::Amount(held.amount.nanos())),
        Op::Settle { at, id, actual } => ledger
            .settle(&key(at, id), nanos(actual), "")
            .await
            .map(|settled| Answer::Amount(settled.booked.nanos())),
        Op::SettleForgotten { at, id, actual } => ledger
            .settle_forgotten(&key(at, id), nanos(actual), "")
            .await
            .map(|settled| Answer::Amount(settled.booked.nanos())),
        Op::Void { at, id } => ledger.void(&key(at, id)).await.map(|_| Answer::Done),
        Op::Spend { at, key, amount } => ledger
            .spend(&account(at), nanos(amount), Some(&key.to_string()), None)
            .await
            .map(|_| Answer::Amount(amount)),
        Op::TopUp { at, key, amount } => ledger
            .top_up(&account(at), nanos(amount), Some(&key.to_string()))
            .await
            .map(|_| Answer::Done),
        Op::Reset { at } => ledger.reset_circuit(&account(at)).await.map(|_| Answer::Done),
        Op::CanSpend { at, amount } => ledger
            .can_spend(&account(at), nanos(amount))
            .await
            .map(|can| Answer::Amount(i64::from(can.can_spend))),
        Op::Lapse { at, id } => {
            let member = format!("{}#{id}", account(at));
            let mut lapse = redis::cmd("ZADD");
            lapse.arg(&["airlock:{team}:hold", "XX", "1", &member]);
            lapse.exec_async(redis).await.map(|()| Answer::Done).map_err(Error::from)
        }
        Op::Roll { at } => {
            let mut end = redis::cmd("HSET");
            end.arg(&[&format!("airlock:{{team}}:budget:{}", TREE[at].0), "ends", "1000"]);
            end.exec_async(redis).await.map(|()| Answer::Done).map_err(Error::from)
        }
        Op::Remake { at } => match ledger.delete(&account(at)).await {
            // Not there: an earlier try got as far as that.
            Ok(()) | Err(Error::NotFound { .. }) => make(ledger, at).await.map(|_| Answer::Done),
            Err(error) => Err(error),
        },
    };
    let place = |name: &AccountId| TREE.iter().position(|(n, ..)| *n == name.as_str()).unwrap();
    match result {
        Ok(answer) => Ok(answer),
        Err(Error::Exceeded { status, .. }) => Ok(Answer::Exceeded(place(&status.run_id))),
        Err(Error::CircuitOpen { status }) => Ok(Answer::Open(place(&status.run_id))),
        Err(Error::Conflict { .. }) => Ok(Answer::Conflict),
        Err(Error::UnknownHold { .. }) => Ok(Answer::Unknown),
        Err(error) => Err(error),
    }
}

/// Compares every account with the model; reading returns what has lapsed.
async fn compare(ledger: &Ledger, model: &mut Model, context: &str) {
    model.touch(None);
    (0..TREE.len()).for_each(|at| model.look(at));
    for (at, expected) in model.accounts.iter().enumerate() {
        let status = loop {
            match ledger.get(&account(at)).await {
                Ok(status) => break status,
                Err(Error::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(2)).await,
                Err(error) => panic!("{context}: {error:?}"),
            }
        };
        let found = [status.limit, status.spent, status.reserved].map(Usd::nanos);
        let sums = [expected.limit, expected.spent, expected.reserved];
        let account = TREE[at].0;
        assert_eq!((found, status.circuit), (sums, expected.circuit), "{context}: {account}");
    }
}

/// Random operations one after the other, compared with the model after most of them.
async fn agree(
    redis: &mut impl ConnectionLike,
    ledger: &Ledger,
    refusals_to_open: u32,
    steps: u32,
) {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let mut model = model(refusals_to_open);
    for at in 0..TREE.len() {
        make(ledger, at).await.unwrap();
    }
    for step in 0..steps {
        let op = random_op(&mut random, 0);
        let context = format!("seed {seed}, step {step}, {op:?}");
        let answer = run(redis, ledger, op).await.unwrap();
        assert_eq!(answer, model.apply(op), "{context}");
        // Nobody looks after every third one, so that other operations meet what has lapsed.
        if step % 3 != 0 && !matches!(op, Op::Lapse { .. } | Op::Roll { .. }) {
            compare(ledger, &mut model, &context).await;
        }
    }
    compare(ledger, &mut model, &format!("seed {seed}, end")).await;
}

#[tokio::test]
async fn the_ledger_agrees_with_a_simple_model_over_thousands_of_operations() {
    on_every_server(async |store| {
        for round in 0..6 {
            let refusals_to_open = [0, 3][round % 2];
            let settings = Settings { refusals_to_open, ..Settings::default() };
            let ledger = store.with(settings).await;
            let mut redis = store.server.connect().await;
            let () = store.redis(&["FLUSHALL"]).await;
            agree(&mut redis, &ledger, refusals_to_open, 700).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_ledger_on_a_cluster_agrees_with_the_model_too() {
    for binary in redis_servers() {
        println!("on three of {}", binary.display());
        let cluster = RedisCluster::start(&binary).await;
        let settings = Settings { refusals_to_open: 3, ..Settings::default() };
        let ledger = Ledger::with_settings(cluster.connect().await, "airlock", settings);
        agree(&mut cluster.connect().await, &ledger, 3, 1000).await;
    }
}

#[tokio::test]
async fn cut_connections_count_nothing_twice_and_lose_nothing() {
    on_every_server(async |store| {
        let seed: u64 = rand::random();
        let mut random = StdRng::seed_from_u64(seed);
        let mut model = model(0);
        let ledger = store.with(Settings { refusals_to_open: 0, ..Settings::default() }).await;
        for at in 0..TREE.len() {
            make(&ledger, at).await.unwrap();
        }
        let mut redis = store.server.connect().await;
        let stop = Arc::new(AtomicBool::new(false));
        let cutting = async {
            let mut cuts = 0;
            while !stop.load(Ordering::Relaxed) {
                cuts += store.server.cut_connections().await;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            cuts
        };
        let working = async {
            let mut outages = 0;
            for step in 0..1000 {
                let op = random_op(&mut random, 0);
                // These ask around the ledger or are not named by an id.
                if matches!(op, Op::Lapse { .. } | Op::Roll { .. } | Op::Remake { .. }) {
                    continue;
                }
                let context = format!("seed {seed}, step {step}, {op:?}");
                let answer = loop {
                    match run(&mut redis, &ledger, op).await {
                        Ok(answer) => break answer,
                        Err(Error::Unavailable(_)) => outages += 1,
                        Err(error) => panic!("{context}: {error:?}"),
                    }
                };
                let expected = model.apply(op);
                // A refusal whose reply was lost may have opened a half-open circuit already.
                let same = match (&answer, &expected) {
                    (Answer::Open(a), Answer::Exceeded(b)) => a == b,
                    (answer, expected) => answer == expected,
                };
                assert!(same, "{context}: {answer:?}, expected {expected:?}");
                compare(&ledger, &mut model, &context).await;
            }
            stop.store(true, Ordering::Relaxed);
            outages
        };
        let (cuts, outages) = tokio::join!(cutting, working);
        println!("{cuts} connections cut, {outages} calls answered by an outage");
        assert!(cuts > 20, "only {cuts} connections were cut");
    })
    .await;
}
