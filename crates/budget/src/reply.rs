//! What the scripts answer, typed.

use std::sync::Arc;

use airlock_contract::{AccountId, BudgetStatus, Circuit, Period, Usd};
use jiff::Timestamp;
use redis::{ErrorKind, FromRedisValue, ParsingError, RedisError, Value};

/// `{tag, details..., accounts...}`, see `lua/start.lua`.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) tag: String,
    pub(crate) details: Vec<String>,
    pub(crate) accounts: Vec<Vec<Option<String>>>,
}

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let mut values = Vec::<Value>::from_redis_value(value)?.into_iter();
        let tag = values.next().map(String::from_redis_value).transpose()?.unwrap_or_default();
        let (mut details, mut accounts) = (Vec::new(), Vec::new());
        for value in values {
            match value {
                Value::Array(fields) => accounts.push(
                    fields
                        .into_iter()
                        .map(FromRedisValue::from_redis_value)
                        .collect::<Result<_, _>>()?,
                ),
                detail => details.push(String::from_redis_value(detail)?),
            }
        }
        Ok(Self { tag, details, accounts })
    }
}

/// A hold that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The account, with the hold counted.
    pub status: BudgetStatus,
    /// What is held: more than what was asked for if the hold was extended since.
    pub amount: Usd,
    /// Alert thresholds not crossed yet that are, should all that is reserved be spent.
    pub warnings: Vec<u8>,
    /// The hold was settled before, for this much: nothing is held any more.
    pub settled: Option<Usd>,
}

/// A booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The account, with the booking counted.
    pub status: BudgetStatus,
    /// What was booked.
    pub booked: Usd,
    /// What was held for it; zero for a spending without a hold.
    pub held: Usd,
    /// The hold's lease had ended and its amount had been returned before.
    pub late: bool,
    /// This same call was answered before; nothing was counted now.
    pub replayed: bool,
    /// Alert thresholds of the account that this booking crossed. Of all bookings one names each;
    /// the same booking again names the same.
    pub warnings: Vec<u8>,
    /// The same for the account and those above it; without those above if `replayed`.
    pub alerts: Vec<Alert>,
}

/// An alert threshold was crossed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Whose.
    pub account: AccountId,
    /// Percent of the limit.
    pub threshold: u8,
}

/// A crossed threshold on its way to whoever must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertNotice {
    /// The account after the booking that crossed it.
    pub status: BudgetStatus,
    /// Percent of the limit.
    pub threshold: u8,
    /// The booking was repeated: this was noticed before, if whoever noticed it lived to tell.
    pub replayed: bool,
}

impl AlertNotice {
    /// Names this crossing: the same when it is noticed again; another after a top-up, in the next
    /// period, or on an account made anew.
    pub fn id(&self) -> String {
        let status = &self.status;
        let period = status.period_ends_at.as_deref().unwrap_or("always");
        let (account, limit) = (&status.run_id, status.limit.nanos());
        format!("budget.alert.{account}.{}.{period}.{limit}.{}", status.created_at, self.threshold)
    }
}

/// Told of every crossed threshold, by the call that crossed it and before it answers; so it must
/// be quick and spawn what takes longer.
pub type AlertObserver = Arc<dyn Fn(AlertNotice) + Send + Sync>;

/// An account as a script showed it.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) status: BudgetStatus,
    thresholds: Vec<u8>,
    /// Spent before the call that shows it.
    before: Usd,
}

impl Account {
    /// The thresholds that `spent` reaches.
    fn reached(&self, spent: Usd) -> Vec<u8> {
        let (spent, limit) = (i128::from(spent.nanos()), i128::from(self.status.limit.nanos()));
        let reaches = |percent: &u8| spent * 100 >= i128::from(*percent) * limit;
        self.thresholds.iter().copied().filter(reaches).collect()
    }

    /// The thresholds that the call crossed.
    pub(crate) fn crossed(&self) -> Vec<u8> {
        let earlier = self.reached(self.before);
        let mut now = self.reached(self.status.spent);
        now.retain(|percent| !earlier.contains(percent));
        now
    }

    /// The thresholds that are not crossed but would be if all that is reserved were spent.
    pub(crate) fn in_reach(&self) -> Vec<u8> {
        let mut all = self.reached(self.status.spent.saturating_add(self.status.reserved));
        all.retain(|percent| !self.status.thresholds_crossed.contains(percent));
        all
    }
}

/// Reads an account in the order of `script::FIELDS`.
pub(crate) fn account(fields: &[Option<String>]) -> Result<Account, RedisError> {
    let [
        limit,
        spent,
        reserved,
        circuit,
        _trial,
        _parent,
        expires,
        _born,
        _refusals,
        created,
        thresholds,
        period,
        ends,
        name,
        _key,
        before,
    ] = fields
    else {
        return Err(odd("an account has another number of fields"));
    };
    let amount = |text: &Option<String>| match text {
        Some(text) => nanos(text),
        None => Err(odd("an account lacks an amount")),
    };
    let (limit, spent, reserved) = (amount(limit)?, amount(spent)?, amount(reserved)?);
    let name = name.as_deref().and_then(|name| name.parse().ok());
    let created = created.as_deref().ok_or_else(|| odd("an account lacks its creation time"))?;
    let mut account = Account {
        before: amount(before)?,
        thresholds: thresholds
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .filter_map(|percent| percent.parse().ok())
            .collect(),
        status: BudgetStatus {
            run_id: name.ok_or_else(|| odd("an account's name is none"))?,
            limit,
            spent,
            reserved,
            remaining: limit.saturating_sub(spent).saturating_sub(reserved).or_zero(),
            exceeded: spent > limit,
            circuit: match circuit.as_deref() {
                Some("0") => Circuit::Closed,
                Some("1") => Circuit::Open,
                Some("2") => Circuit::HalfOpen,
                _ => return Err(odd("an account's circuit is none of the three")),
            },
            thresholds_crossed: Vec::new(),
            created_at: rfc3339(created)?,
            expires_at: expires.as_deref().map(rfc3339).transpose()?,
            period: match period.as_deref().map(Period::named) {
                Some(None) => return Err(odd("an account's period is none of the two")),
                known => known.flatten(),
            },
            period_ends_at: ends.as_deref().map(rfc3339).transpose()?,
        },
    };
    account.status.thresholds_crossed = account.reached(spent);
    Ok(account)
}

/// An amount as Redis keeps it.
pub(crate) fn nanos(text: &str) -> Result<Usd, RedisError> {
    text.parse().map(Usd::from_nanos).map_err(|_| odd("an amount is no whole number"))
}

fn rfc3339(millis: &str) -> Result<String, RedisError> {
    millis
        .parse()
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .map(|time| time.to_string())
        .ok_or_else(|| odd("a time is no number of milliseconds"))
}

/// The store holds something that this version did not write.
pub(crate) fn odd(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, what))
}
