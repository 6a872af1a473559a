//! The piece of the stream that a rule may look at, and what a rule answers.
//!
//! A rule is a pure function of the bytes around its anchor: at most [`LOOK_BACK`] before
//! it and [`LOOK_AHEAD`] after it. Where the bytes seen so far do not decide, it answers
//! [`Verdict::More`] instead of guessing. That is why the output cannot depend on how the
//! stream was cut.

use crate::class::Class;

/// Bytes before an anchor that a rule may read.
pub(crate) const LOOK_BACK: usize = 128;
/// Bytes before an anchor where a span may begin, and so what is held back at least.
pub(crate) const HOLD_BACK: usize = 96;
/// Bytes after an anchor that a rule may wait for before it must decide.
pub(crate) const LOOK_AHEAD: usize = 15 * 1024;

/// What a rule says about one anchor. Positions are relative to the text's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not a secret.
    No,
    /// A secret from `start` to `end`.
    Hit { start: usize, end: usize },
    /// A secret for certain, that lasts as long as bytes of `class` follow from `from` on.
    Grow { start: usize, from: usize, class: Class },
    /// A private key's body begins at `from`; see [`crate::pem`].
    Pem { start: usize, from: usize },
    /// Undecided until there are more bytes, for as long as all bytes from `from` on are
    /// of `class` (any byte, if none). What may turn out secret begins at `start`.
    More { start: usize, from: usize, class: Option<Class> },
}

/// Bytes of the stream, with the part that a rule may see.
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    /// Absolute position of the first byte, for the cache.
    base: usize,
    end: usize,
    complete: bool,
    limited: bool,
    runs: &'a mut Runs,
}

/// A run of one class that begins where it was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) end: usize,
    /// It reached the last byte seen, so it may go on.
    pub(crate) open: bool,
}

impl<'a> Text<'a> {
    /// `complete` says that nothing follows the bytes.
    pub(crate) fn new(bytes: &'a [u8], base: usize, complete: bool, runs: &'a mut Runs) -> Self {
        Self { bytes, base, end: bytes.len(), complete, limited: false, runs }
    }

    /// Limits what is seen to `LOOK_AHEAD` bytes after the anchor.
    pub(crate) fn limit(&mut self, anchor: usize) {
        let end = anchor.saturating_add(LOOK_AHEAD);
        self.limited = end <= self.bytes.len();
        self.end = end.min(self.bytes.len());
    }

    /// Whether the limit was reached: a rule that still wants more does not get it.
    pub(crate) fn limited(&self) -> bool {
        self.limited
    }

    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// Whether the byte at `end()` is known not to exist.
    pub(crate) fn complete(&self) -> bool {
        self.complete && !self.limited
    }

    pub(crate) fn get(&self, at: usize) -> Option<u8> {
        if at < self.end { self.bytes.get(at).copied() } else { None }
    }

    /// From `from` to the end of what is seen.
    pub(crate) fn rest(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..self.end).unwrap_or_default()
    }

    pub(crate) fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.bytes.get(from..to.min(self.end)).unwrap_or_default()
    }

    /// The look-behind of an anchor.
    pub(crate) fn before(&self, anchor: usize) -> &'a [u8] {
        &self.bytes[anchor.saturating_sub(LOOK_BACK)..anchor]
    }

    pub(crate) fn previous(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|at| self.bytes.get(at)).copied()
    }

    /// The run of `class` from `from` on. Each byte is walked once a class however many
    /// anchors ask, so a hostile run costs no more than an honest one.
    pub(crate) fn run(&mut self, class: Class, from: usize) -> Run {
        let end = self.runs.end(class, self.base, self.bytes, from).min(self.end.max(from));
        Run { end, open: end >= self.end && !self.complete() }
    }
}

/// Runs already walked: the last few of each class, at absolute positions.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    known: [[(usize, usize); WAYS]; Class::COUNT],
    next: [u8; Class::COUNT],
}

const WAYS: usize = 4;

impl Runs {
    pub(crate) const fn new() -> Self {
        Self { known: [[(0, 0); WAYS]; Class::COUNT], next: [0; Class::COUNT] }
    }

    fn end(&mut self, class: Class, base: usize, bytes: &[u8], from: usize) -> usize {
        let index = class.index();
        let at = base + from;
        for known in &mut self.known[index] {
            if known.0 <= at && at < known.1 {
                let walked = known.1 - base;
                if walked < bytes.len() && !class.has(bytes[walked]) {
                    return walked;
                }
                let end = walked + class.run(bytes.get(walked..).unwrap_or_default());
                known.1 = base + end;
                return end;
            }
        }
        let length = class.run(bytes.get(from..).unwrap_or_default());
        if length > 32 {
            let way = usize::from(self.next[index]);
            self.known[index][way] = (at, at + length);
            self.next[index] = (self.next[index] + 1) % 4;
        }
        from + length
    }
}
