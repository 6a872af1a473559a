//! Crossed budget thresholds, told once each: to the audit log, the metrics and the webhook.
//!
//! Of all bookings one crosses a threshold, so the ledger names it once; the webhook also remembers
//! what it sent. A process that dies between the booking and the message is made up for by the retry
//! of its run, which books the same again and finds the message unsent. Nothing waits for any of
//! this: money that is spent is spent, whether or not somebody could be told.

use std::sync::Arc;

use airlock_approval::webhook::Webhooks;
use airlock_audit::{Event, Log};
use airlock_budget::{AlertNotice, AlertObserver};
use serde::Serialize;

use crate::metrics;

/// The type of the webhook's message and the kind of the audit record.
const KIND: &str = "budget.alert";

/// Where alerts go.
#[derive(Clone, Debug)]
pub struct Alerts {
    audit: Arc<Log>,
    webhooks: Option<Arc<Webhooks>>,
}

/// The webhook's `data`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    threshold: u8,
    budget: &'a airlock_contract::BudgetStatus,
}

impl Alerts {
    /// Tells the audit log, the metrics, and `webhooks` if there are any.
    pub fn new(audit: Arc<Log>, webhooks: Option<Webhooks>) -> Self {
        Self { audit, webhooks: webhooks.map(Arc::new) }
    }

    /// For [`Ledger::with_alerts`](airlock_budget::Ledger::with_alerts). Spawns, so the ledger must
    /// be used on a Tokio runtime.
    pub fn observer(&self) -> AlertObserver {
        let alerts = self.clone();
        Arc::new(move |notice| {
            let alerts = alerts.clone();
            tokio::spawn(async move { alerts.tell(&notice).await });
        })
    }

    async fn tell(&self, notice: &AlertNotice) {
        let AlertNotice { status, threshold, replayed } = notice;
        if !replayed {
            metrics::budget_alert(*threshold);
            tracing::warn!(account = %status.run_id, threshold, "a budget's alert threshold is crossed");
            let event = Event::new(KIND)
                .for_account(&status.run_id)
                .with("threshold", *threshold)
                .with("limit", status.limit.to_string())
                .with("spent", status.spent.to_string());
            if let Err(error) = self.audit.append(event).await {
                tracing::error!(%error, "a budget alert is not in the audit log");
            }
        }
        let Some(webhooks) = &self.webhooks else { return };
        let data = Data { threshold: *threshold, budget: status };
        for sent in webhooks.announce(&notice.id(), KIND, &data).await {
            if let Err(error) = sent {
                tracing::error!(%error, account = %status.run_id, "a budget alert was not delivered");
            }
        }
    }
}
