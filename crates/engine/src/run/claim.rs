//! Claiming the run record: who acts for the run, and what was done before.

use std::time::{Duration, SystemTime};

use airlock_runs::{Claim, Record};
use secrecy::SecretString;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::money::{Noted, bills};
use super::sandbox::Live;
use super::{Halt, Run};

impl Run {
    /// Claims the run. The outcome, if it is over already.
    pub(crate) async fn claim(&mut self, input: &Value) -> Result<Option<Value>, Halt> {
        let digest = hex::encode(Sha256::digest(input.to_string()));
        let ttl = self.remember();
        match self.core.runs.claim(&self.key, self.fence, &digest, ttl).await? {
            Claim::Started(_) => Ok(None),
            Claim::Resumed(record) => {
                self.take_over(record);
                Ok(None)
            }
            Claim::Finished(outcome) => Ok(Some(outcome)),
        }
    }

    fn take_over(&mut self, record: Record) {
        self.resumed = true;
        self.claimed_at_ms = record.started_at_ms;
        self.held = Noted::read(&record).map(|noted| noted.amount);
        self.bills = bills(&record);
        self.commands = record.commands;
        if let Some(bound) = record.sandbox {
            let token = SecretString::from(bound.access_token.clone());
            let sandbox = self.core.e2b.attach(&bound.id, token, bound.domain.as_deref());
            self.pulse.note(|beat| beat.sandbox_id = Some(bound.id.clone()));
            self.live = Some(Live { sandbox, bound });
        }
    }

    /// How long the record must live: beyond this attempt's deadline.
    fn remember(&self) -> Duration {
        let left = self
            .attempt
            .deadline
            .and_then(|deadline| deadline.duration_since(SystemTime::now()).ok())
            .unwrap_or_default();
        left + self.core.config.remember
    }
}
