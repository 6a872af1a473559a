//! The end of a run: the sandbox goes, the cost is booked, the receipt is written.
//!
//! Cleaning up never turns a result into a failure: a sandbox that cannot be killed is left to its
//! lease and the reaper, and charged until that lease ends.

use std::time::Duration;

use airlock_audit::Event;
use airlock_contract::{CostReport, Phase, Receipt, Usd};
use serde_json::json;

use super::{Halt, Patience, Run, Stop, now_ms};
use crate::faultpoint::{Point, reach};

/// How long the provider may take to say when a sandbox began, which costs its time.
const PROVIDER_WORD: Duration = Duration::from_secs(2);

/// What a closed run came to.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) cost: CostReport,
    pub(crate) remaining: Usd,
    pub(crate) warnings: Vec<u8>,
    pub(crate) receipt: Option<Receipt>,
}

impl Run {
    /// Kills the sandbox and settles, with patience. `status` goes into the audit log.
    pub(crate) async fn close(&mut self, stop: Stop<'_>, status: &str) -> Result<Closed, Halt> {
        self.phase(Phase::Settling).await?;
        let patience = Patience::new();
        while let Err(halt) = self.end_sandboxes().await {
            patience.again(stop, halt).await?;
        }
        let (cost, remaining, warnings) = loop {
            match self.settle().await {
                Ok(settled) => break settled,
                Err(halt) => patience.again(stop, halt).await?,
            }
        };
        self.pulse.note(|beat| beat.cost_usd = cost.spent_usd);
        let receipt = self.receipt(status, &cost).await;
        reach(Point::ReceiptWritten).await;
        Ok(Closed { cost, remaining, warnings, receipt })
    }

    /// Ends every sandbox that is bound.
    pub(super) async fn end_sandboxes(&mut self) -> Result<(), Halt> {
        loop {
            self.end_sandbox().await?;
            let Some((_, next)) = self.found.pop_first() else { return Ok(()) };
            self.live = Some(next);
        }
    }

    /// [`Run::end_sandbox`], with patience.
    pub(crate) async fn end_sandbox_with(
        &mut self,
        patience: &Patience,
        stop: Stop<'_>,
    ) -> Result<(), Halt> {
        while let Err(halt) = self.end_sandbox().await {
            patience.again(stop, halt).await?;
        }
        Ok(())
    }

    /// Notes what the bound sandbox is charged for, kills it and forgets it; whoever is interrupted
    /// in between does it again. The note comes first: an attempt that dies in between must not
    /// make the next one charge the time until it came. A shared one stays: what this run left
    /// running in it is ended.
    pub(crate) async fn end_sandbox(&mut self) -> Result<(), Halt> {
        if self.borrowed.is_some() {
            return self.leave_shared().await;
        }
        let Some(live) = &self.live else { return Ok(()) };
        let bound = live.bound.clone();
        if let Some(killed_at_ms) = live.killed_at_ms {
            self.bill(&bound, killed_at_ms).await?;
        } else {
            self.still_ours().await?;
            self.provider_start_ms = self.provider_start(&bound.id).await;
            reach(Point::KillBefore).await;
            self.bill(&bound, now_ms()).await?;
            reach(Point::KillBilled).await;
            self.kill_sandbox().await;
            reach(Point::KillAfter).await;
        }
        if self.live.as_ref().is_some_and(|live| live.killed_at_ms.is_some()) {
            self.leave_room(bound.slot).await;
            match self.core.runs.unbind_sandbox(&self.key, self.fence, bound.slot).await {
                Ok(()) | Err(airlock_runs::Error::Missing) => {}
                Err(error) => return Err(error.into()),
            }
            reach(Point::KillUnbound).await;
        } else {
            self.bill(&bound, bound.lease_until_ms).await?;
        }
        self.live = None;
        self.provider_start_ms = None;
        Ok(())
    }

    /// When the provider says that the sandbox began, in ms since 1970, if it says so in time.
    async fn provider_start(&self, id: &str) -> Option<i64> {
        match tokio::time::timeout(PROVIDER_WORD, self.core.e2b.get(id)).await {
            Ok(Ok(info)) => Some(info.started_at.as_millisecond()),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Kills the bound sandbox, unless it is a shared one. One that cannot be killed is left to its
    /// lease and the reaper.
    pub(super) async fn kill_sandbox(&mut self) {
        if self.borrowed.is_some() {
            return;
        }
        let Some(live) = &mut self.live else { return };
        match self.core.e2b.kill(&live.bound.id).await {
            Ok(_) => live.killed_at_ms = Some(now_ms()),
            Err(error) => {
                tracing::warn!(error = %error, sandbox = %live.bound.id, "left to its lease");
            }
        }
    }

    /// Whether no later attempt holds the run. A record that is gone is held by nobody.
    pub(crate) async fn still_ours(&self) -> Result<(), Halt> {
        match self.core.runs.check(&self.key, self.fence).await {
            Ok(()) | Err(airlock_runs::Error::Missing) => Ok(()),
            Err(error) => Err(error.into()),
        }
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
            .with("driftSeconds", json!(cost.drift_seconds))
            .with("priceDigest", cost.price_digest.as_str())
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
