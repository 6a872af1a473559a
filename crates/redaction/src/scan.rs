//! The scanner: anchors to verdicts, verdicts to spans, spans to output.
//!
//! Positions are absolute in the stream. The set of spans is a function of the stream
//! alone; a byte goes out once every span that could begin before it is known, and the
//! first span of an overlapping group names the marker. So the output is a function of
//! the stream alone too.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::class::Class;
use crate::compiled::Compiled;
use crate::gate::Trust;
use crate::index::{Anchor, Candidate, LONGEST_LITERAL, Rule};
use crate::pem::Pem;
use crate::report::Report;
use crate::text::{HOLD_BACK, Runs, Text, Verdict};
use crate::{custom, special};

/// A secret found.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    rank: u8,
    kind: u16,
    growth: Growth,
}

/// Whether a span may still become longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    Done,
    Run(Class),
    /// Letters and digits glued to a secret's end at `from` go with it, and if there are any, all
    /// of the word: no token begins where the marker ends that did not begin before, and none is
    /// left over of a token that stood there glued.
    Glue {
        from: usize,
    },
    Pem {
        state: Pem,
        from: usize,
    },
}

/// An anchor that waits for more bytes; the scan stands still at it.
#[derive(Clone, Copy, Debug)]
struct Pending {
    start: usize,
    from: usize,
    class: Option<Class>,
    /// No more is waited for beyond this.
    limit: usize,
    kind: u16,
}

/// The state of one stream between two pieces.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    /// Next position to look up.
    position: usize,
    /// All before is written or masked.
    written: usize,
    /// End of the group of spans whose marker was written last.
    masked: usize,
    /// Bytes of output so far.
    emitted: usize,
    spans: Vec<Span>,
    /// The last value that is secret as far as it reaches: no name in it adds anything.
    swallowed: (usize, usize),
    pending: Option<Pending>,
    runs: Runs,
    lines: custom::Lines,
    report: Report,
}

impl Scanner {
    pub(crate) const fn new() -> Self {
        Self {
            position: 0,
            written: 0,
            masked: 0,
            emitted: 0,
            spans: Vec::new(),
            swallowed: (0, 0),
            pending: None,
            runs: Runs::new(),
            lines: custom::Lines::new(),
            report: Report::new(),
        }
    }

    /// Nothing before this is needed any more.
    pub(crate) fn needed_from(&self, compiled: &Compiled) -> usize {
        let lines = self.lines.start(compiled);
        let pem = self.spans.iter().filter_map(|span| match span.growth {
            Growth::Pem { from, .. } => Some(from),
            _ => None,
        });
        pem.fold(self.position.min(self.written).min(lines), usize::min)
    }

    /// Bytes before `end` that are neither written nor masked.
    pub(crate) fn held_back(&self, end: usize) -> usize {
        end.saturating_sub(self.written)
    }

    /// Whether nothing was found in a text that is over.
    pub(crate) fn is_clean(&self) -> bool {
        self.spans.is_empty() && self.masked == 0
    }

    /// Looks at `bytes`, which begin at absolute position `base`.
    pub(crate) fn advance(
        &mut self,
        compiled: &Compiled,
        bytes: &[u8],
        base: usize,
        complete: bool,
    ) {
        if !self.spans.is_empty() {
            self.grow(bytes, base, complete, false);
        }
        let (lines, spans, runs) = (&mut self.lines, &mut self.spans, &mut self.runs);
        lines.advance(compiled, bytes, base, complete, |start, end, kind| {
            let growth = Growth::Glue { from: end };
            let mut span = Span { start, end, rank: RANK_CUSTOM, kind, growth };
            extend(&mut span, runs, bytes, base, complete);
            spans.push(span);
        });
        if !complete && self.still_waits(bytes, base) {
            return;
        }
        self.pending = None;
        self.search(compiled, bytes, base, complete);
    }

