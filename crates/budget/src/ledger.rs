//! The ledger: each operation once, typed.

use std::sync::Arc;
use std::time::Duration;

use airlock_contract::{AccountId, BudgetStatus, CanSpend, Period, Usd};
use airlock_store::Connection;
use redis::Script;
use uuid::Uuid;

use crate::answer::{amount_at, detail, granted, not_found, reserved, settled, status, unknown};
use crate::error::Error;
use crate::reply::{AlertObserver, Reply, Reserved, Settled};
use crate::request::{
    HoldKey, NewBudget, Settings, checked_amount, checked_id, checked_millis, checked_positive,
    clipped,
};
use crate::script::{self, Arg, Keys, Record, Scripts};

/// Longest time to live of an account: ten years.
const MAX_TTL: Duration = Duration::from_hours(10 * 365 * 24);
/// Most accounts from one to its topmost parent.
const MAX_LEVELS: i64 = 8;

/// Budget accounts and holds in Redis. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) connection: Connection,
    pub(crate) keys: Keys,
    pub(crate) settings: Settings,
    pub(crate) scripts: Arc<Scripts>,
    alerts: Option<AlertObserver>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("keys", &self.keys)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// A ledger whose keys start with `prefix`, which holds no braces, with default [`Settings`].
    pub fn new(connection: impl Into<Connection>, prefix: &str) -> Self {
        Self::with_settings(connection, prefix, Settings::default())
    }

    /// The same with other settings.
    pub fn with_settings(
        connection: impl Into<Connection>,
        prefix: &str,
        settings: Settings,
    ) -> Self {
        let scripts = Arc::new(Scripts::new(&settings));
        Self {
            connection: connection.into(),
            keys: Keys::new(prefix),
            settings,
            scripts,
            alerts: None,
        }
    }

    /// The same ledger, which tells `observer` of every threshold that a booking of its own crosses:
    /// on the account and on those above it.
    #[must_use]
    pub fn with_alerts(self, observer: AlertObserver) -> Self {
        Self { alerts: Some(observer), ..self }
    }

    /// Makes an account. The same arguments again answer the account as it is now; other ones are a
    /// [`Error::Conflict`]. [`Error::NotFound`] names a parent that does not exist.
    pub async fn create(&self, new: &NewBudget) -> Result<BudgetStatus, Error> {
        let limit = checked_positive(new.limit)?;
        let thresholds = new.thresholds()?;
        let ttl = match new.ttl {
            Some(ttl) => checked_millis("time to live", ttl, MAX_TTL)?.to_string(),
            None => String::new(),
        };
        let parent = new.parent.as_ref().map_or("", AccountId::as_str);
        if let Some(parent) = &new.parent {
            if parent.family() != new.account.family() {
                let (account, parent) = (new.account.clone(), parent.clone());
                return Err(Error::FamilyMismatch { account, parent });
            }
            if *parent == new.account {
                return Err(conflict(format!("budget account {parent} cannot pay for itself")));
            }
        }
        let period = new.period.map_or("", Period::as_str);
        let mut all = format!("{limit} {ttl} {thresholds} {parent}");
        // Not in the texts of accounts that were made before there were periods.
        if !period.is_empty() {
            all = format!("{all} {period}");
        }
        let args = [
            Arg::Text(&all),
            Arg::Int(limit),
            Arg::Text(&ttl),
            Arg::Text(&thresholds),
            Arg::Text(parent),
            Arg::Int(MAX_LEVELS),
            Arg::Text(period),
        ];
        let reply = self.call(&self.scripts.create, &new.account, Record::Account, &args).await?;
        match reply.tag.as_str() {
            "conflict" => Err(conflict(format!(
                "budget account {} exists with another limit, time to live, thresholds, parent or period",
                new.account
            ))),
            "busy" => Err(conflict(format!(
                "budget account {} has expired and still has open holds; use another name or wait \
                 until they are settled or lapse",
                new.account
            ))),
            "deep" => Err(conflict(format!(
                "budget account {parent} has {MAX_LEVELS} levels already, the most there can be"
            ))),
            _ => status(reply, Usd::ZERO),
        }
    }

    /// The account as it is now.
    pub async fn get(&self, account: &AccountId) -> Result<BudgetStatus, Error> {
        status(self.call(&self.scripts.get, account, Record::Account, &[]).await?, Usd::ZERO)
    }

    /// Whether `amount` would be granted now, and the least that is left in the account and those
    /// above it.
    pub async fn can_spend(&self, account: &AccountId, amount: Usd) -> Result<CanSpend, Error> {
        let args = [Arg::Int(checked_amount(amount)?)];
        let reply = self.call(&self.scripts.can_spend, account, Record::Account, &args).await?;
        let (details, accounts) = granted(reply, amount)?;
        let can_spend = detail(&details, 0)? == "1";
        let remaining = accounts.iter().map(|account| account.status.remaining).min();
        Ok(CanSpend { can_spend, remaining: remaining.unwrap_or_default() })
    }

    /// Books `amount` at once. Without a key each call is a spending of its own.
    pub async fn spend(
        &self,
        account: &AccountId,
        amount: Usd,
        idempotency_key: Option<&str>,
        description: Option<&str>,
    ) -> Result<BudgetStatus, Error> {
        Ok(self.charge(account, amount, idempotency_key, description).await?.status)
    }

    /// [`spend`](Self::spend), with the alert thresholds that this booking crossed.
    pub async fn charge(
        &self,
        account: &AccountId,
        amount: Usd,
        idempotency_key: Option<&str>,
        description: Option<&str>,
    ) -> Result<Settled, Error> {
        let nanos = checked_amount(amount)?;
        let key = idempotency_key.map_or_else(own_key, str::to_owned);
        let key = checked_id("idempotency key", &key)?;
        let args =
            [Arg::Text(key), Arg::Int(nanos), Arg::Text(clipped(description.unwrap_or_default()))];
        let record = Record::Spending(key);
        let reply = self.call(&self.scripts.spend, account, record, &args).await?;
        if reply.tag == "conflict" {
            return Err(conflict(format!(
                "this idempotency key has booked {} USD on budget account {account} before",
                amount_at(&reply, 0)?
            )));
        }
        settled(reply, amount, Usd::ZERO, false, self.alerts.as_ref())
    }

    /// Holds `amount` until it is settled or voided, or until `lease` ends, by the clock of Redis.
    ///
    /// Again with the same id and amount: the same hold, not counted twice, its lease pushed; see
    /// [`Reserved::settled`] for a hold that was settled before. An id that was voided may be
    /// reserved anew with any amount; one whose lease ended, with the same.
    pub async fn reserve(
        &self,
        hold: &HoldKey,
        amount: Usd,
        lease: Duration,
    ) -> Result<Reserved, Error> {
        let reply = self.hold(&self.scripts.reserve, hold, amount, lease).await?;
        if reply.tag == "conflict" {
            return Err(conflict(format!(
                "hold {} of budget account {} was made for {} USD, not {amount} USD",
                hold.id,
                hold.account,
                amount_at(&reply, 0)?
            )));
        }
        let is_settled = reply.tag == "settled";
        let mut reserved = reserved(reply, hold, amount)?;
        if !is_settled {
            reserved.settled = None;
        }
        Ok(reserved)
    }

    /// Raises a hold to `total` and pushes its lease; never lowers or shortens it. Refused, the hold
    /// stays as it was. A hold whose lease ended is taken anew.
    pub async fn extend(
        &self,
        hold: &HoldKey,
        total: Usd,
        lease: Duration,
    ) -> Result<Reserved, Error> {
        let reply = self.hold(&self.scripts.extend, hold, total, lease).await?;
        if reply.tag == "conflict" {
            return Err(already_settled(hold, amount_at(&reply, 0)?));
        }
        reserved(reply, hold, total)
    }

    /// Books what a hold came to, even over the limit, and returns the rest; once per id. A hold
    /// whose lease ended is booked all the same. The same `actual` again finds the same answer;
    /// another one, or a voided hold, is a [`Error::Conflict`].
    pub async fn settle(
        &self,
        hold: &HoldKey,
        actual: Usd,
        description: &str,
    ) -> Result<Settled, Error> {
        self.resolve(hold, actual, description, false).await
    }

    /// [`settle`](Self::settle) for a caller that knows it made the hold: where the ledger has
    /// forgotten it, as a failover can make it forget the last writes, the cost is booked all the same,
    /// late and once for the id. Only for an id that cannot have been settled longer ago than
    /// [`Settings::retention`], which is what a forgotten settlement looks like.
    pub async fn settle_forgotten(
        &self,
        hold: &HoldKey,
        actual: Usd,
        description: &str,
    ) -> Result<Settled, Error> {
        self.resolve(hold, actual, description, true).await
    }

    async fn resolve(
        &self,
        hold: &HoldKey,
        actual: Usd,
        description: &str,
        forgotten: bool,
    ) -> Result<Settled, Error> {
        let id = checked_id("hold id", &hold.id)?;
        let args = [
            Arg::Text(id),
            Arg::Int(checked_amount(actual)?),
            Arg::Text(clipped(description)),
            Arg::Int(i64::from(forgotten)),
        ];
        let script = &self.scripts.settle;
        let reply = self.call(script, &hold.account, Record::Hold(id), &args).await?;
        match reply.tag.as_str() {
            "unknown" => Err(unknown(hold)),
            "conflict" => Err(already_settled(hold, amount_at(&reply, 0)?)),
            "voided" => Err(conflict(format!(
                "hold {} of budget account {} was voided",
                hold.id, hold.account
            ))),
            "missing" => Err(not_found(&reply)),
            "toolarge" => Err(Error::InvalidAmount {
                amount: actual,
                reason: "would raise what is spent over what can be counted exactly",
            }),
            _ => {
                let (amount, late) = (amount_at(&reply, 0)?, detail(&reply.details, 1)? == "1");
                settled(reply, actual, amount, late, self.alerts.as_ref())
            }
        }
    }

    /// Returns a hold whole, because nothing was spent. Also right if there is no such hold.
    pub async fn void(&self, hold: &HoldKey) -> Result<BudgetStatus, Error> {
        let id = checked_id("hold id", &hold.id)?;
        let script = &self.scripts.void;
        let reply = self.call(script, &hold.account, Record::Hold(id), &[Arg::Text(id)]).await?;
        if reply.tag == "conflict" {
            return Err(already_settled(hold, amount_at(&reply, 0)?));
        }
        status(reply, Usd::ZERO)
    }

    /// Raises the limit, once per key; without one each call is a top-up of its own. An open circuit goes half-open if the new limit has room.
    pub async fn top_up(
        &self,
        account: &AccountId,
        amount: Usd,
        idempotency_key: Option<&str>,
    ) -> Result<BudgetStatus, Error> {
        let key = idempotency_key.map_or_else(own_key, str::to_owned);
        let key = checked_id("idempotency key", &key)?;
        let args = [
            Arg::Text(key),
            Arg::Int(checked_positive(amount)?),
            Arg::Int(checked_amount(Usd::MAX)?),
        ];
        let script = &self.scripts.top_up;
        let reply = self.call(script, account, Record::TopUp(key), &args).await?;
        match reply.tag.as_str() {
            "conflict" => Err(conflict(format!(
                "this idempotency key has added {} USD to budget account {account} before",
                amount_at(&reply, 0)?
            ))),
            "toolarge" => Err(Error::InvalidAmount {
                amount,
                reason: "would raise the limit over 9,000,000 USD, the most it can be",
            }),
            _ => status(reply, amount),
        }
    }

    /// Lets an open circuit try one spending; forgets the refusals counted so far.
    pub async fn reset_circuit(&self, account: &AccountId) -> Result<BudgetStatus, Error> {
        let script = &self.scripts.reset_circuit;
        status(self.call(script, account, Record::Account, &[]).await?, Usd::ZERO)
    }

    /// Removes an account and its ledger. [`Error::Conflict`] while money is held. What accounts
    /// above it paid stays paid; accounts below it refuse until one of its name exists again.
    ///
    /// [`Error::NotFound`] right after an outage can mean that it was done then.
    pub async fn delete(&self, account: &AccountId) -> Result<(), Error> {
        let reply = self.call(&self.scripts.delete, account, Record::Account, &[]).await?;
        if reply.tag == "busy" {
            let held = status(reply, Usd::ZERO)?.reserved;
            return Err(conflict(format!(
                "budget account {account} has open holds of {held} USD; settle or void them, or wait \
                 until their leases end"
            )));
        }
        granted(reply, Usd::ZERO).map(|_| ())
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        Ok(redis::cmd("PING").exec_async(&mut connection).await?)
    }

    async fn hold(
        &self,
        script: &Script,
        hold: &HoldKey,
        amount: Usd,
        lease: Duration,
    ) -> Result<Reply, Error> {
        let id = checked_id("hold id", &hold.id)?;
        let args = [
            Arg::Text(id),
            Arg::Int(checked_amount(amount)?),
            Arg::Millis(checked_millis("lease", lease, self.settings.retention)?),
        ];
        self.call(script, &hold.account, Record::Hold(id), &args).await
    }

    pub(crate) async fn call(
        &self,
        script: &Script,
        account: &AccountId,
        record: Record<'_>,
        args: &[Arg<'_>],
    ) -> Result<Reply, Error> {
        let (connection, keys) = (&self.connection, &self.keys);
        Ok(script::call(connection, keys, script, account, record, args).await?)
    }
}

/// A key for a call that came without: it lets even this one be repeated on a new connection.
fn own_key() -> String {
    Uuid::new_v4().to_string()
}

fn conflict(reason: String) -> Error {
    Error::Conflict { reason }
}

fn already_settled(hold: &HoldKey, actual: Usd) -> Error {
    conflict(format!(
        "hold {} of budget account {} was settled for {actual} USD",
        hold.id, hold.account
    ))
}
