//! What a command writes, on its way from the spool into a result.
//!
//! Bytes pass a streaming redactor, one for each stream, in the order in which they were written
//! and from the first byte on, whichever attempt reads them; only what comes out of it is kept:
//! half the cap from the beginning, half from the end. Memory is bounded by the cap.

use std::collections::{BTreeMap, VecDeque};

use airlock_redaction::{Redactor, Report, Stream};

/// Longest tail of a heartbeat, in bytes.
const RECENT: usize = airlock_contract::Heartbeat::MAX_TAIL_BYTES;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Out,
    Err,
}

/// Both streams of one command.
pub(crate) struct Capture {
    out: Captured,
    err: Captured,
    recent: VecDeque<u8>,
    redactor: Redactor,
}

/// One stream.
struct Captured {
    stream: Stream,
    /// The same bytes once more for heartbeats: it may be asked to show what is not settled, which
    /// would make the result depend on when it was asked.
    shown: Stream,
    /// Bytes taken from the spool: where the next read begins.
    offset: u64,
    /// Bytes that the command wrote and that were never read.
    skipped: u64,
    kept: HeadTail,
    report: Report,
}

/// Both streams as a result shows them.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Texts {
    pub(crate) stdout: Text,
    pub(crate) stderr: Text,
    pub(crate) redactions: BTreeMap<String, u64>,
}

/// One stream as a result shows it.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Text {
    #[serde(rename = "text")]
    pub(crate) kept: String,
    /// Bytes that the command wrote.
    pub(crate) bytes: u64,
    pub(crate) truncated: bool,
}

impl Capture {
    /// Keeps at most `cap` bytes of each stream.
    pub(crate) fn new(redactor: &Redactor, cap: usize) -> Self {
        let captured = || Captured {
            stream: redactor.stream(),
            shown: redactor.stream(),
            offset: 0,
            skipped: 0,
            kept: HeadTail::new(cap),
            report: Report::default(),
        };
        Self {
            out: captured(),
            err: captured(),
            recent: VecDeque::with_capacity(RECENT),
            redactor: redactor.clone(),
        }
    }

    fn channel(&mut self, channel: Channel) -> &mut Captured {
        match channel {
            Channel::Out => &mut self.out,
            Channel::Err => &mut self.err,
        }
    }

    /// Where the next read of the spool begins.
    pub(crate) fn offset(&self, channel: Channel) -> u64 {
        match channel {
            Channel::Out => self.out.offset,
            Channel::Err => self.err.offset,
        }
    }

    /// Takes the next bytes of the spool.
    pub(crate) fn push(&mut self, channel: Channel, chunk: &[u8]) {
        let captured = self.channel(channel);
        captured.offset += chunk.len() as u64;
        let mut clean = Vec::with_capacity(chunk.len());
        captured.stream.push(chunk, &mut clean);
        captured.kept.push(&clean);
        clean.clear();
        captured.shown.push(chunk, &mut clean);
        self.show(&clean);
    }

    /// Nothing new came for a while: heartbeats show what can be shown of the end.
    pub(crate) fn idle(&mut self, channel: Channel) {
        let mut clean = Vec::new();
        self.channel(channel).shown.idle(&mut clean);
        self.show(&clean);
    }

    /// Goes on with `rest` after a gap of `skipped` bytes that nobody kept. What stood at both its
    /// edges may be half a secret, so the redactor starts anew and the first line after the gap is
    /// dropped; and the lines after it that may be the rest of a private key whose beginning
    /// nobody has seen.
    pub(crate) fn gap(&mut self, channel: Channel, skipped: u64, rest: &[u8]) {
        let stream = self.redactor.stream();
        let captured = self.channel(channel);
        let before = std::mem::replace(&mut captured.stream, stream);
        captured.skipped += skipped;
        let mut clean = Vec::new();
        captured.report.merge(&before.finish(&mut clean));
        captured.kept.gap();
        let body = key_body(rest);
        captured.skipped += body.len() as u64;
        self.push(channel, &rest[..body.start]);
        self.push(channel, &rest[body.end..]);
    }

    fn show(&mut self, clean: &[u8]) {
        let from = clean.len().saturating_sub(RECENT);
        self.recent.extend(&clean[from..]);
        let over = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..over);
    }

    /// The end of what was written lately, redacted; at most 2 KiB.
    pub(crate) fn tail(&self) -> String {
        let bytes: Vec<u8> = self.recent.iter().copied().collect();
        let mut text = lossy(trim_start(&bytes));
        while text.len() > RECENT {
            // Replacement characters are longer than the bytes that they stand for.
            let cut = text.len() - RECENT;
            let at = (cut..=text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(text.len());
            text.drain(..at);
        }
        text
    }

    /// Ends both streams.
    pub(crate) fn finish(mut self) -> Texts {
        let mut texts = Texts::default();
        let mut report = Report::default();
        for channel in [Channel::Out, Channel::Err] {
            let fresh = self.redactor.stream();
            let captured = self.channel(channel);
            let mut clean = Vec::new();
            let stream = std::mem::replace(&mut captured.stream, fresh);
            report.merge(&stream.finish(&mut clean));
            report.merge(&captured.report);
            captured.kept.push(&clean);
            let (text, truncated) = captured.kept.text();
            let bytes = captured.offset + captured.skipped;
            let text = Text { kept: text, bytes, truncated };
            match channel {
                Channel::Out => texts.stdout = text,
                Channel::Err => texts.stderr = text,
            }
        }
        texts.redactions = report.counts;
        texts
    }
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture")
            .field("out", &self.out.offset)
            .field("err", &self.err.offset)
            .finish_non_exhaustive()
    }
}

