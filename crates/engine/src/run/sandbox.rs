//! The run's sandbox: found or created, bound in the record, kept alive, killed.
//!
//! Creation carries the execution's id as idempotency key and as metadata, so that a reply that was
//! lost does not leave a second sandbox: a retry finds the first one. Whoever finds another one
//! bound kills its own; who is superseded before anything is bound leaves it to the later attempt.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use airlock_contract::{Failure, FailureType, Phase};
use airlock_e2b::{CreateSandbox, ListQuery, Network, Sandbox};
use airlock_runs::{Bind, BoundSandbox, Lease};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Halt, Run, billed, now_ms, rfc3339};
use crate::faultpoint::{Point, reach};
use crate::{failure, metrics};

/// The label that says when creation was asked for, in milliseconds since 1970.
const CREATED: &str = "createdAtMs";

/// Slots of a sandbox that replaces a lost one begin here.
const GENERATION: u32 = 10_000;

/// The shortest lease that can be asked for.
const SHORTEST: Duration = Duration::from_secs(1);

/// A sandbox that is bound to the run.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) sandbox: Sandbox,
    pub(crate) bound: BoundSandbox,
}

/// What a sandbox must be like.
#[derive(Clone, Debug)]
pub(crate) struct SandboxSpec {
    pub(crate) template: String,
    pub(crate) network: Option<Network>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Which of the run's sandboxes: 0, or the command's index if each has its own.
    pub(crate) slot: u32,
}

impl Live {
    /// How long it has been there.
    pub(crate) fn age(&self) -> Duration {
        since(self.bound.created_at_ms, now_ms())
    }
}

/// The time between two instants, never negative.
pub(crate) fn since(from_ms: i64, to_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0))
}

impl Run {
    /// The sandbox bound in the record, or a new one.
    pub(crate) async fn sandbox(&mut self, spec: &SandboxSpec) -> Result<(), Halt> {
        if self.live.is_some() {
            return Ok(());
        }
        self.phase(Phase::Creating).await?;
        reach(Point::SandboxCreating).await;
        let found = if self.resumed { self.find(spec).await? } else { None };
        let (sandbox, created_at_ms) = match found {
            Some(found) => found,
            None => self.create(spec).await?,
        };
        reach(Point::SandboxCreated).await;
        self.bind(sandbox, created_at_ms, spec).await
    }

    /// A sandbox that an earlier attempt created and did not manage to bind.
    async fn find(&self, spec: &SandboxSpec) -> Result<Option<(Sandbox, i64)>, Halt> {
        let query = ListQuery {
            metadata: self.identity_labels(self.slot(spec.slot)),
            ..ListQuery::default()
        };
        let found = self.core.e2b.list(&query).await.map_err(|e| failure::sandbox(&e))?;
        let Some(info) = found.first() else { return Ok(None) };
        match self.core.e2b.connect(&info.id, Some(self.lease_length())).await {
            Ok(sandbox) => {
                // The creator's own word, so that the lease it may have left is the same lease.
                let created = info.metadata.get(CREATED).and_then(|ms| ms.parse().ok());
                Ok(Some((sandbox, created.unwrap_or_else(|| info.started_at.as_millisecond()))))
            }
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(failure::sandbox(&error).into()),
        }
    }

    async fn create(&self, spec: &SandboxSpec) -> Result<(Sandbox, i64), Halt> {
        let mut metadata = spec.labels.clone();
        metadata.extend(self.identity_labels(self.slot(spec.slot)));
        metadata.extend(self.more_labels());
        let (began, began_ms) = (Instant::now(), now_ms());
        metadata.insert(CREATED.to_owned(), began_ms.to_string());
        let mut create = CreateSandbox {
            metadata,
            network: spec.network.clone(),
            idempotency_key: Some(self.creation_key(self.slot(spec.slot))),
            ..CreateSandbox::new(&spec.template, self.lease_length())
        };
        let mut created = self.core.e2b.create(&create).await;
        if matches!(created, Err(airlock_e2b::Error::Conflict { .. })) {
            // An earlier attempt asked for another lifetime under this key, and what it got, if
            // anything, is not there any more: a sandbox that lived would have been found.
            if let Some((sandbox, created_at_ms)) = self.find(spec).await? {
                return Ok((sandbox, created_at_ms));
            }
            create.idempotency_key =
                Some(format!("{}-{}", self.creation_key(self.slot(spec.slot)), self.fence.0));
            created = self.core.e2b.create(&create).await;
        }
        let sandbox = created.map_err(|e| failure::sandbox(&e))?;
        metrics::sandbox_created(began.elapsed());
        Ok((sandbox, began_ms))
    }

    async fn bind(
        &mut self,
        sandbox: Sandbox,
        created_at_ms: i64,
        spec: &SandboxSpec,
    ) -> Result<(), Halt> {
        let lease = i64::try_from(self.lease_length().as_millis()).unwrap_or(i64::MAX);
        let bound = BoundSandbox {
            slot: self.slot(spec.slot),
            id: sandbox.id().to_owned(),
            template: spec.template.clone(),
            access_token: sandbox.access_token().expose_secret().to_owned(),
            domain: sandbox.domain().map(str::to_owned),
            lease_until_ms: now_ms().saturating_add(lease),
            workflow: self.attempt.workflow_type.clone(),
            identity: Some(self.identity.clone()),
            created_at_ms,
        };
        let bind = match self.core.runs.bind_sandbox(&self.key, self.fence, &bound).await {
            Ok(bind) => bind,
            Err(error) => {
                if matches!(error, airlock_runs::Error::Superseded) {
                    self.discard(&bound).await;
                }
                return Err(error.into());
            }
        };
        reach(Point::SandboxBound).await;
        let live = match bind {
            Bind::Bound => Live { sandbox, bound },
            Bind::Other(other) if other.id == bound.id => Live { sandbox, bound: other },
            Bind::Other(other) => {
                self.discard(&bound).await;
                let token = SecretString::from(other.access_token.clone());
                let sandbox = self.core.e2b.attach(&other.id, token, other.domain.as_deref());
                Live { sandbox, bound: other }
            }
        };
        self.pulse.note(|beat| {
            beat.sandbox_id = Some(live.bound.id.clone());
            beat.lease_until = rfc3339(live.bound.lease_until_ms);
        });
        self.live = Some(live);
        Ok(())
    }

