//! The end of a run: the sandbox goes, the cost is booked, the receipt is written.
//!
//! Cleaning up never turns a result into a failure: a sandbox that cannot be killed is left to its
//! lease and the reaper, and charged until that lease ends.

use std::time::Duration;

use airlock_audit::Event;
use airlock_contract::{CostReport, Phase, Receipt, Usd};
use serde_json::json;

use super::money::Bill;
use super::sandbox::since;
use super::{Halt, Run, now_ms};
use crate::faultpoint::{Point, reach};

/// What a closed run came to.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) cost: CostReport,
    pub(crate) remaining: Usd,
    pub(crate) warnings: Vec<u8>,
    pub(crate) receipt: Option<Receipt>,
}

impl Run {
    /// Kills the sandbox and settles. `status` goes into the audit log.
    pub(crate) async fn close(&mut self, status: &str) -> Result<Closed, Halt> {
        self.phase(Phase::Settling).await?;
        self.end_sandbox().await?;
        let (cost, remaining, warnings) = self.settle().await?;
        self.pulse.note(|beat| beat.cost_usd = cost.spent_usd);
        let receipt = self.receipt(status, &cost).await;
        reach(Point::ReceiptWritten).await;
        Ok(Closed { cost, remaining, warnings, receipt })
    }

    /// Kills the bound sandbox and notes what it is charged for.
    pub(crate) async fn end_sandbox(&mut self) -> Result<(), Halt> {
        let Some(live) = &self.live else { return Ok(()) };
        self.core.runs.check(&self.key, self.fence).await?;
        let bound = live.bound.clone();
        reach(Point::KillBefore).await;
        let killed = match self.core.e2b.kill(&bound.id).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(error = %error, sandbox = %bound.id, "left to its lease");
                false
            }
        };
        reach(Point::KillAfter).await;
        let until = if killed { now_ms().min(bound.lease_until_ms) } else { bound.lease_until_ms };
        let seconds = since(bound.created_at_ms, until).as_secs_f64();
        self.bill(&bound.id, Bill { slot: bound.slot, seconds }).await?;
        reach(Point::KillBilled).await;
        self.live = None;
        if killed {
            self.leave_room(bound.slot).await;
            self.core.runs.unbind_sandbox(&self.key, self.fence, bound.slot).await?;
            reach(Point::KillUnbound).await;
        }
        Ok(())
    }

    /// The record that ties the result to the audit log. A log that cannot be written now does
    /// not take away a result that stands: it refused nothing, the decision is in it.
    async fn receipt(&self, status: &str, cost: &CostReport) -> Option<Receipt> {
        let event = Event::new("run.ended")
            .for_account(&self.key.account)
            .of_execution(self.execution())
            .with("status", status)
            .with("spentUsd", json!(cost.spent_usd))
            .with("seconds", json!(cost.seconds))
            .with("attempt", self.attempt.number)
            .with("reattached", self.reattached);
        match tokio::time::timeout(Duration::from_secs(10), self.core.audit.append(event)).await {
            Ok(Ok(receipt)) => Some(receipt),
            Ok(Err(error)) => {
                tracing::error!(error = %error, "the end of a run is not in the audit log");
                None
            }
            Err(_) => {
                tracing::error!("the end of a run is not in the audit log: no answer in time");
                None
            }
        }
    }
}
