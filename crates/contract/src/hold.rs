//! Holds on budget accounts as callers see them: an amount set aside for work of the caller's own.
//!
//! The holds of executions are Airlock's and are not reached by these names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::{BudgetStatus, unread};
use crate::reader::Reader;
use crate::{AccountId, Problems, Usd};

/// Input of `reserveBudget` and `extendBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldBudgetInput {
    /// The account.
    pub run_id: AccountId,
    /// The caller's name of the hold, 1 to 200 bytes: the same again is the same hold.
    pub hold_id: String,
    /// How much is held, at most in all.
    pub amount: Usd,
    /// Seconds until it is returned by itself, 1 to 604800; default 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u64>,
}

/// Input of `settleBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettleBudgetInput {
    /// The account.
    pub run_id: AccountId,
    /// The caller's name of the hold.
    pub hold_id: String,
    /// What it came to; may be more than was held.
    pub amount: Usd,
    /// What for; in the account's ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Input of `voidBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VoidBudgetInput {
    /// The account.
    pub run_id: AccountId,
    /// The caller's name of the hold.
    pub hold_id: String,
}

/// Answer of `reserveBudget` and `extendBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetHold {
    /// The caller's name of the hold.
    pub hold_id: String,
    /// What is held.
    pub amount: Usd,
    /// The hold was settled before, for this much: nothing is held any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Usd>,
    /// Alert thresholds that would be crossed if all that is reserved were spent.
    pub budget_warnings: Vec<u8>,
    /// The account, with the hold counted.
    pub budget: BudgetStatus,
}

/// Answer of `settleBudget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetSettlement {
    /// The caller's name of the hold.
    pub hold_id: String,
    /// What was booked.
    pub booked: Usd,
    /// What was held for it.
    pub held: Usd,
    /// The hold had been returned before, because its lease had ended.
    pub late: bool,
    /// The same was answered before; nothing was counted now.
    pub replayed: bool,
    /// Alert thresholds that this booking crossed.
    pub budget_warnings: Vec<u8>,
    /// The account, with the booking counted.
    pub budget: BudgetStatus,
}

/// Longest lease, in seconds: as long as ended holds are remembered.
const MAX_LEASE_SECONDS: u64 = 7 * 24 * 3600;
const MAX_HOLD_ID_BYTES: usize = 200;

fn hold_id(reader: &mut Reader<'_, '_>) -> String {
    reader.require("holdId");
    let id = reader.string("holdId", MAX_HOLD_ID_BYTES);
    if id.as_deref() == Some("") {
        reader.problem("holdId", "must not be empty");
    }
    id.unwrap_or_default()
}

impl HoldBudgetInput {
    /// Seconds of a lease unless asked otherwise.
    pub const DEFAULT_LEASE_SECONDS: u64 = 900;

    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        reader.require("amount");
        let run_id = reader.account("runId").unwrap_or_else(unread);
        let hold_id = hold_id(&mut reader);
        let amount = reader.usd("amount").unwrap_or_default();
        let lease_seconds = reader.integer("leaseSeconds", 1, MAX_LEASE_SECONDS);
        reader.finish();
        problems.or(Self { run_id, hold_id, amount, lease_seconds })
    }
}

impl SettleBudgetInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        reader.require("amount");
        let run_id = reader.account("runId").unwrap_or_else(unread);
        let hold_id = hold_id(&mut reader);
        let amount = reader.usd("amount").unwrap_or_default();
        let description = reader.string("description", 1000);
        reader.finish();
        problems.or(Self { run_id, hold_id, amount, description })
    }
}

impl VoidBudgetInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("runId");
        let run_id = reader.account("runId").unwrap_or_else(unread);
        let hold_id = hold_id(&mut reader);
        reader.finish();
        problems.or(Self { run_id, hold_id })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_problem_is_named_at_once() {
        let wrong = json!({
            "runId": "a{b", "holdId": "", "amount": -1, "leaseSeconds": 0, "lease": 1,
        });
        let text = HoldBudgetInput::parse(&wrong).unwrap_err().to_string();
        for field in ["runId", "holdId", "amount", "leaseSeconds", "lease"] {
            assert!(text.contains(field), "{field}: {text}");
        }
        let text = SettleBudgetInput::parse(&json!({"description": 1})).unwrap_err().to_string();
        for field in ["runId", "holdId", "amount", "description"] {
            assert!(text.contains(field), "{field}: {text}");
        }
        assert!(VoidBudgetInput::parse(&json!({"runId": "a"})).is_err());
    }
}
