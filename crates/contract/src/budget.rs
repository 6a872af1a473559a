//! Budget accounts as callers see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reader::Reader;
use crate::{AccountId, Problems, Usd};

/// State of an account's circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Circuit {
    /// Spending is judged by the balance.
    #[default]
    Closed,
    /// Every spending is refused at once.
    Open,
    /// One spending is let through to try.
    HalfOpen,
}

/// What a periodic account's limit is for, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Period {
    /// Each day.
    Day,
    /// Each calendar month.
    Month,
}

impl Period {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The period of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Day, Self::Month].into_iter().find(|period| period.as_str() == name)
    }
}

/// One account, now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetStatus {
    /// The account.
    pub run_id: AccountId,
    /// Most that may be spent.
    pub limit: Usd,
    /// Spent so far.
    pub spent: Usd,
    /// Held by reservations that are not settled.
    pub reserved: Usd,
    /// `limit - spent - reserved`, never below zero.
    pub remaining: Usd,
    /// Whether more was spent than the limit (a settlement may exceed its reservation).
    pub exceeded: bool,
    /// The circuit breaker.
    pub circuit: Circuit,
    /// Alert thresholds crossed so far, in percent of the limit.
    pub thresholds_crossed: Vec<u8>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; absent if the account does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The limit is for each of these anew; `spent` is what the one under way came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// RFC 3339: when the next period begins; absent for an account without periods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_ends_at: Option<String>,
}

/// Answer of `canSpend`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanSpend {
    /// Whether the amount would be granted now.
    pub can_spend: bool,
    /// What is left.
    pub remaining: Usd,
}

/// Input of `createBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateBudgetInput {
    /// The account to make.
    pub run_id: AccountId,
    /// Most that may be spent; above zero.
    pub limit: Usd,
    /// Seconds until the account expires; it does not if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Percent of the limit at which to alert; default 50, 80, 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_thresholds: Option<Vec<u8>>,
    /// Account that pays too; of the same family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<AccountId>,
    /// The limit is for each day or each month anew, in UTC; for the account's life if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
}

/// Input of `spendBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpendBudgetInput {
    /// The account.
    pub run_id: AccountId,
    /// How much.
    pub amount: Usd,
    /// The same key again is the same spending, booked once; absent: the execution's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What for; goes into the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Input of `canSpend`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanSpendInput {
    /// The account.
    pub run_id: AccountId,
    /// How much.
    pub amount: Usd,
}

/// Input of `getBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetBudgetInput {
    /// The account.
    pub run_id: AccountId,
}

/// Input of `deleteBudget`.
pub type DeleteBudgetInput = GetBudgetInput;

/// Answer of `deleteBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletedBudget {
    /// The account that is gone.
    pub run_id: AccountId,
    /// Always true: an account that is not there is the failure `BudgetNotFound`.
    pub deleted: bool,
}

/// A placeholder for a field whose problem is noted already; never leaves `parse`.
pub(crate) fn unread() -> AccountId {
    "unread".parse().unwrap_or_else(|_| unreachable!("the literal is a valid name"))
}

impl CreateBudgetInput {
    /// Longest time to live: ten years.
    pub const MAX_TTL_SECONDS: u64 = 315_360_000;

    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        reader.require("limit");
        let run_id = reader.account("runId").unwrap_or_else(unread);
        let limit = reader.usd("limit").unwrap_or_default();
        if limit == Usd::ZERO && reader.value("limit").is_some() {
            reader.problem("limit", "must be above zero");
        }
        let ttl_seconds = reader.integer("ttlSeconds", 1, Self::MAX_TTL_SECONDS);
        let alert_thresholds = reader.list("alertThresholds", 20, |value, at, problems| {
            let percent = value.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| *n >= 1);
            if percent.is_none() {
                problems.add(at, "must be a whole number of percent from 1 to 255");
            }
            percent
        });
        let parent = reader.account("parent");
        if let Some(parent) = &parent {
            if parent.family() != run_id.family() {
                reader.problem(
                    "parent",
                    "must be of the same family as runId: the same name up to the first \"/\"",
                );
            } else if *parent == run_id {
                reader.problem("parent", "must be another account than runId");
            }
        }
        let period = reader.one_of("period", &[("day", Period::Day), ("month", Period::Month)]);
        reader.finish();
        problems.or(Self { run_id, limit, ttl_seconds, alert_thresholds, parent, period })
    }
}

impl SpendBudgetInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        reader.require("amount");
        let run_id = reader.account("runId").unwrap_or_else(unread);
        let amount = reader.usd("amount").unwrap_or_default();
        let idempotency_key = reader.string("idempotencyKey", 200);
        if idempotency_key.as_deref() == Some("") {
            reader.problem("idempotencyKey", "must not be empty");
        }
        let description = reader.string("description", 1000);
        reader.finish();
        problems.or(Self { run_id, amount, idempotency_key, description })
    }
}

impl CanSpendInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        reader.require("amount");
        let run_id = reader.account("runId").unwrap_or_else(unread);
        let amount = reader.usd("amount").unwrap_or_default();
        reader.finish();
        problems.or(Self { run_id, amount })
    }
}

impl GetBudgetInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        let run_id = reader.account("runId").unwrap_or_else(unread);
        reader.finish();
        problems.or(Self { run_id })
    }
}
