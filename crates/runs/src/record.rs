//! The record as a reader sees it, and what it is read from.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use airlock_contract::{AccountId, ExecutionId, Phase, RunIdentity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, payload};

/// Which attempt: its own scheduled time, in microseconds since 1970. Rises with every attempt
/// and every reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub i64);

/// Which run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunKey {
    /// The budget account; its family names the hash slot.
    pub account: AccountId,
    /// The execution, the same over all attempts.
    pub execution: ExecutionId,
}

impl RunKey {
    /// The run of `execution` for `account`.
    pub fn new(account: AccountId, execution: ExecutionId) -> Self {
        Self { account, execution }
    }

    /// Where its record is: in the slot of the account's family.
    pub(crate) fn stored_at(&self, prefix: &str) -> String {
        format!("{prefix}:{{{}}}:exec:{}", self.account.family(), self.execution)
    }
}

/// Where one command of a run is.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandState {
    /// It may have run.
    Starting,
    /// It ended, with this result.
    Ended(Value),
}

/// A sandbox that belongs to a run. A run may have several, each in a slot of its own.
///
/// Holds the sandbox's access token, so it is written only into the run record, and its `Debug`
/// masks the token.
#[derive(Clone, PartialEq, Eq)]
pub struct BoundSandbox {
    /// Which of the run's sandboxes it is.
    pub slot: u32,
    /// The provider's id.
    pub id: String,
    /// Template it was created from.
    pub template: String,
    /// Opens the sandbox's own API. A secret.
    pub access_token: String,
    /// Domain of the sandbox, if it is not the client's.
    pub domain: Option<String>,
    /// Until when it may live if nobody renews it, in milliseconds since 1970.
    pub lease_until_ms: i64,
    /// The workflow it works for, as people name it.
    pub workflow: Option<String>,
    /// The activity it works for, so that the reaper can ask Temporal whether that is closed.
    pub identity: Option<RunIdentity>,
    /// When it was created, in milliseconds since 1970: what it cost follows from it.
    pub created_at_ms: i64,
}

impl fmt::Debug for BoundSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundSandbox")
            .field("slot", &self.slot)
            .field("id", &self.id)
            .field("template", &self.template)
            .field("access_token", &"[REDACTED]")
            .field("domain", &self.domain)
            .field("lease_until_ms", &self.lease_until_ms)
            .field("workflow", &self.workflow)
            .field("identity", &self.identity)
            .field("created_at_ms", &self.created_at_ms)
            .finish()
    }
}

/// A run record, version [`Record::VERSION`].
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Version of the record's shape.
    pub v: u32,
    /// The attempt that holds it.
    pub fence: Fence,
    /// How many attempts have claimed it.
    pub claims: u32,
    /// Where the run is.
    pub phase: Phase,
    /// The sandboxes bound to it, by slot.
    pub sandboxes: BTreeMap<u32, BoundSandbox>,
    /// The commands that were recorded as starting or ended, by index.
    pub commands: BTreeMap<u32, CommandState>,
    /// Facts that the run keeps over its attempts, by name.
    pub notes: BTreeMap<String, Value>,
    /// The outcome, once the run is finished.
    pub outcome: Option<Value>,
    /// First claim, in milliseconds since 1970, by Redis's clock.
    pub started_at_ms: i64,
    /// Digest of the input it was claimed with.
    pub input_digest: String,
}

/// The sandbox as the record keeps it. The lease is a field of its own, since it changes.
#[derive(Serialize, Deserialize)]
struct StoredSandbox {
    slot: u32,
    id: String,
    template: String,
    token: String,
    domain: Option<String>,
    workflow: Option<String>,
    identity: Option<RunIdentity>,
    created: i64,
}

