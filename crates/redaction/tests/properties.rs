//! What holds for every text, however it is cut.

mod corpus;

use airlock_redaction::{CustomPattern, Redactor};
use corpus::{Corpus, Dice, HARMLESS, LINES, SECRETS};
use proptest::prelude::*;

/// Pieces that rules are made of, glued at random: mostly nonsense, near every edge.
const SHARDS: &[&str] = &[
    "eyJ",
    "eyJhbGciOiJIUzI1NiJ9",
    ".",
    "-",
    "_",
    "=",
    "==",
    ":",
    "://",
    "@",
    "\n",
    "\r\n",
    "\\n",
    "\"",
    "'",
    "\\\"",
    "\\",
    " ",
    "  ",
    "\t",
    "&",
    ";",
    ",",
    "password",
    "password=",
    "Password: ",
    "PASSWORD=",
    "token",
    "secret",
    "api_key",
    "_KEY=",
    "authorization",
    "Authorization: Bearer ",
    "Basic ",
    "bearer ",
    "Cookie: a=",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----END RSA PRIVATE KEY-----",
    "PRIVATE KEY-----",
    "ghp_",
    "sk-",
    "sk-ant-",
    "AKIA",
    "AIza",
    "xoxb-",
    "npm_",
    "e2b_",
    "SG.",
    ":AA",
    "Q~",
    "-us",
    "SK",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "0123456789abcdef0123456789abcdef01234567",
    "Zx81Kq0PwL4mNc7RtYvB2gHs",
    "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
    "https://u:",
    "${X}",
    "<x>",
    "***",
    "[REDACTED:password]",
    "[REDACTED:",
    "]",
    "login me ",
    "machine h ",
    ":5432:",
    " -u ",
    "--password ",
    "\u{e4}\u{1f511}",
    "\u{1b}[32m",
    "%20",
    "{",
    "}",
    "(",
    ")",
    "known-Value-123",
    "a25vd24tVmFsdWUtMTIz",
    "MIIEpAIBAAKCAQEA0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJK",
    "TICKET-",
    "1234",
    "x",
    "Y",
    "7",
];

#[expect(
    clippy::expect_used,
    reason = "a test's own pattern; clippy sees tests by attribute alone"
)]
fn redactor() -> Redactor {
    Redactor::builder()
        .known_value("A", "known-Value-123".to_owned().into())
        .known_value("B", "line one of a key\nline two of a key 77".to_owned().into())
        .custom(CustomPattern {
            name: "ticket".into(),
            regex: "TICKET-[0-9]{4}".into(),
            ..CustomPattern::default()
        })
        .build()
        .expect("a pattern and values that are right")
}

fn streamed(redactor: &Redactor, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    let mut from = 0;
    for &cut in cuts {
        stream.push(&text[from..cut], &mut out);
        assert!(stream.held_back() <= 16 * 1024, "{} held back", stream.held_back());
        from = cut;
    }
    stream.push(&text[from..], &mut out);
    stream.finish(&mut out);
    out
}

