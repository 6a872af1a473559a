//! Processes are killed and connections cut in the middle of random operations: whoever takes over
//! repeats the call that was on its way, nothing is counted twice or lost, and each balance is what
//! the account's ledger adds up to.
//!
//! `AIRLOCK_LONG=1` makes it 100,000 operations on each server.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use airlock_budget::{EntryKind, Error, Ledger, Settings};
use airlock_contract::Usd;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::model::{At, Model, Op};
use crate::random::{TREE, account, make, model, random_op, run};
use crate::support::on_every_server;

/// What a worker process is to do: address, seed, first step, steps.
const WORKER: &str = "AIRLOCK_TEST_BUDGET_STEPS";
/// After every so many steps a worker looks at all accounts.
const LOOK: u32 = 20;

fn settings() -> Settings {
    Settings { refusals_to_open: 0, history: 1_000_000, ..Settings::default() }
}

/// The operation of a step is the same for whoever does it. Top-ups are large enough that most of what
/// is asked for is granted.
fn op_at(seed: u64, step: u32) -> Op {
    match random_op(&mut StdRng::seed_from_u64(seed.wrapping_add(step.into())), step / 40) {
        Op::TopUp { at, key, amount } => Op::TopUp { at, key, amount: amount * 40 },
        op => op,
    }
}

/// Limit, spent, reserved and circuit of every account, as text.
async fn look(ledger: &Ledger) -> Result<String, Error> {
    use std::fmt::Write as _;
    let mut text = String::new();
    for at in 0..TREE.len() {
        let status = ledger.get(&account(at)).await?;
        let [limit, spent, reserved] =
            [status.limit, status.spent, status.reserved].map(Usd::nanos);
        write!(text, "{limit} {spent} {reserved} {:?}; ", status.circuit).unwrap();
    }
    Ok(text)
}

fn expected_look(model: &mut Model) -> String {
    model.touch(None);
    (0..TREE.len()).for_each(|at| model.look(at));
    let shown = model.accounts.iter().map(|account| {
        let (limit, spent, reserved) = (account.limit, account.spent, account.reserved);
        format!("{limit} {spent} {reserved} {:?}; ", account.circuit)
    });
    shown.collect()
}

/// Not a test of its own: the process that is killed. Writes a line a step, once it is done.
#[tokio::test]
#[ignore = "a part of the test below, which starts it"]
async fn one_process_of_many() {
    let Ok(task) = std::env::var(WORKER) else { return };
    let words: Vec<&str> = task.split(' ').collect();
    let [url, seed, first, end] = words[..] else { panic!("{task}") };
    let (seed, first, end): (u64, u32, u32) =
        (seed.parse().unwrap(), first.parse().unwrap(), end.parse().unwrap());
    let mut redis = airlock_testing::connect(url).await;
    let ledger = Ledger::with_settings(redis.clone(), "airlock", settings());
    let mut outages = 0;
    let mut out = std::io::stderr();
    for step in first..end {
        let line = loop {
            let done = async {
                let answer = run(&mut redis, &ledger, op_at(seed, step)).await?;
                let look =
                    if step.is_multiple_of(LOOK) { look(&ledger).await? } else { String::new() };
                Ok::<_, Error>(format!("step={step}|{answer:?}|{look}|{outages}"))
            };
            match done.await {
                Ok(line) => break line,
                Err(Error::Unavailable(_)) => outages += 1,
                Err(error) => panic!("step {step}: {error:?}"),
            }
        };
        writeln!(out, "{line}").unwrap();
    }
}

