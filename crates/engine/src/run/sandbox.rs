//! The run's sandbox: asked for (`create.rs`), bound in the record, kept alive, killed.
//!
//! Creation carries the execution's id as idempotency key and as metadata, so that a reply that was
//! lost does not leave a second sandbox: a retry finds the first one. Whoever finds another one
//! bound kills its own; who is superseded before anything is bound leaves it to the later attempt.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use airlock_contract::Phase;
use airlock_e2b::{Network, Sandbox};
use airlock_runs::{Bind, BoundSandbox, CommandState, Lease};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::task::AbortOnDropHandle;

use super::create::Created;
use super::{Halt, Run, billed, now_ms, rfc3339};
use crate::failure;
use crate::faultpoint::{Point, reach};

/// Slots of a sandbox that replaces a lost one begin here.
pub(super) const GENERATION: u32 = 10_000;

/// The shortest lease that can be asked for.
const SHORTEST: Duration = Duration::from_secs(1);

/// A renewal that failed is tried again after this.
const RENEW_AGAIN: Duration = Duration::from_secs(5);

/// A sandbox that is bound to the run.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) sandbox: Sandbox,
    pub(crate) bound: BoundSandbox,
    /// When it was killed.
    pub(crate) killed_at_ms: Option<i64>,
}

/// What a sandbox must be like.
#[derive(Clone, Debug)]
pub(crate) struct SandboxSpec {
    pub(crate) template: String,
    pub(crate) network: Option<Network>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Environment of everything that runs in it.
    pub(crate) envs: BTreeMap<String, String>,
    /// Which of the run's sandboxes: 0, or the command's index if each has its own.
    pub(crate) slot: u32,
}

impl Live {
    pub(crate) fn new(sandbox: Sandbox, bound: BoundSandbox) -> Self {
        Self { sandbox, bound, killed_at_ms: None }
    }

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
    /// A command that may have been started is nowhere but in its own sandbox: another one knows
    /// nothing of it, so none is made.
    pub(crate) fn refuse_another_sandbox(&self, index: u32) -> Result<(), Halt> {
        let begun = self.commands.get(&index) == Some(&CommandState::Starting);
        if begun && self.live.is_none() { Err(Halt::Lost) } else { Ok(()) }
    }

    /// The sandbox bound in the record, or a new one.
    pub(crate) async fn sandbox(&mut self, spec: &SandboxSpec) -> Result<(), Halt> {
        if self.live.is_some() {
            return Ok(());
        }
        self.phase(Phase::Creating).await?;
        reach(Point::SandboxCreating).await;
        let creation = AbortOnDropHandle::new(self.core.tasks.spawn(self.creation(spec)));
        let (_, creation) = self.creating.insert((self.slot(spec.slot), creation));
        let created = creation.await;
        self.creating = None;
        let Created { sandbox, created_at_ms } =
            created.map_err(|error| failure::internal("creating a sandbox", &error))??;
        reach(Point::SandboxCreated).await;
        self.bind(sandbox, created_at_ms, spec).await
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
            Bind::Bound => Live::new(sandbox, bound),
            Bind::Other(other) if other.id == bound.id => Live::new(sandbox, other),
            Bind::Other(other) => {
                self.discard(&bound).await;
                let token = SecretString::from(other.access_token.clone());
                let sandbox = self.core.e2b.attach(&other.id, token, other.domain.as_deref());
                Live::new(sandbox, other)
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
        if self.borrowed.is_some() {
            return self.stay_shared().await;
        }
        let length = self.lease_length();
        let Some(live) = &mut self.live else { return Ok(()) };
        let left = since(now_ms(), live.bound.lease_until_ms);
        let tried = self.renewal.is_some_and(|tried| tried.elapsed() < RENEW_AGAIN);
        // The shortest length is what is left when nothing more is paid for.
        if left > length.mul_f32(0.67) || length <= SHORTEST || tried {
            return Ok(());
        }
        self.renewal = Some(Instant::now());
        let until = now_ms().saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
        let slot = live.bound.slot;
        match self.core.runs.renew_lease(&self.key, self.fence, slot, until).await {
            Ok(()) => {}
            // Nobody can take the run over meanwhile, so the command need not die of it.
            Err(airlock_runs::Error::Unavailable(source)) => {
                tracing::warn!(error = %source, "a lease is not recorded; the sandbox lives on");
            }
            Err(error) => return Err(error.into()),
        }
        reach(Point::RenewNoted).await;
        match self.core.e2b.refresh(&live.bound.id, length).await {
            Ok(()) => {
                live.bound.lease_until_ms = live.bound.lease_until_ms.max(until);
                self.pulse.note(|beat| beat.lease_until = rfc3339(until));
                self.keep_room(slot, length).await;
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

    /// How long nobody may be heard of while all is well: heartbeat timeout (else time to the
    /// deadline), retry backoff and slack.
    pub(crate) fn silence(&self) -> Duration {
        let config = &self.core.config.lease;
        let to_deadline = || {
            let deadline = self.attempt.deadline?;
            deadline.duration_since(SystemTime::now()).ok()
        };
        let silent = self.attempt.heartbeat_timeout.or_else(to_deadline).unwrap_or_default();
        (silent + config.backoff + config.slack).min(config.max)
    }

    /// As long as nobody may be heard of; never more than the reservation pays for.
    pub(super) fn lease_length(&self) -> Duration {
        let wanted = self.silence();
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
}

/// Whether the sandbox does not exist any more.
pub(crate) fn is_gone(error: &airlock_e2b::Error) -> bool {
    matches!(error, airlock_e2b::Error::NotFound { .. } | airlock_e2b::Error::Gone { .. })
}
