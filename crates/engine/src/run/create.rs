//! Getting a sandbox: the fleet's turn, the provider's answer, or what an earlier attempt asked for.
//!
//! A [`Request`] owns all that it needs, so it goes on by itself where the step that waits for it
//! is dropped: what is on its way may still come, and then somebody must know of it.
//!
//! Every call to the provider passes the fleet's breaker: while the provider is down, attempts fail
//! at once and say when to try again, instead of queueing up behind time-outs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use airlock_contract::{ExecutionId, Failure, FailureType, Phase};
use airlock_e2b::{CreateSandbox, Error as SandboxError, ListQuery, Sandbox};
use airlock_runs::{Admitted, Passage};
use futures_util::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;

use super::sandbox::{SandboxSpec, is_gone};
use super::{Halt, Run, now_ms};
use crate::engine::Core;
use crate::pulse::Pulse;
use crate::{failure, metrics};

/// What the fleet's limits and its breaker are about.
pub(crate) const PROVIDER: &str = "sandboxes";

/// The label that says when creation was asked for, in milliseconds since 1970.
const CREATED: &str = "createdAtMs";

/// How long a sandbox that a dead attempt asked for may take to come; between two looks.
const ARRIVES: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(300);

/// A sandbox that is there and not bound yet.
pub(crate) struct Created {
    pub(crate) sandbox: Sandbox,
    pub(crate) created_at_ms: i64,
}

/// A sandbox on its way, and the slot that it is for.
pub(crate) type OnItsWay = (u32, AbortOnDropHandle<Result<Created, Halt>>);

/// The work of getting one.
pub(crate) type Creation = BoxFuture<'static, Result<Created, Halt>>;

/// What a sandbox is asked for with.
struct Request {
    core: Arc<Core>,
    pulse: Pulse,
    create: CreateSandbox,
    /// The key of its creation, and its name among those who ask for room.
    key: String,
    /// The labels by which a later attempt finds it.
    labels: BTreeMap<String, String>,
    fence: i64,
    /// Whether an earlier attempt may have asked already.
    resumed: bool,
    /// Set before the provider is asked.
    asked: Arc<AtomicBool>,
}

impl Run {
    /// A sandbox for `spec`, on its way once it is polled.
    pub(super) fn creation(&self, spec: &SandboxSpec) -> Creation {
        let slot = self.slot(spec.slot);
        let labels = self.identity_labels(slot);
        let mut metadata = spec.labels.clone();
        metadata.extend(labels.clone());
        metadata.extend(self.more_labels());
        let key = self.creation_key(slot);
        let request = Request {
            core: self.core.clone(),
            pulse: self.pulse.clone(),
            create: CreateSandbox {
                metadata,
                network: spec.network.clone(),
                envs: spec.envs.clone(),
                idempotency_key: Some(key.clone()),
                ..CreateSandbox::new(&spec.template, self.lease_length())
            },
            key,
            labels,
            fence: self.fence.0,
            resumed: self.resumed,
            asked: self.asked.sandbox.clone(),
        };
        Box::pin(request.run())
    }

    /// Gives back the room that the sandbox in `slot` had, or its place in the queue.
    pub(super) async fn leave_room(&self, slot: u32) {
        if self.core.config.admission.limits.is_unlimited() {
            return;
        }
        let key = self.creation_key(slot);
        if let Err(error) = self.core.admission.release(PROVIDER, &key).await {
            tracing::warn!(error = %error, "its room is free again when its lease ends");
        }
    }

    /// Keeps the room of the sandbox in `slot` for as long as its lease.
    pub(super) async fn keep_room(&self, slot: u32, lease: Duration) {
        if self.core.config.admission.limits.is_unlimited() {
            return;
        }
        let key = self.creation_key(slot);
        if let Err(error) = self.core.admission.renew(PROVIDER, &key, lease).await {
            tracing::warn!(error = %error, "a sandbox's room was not kept; tried again");
        }
    }

