//! What happened on an account, which accounts there are, and the return of lapsed holds.

use std::collections::{BTreeSet, HashMap};

use airlock_contract::{AccountId, BudgetStatus, LedgerEntry, LedgerEntryKind};
use jiff::Timestamp;
use redis::RedisError;

use crate::Error;
use crate::ledger::Ledger;
use crate::reply::{nanos, odd};
use crate::script::{Arg, Record};

/// Holds returned in one call of a sweep, so that no call holds up the server for long.
const SWEEP_COUNT: i64 = 500;

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
                    reply.details.first().and_then(|count| count.parse().ok()).unwrap_or_default();
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
        let mut found = BTreeSet::new();
        // An id may hold any bytes, so a key that looks like ours is read, not trusted.
        for key in self.connection.scan(pattern, type_name).await? {
            if let Ok(key) = std::str::from_utf8(&key)
                && let Some((family, rest)) = self.keys.parted(key)
                && let Some(rest) = rest.strip_prefix(kind)
            {
                found.insert((family.to_owned(), rest.to_owned()));
            }
        }
        Ok(found)
    }
}

fn entry(entry_id: String, mut fields: HashMap<String, String>) -> Result<LedgerEntry, RedisError> {
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    let millis = entry_id.split('-').next().and_then(|millis| millis.parse().ok());
    let at = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    Ok(LedgerEntry {
        at: at.ok_or_else(|| odd("a ledger entry lacks its time"))?.to_string(),
        kind: LedgerEntryKind::named(&take("kind")).ok_or_else(|| odd("a ledger entry's kind"))?,
        id: take("id"),
        amount: nanos(&take("amount"))?,
        via: take("via").parse().map_err(|_| odd("a ledger entry's account"))?,
        description: take("text"),
        entry_id,
    })
}