    /// Whether the new bytes only continue the run that the anchor waits at the end of.
    fn still_waits(&mut self, bytes: &[u8], base: usize) -> bool {
        let end = base + bytes.len();
        let Some(pending) = &mut self.pending else { return false };
        let Some(class) = pending.class.filter(|_| end < pending.limit) else { return false };
        let from = pending.from.max(base);
        pending.from = from + class.run(&bytes[from - base..]);
        pending.from == end
    }

    fn search(&mut self, compiled: &Compiled, bytes: &[u8], base: usize, complete: bool) {
        let index = &compiled.index;
        let mut at = self.position - base;
        let to =
            if complete { bytes.len() } else { bytes.len().saturating_sub(LONGEST_LITERAL + 2) };
        loop {
            match index.next(bytes, at, to) {
                Ok(passed) => {
                    at = passed.next;
                    for hit in passed {
                        for candidate in index.candidates(bytes, hit) {
                            self.try_candidate(compiled, candidate, bytes, base, complete);
                        }
                        if self.pending.is_some() {
                            self.position = base + hit;
                            return;
                        }
                    }
                }
                Err(end) => {
                    self.position = base + end.max(at);
                    break;
                }
            }
        }
        if complete {
            // The filter steps by two and may leave the last trigram out.
            if let Some(last) = bytes.len().checked_sub(3) {
                for candidate in index.candidates(bytes, last) {
                    self.try_candidate(compiled, candidate, bytes, base, true);
                }
            }
        }
    }

    fn try_candidate(
        &mut self,
        compiled: &Compiled,
        candidate: Candidate,
        bytes: &[u8],
        base: usize,
        complete: bool,
    ) {
        let anchor = compiled.index.anchor(candidate.anchor);
        let (from, to) = self.swallowed;
        let at = base + candidate.start;
        // Name, separator and the value's first byte lie in it, so the value ends where it ends.
        if matches!(anchor.rule, Rule::Word(_)) && from <= at && at + LONGEST_NAME <= to {
            return;
        }
        crate::work::count(16);
        let mut text = Text::new(bytes, base, complete, &mut self.runs);
        text.limit(candidate.start);
        let verdict = verify(compiled, anchor, candidate, &mut text);
        let limited = text.limited();
        let end = text.end();
        match verdict {
            Verdict::More { start, from, class } if !limited => {
                let (start, from) = (base + start, base + from);
                let limit = base + candidate.start + crate::text::LOOK_AHEAD;
                let kind = anchor.kind;
                let pending = Pending { start, from, class, limit, kind };
                // The first to wait holds what begins first.
                self.pending = Some(match self.pending {
                    None => pending,
                    Some(other) => Pending {
                        start: other.start.min(start),
                        class: None,
                        limit: other.limit.min(limit),
                        ..pending
                    },
                });
            }
            Verdict::More { start, from, class: Some(class) } => {
                self.push(Verdict::Grow { start, from, class }, anchor, bytes, base, complete);
            }
            Verdict::More { start, .. } => {
                self.push(Verdict::Hit { start, end }, anchor, bytes, base, complete);
            }
            verdict => self.push(verdict, anchor, bytes, base, complete),
        }
    }

    fn push(
        &mut self,
        verdict: Verdict,
        anchor: &Anchor,
        bytes: &[u8],
        base: usize,
        complete: bool,
    ) {
        let (start, end, growth) = match verdict {
            Verdict::No | Verdict::More { .. } => return,
            Verdict::Hit { start, end } => (start, end, Growth::Glue { from: base + end }),
            Verdict::Grow { start, from, class } => (start, from, Growth::Run(class)),
            Verdict::Pem { start, from } => {
                (start, from, Growth::Pem { state: Pem::default(), from: base + from })
            }
        };
        let &Anchor { kind, rank, .. } = anchor;
        let mut span = Span { start: base + start, end: base + end, rank, kind, growth };
        extend(&mut span, &mut self.runs, bytes, base, complete);
        if growth == Growth::Run(Class::VALUE) {
            self.swallowed = (span.start, span.end);
        }
        if span.end > span.start && !self.spans.iter().rev().take(8).any(|s| covers(s, &span)) {
            self.spans.push(span);
        }
    }

