//! Whether chains are whole and unchanged. Needs no server.

use std::collections::BTreeMap;
use std::fmt;

use airlock_contract::Receipt;

use crate::record::{BadLine, GENESIS, Sealed};

/// How much of each chain the lines should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// From the first record on: a file, which nobody trims.
    FromStart,
    /// From any record on: a stream, whose oldest records are trimmed.
    AnyStart,
}

/// What one writer's chain came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// The chain.
    pub writer: String,
    /// First sequence seen.
    pub first: u64,
    /// Last sequence seen.
    pub last: u64,
    /// Hash of the last record.
    pub last_hash: String,
    /// Records seen.
    pub records: u64,
    /// Whether the writer closed it: then nothing can be missing at its end.
    pub closed: bool,
}

/// One thing that is wrong, at a line (from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The line is not a record.
    Unreadable {
        /// Which line.
        line: u64,
    },
    /// The record was changed: its hash is not its own.
    Changed {
        /// Which line.
        line: u64,
    },
    /// Records are missing, repeated or out of order.
    OutOfSequence {
        /// Which line.
        line: u64,
        /// The chain.
        writer: String,
        /// The sequence that should be here.
        expected: u64,
        /// The sequence that is.
        found: u64,
    },
    /// The record does not follow the one before it: another one stood there.
    BrokenLink {
        /// Which line.
        line: u64,
        /// The chain.
        writer: String,
        /// The record's sequence.
        sequence: u64,
    },
    /// A receipt says that a record was written that is not here.
    Missing {
        /// The receipt.
        receipt: Receipt,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { line } => write!(f, "line {line} is not an audit record"),
            Self::Changed { line } => write!(f, "line {line} was changed: its hash is not its own"),
            Self::OutOfSequence { line, writer, expected, found } => write!(
                f,
                "line {line}: record {expected} of {writer} should be here, record {found} is"
            ),
            Self::BrokenLink { line, writer, sequence } => write!(
                f,
                "line {line}: record {sequence} of {writer} does not follow the one before it"
            ),
            Self::Missing { receipt } => write!(
                f,
                "record {} of {} has a receipt and is not here",
                receipt.sequence, receipt.writer
            ),
        }
    }
}

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Every chain seen, by writer.
    pub chains: Vec<ChainReport>,
    /// Everything that is wrong, in the order of the lines; the first [`Verifier::MAX_FAULTS`].
    pub faults: Vec<Fault>,
    /// How many things are wrong.
    pub fault_count: u64,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.fault_count == 0
    }
}

/// Verifies lines as they come, in constant memory per chain and receipt.
#[derive(Debug)]
pub struct Verifier {
    span: Span,
    line: u64,
    chains: BTreeMap<String, ChainReport>,
    expected: BTreeMap<(String, u64), String>,
    result: Verification,
}

impl Verifier {
    /// More faults than this are only counted.
    pub const MAX_FAULTS: usize = 1000;

    /// Expects chains as `span` says.
    pub fn new(span: Span) -> Self {
        Self {
            span,
            line: 0,
            chains: BTreeMap::new(),
            expected: BTreeMap::new(),
            result: Verification::default(),
        }
    }

    /// Also expects the record of each receipt.
    #[must_use]
    pub fn expecting(mut self, receipts: impl IntoIterator<Item = Receipt>) -> Self {
        self.expected.extend(receipts.into_iter().map(|r| ((r.writer, r.sequence), r.hash)));
        self
    }

    /// Looks at the next line (without its end). Lines of several chains may be mixed.
    pub fn push(&mut self, line: &[u8]) {
        self.line += 1;
        let line_number = self.line;
        match Sealed::read(line) {
            Ok(sealed) => self.follow(&sealed),
            Err(BadLine::Unreadable) => self.fault(Fault::Unreadable { line: line_number }),
            Err(BadLine::WrongHash) => self.fault(Fault::Changed { line: line_number }),
        }
    }

    /// What it came to.
    pub fn finish(mut self) -> Verification {
        let missing = std::mem::take(&mut self.expected);
        for ((writer, sequence), hash) in missing {
            self.fault(Fault::Missing { receipt: Receipt { writer, sequence, hash } });
        }
        self.result.chains = self.chains.into_values().collect();
        self.result
    }

    fn follow(&mut self, sealed: &Sealed) {
        let record = &sealed.record;
        let (writer, line) = (record.writer.clone(), self.line);
        let known = self.chains.get(&writer);
        let expected = match (known, self.span) {
            (Some(chain), _) => chain.last.saturating_add(1),
            (None, Span::FromStart) => 1,
            (None, Span::AnyStart) => record.sequence,
        };
        let previous = match known {
            Some(chain) => Some(chain.last_hash.as_str()),
            None => (record.sequence == 1).then_some(GENESIS),
        };
        let linked = previous.is_none_or(|hash| hash == record.prev_hash);
        if record.sequence != expected {
            let found = record.sequence;
            self.fault(Fault::OutOfSequence { line, writer: writer.clone(), expected, found });
        } else if !linked {
            let sequence = record.sequence;
            self.fault(Fault::BrokenLink { line, writer: writer.clone(), sequence });
        }
        let key = (writer.clone(), record.sequence);
        if self.expected.get(&key) == Some(&sealed.hash) {
            self.expected.remove(&key);
        }
        let chain = self.chains.entry(writer.clone()).or_insert_with(|| ChainReport {
            writer,
            first: record.sequence,
            last: 0,
            last_hash: String::new(),
            records: 0,
            closed: false,
        });
        chain.last = record.sequence;
        chain.last_hash.clone_from(&sealed.hash);
        chain.records += 1;
        chain.closed = record.kind == crate::log::CLOSED;
    }

    fn fault(&mut self, fault: Fault) {
        self.result.fault_count += 1;
        if self.result.faults.len() < Self::MAX_FAULTS {
            self.result.faults.push(fault);
        }
    }
}

/// Verifies all `lines` at once; an empty last line is no record.
pub fn verify<'a>(lines: impl IntoIterator<Item = &'a [u8]>, span: Span) -> Verification {
    let mut verifier = Verifier::new(span);
    for line in lines {
        verifier.push(line);
    }
    verifier.finish()
}
