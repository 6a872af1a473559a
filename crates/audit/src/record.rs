//! An event, the record it becomes, and the line that the record is written as.

use airlock_contract::{AccountId, ExecutionId, Receipt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{Error, canonical};

/// The longest line, in bytes.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;
/// What the first record of a chain has in place of a predecessor's hash.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Version of the record's shape.
const VERSION: u32 = 1;

/// Something that happened. Redact it before it is appended.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened, such as `policy.decided` or `sandbox.killed`.
    pub kind: String,
    /// The budget account it happened for.
    pub run_id: Option<AccountId>,
    /// The execution it belongs to.
    pub execution_id: Option<ExecutionId>,
    /// The facts.
    pub data: Map<String, Value>,
}

impl Event {
    /// An event without facts.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), run_id: None, execution_id: None, data: Map::new() }
    }

    /// The same, for a budget account.
    #[must_use]
    pub fn for_account(mut self, account: &AccountId) -> Self {
        self.run_id = Some(account.clone());
        self
    }

    /// The same, of an execution.
    #[must_use]
    pub fn of_execution(mut self, execution: &ExecutionId) -> Self {
        self.execution_id = Some(execution.clone());
        self
    }

    /// The same with one more fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}

/// A record as it is in the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Version of the record's shape.
    pub v: u32,
    /// The chain.
    pub writer: String,
    /// Position in the chain, from 1.
    pub sequence: u64,
    /// Hash of the record before, 64 zeros for the first.
    pub prev_hash: String,
    /// When, RFC 3339, by the writer's clock; never earlier than the record before.
    pub at: String,
    /// What happened.
    pub kind: String,
    /// The budget account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<AccountId>,
    /// The execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<ExecutionId>,
    /// The facts.
    #[serde(default)]
    pub data: Map<String, Value>,
}

/// A record with its hash and the line that it is written as.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed {
    /// The record.
    pub record: Record,
    /// SHA-256 of the line without the hash, 64 lower-case hex digits.
    pub hash: String,
    /// The line, without its end.
    pub line: String,
}

/// Why a line is not a record. Its text may be anybody's, so it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadLine {
    /// Not the shape of a record, or too long.
    Unreadable,
    /// A record with a hash that is not its own.
    WrongHash,
}

impl Record {
    /// The record of `event` after `previous`, in the chain of `writer`.
    pub(crate) fn after(
        previous: Option<&Receipt>,
        writer: &str,
        at: jiff::Timestamp,
        event: Event,
    ) -> Self {
        Self {
            v: VERSION,
            writer: writer.to_owned(),
            sequence: previous.map_or(0, |receipt| receipt.sequence) + 1,
            prev_hash: previous.map_or_else(|| GENESIS.to_owned(), |receipt| receipt.hash.clone()),
            at: format!("{at:.3}"),
            kind: event.kind,
            run_id: event.run_id,
            execution_id: event.execution_id,
            data: event.data,
        }
    }
}

impl Sealed {
    /// Writes `record` as a line and hashes it.
    pub(crate) fn new(record: Record) -> Result<Self, Error> {
        let mut line = String::with_capacity(512);
        // Plain fields and a map with string keys always have a JSON form.
        canonical::write(&serde_json::to_value(&record).unwrap_or_default(), &mut line);
        let hash = digest(&[line.as_bytes()]);
        line.pop();
        line.push_str(&tail(&hash));
        if line.len() > MAX_RECORD_BYTES {
            return Err(Error::TooLarge { bytes: line.len(), limit: MAX_RECORD_BYTES });
        }
        Ok(Self { record, hash, line })
    }

    /// Reads a line and checks its hash, over the bytes as they stand: nothing is written anew.
    pub(crate) fn read(line: &[u8]) -> Result<Self, BadLine> {
        if line.len() > MAX_RECORD_BYTES {
            return Err(BadLine::Unreadable);
        }
        let text = std::str::from_utf8(line).map_err(|_| BadLine::Unreadable)?;
        let cut = text.len().checked_sub(tail(GENESIS).len()).ok_or(BadLine::Unreadable)?;
        let (body, rest) = text.split_at_checked(cut).ok_or(BadLine::Unreadable)?;
        let hash = rest.get(9..73).ok_or(BadLine::Unreadable)?;
        if rest != tail(hash) {
            return Err(BadLine::Unreadable);
        }
        if digest(&[body.as_bytes(), b"}"]) != hash {
            return Err(BadLine::WrongHash);
        }
        let record = serde_json::from_str(&format!("{body}}}")).map_err(|_| BadLine::Unreadable)?;
        Ok(Self { record, hash: hash.to_owned(), line: text.to_owned() })
    }

    /// What ties a result to this record.
    pub fn receipt(&self) -> Receipt {
        Receipt {
            writer: self.record.writer.clone(),
            sequence: self.record.sequence,
            hash: self.hash.clone(),
        }
    }
}

/// How a line ends.
fn tail(hash: &str) -> String {
    format!(r#","hash":"{hash}"}}"#)
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Sealed {
        let event = Event::new("policy.decided").with("outcome", "deny").with("ä", 1);
        let at = jiff::Timestamp::from_millisecond(1_790_000_000_123).unwrap();
        Sealed::new(Record::after(None, "w1", at, event)).unwrap()
    }

    #[test]
    fn a_line_has_this_shape() {
        let expected = format!(
            r#"{{"at":"2026-09-21T14:13:20.123Z","data":{{"outcome":"deny","ä":1}},"kind":"policy.decided","prevHash":"{GENESIS}","sequence":1,"v":1,"writer":"w1","hash":"{}"}}"#,
            sealed().hash
        );
        assert_eq!(sealed().line, expected);
        assert_eq!(Sealed::read(expected.as_bytes()), Ok(sealed()));
    }

    #[test]
    fn every_changed_byte_is_found() {
        let line = sealed().line.into_bytes();
        for index in 0..line.len() {
            for mask in [0x01, 0x20, 0x80] {
                let mut changed = line.clone();
                changed[index] ^= mask;
                assert!(Sealed::read(&changed).is_err(), "byte {index}, mask {mask:#x}");
            }
            let mut shorter = line.clone();
            shorter.remove(index);
            assert!(Sealed::read(&shorter).is_err(), "without byte {index}");
        }
    }

    #[test]
    fn hostile_lines_are_refused_without_a_panic() {
        let long = vec![b'{'; MAX_RECORD_BYTES + 1];
        let deep = format!("{}{}", "[".repeat(100_000), tail(GENESIS));
        for line in
            [&b""[..], b"{}", b"\xff\xfe", "ä".repeat(40).as_bytes(), &long, deep.as_bytes()]
        {
            assert!(Sealed::read(line).is_err());
        }
    }
}
