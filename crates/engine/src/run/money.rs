//! Reserving the worst case, extending it, and booking what it came to.
//!
//! The hold's id is the execution's, so a retry finds its own hold again and nothing is counted
//! twice. The sandbox is never given more time than the hold pays for.

use std::collections::BTreeMap;
use std::time::Duration;

use airlock_budget::{Error as BudgetError, HoldKey, NewBudget};
use airlock_contract::{CostReport, Usd};
use airlock_runs::{BoundSandbox, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sandbox::since;
use super::{Halt, Live, Run};
use crate::faultpoint::{Point, reach};
use crate::{failure, metrics};

/// The note in the run record that says what is held, in nano-USD.
pub(crate) const HELD: &str = "held";

/// Notes of this prefix are bills, by the sandbox's id: so whoever writes one again, after a crash
/// in between, charges for nothing twice.
const BILL: &str = "bill.";

/// What a sandbox that is over is charged for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bill {
    /// Which of the run's sandboxes it was.
    pub(crate) slot: u32,
    pub(crate) seconds: f64,
    /// What the provider's times say more than the worker's clock, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) drift: Option<f64>,
}

/// Times that are further apart than this come from clocks that disagree, and the worker's own counts.
const MOST_DRIFT: f64 = 300.0;

impl Bill {
    /// For a sandbox that lived `own` by the worker's clock, from before it was asked for, and
    /// `provider` since the provider's own start, where that is known. The provider charges by its own.
    pub(crate) fn metered(slot: u32, own: Duration, provider: Option<Duration>) -> Self {
        let own = own.as_secs_f64();
        let drift = provider.map(|provider| provider.as_secs_f64() - own);
        let counted = drift.filter(|drift| drift.abs() <= MOST_DRIFT).unwrap_or_default();
        Self { slot, seconds: own + counted, drift }
    }
}

/// The bills of a run, by the sandbox's id.
pub(crate) type Bills = BTreeMap<String, Bill>;

/// What all of them come to.
pub(crate) fn billed(bills: &Bills) -> Duration {
    let seconds: f64 = bills.values().map(|bill| bill.seconds).sum();
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// What the provider's times say more than the worker's clock, in seconds; none where it never said.
pub(crate) fn drift(bills: &Bills) -> Option<f64> {
    bills.values().filter_map(|bill| bill.drift).reduce(|one, other| one + other)
}

/// What the record says is held for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) amount: Usd,
    /// The part that is due whatever the sandbox costs.
    pub(crate) fee: Usd,
    /// Sandbox time that it pays for.
    pub(crate) covers: Duration,
    /// Template whose time it is.
    pub(crate) template: String,
}

impl Noted {
    pub(crate) fn read(record: &Record) -> Option<Self> {
        let note = record.notes.get(HELD)?;
        let nanos = |name: &str| note.get(name).and_then(Value::as_i64).map(Usd::from_nanos);
        let covers = Duration::from_millis(note.get("coversMs").and_then(Value::as_u64)?);
        let template = note.get("template").and_then(Value::as_str)?.to_owned();
        Some(Self { amount: nanos("amount")?, fee: nanos("fee")?, covers, template })
    }

    fn note(&self) -> Value {
        let covers = u64::try_from(self.covers.as_millis()).unwrap_or(u64::MAX);
        json!({
            "amount": self.amount.nanos(), "fee": self.fee.nanos(), "coversMs": covers,
            "template": self.template,
        })
    }
}

/// What the record says that finished sandboxes are charged for.
pub(crate) fn bills(record: &Record) -> Bills {
    let bill = |(name, value): (&String, &Value)| {
        let sandbox = name.strip_prefix(BILL)?.to_owned();
        Some((sandbox, serde_json::from_value(value.clone()).ok()?))
    };
    record.notes.iter().filter_map(bill).collect()
}

/// What a run may come to.
#[derive(Clone, Debug)]
pub(crate) struct Price {
    pub(crate) template: String,
    /// Sandbox time that is held now.
    pub(crate) covers: Duration,
    /// Sandbox time at most.
    pub(crate) total: Duration,
    pub(crate) fee: Usd,
    /// The run's own cap.
    pub(crate) max: Option<Usd>,
}

/// What is held for a run.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) price: Price,
    pub(crate) amount: Usd,
    pub(crate) warnings: Vec<u8>,
    /// Whether the budget has refused a further slice.
    pub(crate) refused: bool,
}

impl Run {
    /// What `price` comes to at most.
    pub(crate) fn worst_case(&self, price: &Price) -> Usd {
        self.cost_of(price, price.total)
    }

    fn cost_of(&self, price: &Price, time: Duration) -> Usd {
        price.fee.saturating_add(self.metered(price, time))
    }

    /// What the time itself costs. That of a shared sandbox is paid for by itself.
    fn metered(&self, price: &Price, time: Duration) -> Usd {
        if self.borrowed.is_some() {
            return Usd::ZERO;
        }
        self.core.prices.cost(&price.template, time)
    }