    fn creation_key(&self, slot: u32) -> String {
        creation_key(self.execution(), slot)
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

/// The key of the creation of the sandbox in `slot`, and its name among those who have room.
pub(crate) fn creation_key(execution: &ExecutionId, slot: u32) -> String {
    match slot {
        0 => execution.to_string(),
        _ => format!("{execution}-{slot}"),
    }
}

impl Request {
    async fn run(mut self) -> Result<Created, Halt> {
        if self.resumed
            && let Some(found) = self.find().await?
        {
            return Ok(found);
        }
        self.wait_for_room().await?;
        self.pulse.note(|beat| beat.queued_behind = None);
        self.pulse.phase(Phase::Creating);
        let created = self.create().await;
        // A sandbox that may be there although nobody heard of it keeps its room.
        if let Err(Halt::Failed(failure)) = &created
            && failure.kind != FailureType::SandboxUnavailable
            && !self.core.config.admission.limits.is_unlimited()
            && let Err(error) = self.core.admission.release(PROVIDER, &self.key).await
        {
            tracing::warn!(error = %error, "its room is free again when its lease ends");
        }
        created
    }

    /// Waits until the fleet may have one more sandbox.
    async fn wait_for_room(&self) -> Result<(), Halt> {
        let config = &self.core.config.admission;
        if config.limits.is_unlimited() {
            return Ok(());
        }
        let began = Instant::now();
        loop {
            let lease = self.create.timeout;
            let asked = self.core.admission.ask(PROVIDER, &self.key, &config.limits, lease).await?;
            let Admitted::NotYet { before, ask_again } = asked else {
                metrics::queued(began.elapsed());
                return Ok(());
            };
            self.pulse.note(|beat| beat.queued_behind = Some(before));
            if self.pulse.current().phase != Phase::Queued {
                self.pulse.phase(Phase::Queued);
            }
            if began.elapsed() + ask_again > config.wait {
                return Err(no_room(before, ask_again).into());
            }
            tokio::time::sleep(ask_again).await;
        }
    }

    async fn create(&mut self) -> Result<Created, Halt> {
        self.asked.store(true, Ordering::Relaxed);
        let (began, began_ms) = (Instant::now(), now_ms());
        self.create.metadata.insert(CREATED.to_owned(), began_ms.to_string());
        let mut created = self.ask(self.core.e2b.create(&self.create)).await?;
        if matches!(created, Err(SandboxError::Conflict { .. })) {
            // An earlier attempt asked for another lifetime under this key. What it got comes yet,
            // if it died while it asked; else it is not there any more.
            if let Some(found) = self.find_late().await? {
                return Ok(found);
            }
            self.create.idempotency_key = Some(format!("{}-{}", self.key, self.fence));
            created = self.ask(self.core.e2b.create(&self.create)).await?;
        }
        let sandbox = created.map_err(|e| failure::sandbox(&e))?;
        metrics::sandbox_created(began.elapsed());
        Ok(Created { sandbox, created_at_ms: began_ms })
    }

    /// Looks for a sandbox that may still be on its way.
    async fn find_late(&self) -> Result<Option<Created>, Halt> {
        let began = Instant::now();
        loop {
            let found = self.find().await?;
            if found.is_some() || began.elapsed() > ARRIVES {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A sandbox that an earlier attempt created and did not manage to bind.
    async fn find(&self) -> Result<Option<Created>, Halt> {
        let query = ListQuery { metadata: self.labels.clone(), ..ListQuery::default() };
        let found = self.ask(self.core.e2b.list(&query)).await?;
        let found = found.map_err(|e| failure::sandbox(&e))?;
        let Some(info) = found.first() else { return Ok(None) };
        let lease = Some(self.create.timeout);
        match self.ask(self.core.e2b.connect(&info.id, lease)).await? {
            Ok(sandbox) => {
                // The creator's own word, so that the lease it may have left is the same lease.
                let created = info.metadata.get(CREATED).and_then(|ms| ms.parse().ok());
                let created_at_ms = created.unwrap_or_else(|| info.started_at.as_millisecond());
                Ok(Some(Created { sandbox, created_at_ms }))
            }
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(failure::sandbox(&error).into()),
        }
    }

    /// Calls the provider, unless the fleet knows that it is down; tells the fleet how it went.
    async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, SandboxError>>,
    ) -> Result<Result<T, SandboxError>, Halt> {
        let pass = match self.core.breaker.ask().await {
            Ok(Passage::Go(pass)) => Some(pass),
            Ok(Passage::Wait(wait)) => {
                metrics::refused_by_breaker();
                return Err(provider_down(wait).into());
            }
            // The breaker spares time; it decides nothing that must be known.
            Err(error) => {
                tracing::warn!(error = %error, "the provider is asked without the breaker");
                None
            }
        };
        let answer = call.await;
        if let Some(pass) = pass {
            let told = if is_down(&answer) {
                pass.failed().await
            } else {
                pass.succeeded().await.map(|()| false)
            };
            match told {
                Ok(true) => tracing::warn!("the sandbox provider is taken to be down"),
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %error, "the breaker was not told"),
            }
        }
        Ok(answer)
    }
}

/// Whether an answer, or that there is none, says that the provider is down. A refusal, a limit and
/// a lack of room say that it is there.
fn is_down<T>(answer: &Result<T, SandboxError>) -> bool {
    let Err(error) = answer else { return false };
    matches!(
        error,
        SandboxError::Unavailable { .. } | SandboxError::Timeout { .. } | SandboxError::Cut { .. }
    )
}

fn provider_down(wait: Duration) -> Failure {
    Failure::new(
        FailureType::SandboxUnavailable,
        "the sandbox provider failed several times and is not asked now; this is tried again",
    )
    .with_retry_after(Some(wait.max(Duration::from_millis(100))))
}

fn no_room(before: u64, ask_again: Duration) -> Failure {
    Failure::new(
        FailureType::SandboxCapacity,
        format!(
            "the fleet has as many sandboxes as it may have, and {before} runs wait that came \
             before; this is tried again and keeps its place for a minute"
        ),
    )
    .with_details(&serde_json::json!({ "queuedBehind": before }))
    .with_retry_after(Some(ask_again.max(Duration::from_secs(1))))
}