/// The beginning and the end of a stream, half the cap each.
struct HeadTail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    cut: u64,
    /// Drop everything up to the end of this line.
    in_cut_line: bool,
}

impl HeadTail {
    fn new(cap: usize) -> Self {
        let half = (cap / 2).max(1);
        Self { head: Vec::new(), tail: VecDeque::new(), half, cut: 0, in_cut_line: false }
    }

    fn push(&mut self, mut bytes: &[u8]) {
        if self.in_cut_line {
            let Some(end) = bytes.iter().position(|&b| b == b'\n') else {
                self.cut += bytes.len() as u64;
                return;
            };
            self.in_cut_line = false;
            self.cut += end as u64 + 1;
            bytes = &bytes[end + 1..];
        }
        if self.tail.is_empty() && self.cut == 0 {
            let room = (self.half - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
        }
        let over = (self.tail.len() + bytes.len()).saturating_sub(self.half);
        let from_tail = over.min(self.tail.len());
        self.tail.drain(..from_tail);
        self.tail.extend(&bytes[over - from_tail..]);
        self.cut += over as u64;
    }

    /// What follows is not what came next.
    fn gap(&mut self) {
        self.cut += self.tail.len() as u64;
        self.tail.clear();
        self.in_cut_line = true;
        self.cut = self.cut.max(1);
    }

    fn text(&self) -> (String, bool) {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.cut == 0 {
            let mut all = self.head.clone();
            all.extend_from_slice(&tail);
            return (lossy(&all), false);
        }
        let head = lossy(trim_end(&self.head));
        let tail = lossy(trim_start(&tail));
        (format!("{head}\n[... output cut here ...]\n{tail}"), true)
    }
}

/// After the first line of `rest`: the lines that hold nothing but base64 in a width that keys are
/// written in, to the end of such a key.
fn key_body(rest: &[u8]) -> std::ops::Range<usize> {
    const WIDTH: usize = 40;
    let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/=".contains(b);
    let is_end = |line: &[u8]| line.starts_with(b"-----END");
    let start = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
    let mut end = start;
    let mut lines = rest[start..].split_inclusive(|&b| b == b'\n').peekable();
    while let Some(line) = lines.next() {
        let bare = line.trim_ascii_end();
        let is_last = lines.peek().is_some_and(|next| is_end(next));
        let of_key = !bare.is_empty() && bare.iter().all(is_base64);
        if !is_end(line) && !(of_key && (is_last || bare.len() >= WIDTH)) {
            break;
        }
        end += line.len();
        if is_end(line) {
            break;
        }
    }
    start..end
}

/// Text from bytes; NUL becomes the replacement character too, since many readers stop at it.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

/// Without the rest of a character that begins before the slice.
fn trim_start(bytes: &[u8]) -> &[u8] {
    let skip = bytes.iter().take(3).take_while(|&&b| b & 0xC0 == 0x80).count();
    &bytes[skip..]
}

/// Without the beginning of a character that goes on after the slice.
fn trim_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(cap: usize) -> Capture {
        Capture::new(&Redactor::builtin(), cap)
    }

    #[test]
    fn short_output_is_whole_and_long_output_keeps_both_ends() {
        let mut short = capture(100);
        short.push(Channel::Out, "grüße\n".as_bytes());
        let texts = short.finish();
        assert_eq!((texts.stdout.kept.as_str(), texts.stdout.truncated), ("grüße\n", false));

        let mut long = capture(100);
        for i in 0..1000 {
            long.push(Channel::Out, format!("line {i}\n").as_bytes());
        }
        let texts = long.finish();
        assert!(texts.stdout.truncated);
        assert!(texts.stdout.kept.starts_with("line 0\n"), "{}", texts.stdout.kept);
        assert!(texts.stdout.kept.ends_with("line 999\n"), "{}", texts.stdout.kept);
        assert!(texts.stdout.kept.len() < 200);
        let written: usize = (0..1000).map(|i| format!("line {i}\n").len()).sum();
        assert_eq!(texts.stdout.bytes, written as u64);
    }

    #[test]
    fn after_a_gap_the_broken_line_is_dropped() {
        let mut capture = capture(100);
        capture.push(Channel::Out, b"first\nsec");
        capture.gap(Channel::Out, 5000, b"ret-rest\nlast\n");
        let texts = capture.finish();
        assert!(!texts.stdout.kept.contains("ret-rest"), "{}", texts.stdout.kept);
        assert!(texts.stdout.kept.ends_with("last\n"));
        assert_eq!(texts.stdout.bytes, 9 + 5000 + 14);
    }

    #[test]
    fn after_a_gap_the_rest_of_a_key_is_dropped() {
        let mut capture = capture(1000);
        capture.push(Channel::Out, b"first\n");
        let body =
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj".to_owned() + "\r\n";
        let rest = format!("cut\n{body}{body}Zm9vYmFy\n-----END PRIVATE KEY-----\nafter\n{body}");
        capture.gap(Channel::Out, 5000, rest.as_bytes());
        let texts = capture.finish();
        let (before, after) = texts.stdout.kept.split_once("after").unwrap();
        assert!(!before.contains("MIIE") && !before.contains("Zm9v"), "{before}");
        assert!(after.contains("MIIE"), "what comes later is no part of it: {after}");
        assert_eq!(texts.stdout.bytes, 6 + 5000 + rest.len() as u64);
    }

    #[test]
    fn a_heartbeat_tail_is_never_longer_than_it_may_be() {
        let mut capture = capture(100);
        capture.push(Channel::Out, &[0xff; 10_000]);
        capture.push(Channel::Out, b"\n");
        assert!(capture.tail().len() <= RECENT);
    }
}