    /// Holds what `price` covers; the same hold again on a retry.
    pub(crate) async fn reserve(&mut self, price: Price) -> Result<(), Halt> {
        if let Some(held) = self.held.clone() {
            return self.reserve_again(price, held).await;
        }
        let amount = self.within_cap(&price)?;
        let lease = price.covers + self.core.config.margins.late;
        self.asked.hold = true;
        let reserved = match self.core.ledger.reserve(&self.hold_key(), amount, lease).await {
            Err(BudgetError::NotFound { account })
                if account == self.key.account && self.core.config.auto_create.is_some() =>
            {
                self.core.auto_create(account).await?;
                self.core.ledger.reserve(&self.hold_key(), amount, lease).await
            }
            other => other,
        };
        let reserved = reserved.map_err(|error| self.refused(error, &price))?;
        metrics::reserved(reserved.amount);
        reach(Point::ReserveHeld).await;
        let warnings = reserved.warnings;
        self.hold = Some(Hold { price, amount: reserved.amount, warnings, refused: false });
        self.note_held().await
    }

    /// The hold of an earlier attempt. Its lease is pushed; if it was settled already, it stays so.
    async fn reserve_again(&mut self, mut price: Price, held: Noted) -> Result<(), Halt> {
        let amount = held.amount;
        price.covers = held.covers;
        let lease = price.covers + self.core.config.margins.late;
        let (amount, warnings) =
            match self.core.ledger.extend(&self.hold_key(), amount, lease).await {
                Ok(reserved) => (reserved.amount, reserved.warnings),
                Err(BudgetError::Conflict { .. }) => (amount, Vec::new()),
                // What runs already is paid for, even if the hold ended and others took its place.
                Err(BudgetError::Exceeded { .. } | BudgetError::CircuitOpen { .. })
                    if self.may_have_started() =>
                {
                    (amount, Vec::new())
                }
                Err(error) => return Err(self.refused(error, &price).into()),
            };
        self.hold = Some(Hold { price, amount, warnings, refused: false });
        Ok(())
    }

    /// Tells later attempts and the reaper what is held.
    async fn note_held(&mut self) -> Result<(), Halt> {
        let Some(Hold { price, amount, .. }) = &self.hold else { return Ok(()) };
        let template = price.template.clone();
        let noted = Noted { amount: *amount, fee: price.fee, covers: price.covers, template };
        let note = noted.note();
        self.held = Some(noted);
        Ok(self.core.runs.note(&self.key, self.fence, HELD, &note).await?)
    }

    /// Raises the hold so that it covers `price`, or leaves it if it does already.
    pub(crate) async fn extend(&mut self, price: Price) -> Result<(), Halt> {
        let amount = self.within_cap(&price)?;
        let Some(hold) = &mut self.hold else { return self.reserve(price).await };
        if amount > hold.amount {
            let key = HoldKey::new(self.key.account.clone(), self.key.execution.as_str());
            let lease = price.covers + self.core.config.margins.late;
            let extended = self.core.ledger.extend(&key, amount, lease).await;
            let extended = match extended {
                Ok(extended) => extended,
                Err(error) => return Err(Halt::Failed(self.refused(error, &price))),
            };
            metrics::reserved(amount.saturating_sub(hold.amount).or_zero());
            hold.amount = extended.amount;
            hold.warnings.extend(extended.warnings);
            hold.price = price;
            return self.note_held().await;
        }
        hold.price = price;
        Ok(())
    }

    /// Books what the run cost and gives back the rest.
    pub(crate) async fn settle(&mut self) -> Result<(CostReport, Usd, Vec<u8>), Halt> {
        let Some(hold) = self.hold.clone() else { return Err(self.no_hold()) };
        let time = billed(&self.bills);
        let actual = self.cost_of(&hold.price, time);
        let what = format!("execution {}", self.execution().short());
        // The record says that it was held: a ledger that a failover made forget it books all the same.
        let settled = self.core.ledger.settle_forgotten(&self.hold_key(), actual, &what).await?;
        metrics::spent(if settled.replayed { Usd::ZERO } else { actual });
        let drift = drift(&self.bills);
        drift.filter(|_| !settled.replayed).inspect(|drift| metrics::drift(*drift));
        reach(Point::SettleBooked).await;
        let mut warnings = hold.warnings;
        warnings.extend(settled.warnings);
        warnings.sort_unstable();
        warnings.dedup();
        let report = CostReport {
            reserved_usd: hold.amount,
            spent_usd: actual,
            seconds: millis(time.as_secs_f64()),
            drift_seconds: drift.map(millis),
            price_digest: self.core.prices.digest().to_owned(),
        };
        Ok((report, settled.status.remaining, warnings))
    }

    /// Notes that `bound` is charged for its life until `until_ms`, and never beyond its lease.
    pub(crate) async fn bill(&mut self, bound: &BoundSandbox, until_ms: i64) -> Result<(), Halt> {
        let until_ms = until_ms.min(bound.lease_until_ms);
        let own = since(bound.created_at_ms, until_ms);
        let provider = self.provider_start_ms.map(|began| since(began, until_ms));
        self.note_bill(&bound.id, Bill::metered(bound.slot, own, provider)).await
    }

