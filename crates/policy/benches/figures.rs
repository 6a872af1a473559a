//! The figures of the gate, printed: time for a decision over the corpus beside that of parsing
//! alone, loading of 200 rules, memory over a million decisions, and the slowest of many hostile
//! inputs of 64 KiB.
//!
//! `cargo bench -p airlock-policy --bench figures`; one of them by `-- hostile`, `decision`, `load`
//! or `memory`. Each time is the best of several tries of the
//! same work, so that other work on the machine does not count.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a command-line tool")]

#[path = "../tests/support/cases.rs"]
#[expect(dead_code, reason = "the bench only decides")]
mod cases;
#[path = "../tests/support/hostile.rs"]
mod hostile;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use airlock_policy::{Gate, Outcome, Request};

fn main() {
    let gate = Gate::builtin();
    let only = std::env::args().nth(1).filter(|word| !word.starts_with('-'));
    let wants = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wants("decision") {
        decisions(&gate);
    }
    if wants("load") {
        loading();
    }
    if wants("hostile") {
        worst(&gate);
    }
    if wants("memory") {
        memory(&gate);
    }
}

/// What the processor's time of a thread is rounded to.
const MIN: Duration = Duration::from_millis(4);

/// The time that this thread has had a processor.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// The shortest of `tries` runs of the same work.
fn best<T>(tries: usize, mut work: impl FnMut() -> T) -> Duration {
    let time = |_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed()
    };
    (0..tries).map(time).min().expect("one try at least")
}

/// Median and 99th percentile.
fn spread(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    (at(50), at(99))
}

fn corpus() -> Vec<cases::Case> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let files = std::fs::read_dir(folder).expect("the corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).expect("a text");
    paths.into_iter().flat_map(|path| cases::read(&read(path))).collect()
}

fn decisions(gate: &Gate) {
    let cases = corpus();
    let decided = cases.iter().map(|case| best(15, || case.decide(gate))).collect();
    let parsed = cases
        .iter()
        .filter_map(|case| case.command.as_deref())
        .map(|text| best(15, || shuck_parser::parser::Parser::new(black_box(text)).parse()))
        .collect();
    let ((median, tail), (alone, alone_tail)) = (spread(decided), spread(parsed));
    println!("decision   median {median:?}, p99 {tail:?}, over {} cases", cases.len());
    println!("parse only median {alone:?}, p99 {alone_tail:?}");
    println!("ratio      median {:.1}", median.as_secs_f64() / alone.as_secs_f64());
}

fn loading() {
    let mut text = String::from("[env.base]\nextends = \"base\"\n");
    for number in 0..200 {
        let _infallible = write!(
            text,
            "[[env.base.rule]]\nid = \"rule-{number}\"\neffect = \"fs.delete\"\n\
             path = [\"/data/{number}/**\"]\ndecision = \"deny\"\nreason = \"kept\"\n\
             match = [\"rm -rf /data/{number}/x\"]\nnot_match = [\"rm -rf ./build\"]\n"
        );
    }
    let time = best(9, || Gate::load(&text, None).expect("it loads"));
    println!("load       {time:?} for 200 rules, each with two examples tried");
}

fn worst(gate: &Gate) {
    let mut slowest: Vec<(Duration, String, Outcome)> = hostile::inputs()
        .into_iter()
        .map(|(name, input)| {
            let request = match &input {
                hostile::Input::Command(text) => Request::command(text),
                hostile::Input::Code(language, text) => Request::code(language, text),
            };
            let (start, before) = (Instant::now(), on_processor());
            let outcome = gate.decide(&request).outcome;
            let elapsed = start.elapsed();
            // What takes long is counted by its processor time; the counter is too coarse for less.
            let used = on_processor().saturating_sub(before);
            let time = if elapsed.as_millis() >= 8 { elapsed.min(used.max(MIN)) } else { elapsed };
            (time, name, outcome)
        })
        .collect();
    slowest.sort_by_key(|(time, ..)| std::cmp::Reverse(*time));
    println!("hostile    {} inputs of up to 64 KiB; the slowest:", slowest.len());
    for (time, name, outcome) in slowest.iter().take(12) {
        println!("           {time:?} {name}: {}", outcome.as_str());
    }
}

fn memory(gate: &Gate) {
    let cases = corpus();
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = status.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
        pages.unwrap_or(0) * 4
    };
    let mut decided = 0usize;
    for limit in [100_000, 1_000_000] {
        while decided < limit {
            for case in &cases {
                black_box(case.decide(gate));
            }
            decided += cases.len();
        }
        println!("memory     {} KiB resident after {decided} decisions", resident());
    }
}
