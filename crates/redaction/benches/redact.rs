//! How fast the redactor is, beside copying memory and beside a set of regular expressions.

#[path = "../tests/corpus/mod.rs"]
mod corpus;

use airlock_redaction::Redactor;
use corpus::Corpus;
use divan::Bencher;
use divan::counter::BytesCount;

fn main() {
    divan::main();
}

const SIZE: usize = 4 << 20;

/// Repeats a text until it is as long as is measured.
fn sized(text: &str) -> String {
    let mut sized = text.repeat(SIZE / text.len() + 1);
    let end = sized.floor_char_boundary(SIZE);
    sized.truncate(end);
    sized
}

fn text(name: &str) -> String {
    match name {
        "plain" => sized(&Corpus::new(1, 20_000, 0, 0).text),
        "normal" => sized(&Corpus::new(2, 20_000, 1, 4).text),
        "dense" => sized(&Corpus::new(3, 10_000, 25, 5).text),
        other => hostile(other),
    }
}

/// Inputs made to cost as much as they can.
fn hostile(name: &str) -> String {
    sized(&match name {
        "eyJ" => "eyJ".repeat(100_000),
        "eyJ-" => "eyJ-".repeat(100_000),
        "eyJ." => "eyJ.".repeat(100_000),
        "sk-" => "sk-ant-".repeat(100_000),
        "password=" => "password=".repeat(100_000),
        "password" => "password=\"".repeat(100_000),
        "token:" => "token: ".repeat(100_000),
        "token&" => "token&.token=x,".repeat(100_000),
        "urls" => "a://b:c".repeat(100_000),
        "pem" => "-----BEGIN RSA PRIVATE KEY-----\nabc\n".repeat(100_000),
        "basic" => "basic basic bearer ".repeat(100_000),
        "cookie" => "cookie: a=b".repeat(100_000),
        "quotes" => "pwd=\"\\\"pwd='\\'pwd=`".repeat(100_000),
        _ => "x".repeat(100_000),
    })
}

const HOSTILE: &[&str] = &[
    "eyJ",
    "eyJ-",
    "eyJ.",
    "sk-",
    "password=",
    "password",
    "token:",
    "token&",
    "urls",
    "pem",
    "basic",
    "cookie",
    "quotes",
];

#[divan::bench(args = ["plain", "normal", "dense"])]
fn one_shot(bencher: Bencher<'_, '_>, name: &str) {
    let (text, redactor) = (text(name), Redactor::builtin());
    bencher.counter(BytesCount::of_str(&text)).bench(|| redactor.redact(&text).len());
}

fn streamed(bencher: Bencher<'_, '_>, text: &str, size: usize) {
    let redactor = Redactor::builtin();
    let mut out = Vec::with_capacity(2 * text.len());
    bencher.counter(BytesCount::of_str(text)).bench_local(|| {
        out.clear();
        let mut stream = redactor.stream();
        for chunk in text.as_bytes().chunks(size) {
            stream.push(chunk, &mut out);
        }
        stream.finish(&mut out);
        out.len()
    });
}

#[divan::bench(args = ["plain", "normal", "dense"])]
fn stream_64k(bencher: Bencher<'_, '_>, name: &str) {
    streamed(bencher, &text(name), 64 * 1024);
}

#[divan::bench(args = ["plain", "normal", "dense"])]
fn stream_8k(bencher: Bencher<'_, '_>, name: &str) {
    streamed(bencher, &text(name), 8 * 1024);
}

#[divan::bench(args = ["plain", "normal", "dense"])]
fn stream_128(bencher: Bencher<'_, '_>, name: &str) {
    streamed(bencher, &text(name), 128);
}

#[divan::bench(args = HOSTILE, sample_count = 5)]
fn hostile_64k(bencher: Bencher<'_, '_>, name: &str) {
    streamed(bencher, &text(name), 64 * 1024);
}

#[divan::bench(args = HOSTILE, sample_count = 5)]
fn hostile_128(bencher: Bencher<'_, '_>, name: &str) {
    streamed(bencher, &text(name), 128);
}

#[divan::bench]
fn memcpy(bencher: Bencher<'_, '_>) {
    let text = text("plain");
    let mut out = vec![0; text.len()];
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| {
        out.copy_from_slice(divan::black_box(text.as_bytes()));
        out[0]
    });
}

/// What a redactor out of regular expressions costs that only asks whether any matches.
#[divan::bench(args = ["plain", "normal"], sample_count = 5)]
fn regex_set(bencher: Bencher<'_, '_>, name: &str) {
    let text = text(name);
    let set = regex::bytes::RegexSet::new([
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
    .unwrap_or_default();
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| text.as_bytes().split(|b| *b == b'\n').filter(|line| set.is_match(line)).count());
}