    fn grow(&mut self, bytes: &[u8], base: usize, complete: bool, idle: bool) {
        crate::work::count(self.spans.len());
        for span in &mut self.spans {
            if idle && let Growth::Pem { from, .. } = span.growth {
                span.end = span.end.max(from).max(base + bytes.len());
            } else if span.growth != Growth::Done {
                let swallows = span.growth == Growth::Run(Class::VALUE);
                extend(span, &mut self.runs, bytes, base, complete);
                if swallows {
                    self.swallowed = (span.start, span.end);
                }
            }
        }
    }

    /// Writes what is settled.
    pub(crate) fn emit(
        &mut self,
        compiled: &Compiled,
        bytes: &[u8],
        base: usize,
        complete: bool,
        out: &mut Vec<u8>,
    ) {
        let end = base + bytes.len();
        let mut settled = if complete { end } else { self.position.saturating_sub(HOLD_BACK) };
        if let Some(pending) = self.pending {
            settled = settled.min(pending.start);
        }
        settled = settled.min(self.lines.settled(compiled));
        for span in &self.spans {
            if let Growth::Pem { .. } = span.growth {
                settled = settled.min(span.end);
            }
        }
        self.write(compiled, bytes, base, settled, out);
    }

    fn write(
        &mut self,
        compiled: &Compiled,
        bytes: &[u8],
        base: usize,
        settled: usize,
        out: &mut Vec<u8>,
    ) {
        crate::work::count(self.spans.len());
        let before = out.len();
        if self.spans.len() > 1 {
            self.spans.sort_by_key(|s| (s.start, s.rank, Reverse(s.end), s.kind));
        }
        for span in self.spans.iter().take_while(|span| span.start < settled) {
            if span.start < self.masked || span.end <= self.written {
                if span.end > self.masked {
                    self.masked = span.end;
                    self.report.extend(span.end);
                }
                self.written = self.written.max(self.masked);
                continue;
            }
            let start = span.start.max(self.written);
            out.extend_from_slice(&bytes[self.written - base..start - base]);
            let marker = self.emitted + out.len() - before;
            self.report.add(compiled.kind(span.kind), start, span.end, marker);
            compiled.marker(span.kind, out);
            self.masked = span.end;
            self.written = span.end;
        }
        self.spans.retain(|span| span.growth != Growth::Done || span.start >= settled);
        self.written = self.written.max(self.masked.min(base + bytes.len()));
        if settled > self.written {
            out.extend_from_slice(&bytes[self.written - base..settled - base]);
            self.written = settled;
        }
        self.emitted += out.len() - before;
    }

    /// The stream pauses without a line's end, as at a prompt: write all but what may be a
    /// secret, mask that, and swallow what follows of it.
    pub(crate) fn idle(
        &mut self,
        compiled: &Compiled,
        bytes: &[u8],
        base: usize,
        out: &mut Vec<u8>,
    ) {
        let end = base + bytes.len();
        self.mask_pending(end);
        // What may have begun in the last bytes, which are too short for a whole literal.
        let position = self.position;
        let from = self.position.max(base) - base;
        for at in from..bytes.len().saturating_sub(2) {
            for candidate in compiled.index.candidates(bytes, at) {
                self.try_candidate(compiled, candidate, bytes, base, false);
                self.mask_pending(end);
            }
        }
        self.position = position;
        if let Some(length) = compiled.partial_known(bytes) {
            let start = end - length;
            let kind = compiled.known_kind();
            let growth = Growth::Run(Class::VALUE);
            self.spans.push(Span { start, end, rank: RANK_CUSTOM, kind, growth });
        }
        self.grow(bytes, base, false, true);
        self.write(compiled, bytes, base, end, out);
        self.lines.skip_to(end);
    }

