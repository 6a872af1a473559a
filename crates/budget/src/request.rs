//! What callers ask the ledger for.

use std::time::Duration;

use airlock_contract::{AccountId, Period, Usd};

use crate::Error;

/// How the ledger keeps its records. The same on every worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Refusals in a row, of amounts that no returned hold could make room for, after which the
    /// circuit opens. 0: never. Default 10.
    pub refusals_to_open: u32,
    /// How long ended holds, idempotency keys and expired accounts are remembered; also the longest
    /// lease. Default 7 days.
    pub retention: Duration,
    /// Ledger entries kept for each account, roughly. Default 1,000.
    pub history: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { refusals_to_open: 10, retention: Duration::from_hours(7 * 24), history: 1000 }
    }
}

/// An account to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBudget {
    /// Its name.
    pub account: AccountId,
    /// Most that may be spent; above zero.
    pub limit: Usd,
    /// Time until it expires, counted by Redis from its creation; it does not if absent.
    pub ttl: Option<Duration>,
    /// Percent of the limit at which to alert, 1 to 255; order and repetition do not matter.
    pub alert_thresholds: Vec<u8>,
    /// An account of the same family that pays too, and must have room too.
    pub parent: Option<AccountId>,
    /// The limit is for each period anew, in UTC; for the account's whole life if absent.
    pub period: Option<Period>,
}

impl NewBudget {
    /// An account that does not expire, has no parent, and alerts at 50, 80 and 100 percent.
    pub fn new(account: AccountId, limit: Usd) -> Self {
        let alert_thresholds = vec![50, 80, 100];
        Self { account, limit, ttl: None, alert_thresholds, parent: None, period: None }
    }

    /// The thresholds in the form that is stored and compared: `50,80,100`.
    pub(crate) fn thresholds(&self) -> Result<String, Error> {
        let mut sorted = self.alert_thresholds.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() > 20 || sorted.first() == Some(&0) {
            return Err(Error::InvalidArgument {
                field: "alert thresholds",
                reason: "must be at most 20 whole percents from 1 to 255".to_owned(),
            });
        }
        let texts: Vec<String> = sorted.iter().map(u8::to_string).collect();
        Ok(texts.join(","))
    }
}

/// Names one hold: an account, and an id that stays the same over the retries of its caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HoldKey {
    /// The account that pays.
    pub account: AccountId,
    /// 1 to 1,000 bytes.
    pub id: String,
}

impl HoldKey {
    /// The hold `id` of `account`.
    pub fn new(account: AccountId, id: impl Into<String>) -> Self {
        Self { account, id: id.into() }
    }
}

/// Longest id or key, in bytes.
const MAX_ID_BYTES: usize = 1000;
/// Longest description kept, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 1000;

/// An id as Redis takes it.
pub(crate) fn checked_id<'a>(field: &'static str, id: &'a str) -> Result<&'a str, Error> {
    if (1..=MAX_ID_BYTES).contains(&id.len()) {
        Ok(id)
    } else {
        let reason = format!("must be 1 to {MAX_ID_BYTES} bytes; it has {}", id.len());
        Err(Error::InvalidArgument { field, reason })
    }
}

/// An amount as Redis takes it: not negative, and exact in a Lua number.
pub(crate) fn checked_amount(amount: Usd) -> Result<i64, Error> {
    if amount < Usd::ZERO {
        return Err(Error::InvalidAmount { amount, reason: "must not be negative" });
    }
    if amount > Usd::MAX {
        return Err(Error::InvalidAmount {
            amount,
            reason: "is over 9,000,000 USD, the most that one amount can be",
        });
    }
    Ok(amount.nanos())
}

/// The same, and above zero.
pub(crate) fn checked_positive(amount: Usd) -> Result<i64, Error> {
    match checked_amount(amount)? {
        0 => Err(Error::InvalidAmount { amount, reason: "must be above zero" }),
        nanos => Ok(nanos),
    }
}

/// Whole milliseconds, at least one.
pub(crate) fn checked_millis(
    field: &'static str,
    time: Duration,
    most: Duration,
) -> Result<u64, Error> {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 || time > most {
        let reason = format!("must be from 1 ms to {} s", most.as_secs());
        return Err(Error::InvalidArgument { field, reason });
    }
    Ok(millis)
}

/// A description, cut to what is kept.
pub(crate) fn clipped(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_DESCRIPTION_BYTES);
    &text[..end]
}
