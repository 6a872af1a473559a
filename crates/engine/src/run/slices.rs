//! A long command is held slice by slice while it runs.
//!
//! Holding hours of a sandbox for a command that may end in a minute would keep the budget from
//! everybody else. So no more than one slice is held at once; the next one is asked for while the
//! last quarter runs. If the budget refuses, the command keeps what is paid; when that is over it
//! is asked once more, then the command is ended and its output is the result (`outOfBudget`).
//! Time for cleaning up is always held, and the sandbox never lives longer than what is held.

use std::time::Duration;

use airlock_contract::FailureType;

use super::money::{Hold, Price, billed};
use super::{Halt, Live, Run};

/// The next slice is asked for when no more than one part in so many is left.
pub(crate) const AHEAD: u32 = 4;

/// What the held time is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paid {
    /// The command may go on.
    On,
    /// It is used up and the budget has no more.
    Over,
}

impl Run {
    /// Sees to it that the time to come is held.
    pub(crate) async fn pay_on(&mut self) -> Result<Paid, Halt> {
        if self.borrowed.is_some() {
            return self.pay_on_shared().await;
        }
        let Some(Hold { price, refused, .. }) = &self.hold else { return Ok(Paid::On) };
        if price.covers >= price.total {
            return Ok(Paid::On);
        }
        let slice = self.core.config.slice;
        let usable = price.covers.saturating_sub(self.core.config.margins.cleanup);
        let left = usable.saturating_sub(self.used());
        let ask = left.is_zero() || (left <= slice / AHEAD && !refused);
        if !ask {
            return Ok(Paid::On);
        }
        let next = Price { covers: price.total.min(price.covers + slice), ..price.clone() };
        match self.extend(next).await {
            Ok(()) => {
                self.refused_slice(false);
                Ok(Paid::On)
            }
            Err(Halt::Failed(failure)) => {
                tracing::info!(reason = %failure.message, "no further slice of the budget");
                self.refused_slice(is_refusal(failure.kind));
                Ok(if left.is_zero() { Paid::Over } else { Paid::On })
            }
            Err(halt) => Err(halt),
        }
    }

    const fn refused_slice(&mut self, refused: bool) {
        if let Some(hold) = &mut self.hold {
            hold.refused = refused;
        }
    }

    /// Sandbox time that the run has used so far.
    pub(crate) fn used(&self) -> Duration {
        let alive = self.live.as_ref().map_or(Duration::ZERO, Live::age);
        billed(&self.bills) + alive
    }
}

/// Whether the account refused, as against being out of reach.
pub(crate) const fn is_refusal(kind: FailureType) -> bool {
    matches!(kind, FailureType::BudgetExceeded | FailureType::CircuitOpen)
}