fn start(url: &str, seed: u64, first: u32, end: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::one_process_of_many", "--ignored", "--nocapture"])
        .env(WORKER, format!("{url} {seed} {first} {end}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Compares one line of a worker with the model; answers the outages that the worker met so far.
fn check(model: &mut Model, seed: u64, step: u32, line: &str) -> u32 {
    let op = op_at(seed, step);
    let context = format!("seed {seed}, {op:?}: {line}");
    let parts: Vec<&str> = line.split('|').collect();
    let [name, answer, look, outages] = parts[..] else { panic!("{context}") };
    assert_eq!(name, format!("step={step}"), "{context}");
    let expected = format!("{:?}", model.apply(op));
    // A refusal whose reply was lost may have opened a half-open circuit already.
    let opened = expected.strip_prefix("Exceeded").is_some_and(|at| answer == format!("Open{at}"));
    assert!(answer == expected || opened, "{context}, expected {expected}");
    if step.is_multiple_of(LOOK) {
        assert_eq!(look, expected_look(model), "{context}");
    }
    outages.parse().unwrap()
}

/// Kills, restarts and checks until all steps are done. Answers kills and outages.
fn drive(url: &str, seed: u64, steps: u32) -> (u32, u32, Model) {
    let (mut model, mut random) = (model(0), StdRng::seed_from_u64(seed));
    let (mut next, mut kills, mut outages) = (0, 0, 0);
    while next < steps {
        let mut worker = start(url, seed, next, steps);
        let mut lines = BufReader::new(worker.stderr.take().unwrap());
        // By number of steps, and then a moment, so that any part of a call may be under way.
        let kill_at = next + random.random_range(1..400);
        let (mut line, mut killed, mut met) = (String::new(), false, 0);
        while lines.read_line(&mut line).unwrap() > 0 {
            if line.starts_with("step=") && line.ends_with('\n') {
                met = check(&mut model, seed, next, line.trim_end());
                next += 1;
                if next == kill_at && next < steps {
                    std::thread::sleep(Duration::from_micros(random.random_range(0..1500)));
                    worker.kill().unwrap();
                    killed = true;
                }
            } else if !line.trim().is_empty() && !killed {
                print!("worker: {line}");
            }
            line.clear();
        }
        let status = worker.wait().unwrap();
        assert!(killed || status.success(), "a worker failed at step {next}: {status}");
        kills += u32::from(killed);
        outages += met;
    }
    (kills, outages, model)
}

/// Limit, spent and own holds as the account's ledger adds up.
async fn added_up(ledger: &Ledger, at: At) -> (i64, i64, i64, usize) {
    let own = account(at);
    let mut entries = ledger.history(&own, 1_000_000).await.unwrap();
    entries.reverse();
    let (mut limit, mut spent, mut held) = (0, 0, BTreeMap::new());
    for entry in &entries {
        let amount = entry.amount.nanos();
        match entry.kind {
            EntryKind::Created | EntryKind::ToppedUp => limit += amount,
            EntryKind::Reserved | EntryKind::Extended => {
                *held.entry(entry.id.clone()).or_insert(0) += amount;
            }
            EntryKind::Voided | EntryKind::Returned => drop(held.remove(&entry.id)),
            EntryKind::RolledOver => spent = 0,
            EntryKind::Settled if entry.via == own => drop(held.remove(&entry.id)),
            _ => {}
        }
        if entry.kind.is_booking() {
            spent += amount;
        }
    }
    (limit, spent, held.values().sum(), entries.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processes_and_cut_connections_leave_balances_that_the_ledgers_add_up_to() {
    let long = std::env::var("AIRLOCK_LONG").is_ok_and(|value| value == "1");
    let steps = if long { 100_000 } else { 2_000 };
    on_every_server(async |store| {
        let begin = Instant::now();
        let seed: u64 = rand::random();
        let ledger = store.with(settings()).await;
        for at in 0..TREE.len() {
            make(&ledger, at).await.unwrap();
        }
        let url = store.server.url();
        let driving = tokio::task::spawn_blocking(move || drive(&url, seed, steps));
        let mut cuts = 0;
        while !driving.is_finished() {
            cuts += store.server.cut_connections().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (kills, outages, mut model) = driving.await.unwrap();

        assert_eq!(look(&ledger).await.unwrap(), expected_look(&mut model), "seed {seed}");
        let mut entries = 0;
        let mut own_holds = Vec::new();
        for (at, (name, ..)) in TREE.iter().enumerate() {
            let status = ledger.get(&account(at)).await.unwrap();
            let (limit, spent, held, count) = added_up(&ledger, at).await;
            let balance = [status.limit, status.spent].map(Usd::nanos);
            assert_eq!([limit, spent], balance, "seed {seed}, {name}");
            own_holds.push(held);
            entries += count;
        }
        for (at, (name, ..)) in TREE.iter().enumerate() {
            let below = |of: &At| {
                let mut up = Some(*of);
                while let Some(one) = up {
                    if one == at {
                        return true;
                    }
                    up = TREE[one].1;
                }
                false
            };
            let held: i64 = (0..TREE.len()).filter(below).map(|of| own_holds[of]).sum();
            assert_eq!(held, model.accounts[at].reserved, "seed {seed}, {name}");
        }
        println!(
            "{steps} operations, {kills} processes killed, {cuts} connections cut, {outages} calls \
             without an answer, {entries} ledger entries, {:.0} s",
            begin.elapsed().as_secs_f64()
        );
        assert!(kills >= steps / 2000 && cuts > 10, "{kills} kills, {cuts} cuts");
    })
    .await;
}
