//! Administration of budget accounts as callers see it: top-ups, lists, and an account's history.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::{BudgetStatus, GetBudgetInput, unread};
use crate::reader::Reader;
use crate::{AccountId, Problems, Usd};

/// Input of `topUpBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopUpBudgetInput {
    /// The account.
    pub run_id: AccountId,
    /// What the limit is raised by; above zero.
    pub amount: Usd,
    /// The same key again is the same top-up, counted once; absent: the execution's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// Input of `resetCircuit`.
pub type ResetCircuitInput = GetBudgetInput;

/// Input of `listBudgets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListBudgetsInput {
    /// Only accounts of this family: the name up to the first "/".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<AccountId>,
    /// Most that are answered, 1 to 1000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Answer of `listBudgets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetList {
    /// The accounts, by name.
    pub budgets: Vec<BudgetStatus>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

/// Input of `getBudgetLedger`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetLedgerInput {
    /// The account.
    pub run_id: AccountId,
    /// Most entries that are answered, 1 to 1000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Answer of `getBudgetLedger`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetLedger {
    /// The account.
    pub run_id: AccountId,
    /// What happened on it, the newest first. Old entries are forgotten.
    pub entries: Vec<LedgerEntry>,
}

/// One entry of an account's ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// Its place: `<ms since 1970>-<number>`, rising.
    pub entry_id: String,
    /// RFC 3339, by the clock of Redis.
    pub at: String,
    /// What happened.
    pub kind: LedgerEntryKind,
    /// The hold's id or the idempotency key; empty if there is none.
    pub id: String,
    /// How much.
    pub amount: Usd,
    /// The account that was asked: this one, or one below it that this one paid for.
    pub via: AccountId,
    /// What for, as the caller put it.
    pub description: String,
}

/// What an entry of the ledger stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LedgerEntryKind {
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
    /// A new period began; the amount is what the ended one came to.
    RolledOver,
}

impl LedgerEntryKind {
    const ALL: [Self; 10] = [
        Self::Created,
        Self::Reserved,
        Self::Extended,
        Self::Settled,
        Self::Voided,
        Self::Returned,
        Self::Spent,
        Self::ToppedUp,
        Self::CircuitReset,
        Self::RolledOver,
    ];

    /// The name on the wire and in the ledger.
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
            Self::RolledOver => "rolledOver",
        }
    }

    /// Whether the amount counts as spent.
    pub const fn is_booking(self) -> bool {
        matches!(self, Self::Settled | Self::Spent)
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Most accounts or entries in one answer.
const MAX_ANSWERED: u64 = 1000;

impl TopUpBudgetInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        reader.require("amount");
        let run_id = reader.account("runId").unwrap_or_else(unread);
        let amount = reader.usd("amount");
        if amount == Some(Usd::ZERO) {
            reader.problem("amount", "must be above zero");
        }
        let amount = amount.unwrap_or_default();
        let idempotency_key = reader.string("idempotencyKey", 200);
        if idempotency_key.as_deref() == Some("") {
            reader.problem("idempotencyKey", "must not be empty");
        }
        reader.finish();
        problems.or(Self { run_id, amount, idempotency_key })
    }
}

impl ListBudgetsInput {
    /// Accounts answered unless asked otherwise.
    pub const DEFAULT_LIMIT: u64 = 100;

    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        let family = reader.account("family");
        if let Some(family) = &family
            && family.family() != family.as_str()
        {
            let found = family.family().to_owned();
            reader.problem(
                "family",
                format!("must be a name without \"/\"; the family of this one is {found:?}"),
            );
        }
        let limit = reader.integer("limit", 1, MAX_ANSWERED);
        reader.finish();
        problems.or(Self { family, limit })
    }
}

impl BudgetLedgerInput {
    /// Entries answered unless asked otherwise.
    pub const DEFAULT_LIMIT: u64 = 100;

    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        let run_id = reader.account("runId").unwrap_or_else(unread);
        let limit = reader.integer("limit", 1, MAX_ANSWERED);
        reader.finish();
        problems.or(Self { run_id, limit })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_problem_is_named_at_once() {
        let text = TopUpBudgetInput::parse(&json!({
            "runId": "a{b", "amount": 0, "idempotencyKey": "", "ammount": 1,
        }))
        .unwrap_err()
        .to_string();
        for field in ["runId", "amount", "idempotencyKey", "ammount"] {
            assert!(text.contains(field), "{field}: {text}");
        }
        for amount in [json!(-1), json!("NaN"), json!("1e400"), json!("10000000"), json!(null)] {
            let input = json!({"runId": "a", "amount": amount});
            assert!(TopUpBudgetInput::parse(&input).is_err(), "{input}");
        }
        let wrong = ListBudgetsInput::parse(&json!({"family": "team/a", "limit": 0}));
        let text = wrong.unwrap_err().to_string();
        assert!(text.contains("\"team\"") && text.contains("limit"), "{text}");
        assert!(BudgetLedgerInput::parse(&json!({"runId": "a", "limit": 1001})).is_err());
    }

    #[test]
    fn kinds_have_one_name_in_json_and_in_the_ledger() {
        for kind in LedgerEntryKind::ALL {
            assert_eq!(json!(kind), json!(kind.as_str()));
            assert_eq!(LedgerEntryKind::named(kind.as_str()), Some(kind));
        }
        assert_eq!(LedgerEntryKind::named("else"), None);
    }
}