    /// Notes what a sandbox is charged for. A bill only grows: what was settled by it stays so.
    pub(crate) async fn note_bill(&mut self, sandbox: &str, bill: Bill) -> Result<(), Halt> {
        if self.bills.get(sandbox).is_some_and(|noted| noted.seconds >= bill.seconds) {
            return Ok(());
        }
        let name = format!("{BILL}{sandbox}");
        let value = serde_json::to_value(bill).unwrap_or_default();
        match self.core.runs.note(&self.key, self.fence, &name, &value).await {
            // Without a record there is nobody to tell; the ledger is, once.
            Ok(()) | Err(airlock_runs::Error::Missing) => {}
            Err(error) => return Err(error.into()),
        }
        self.bills.insert(sandbox.to_owned(), bill);
        Ok(())
    }

    /// Gives back the whole hold: nothing that costs was ever created. Also right if it is not
    /// known whether there is one.
    pub(crate) async fn void(&mut self) -> Result<(), Halt> {
        if self.hold.is_some() || self.asked.hold {
            match self.core.ledger.void(&self.hold_key()).await {
                Ok(_) | Err(BudgetError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            self.hold = None;
            self.asked.hold = false;
        }
        Ok(())
    }

    /// What an earlier attempt held, for one that ends the run before it has asked for it again.
    pub(crate) fn remember_hold(&mut self) {
        if let (None, Some(held)) = (&self.hold, &self.held) {
            let price = Price {
                template: held.template.clone(),
                covers: held.covers,
                total: held.covers,
                fee: held.fee,
                max: None,
            };
            let amount = held.amount;
            self.hold = Some(Hold { price, amount, warnings: Vec::new(), refused: false });
        }
    }

    /// Cost so far, for a heartbeat.
    pub(crate) fn cost_so_far(&self) -> Usd {
        let Some(hold) = &self.hold else { return Usd::ZERO };
        let running = self.live.as_ref().map_or(Duration::ZERO, Live::age);
        let time = billed(&self.bills) + running;
        self.cost_of(&hold.price, time)
    }

    fn hold_key(&self) -> HoldKey {
        HoldKey::new(self.key.account.clone(), self.key.execution.as_str())
    }

    pub(crate) fn within_cap(&self, price: &Price) -> Result<Usd, Halt> {
        let most = self.worst_case(price);
        match price.max {
            Some(max) if most > max => {
                let rest = max.saturating_sub(price.fee).or_zero();
                let time = self.core.prices.affordable(&price.template, rest);
                Err(failure::over_cap(most, max, time).into())
            }
            _ => Ok(self.cost_of(price, price.covers)),
        }
    }

    /// A refusal that says how long a run the rest would buy.
    fn refused(&self, error: BudgetError, price: &Price) -> airlock_contract::Failure {
        let rest = match &error {
            BudgetError::Exceeded { status, .. } => {
                Some(status.remaining.saturating_sub(price.fee).or_zero())
            }
            _ => None,
        };
        let mut failure = failure::budget(error);
        if let (Some(rest), Some(details)) =
            (rest, failure.details.as_mut().and_then(|details| details.as_object_mut()))
        {
            let time = self.core.prices.affordable(&price.template, rest).as_secs();
            details.insert("affordableSeconds".to_owned(), time.into());
        }
        failure
    }

    fn no_hold(&self) -> Halt {
        failure::internal("settling without a hold", self.execution()).into()
    }
}

/// To whole milliseconds.
fn millis(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

impl crate::engine::Core {
    /// Makes an account at its first use.
    pub(crate) async fn auto_create(
        &self,
        account: airlock_contract::AccountId,
    ) -> Result<(), Halt> {
        let Some(auto) = &self.config.auto_create else { return Ok(()) };
        let new = NewBudget { ttl: auto.ttl, ..NewBudget::new(account, auto.limit) };
        match self.ledger.create(&new).await {
            // Somebody else made it in the same moment.
            Ok(_) | Err(BudgetError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_providers_times_count_unless_its_clock_is_another() {
        let seconds = Duration::from_secs_f64;
        let bill = Bill::metered(0, seconds(60.0), Some(seconds(58.5)));
        assert_eq!((bill.seconds, bill.drift), (58.5, Some(-1.5)));
        let bill = Bill::metered(0, seconds(60.0), None);
        assert_eq!((bill.seconds, bill.drift), (60.0, None));
        let bill = Bill::metered(0, seconds(60.0), Some(seconds(4000.0)));
        assert_eq!((bill.seconds, bill.drift), (60.0, Some(3940.0)));
    }

    #[test]
    fn bills_that_were_noted_without_a_drift_are_read() {
        let bill: Bill = serde_json::from_value(json!({ "slot": 1, "seconds": 2.5 })).unwrap();
        assert_eq!(bill, Bill { slot: 1, seconds: 2.5, drift: None });
    }
}