impl BoundSandbox {
    /// As the record keeps it: JSON with the token, without the lease.
    pub(crate) fn to_stored(&self) -> String {
        let stored = StoredSandbox {
            slot: self.slot,
            id: self.id.clone(),
            template: self.template.clone(),
            token: self.access_token.clone(),
            domain: self.domain.clone(),
            workflow: self.workflow.clone(),
            identity: self.identity.clone(),
            created: self.created_at_ms,
        };
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads what [`Self::to_stored`] wrote.
    pub(crate) fn from_stored(json: &[u8], lease_until_ms: i64) -> Result<Self, Error> {
        let stored: StoredSandbox =
            serde_json::from_slice(json).map_err(|_| Error::Corrupt("sandbox"))?;
        Ok(Self {
            slot: stored.slot,
            id: stored.id,
            template: stored.template,
            access_token: stored.token,
            domain: stored.domain,
            lease_until_ms,
            workflow: stored.workflow,
            identity: stored.identity,
            created_at_ms: stored.created,
        })
    }
}

/// Field of command `index`.
pub(crate) fn command_field(index: u32) -> String {
    format!("c:{index}")
}

/// Field of the note `name`.
pub(crate) fn note_field(name: &str) -> String {
    format!("n:{name}")
}

/// The phase as the record keeps it.
pub(crate) fn phase_word(phase: Phase) -> String {
    serde_json::to_value(phase)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

impl Record {
    /// The version that this build writes.
    pub const VERSION: u32 = 1;

    /// Reads the fields of the hash.
    pub(crate) fn read(fields: &HashMap<String, Vec<u8>>) -> Result<Self, Error> {
        let phase = match fields.get("phase") {
            Some(word) => serde_json::from_value(Value::String(text(word, "phase")?))
                .map_err(|_| Error::Corrupt("phase"))?,
            None => Phase::Claiming,
        };
        let outcome = fields.get("outcome").map(|bytes| payload::decode(bytes)).transpose()?;
        let (commands, notes) = parts(fields)?;
        Ok(Self {
            v: number(fields, "v")?,
            fence: Fence(number(fields, "fence")?),
            claims: number(fields, "claims")?,
            phase,
            sandboxes: sandboxes(fields)?,
            commands,
            notes,
            outcome,
            started_at_ms: number(fields, "started")?,
            input_digest: text(fields.get("digest").map_or(&[][..], Vec::as_slice), "digest")?,
        })
    }
}

fn sandboxes(fields: &HashMap<String, Vec<u8>>) -> Result<BTreeMap<u32, BoundSandbox>, Error> {
    let bound = fields.iter().filter_map(|(field, json)| Some((field.strip_prefix("s:")?, json)));
    bound
        .map(|(slot, json)| {
            let until = fields.get(&format!("l:{slot}")).ok_or(Error::Corrupt("lease"))?;
            let until = std::str::from_utf8(until).ok().and_then(|text| text.parse().ok());
            let sandbox = BoundSandbox::from_stored(json, until.ok_or(Error::Corrupt("lease"))?)?;
            Ok((sandbox.slot, sandbox))
        })
        .collect()
}

type Parts = (BTreeMap<u32, CommandState>, BTreeMap<String, Value>);

fn parts(fields: &HashMap<String, Vec<u8>>) -> Result<Parts, Error> {
    let mut commands = BTreeMap::new();
    let mut notes = BTreeMap::new();
    for (field, value) in fields {
        if let Some(index) = field.strip_prefix("c:") {
            let index = index.parse().map_err(|_| Error::Corrupt("command index"))?;
            let state = if value == b"starting" {
                CommandState::Starting
            } else {
                CommandState::Ended(payload::decode(value)?)
            };
            commands.insert(index, state);
        } else if let Some(name) = field.strip_prefix("n:") {
            notes.insert(name.to_owned(), payload::decode(value)?);
        }
    }
    Ok((commands, notes))
}

fn text(bytes: &[u8], name: &'static str) -> Result<String, Error> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Error::Corrupt(name))
}

fn number<T: std::str::FromStr>(
    fields: &HashMap<String, Vec<u8>>,
    name: &'static str,
) -> Result<T, Error> {
    fields
        .get(name)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| text.parse().ok())
        .ok_or(Error::Corrupt(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_access_token() {
        let sandbox = BoundSandbox {
            slot: 0,
            id: "sbx1".into(),
            template: "base".into(),
            access_token: "tok-verysecret".into(),
            domain: None,
            lease_until_ms: 1,
            workflow: None,
            identity: None,
            created_at_ms: 0,
        };
        let shown = format!("{sandbox:?} {:#?}", Some(&sandbox));
        assert!(!shown.contains("verysecret"), "{shown}");
        let back = BoundSandbox::from_stored(sandbox.to_stored().as_bytes(), 1).unwrap();
        assert_eq!(back, sandbox);
    }
}