/// `AIRLOCK_LONG_TESTS=1` asks for thirty times as many.
fn rounds(few: u64) -> u64 {
    few * std::env::var_os("AIRLOCK_LONG_TESTS").map_or(1, |_| 30)
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn glued(dice: &mut Dice, pieces: usize) -> String {
    (0..pieces)
        .map(|_| match dice.below(8) {
            0 => {
                let (_, template) = *dice.pick(SECRETS);
                dice.fill(template).replace(['«', '»'], "")
            }
            1 => {
                let line = *dice.pick(HARMLESS);
                dice.fill(line)
            }
            2 => {
                let line = *dice.pick(LINES);
                dice.fill(line)
            }
            _ => (*dice.pick(SHARDS)).to_owned(),
        })
        .collect()
}

#[test]
fn every_split_gives_the_same_bytes() {
    let redactor = redactor();
    for seed in 0..rounds(20) {
        let text = glued(&mut Dice::new(seed), 25);
        let whole = redactor.redact_bytes(text.as_bytes()).into_owned();
        for cut in 0..=text.len() {
            let out = streamed(&redactor, text.as_bytes(), &[cut]);
            assert_eq!(show(&out), show(&whole), "seed {seed} cut at {cut} of {text:?}");
        }
    }
}

#[test]
fn every_secret_split_anywhere_gives_the_same_bytes() {
    let redactor = redactor();
    let mut dice = Dice::new(5);
    for (kind, template) in SECRETS {
        let line = dice.fill(template).replace(['«', '»'], "");
        let text = format!("before {line} after\n");
        let whole = redactor.redact_bytes(text.as_bytes()).into_owned();
        for cut in 0..=text.len() {
            let out = streamed(&redactor, text.as_bytes(), &[cut]);
            assert_eq!(show(&out), show(&whole), "{kind} cut at {cut} of {text:?}");
        }
    }
}

#[test]
fn any_chunk_size_gives_the_same_bytes() {
    let redactor = redactor();
    for seed in 0..rounds(80) {
        let text = glued(&mut Dice::new(seed + 1000), 60);
        let whole = redactor.redact_bytes(text.as_bytes()).into_owned();
        for size in [1, 2, 3, 7, 31, 128] {
            let cuts: Vec<usize> = (size..text.len()).step_by(size).collect();
            let out = streamed(&redactor, text.as_bytes(), &cuts);
            assert_eq!(show(&out), show(&whole), "seed {seed} chunks of {size} of {text:?}");
        }
    }
}

/// Where two texts part, with what stands around.
fn parting(a: &str, b: &str) -> String {
    let at = a.bytes().zip(b.bytes()).position(|(a, b)| a != b).unwrap_or(0);
    let around =
        |text: &str| show(&text.as_bytes()[at.saturating_sub(90)..text.len().min(at + 50)]);
    format!("{:?}\n  {:?}", around(a), around(b))
}

#[test]
fn redacting_twice_changes_nothing() {
    let redactor = redactor();
    let mut changed = Vec::new();
    for seed in 0..rounds(600) {
        let text = glued(&mut Dice::new(seed + 5000), 30);
        let once = redactor.redact(&text).into_owned();
        let twice = redactor.redact(&once);
        if twice != once {
            changed.push(format!("seed {seed}: {}", parting(&once, &twice)));
        }
    }
    assert!(changed.is_empty(), "{} changed:\n{}", changed.len(), changed.join("\n"));
}

#[test]
fn nothing_but_markers_is_added() {
    let redactor = redactor();
    for seed in 0..rounds(60) {
        let text = glued(&mut Dice::new(seed + 9000), 40);
        let (clean, report) = redactor.redact_report(&text);
        let markers: u64 = report
            .counts
            .iter()
            .map(|(kind, n)| n * ("[REDACTED:]".len() + kind.len()) as u64)
            .sum();
        assert!(clean.len() as u64 <= text.len() as u64 + markers, "{text:?}");
    }
}

#[test]
fn a_long_run_is_swallowed_and_little_is_held_back() {
    let redactor = redactor();
    for lead in [
        "ghp_",
        "eyJ",
        "password=",
        "token: \"",
        "Authorization: Bearer ",
        "https://u:",
        "Cookie: a=",
    ] {
        let text = format!("x {lead}{} y\n", "aB3x".repeat(20_000));
        let whole = redactor.redact_bytes(text.as_bytes()).into_owned();
        let cuts: Vec<usize> = (100..text.len()).step_by(100).collect();
        assert_eq!(show(&streamed(&redactor, text.as_bytes(), &cuts)), show(&whole), "{lead}");
    }
}

#[test]
fn little_is_held_back_of_ordinary_output() {
    let redactor = Redactor::builtin();
    let corpus = Corpus::new(3, 2000, 0, 0);
    let mut stream = redactor.stream();
    let (mut out, mut most) = (Vec::new(), 0);
    for chunk in corpus.text.as_bytes().chunks(997) {
        stream.push(chunk, &mut out);
        most = most.max(stream.held_back());
    }
    assert!(most <= 192, "{most} held back");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: u32::try_from(rounds(64)).unwrap_or(u32::MAX), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_cuts_give_the_same_output(
        picks in prop::collection::vec((0..SHARDS.len(), any::<u8>(), any::<bool>()), 0..60),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let redactor = redactor();
        let mut text = Vec::new();
        for (shard, byte, raw) in picks {
            if raw { text.push(byte) } else { text.extend_from_slice(SHARDS[shard].as_bytes()) }
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = redactor.redact_bytes(&text).into_owned();
        prop_assert_eq!(show(&streamed(&redactor, &text, &cuts)), show(&whole));
        let twice = redactor.redact_bytes(&whole).into_owned();
        prop_assert_eq!(show(&twice), show(&whole));
    }
}
