//! How fast the redactor is, beside copying memory and beside a set of regular expressions,
//! and how much it finds of a corpus that is not the one it was tuned on.
//!
//! `cargo bench -p airlock-redaction` prints the tables of this crate's README. Speeds are
//! per second of this thread's processor time, so a loaded machine counts as an idle one.
//! `-- speed`, `-- hostile` and `-- score` print one table each; `AIRLOCK_SEED` chooses
//! another corpus; `-- corpus DIRECTORY` writes the corpus down for other scanners and
//! `-- file PATH` measures a text of your own, `-- input TEXT` that text repeated.
//! `-- labelled FILE...` scores texts that others labelled, `-- misses FILE...` prints what is
//! missed in them.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::cast_precision_loss, reason = "figures to three digits")]

#[path = "../../tests/corpus/mod.rs"]
mod corpus;
#[path = "../../tests/corpus/hostile.rs"]
mod hostile;
mod labelled;

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use airlock_redaction::Redactor;
use corpus::{Corpus, survives};

/// Bytes of a measured text.
const SIZE: usize = 4 << 20;
/// A hostile text is measured at this size and at four times of it.
const HOSTILE_SIZE: usize = 128 << 10;
/// Processor time spent on one figure, in runs of which the fastest counts.
const LEAST: Duration = Duration::from_millis(200);
/// The same for each of the many hostile inputs.
const LEAST_HOSTILE: Duration = Duration::from_millis(25);
const SEED: u64 = 20_261_123;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let seed = std::env::var("AIRLOCK_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(SEED);
    if let [command, directory] = &arguments[..]
        && command == "corpus"
    {
        return write(seed, directory);
    }
    if let [command, paths @ ..] = &arguments[..]
        && command == "file"
    {
        for path in paths {
            file(path);
        }
        return ExitCode::SUCCESS;
    }
    if let [command, paths @ ..] = &arguments[..]
        && (command == "labelled" || command == "misses")
    {
        for path in paths {
            labelled::score(path, command == "misses");
        }
        return ExitCode::SUCCESS;
    }
    if let [command, inputs @ ..] = &arguments[..]
        && command == "input"
    {
        hostile_inputs(&inputs.iter().map(String::as_str).collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    let wanted = |table: &str| arguments.is_empty() || arguments.iter().any(|a| a == table);
    if wanted("speed") {
        speed(seed);
    }
    if wanted("hostile") {
        hostile_inputs(hostile::INPUTS);
    }
    if wanted("score") {
        score(seed);
    }
    ExitCode::SUCCESS
}

/// Speed on a text of your own, and what was replaced in it.
fn file(path: &str) {
    let Ok(bytes) = std::fs::read(path) else { return println!("{path}: cannot be read") };
    let redactor = Redactor::builtin();
    let fast = measure(LEAST, bytes.len(), || redactor.redact_bytes(&bytes).len());
    let (_, report) = redactor.redact_bytes_report(&bytes);
    println!("{fast:>6.0} MB/s {:>6} markers {path} {:?}", report.total(), report.counts);
}

/// Repeats a text until it is as long as is measured.
fn sized(text: &str, size: usize) -> String {
    let mut sized = text.repeat(size / text.len() + 1);
    let end = sized.floor_char_boundary(size);
    sized.truncate(end);
    sized
}

/// Time this thread has had a processor; where the system does not say, time passed.
fn now(start: Instant) -> Duration {
    let seen = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = seen.as_deref().and_then(|s| s.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Megabytes (10^6) per second of the fastest of several runs.
fn measure(least: Duration, bytes: usize, mut work: impl FnMut() -> usize) -> f64 {
    let start = Instant::now();
    let (mut fastest, mut spent, mut runs) = (Duration::MAX, Duration::ZERO, 0);
    while spent < least && runs < 12 {
        // Many short works are one run: the clock ticks in milliseconds.
        let before = now(start);
        let mut times = 0;
        let took = loop {
            black_box(work());
            times += 1;
            let took = now(start).saturating_sub(before);
            if took >= Duration::from_millis(10) {
                break took;
            }
        };
        fastest = fastest.min(took / times);
        spent += took;
        runs += 1;
    }
    bytes as f64 / fastest.as_secs_f64() / 1e6
}

fn one_shot(redactor: &Redactor, least: Duration, text: &str) -> f64 {
    measure(least, text.len(), || redactor.redact(text).len())
}

fn streamed(redactor: &Redactor, least: Duration, text: &str, size: usize) -> f64 {
    let mut out = Vec::with_capacity(2 * text.len());
    measure(least, text.len(), || {
        out.clear();
        let mut stream = redactor.stream();
        for chunk in text.as_bytes().chunks(size) {
            stream.push(chunk, &mut out);
        }
        stream.finish(&mut out);
        out.len()
    })
}

fn speed(seed: u64) {
    let redactor = Redactor::builtin();
    println!("MB/s of one processor      plain   normal    dense");
    let texts = [(0, 0), (1, 4), (25, 5)]
        .map(|(secret, harmless)| sized(&Corpus::new(seed, 20_000, secret, harmless).text, SIZE));
    let row = |name: &str, figures: [f64; 3]| {
        println!("{name:<22} {:>9.0} {:>8.0} {:>8.0}", figures[0], figures[1], figures[2]);
        figures
    };
    let copied = row(
        "memcpy",
        texts.each_ref().map(|text| {
            let mut out = vec![0; text.len()];
            measure(LEAST, text.len(), || {
                out.copy_from_slice(black_box(text.as_bytes()));
                out.len()
            })
        }),
    );
    let set = regex_set();
    let regexes = row(
        "regex set, asks only",
        texts.each_ref().map(|text| {
            measure(LEAST, text.len(), || {
                text.as_bytes().split(|b| *b == b'\n').filter(|line| set.is_match(line)).count()
            })
        }),
    );
    let whole = row("one shot", texts.each_ref().map(|text| one_shot(&redactor, LEAST, text)));
    for (name, size) in [("64 KiB chunks", 65536), ("8 KiB chunks", 8192), ("128 B chunks", 128)] {
        row(name, texts.each_ref().map(|text| streamed(&redactor, LEAST, text, size)));
    }
    let ratio = |other: [f64; 3]| std::array::from_fn::<_, 3, _>(|at| whole[at] / other[at]);
    let (of_copy, of_regexes) = (ratio(copied), ratio(regexes));
    println!("one shot to memcpy     {:>9.3} {:>8.3} {:>8.3}", of_copy[0], of_copy[1], of_copy[2]);
    println!(
        "one shot to regex set  {:>9.1} {:>8.1} {:>8.1}\n",
        of_regexes[0], of_regexes[1], of_regexes[2]
    );
}

fn hostile_inputs(inputs: &[&str]) {
    let redactor = Redactor::builtin();
    println!("hostile input, MB/s      one shot  4x size   64 KiB    128 B");
    let mut worst = (f64::MAX, String::new());
    for input in inputs {
        let small = sized(input, HOSTILE_SIZE);
        let large = sized(input, 4 * HOSTILE_SIZE);
        let figures = [
            one_shot(&redactor, LEAST_HOSTILE, &small),
            one_shot(&redactor, LEAST_HOSTILE, &large),
            streamed(&redactor, LEAST_HOSTILE, &large, 65536),
            streamed(&redactor, LEAST_HOSTILE, &large, 128),
        ];
        let name: String = input.chars().take(22).flat_map(char::escape_default).take(22).collect();
        let [a, b, c, d] = figures;
        println!("{name:<24} {a:>8.0} {b:>8.0} {c:>8.0} {d:>8.0}");
        let least = figures.into_iter().fold(f64::MAX, f64::min);
        if least < worst.0 {
            worst = (least, name);
        }
    }
    println!("worst: {:.0} MB/s, {}\n", worst.0, worst.1);
}

fn score(seed: u64) {
    let redactor = Redactor::builtin();
    let corpus = Corpus::new(seed, 30_000, 6, 9);
    let survives = |part: &&corpus::Part| survives(&redactor.redact(&part.line), &part.text);
    let lines: Vec<_> = corpus.secrets.iter().filter(survives).collect();
    let missed = lines.len();
    let found = corpus.secrets.len() - missed;
    let hit = corpus.harmless.iter().filter(|h| redactor.redact(&h.line) != h.line).count();
    let (_, report) = redactor.redact_report(&corpus.text);
    let plain = Corpus::new(seed + 1, 100_000, 0, 0).text;
    let false_hits = hit as u64 + redactor.redact_report(&plain).1.total();
    let megabytes = (corpus.text.len() + plain.len()) as f64 / 1e6;
    let (secrets, harmless) = (corpus.secrets.len(), corpus.harmless.len());
    println!("seed {seed}: {megabytes:.1} MB, {secrets} secrets, {harmless} look-alikes");
    for part in lines {
        println!("missed            {}: {}", part.kind, part.line.escape_debug());
    }
    println!("markers           {}", report.total());
    println!("recall            {:.5} ({missed} missed)", found as f64 / secrets as f64);
    println!("precision         {:.5}", found as f64 / (found as f64 + false_hits as f64));
    println!("false hits per MB {:.2}", false_hits as f64 / megabytes);
}

/// Writes `corpus.txt`, `secrets.tsv` and `harmless.tsv` with line numbers, and `found.tsv`:
/// numbers of the lines that this redactor changes.
fn write(seed: u64, directory: &str) -> ExitCode {
    let corpus = Corpus::new(seed, 20_000, 8, 12);
    let list = |parts: &[corpus::Part]| {
        parts.iter().fold(String::new(), |list, part| {
            let (line, text) = (part.number + 1, part.text.escape_default());
            list + &format!("{line}\t{}\t{text}\n", part.kind)
        })
    };
    let redactor = Redactor::builtin();
    let parts = corpus.secrets.iter().chain(&corpus.harmless);
    let mut found = String::new();
    for part in parts.filter(|part| redactor.redact(&part.line) != part.line) {
        let _ = writeln!(found, "{}", part.number + 1);
    }
    let files = [
        ("corpus.txt", corpus.text.clone()),
        ("secrets.tsv", list(&corpus.secrets)),
        ("harmless.tsv", list(&corpus.harmless)),
        ("found.tsv", found),
    ];
    for (name, text) in files {
        let path = std::path::Path::new(directory).join(name);
        if let Err(error) = std::fs::write(&path, text) {
            println!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What a redactor out of regular expressions costs that only asks whether any matches.
fn regex_set() -> regex::bytes::RegexSet {
    regex::bytes::RegexSetBuilder::new([
        r"sk-[A-Za-z0-9_-]{20,}",
        r"gh[pousr]_[A-Za-z0-9]{36}",
        r"github_pat_[A-Za-z0-9_]{36,}",
        r"A[KS]IA[A-Z2-7]{16}",
        r"AIza[\w-]{35}",
        r"xox[abprs]-[\w-]{20,}",
        r"sk_live_[A-Za-z0-9]{24}",
        r"npm_[A-Za-z0-9]{36}",
        r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+",
        r"e2b_[0-9a-f]{40}",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
        r"://[^\s/:@]+:[^\s/@]+@",
        r"(?i)bearer\s+[\w.~+/=-]{16,}",
        r#"(?i)(password|passwd|secret|token|api[_-]?key)["']?\s*[:=]\s*["']?[^\s"']{6,}"#,
        r"glpat-[\w-]{20}",
        r"SG\.[\w-]{22}\.[\w-]{43}",
        r"hvs\.[\w-]{24,}",
        r"dop_v1_[0-9a-f]{64}",
    ])
    .unicode(false)
    .build()
    .unwrap_or_default()
}
