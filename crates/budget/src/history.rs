//! What happened on an account, which accounts there are, and the return of lapsed holds.

use std::collections::{BTreeSet, HashMap};

use airlock_contract::{AccountId, BudgetStatus, Usd};
use jiff::Timestamp;
use redis::RedisError;
use redis::aio::ConnectionManager;

use crate::Error;
use crate::ledger::Ledger;
use crate::reply::{nanos, odd};
use crate::script::{Arg, Record};

/// Keys looked at in one call of a scan.
const SCAN_COUNT: u32 = 1000;
/// Holds returned in one call of a sweep, so that no call holds up the server for long.
const SWEEP_COUNT: i64 = 500;

/// What an entry of the ledger stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// The account was made; the amount is its limit.
    Created,
    /// An amount was held.
    Reserved,
    /// A hold was raised by the amount.
    Extended,
    /// A hold was settled; the amount was booked.
    Settled,
    /// A hold was returned whole by its owner.
    Voided,
    /// A hold was returned because its lease ended.
    Returned,
    /// The amount was booked without a hold.
    Spent,
    /// The limit was raised by the amount.
    ToppedUp,
    /// An open circuit was let try again.
    CircuitReset,
}

impl EntryKind {
    /// The name in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Reserved => "reserved",
            Self::Extended => "extended",
            Self::Settled => "settled",
            Self::Voided => "voided",
            Self::Returned => "returned",
            Self::Spent => "spent",
            Self::ToppedUp => "toppedUp",
            Self::CircuitReset => "circuitReset",
        }
    }

    /// Whether the amount counts as spent.
    pub const fn is_booking(self) -> bool {
        matches!(self, Self::Settled | Self::Spent)
    }

    fn named(name: &str) -> Option<Self> {
        [
            Self::Created,
            Self::Reserved,
            Self::Extended,
            Self::Settled,
            Self::Voided,
            Self::Returned,
            Self::Spent,
            Self::ToppedUp,
            Self::CircuitReset,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == name)
    }
}

/// One entry of an account's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Its place: `<ms since 1970>-<number>`, rising.
    pub entry_id: String,
    /// RFC 3339, by the clock of Redis.
    pub at: String,
    /// What happened.
    pub kind: EntryKind,
    /// The hold's id or the idempotency key; empty if there is none.
    pub id: String,
    /// How much.
    pub amount: Usd,
    /// The account that was asked: this one, or one below it that this one paid for.
    pub via: AccountId,
    /// What for, as the caller put it.
    pub description: String,
}

impl Ledger {
    /// The account's ledger, the newest entry first, at most `most`. Bookings through accounts below
    /// it are in it; their holds are not. Entries beyond [`Settings::history`] are gone.
    ///
    /// [`Settings::history`]: crate::Settings::history
    pub async fn history(
        &self,
        account: &AccountId,
        most: usize,
    ) -> Result<Vec<LedgerEntry>, Error> {
        let mut connection = self.connection.clone();
        let entries: Vec<(String, HashMap<String, String>)> = redis::cmd("XREVRANGE")
            .arg(self.keys.ledger(account))
            .arg(&["+", "-", "COUNT"])
            .arg(most.max(1))
            .query_async(&mut connection)
            .await?;
        // An account's first entry is its creation, and the newest entries are never trimmed.
        if entries.is_empty() {
            return Err(Error::NotFound { account: account.clone() });
        }
        entries.into_iter().map(|(id, fields)| Ok(entry(id, fields)?)).collect()
    }

    /// The accounts that exist, by name, of one family or of all; at most `most`. Walks the whole
    /// key space in small steps: for people and reports, not for each run.
    pub async fn list(
        &self,
        family: Option<&str>,
        most: usize,
    ) -> Result<Vec<BudgetStatus>, Error> {
        let names = self.scan(&self.keys.any_account(family), "hash", "budget:").await?;
        let mut found = Vec::new();
        for name in names.into_iter().filter_map(|(_, name)| name.parse().ok()) {
            if found.len() >= most {
                break;
            }
            match self.get(&name).await {
                Ok(status) => found.push(status),
                // Gone or expired since the scan.
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Returns every hold whose lease ended, in all families. Answers how many.
    ///
    /// Operations return the lapsed holds of their own family anyway; this is for families that
    /// nobody asks about. Any number of workers may sweep at once.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let mut returned = 0;
        let leases = self.scan(&self.keys.any_leases(), "zset", "hold").await?;
        let families: BTreeSet<AccountId> =
            leases.into_iter().filter_map(|(family, _)| family.parse().ok()).collect();
        for family in families {
            loop {
                let args = [Arg::Int(SWEEP_COUNT)];
                let reply = self.call(&self.scripts.sweep, &family, Record::Account, &args).await?;
                let count: i64 =
                    reply.1.first().and_then(|count| count.parse().ok()).unwrap_or_default();
                returned += count.unsigned_abs();
                if count < SWEEP_COUNT {
                    break;
                }
            }
        }
        Ok(returned)
    }

    /// The family and the rest after `kind` of every key that matches.
    async fn scan(
        &self,
        pattern: &str,
        type_name: &str,
        kind: &str,
    ) -> Result<BTreeSet<(String, String)>, Error> {
        let mut connection: ConnectionManager = self.connection.clone();
        let mut found = BTreeSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let (next, keys): (String, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(&cursor)
                .arg(&["MATCH", pattern, "TYPE", type_name])
                .arg("COUNT")
                .arg(SCAN_COUNT)
                .query_async(&mut connection)
                .await?;
            // An id may hold any bytes, so a key that looks like ours is read, not trusted.
            for key in keys.iter().filter_map(|key| std::str::from_utf8(key).ok()) {
                if let Some((family, rest)) = self.keys.parted(key)
                    && let Some(rest) = rest.strip_prefix(kind)
                {
                    found.insert((family.to_owned(), rest.to_owned()));
                }
            }
            if next == "0" {
                return Ok(found);
            }
            cursor = next;
        }
    }
}

fn entry(entry_id: String, mut fields: HashMap<String, String>) -> Result<LedgerEntry, RedisError> {
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    let millis = entry_id.split('-').next().and_then(|millis| millis.parse().ok());
    let at = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    Ok(LedgerEntry {
        at: at.ok_or_else(|| odd("a ledger entry lacks its time"))?.to_string(),
        kind: EntryKind::named(&take("kind")).ok_or_else(|| odd("a ledger entry's kind"))?,
        id: take("id"),
        amount: nanos(&take("amount"))?,
        via: take("via").parse().map_err(|_| odd("a ledger entry's account"))?,
        description: take("text"),
        entry_id,
    })
}
