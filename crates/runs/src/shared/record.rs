//! The record as a reader sees it.

use std::collections::{BTreeMap, HashMap};

use airlock_contract::{
    AccountId, CloseReason, ExecutionId, NetworkInput, RunIdentity, SharedState, Usd,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Fence, RunKey};

/// What never changes about a shared sandbox. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixed {
    /// The account that pays for it, and the only one that may use it.
    pub account: AccountId,
    /// The execution that opened it; its hold has this id.
    pub execution: ExecutionId,
    /// The activity that opened it: its workflow owns the sandbox.
    pub owner: RunIdentity,
    /// The provider's id.
    pub sandbox: String,
    /// Which of the opener's sandboxes it was; its room in the fleet's limits is named after it.
    pub slot: u32,
    /// Template it was created from.
    pub template: String,
    /// The network it was opened with, if the opener narrowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkInput>,
    /// When it was created, in milliseconds since 1970: what it cost follows from it.
    pub created_at_ms: i64,
    /// When it is closed at the latest, in milliseconds since 1970.
    pub closes_at_ms: i64,
    /// Milliseconds without use after which it is closed.
    pub idle_ms: u64,
    /// How many commands may run in it at once.
    pub seats: u32,
    /// Due whatever the sandbox costs.
    pub fee: Usd,
    /// The most that it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Usd>,
}

impl Fixed {
    /// The run that opened it.
    pub fn opener(&self) -> RunKey {
        RunKey::new(self.account.clone(), self.execution.clone())
    }
}

/// An execution that uses the sandbox now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Which execution.
    pub execution: ExecutionId,
    /// The attempt that took it.
    pub fence: Fence,
    /// Until when it is taken for granted that somebody follows it, in milliseconds since 1970.
    pub until_ms: i64,
    /// The activity, so that Temporal can be asked whether it is closed.
    pub identity: RunIdentity,
}

/// How a sandbox ended: said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Until when it is charged, in milliseconds since 1970.
    pub at_ms: i64,
    /// What its whole life cost.
    pub cost: Usd,
}

/// The record of one shared sandbox, version [`SharedRecord::VERSION`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRecord {
    /// What never changes.
    pub fixed: Fixed,
    /// Where it is.
    pub state: SharedState,
    /// Why it was closed, once it is closing.
    pub reason: Option<CloseReason>,
    /// Sandbox time that is paid for, from its creation, in milliseconds.
    pub covers_ms: i64,
    /// What is held for that.
    pub held: Usd,
    /// Until when it lives if nobody renews it, in milliseconds since 1970.
    pub lease_until_ms: i64,
    /// When it was used last, in milliseconds since 1970.
    pub used_at_ms: i64,
    /// Who uses it now.
    pub seats: Vec<Seat>,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// Value of a seat's field after its fence and lease.
#[derive(Serialize, Deserialize)]
struct Holder {
    identity: RunIdentity,
}

impl SharedRecord {
    /// The version that this build writes.
    pub const VERSION: u32 = 1;

    /// Until when what is held pays for it, in milliseconds since 1970.
    pub fn paid_until_ms(&self) -> i64 {
        self.fixed.created_at_ms.saturating_add(self.covers_ms)
    }

    pub(super) fn read(fields: &HashMap<String, String>) -> Result<Self, Error> {
        let version: u32 = number(fields, "v")?;
        if version > Self::VERSION {
            return Err(Error::NewerSchema { found: version, supported: Self::VERSION });
        }
        let fixed = fields.get("fixed").ok_or(Error::Corrupt("shared sandbox"))?;
        let fixed = serde_json::from_str(fixed).map_err(|_| Error::Corrupt("shared sandbox"))?;
        let ended = match fields.get("ended") {
            Some(_) => Some(Ended { at_ms: number(fields, "ended")?, cost: usd(fields, "cost")? }),
            None => None,
        };
        let mut seats: BTreeMap<&str, Seat> = BTreeMap::new();
        for (field, value) in fields {
            if let Some(execution) = field.strip_prefix("u:") {
                seats.insert(field, seat(execution, value)?);
            }
        }
        Ok(Self {
            fixed,
            state: word(fields, "state")?.ok_or(Error::Corrupt("state"))?,
            reason: word(fields, "reason")?,
            covers_ms: number(fields, "covers")?,
            held: usd(fields, "held")?,
            lease_until_ms: number(fields, "lease")?,
            used_at_ms: number(fields, "used")?,
            seats: seats.into_values().collect(),
            ended,
        })
    }
}

/// The field of an execution's seat.
pub(super) fn seat_field(execution: &ExecutionId) -> String {
    format!("u:{execution}")
}

/// What a seat's field says beside fence and lease.
pub(super) fn holder(identity: &RunIdentity) -> String {
    serde_json::to_string(&Holder { identity: identity.clone() }).unwrap_or_default()
}

/// The word of a contract's enum.
pub(super) fn word_of<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// `FENCE UNTIL JSON`.
fn seat(execution: &str, value: &str) -> Result<Seat, Error> {
    let corrupt = || Error::Corrupt("a seat in a shared sandbox");
    let mut parts = value.splitn(3, ' ');
    let mut part = || parts.next().ok_or_else(corrupt);
    let fence = part()?.parse().map_err(|_| corrupt())?;
    let until_ms = part()?.parse().map_err(|_| corrupt())?;
    let holder: Holder = serde_json::from_str(part()?).map_err(|_| corrupt())?;
    let execution = serde_json::from_value(Value::String(execution.to_owned()));
    Ok(Seat {
        execution: execution.map_err(|_| corrupt())?,
        fence: Fence(fence),
        until_ms,
        identity: holder.identity,
    })
}

fn word<T: serde::de::DeserializeOwned>(
    fields: &HashMap<String, String>,
    name: &'static str,
) -> Result<Option<T>, Error> {
    let Some(text) = fields.get(name) else { return Ok(None) };
    serde_json::from_value(Value::String(text.clone())).map(Some).map_err(|_| Error::Corrupt(name))
}

fn number<T: std::str::FromStr>(
    fields: &HashMap<String, String>,
    name: &'static str,
) -> Result<T, Error> {
    fields.get(name).and_then(|text| text.parse().ok()).ok_or(Error::Corrupt(name))
}

fn usd(fields: &HashMap<String, String>, name: &'static str) -> Result<Usd, Error> {
    number(fields, name).map(Usd::from_nanos)
}