    /// Goes on under `new` rules: what is open keeps the name it has under the `old` ones.
    pub(crate) fn swap(&mut self, old: &Compiled, new: &Arc<Compiled>) -> Arc<Compiled> {
        let mut new = Arc::clone(new);
        let spans = self.spans.iter_mut().map(|span| &mut span.kind);
        for kind in spans.chain(self.pending.as_mut().map(|pending| &mut pending.kind)) {
            let name = old.kind(*kind);
            *kind = match new.find_kind(name) {
                Some(number) => number,
                None => Arc::make_mut(&mut new).number(name),
            };
        }
        if old.customs.is_empty() {
            self.lines.skip_to(self.written);
        }
        new
    }

    fn mask_pending(&mut self, end: usize) {
        let Some(pending) = self.pending.take() else { return };
        if pending.start < end {
            let growth = Growth::Run(pending.class.unwrap_or(Class::VALUE));
            let Pending { start, kind, .. } = pending;
            self.spans.push(Span { start, end, rank: RANK_CUSTOM, kind, growth });
        }
    }

    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }
}

const RANK_CUSTOM: u8 = 1;
/// A name's word, its suffix and a separator are never longer together.
const LONGEST_NAME: usize = LONGEST_LITERAL + 40 + 64;

/// Whether a span adds nothing to a known one, now and however both grow.
fn covers(known: &Span, span: &Span) -> bool {
    let names = (known.start, known.rank, known.kind) <= (span.start, span.rank, span.kind);
    let grows = span.growth == Growth::Done || span.growth == known.growth;
    names && grows && known.end >= span.end
}

fn extend(span: &mut Span, runs: &mut Runs, bytes: &[u8], base: usize, complete: bool) {
    let end = base + bytes.len();
    match span.growth {
        Growth::Done => {}
        Growth::Run(class) => {
            let mut text = Text::new(bytes, base, complete, runs);
            span.end = base + text.run(class, span.end.max(base) - base).end;
            if span.end < end || complete {
                span.growth = Growth::Done;
            }
        }
        Growth::Glue { from } => {
            let mut text = Text::new(bytes, base, complete, runs);
            let run = text.run(Class::ALNUM, span.end.max(base) - base).end;
            span.end = base + run;
            if run == bytes.len() && !complete {
                return;
            }
            let joined = matches!(bytes.get(run), Some(b'_' | b'-'));
            span.growth =
                if span.end > from && joined { Growth::Run(Class::WORD) } else { Growth::Done };
            if joined {
                extend(span, runs, bytes, base, complete);
            }
        }
        Growth::Pem { mut state, from } => {
            let progress = state.advance(bytes, from - base, span.end.max(base) - base, complete);
            span.end = span.end.max(base + progress.end);
            if progress.done {
                span.growth = Growth::Glue { from: span.end };
                extend(span, runs, bytes, base, complete);
            } else {
                span.growth = Growth::Pem { state, from: base + progress.from };
            }
        }
    }
}

fn verify(
    compiled: &Compiled,
    anchor: &Anchor,
    candidate: Candidate,
    text: &mut Text<'_>,
) -> Verdict {
    let (at, length) = (candidate.start, anchor.literal.len());
    match anchor.rule {
        Rule::Shape(number) => compiled.shapes[usize::from(number)].verify(text, at, length),
        Rule::Word(number) => crate::context::WORDS[usize::from(number)].verify(text, at),
        Rule::Authorization => special::authorization(text, at, length),
        Rule::Scheme => special::scheme(text, at, length, anchor.literal.starts_with(b"basic")),
        Rule::Cookie => special::cookie(text, at, length),
        Rule::Url => special::url(text, at),
        Rule::Parameter => special::parameter(text, at, length),
        Rule::Jwt => special::jwt(text, at),
        Rule::Pem => special::pem(text, at, length),
        Rule::Netrc => special::netrc(text, at, length),
        Rule::User => special::user(text, at, length),
        Rule::Pgpass => special::pgpass(text, at, length),
        Rule::Sshpass => crate::context::value(text, at + length, Trust::Env),
        Rule::Tool(letter) => special::tool(text, at + length, letter),
        Rule::Discord => special::discord(text, at),
        Rule::Known(_) => crate::known::verify(anchor, text, at, candidate.offset),
    }
}