    /// Kills a sandbox that the run does not need.
    ///
    /// The same creation, asked for twice, gives the same sandbox: a later attempt may have it
    /// already and not have bound it yet. So it is killed only if the run has another one, or is
    /// over. Else its lease stays, and the reaper ends it if the later attempt does not.
    async fn discard(&self, own: &BoundSandbox) {
        let unneeded = match self.core.runs.get(&self.key).await {
            Ok(Some(record)) => match record.sandboxes.get(&own.slot) {
                Some(bound) => bound.id != own.id,
                None => record.outcome.is_some(),
            },
            Ok(None) | Err(_) => false,
        };
        if !unneeded {
            tracing::info!(sandbox = %own.id, "a sandbox is left to a later attempt");
            return;
        }
        match self.core.e2b.kill(&own.id).await {
            Ok(_) => {
                let lease = Lease::of(&self.key, own);
                if let Err(error) = self.core.runs.remove_lease(&lease).await {
                    tracing::warn!(error = %error, "a lease was not removed; the reaper will");
                }
            }
            Err(error) => tracing::warn!(error = %error, "a sandbox was left to the reaper"),
        }
    }

    /// Prolongs the sandbox's life once a third of its lease is over. Also notices that a later
    /// attempt has taken over.
    pub(crate) async fn renew(&mut self) -> Result<(), Halt> {
        let length = self.lease_length();
        let Some(live) = &mut self.live else { return Ok(()) };
        let left = since(now_ms(), live.bound.lease_until_ms);
        // The shortest length is what is left when nothing more is paid for.
        if left > length.mul_f32(0.67) || length <= SHORTEST {
            return Ok(());
        }
        let until = now_ms().saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
        self.core.runs.renew_lease(&self.key, self.fence, live.bound.slot, until).await?;
        reach(Point::RenewNoted).await;
        match self.core.e2b.refresh(&live.bound.id, length).await {
            Ok(()) => {
                live.bound.lease_until_ms = live.bound.lease_until_ms.max(until);
                self.pulse.note(|beat| beat.lease_until = rfc3339(until));
                Ok(())
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(error = %error, "the sandbox's life was not prolonged; tried again");
                Ok(())
            }
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(failure::sandbox(&error).into()),
        }
    }

    /// Heartbeat timeout (else time to the deadline), retry backoff and slack; never more than the
    /// reservation pays for.
    fn lease_length(&self) -> Duration {
        let config = &self.core.config.lease;
        let to_deadline = || {
            let deadline = self.attempt.deadline?;
            deadline.duration_since(SystemTime::now()).ok()
        };
        let silent = self.attempt.heartbeat_timeout.or_else(to_deadline).unwrap_or_default();
        let wanted = (silent + config.backoff + config.slack).min(config.max);
        let Some(hold) = &self.hold else { return wanted };
        let age = self.live.as_ref().map_or(Duration::ZERO, Live::age);
        wanted.min(hold.price.covers.saturating_sub(age + billed(&self.bills))).max(SHORTEST)
    }

    /// `slot`, or its next generation if a sandbox for it is over already.
    pub(crate) fn slot(&self, slot: u32) -> u32 {
        let mut slot = slot;
        while self.bills.values().any(|bill| bill.slot == slot) {
            slot = slot.saturating_add(GENERATION);
        }
        slot
    }

    fn creation_key(&self, slot: u32) -> String {
        match slot {
            0 => self.execution().to_string(),
            _ => format!("{}-{slot}", self.execution()),
        }
    }

    fn identity_labels(&self, slot: u32) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("executionId".to_owned(), self.execution().to_string()),
            ("slot".to_owned(), slot.to_string()),
        ])
    }

    fn more_labels(&self) -> BTreeMap<String, String> {
        let identity = &self.identity;
        [
            ("runId", self.key.account.as_str()),
            ("namespace", &identity.namespace),
            ("workflowId", &identity.workflow_id),
            ("workflowRunId", &identity.run_id),
            ("activityId", &identity.activity_id),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }
}

/// Whether the sandbox does not exist any more.
pub(crate) fn is_gone(error: &airlock_e2b::Error) -> bool {
    matches!(error, airlock_e2b::Error::NotFound { .. } | airlock_e2b::Error::Gone { .. })
}

/// A shared sandbox is not offered by this version: any id that is given is none that Airlock
/// opened for the account.
pub(crate) fn refuse_shared(sandbox_id: Option<&str>) -> Result<(), Failure> {
    match sandbox_id {
        None => Ok(()),
        Some(_) => Err(Failure::new(
            FailureType::SandboxNotFound,
            "sandboxId names no sandbox that Airlock opened for this runId; leave it out and the \
             run gets a sandbox of its own",
        )),
    }
}
