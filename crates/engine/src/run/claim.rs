//! Claiming the run record: who acts for the run, and what was done before.

use std::time::{Duration, SystemTime};

use airlock_contract::Phase;
use airlock_runs::{BoundSandbox, Claim, Record};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::money::{Noted, bills};
use super::sandbox::Live;
use super::{Halt, Run, now_ms};

impl Run {
    /// Claims the run. The outcome, if it is over already.
    pub(crate) async fn claim(&mut self, input: &Value) -> Result<Option<Value>, Halt> {
        let digest = hex::encode(Sha256::digest(input.to_string()));
        let ttl = self.remember();
        match self.core.runs.claim(&self.key, self.fence, &digest, ttl).await? {
            Claim::Started(_) => {
                self.refuse_without_record()?;
                Ok(None)
            }
            Claim::Resumed(record) => {
                self.take_over(record).await?;
                Ok(None)
            }
            Claim::Finished(outcome) => Ok(Some(outcome)),
        }
    }

    async fn take_over(&mut self, record: Record) -> Result<(), Halt> {
        self.resumed = true;
        self.claimed_at_ms = record.started_at_ms;
        self.held = Noted::read(&record);
        self.bills = bills(&record);
        self.commands = record.commands;
        for bound in record.sandboxes.into_values() {
            if self.bills.contains_key(&bound.id) {
                self.forget(&bound).await?;
                continue;
            }
            let token = SecretString::from(bound.access_token.clone());
            let sandbox = self.core.e2b.attach(&bound.id, token, bound.domain.as_deref());
            self.pulse.note(|beat| beat.sandbox_id = Some(bound.id.clone()));
            self.found.insert(bound.slot, Live::new(sandbox, bound));
        }
        self.live = self.found.pop_first().map(|(_, live)| live);
        Ok(())
    }

    /// An earlier attempt billed this sandbox, and died before it had killed or forgotten it. Time
    /// that it lived on is charged too.
    async fn forget(&mut self, bound: &BoundSandbox) -> Result<(), Halt> {
        match self.core.e2b.kill(&bound.id).await {
            Ok(true) => {
                self.bill(bound, now_ms()).await?;
                Ok(self.core.runs.unbind_sandbox(&self.key, self.fence, bound.slot).await?)
            }
            Ok(false) => {
                Ok(self.core.runs.unbind_sandbox(&self.key, self.fence, bound.slot).await?)
            }
            Err(error) => {
                tracing::warn!(error = %error, sandbox = %bound.id, "left to its lease");
                Ok(())
            }
        }
    }

    /// A run that an earlier attempt had started, and that has no record any more, is not started a
    /// second time: the store lost what it knew.
    fn refuse_without_record(&mut self) -> Result<(), Halt> {
        let Some(before) = &self.attempt.previous else { return Ok(()) };
        let is_ours = before.execution_id == *self.execution();
        if !is_ours || !(Phase::Starting..=Phase::Settling).contains(&before.phase) {
            return Ok(());
        }
        self.resumed = true;
        let (sandbox_id, tail) = (before.sandbox_id.clone(), before.tail.clone());
        let why = "the record of this run is gone";
        let mut failure = self.outcome_unknown(why);
        if let Some(details) = failure.details.as_mut() {
            details["sandboxId"] = json!(sandbox_id);
            details["lastOutput"] = json!(tail);
        }
        Err(failure.into())
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
