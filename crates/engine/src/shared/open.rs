//! `openSandbox`: a run up to its sandbox, which then gets a record of its own.

use std::time::Duration;

use airlock_audit::Event;
use airlock_contract::{
    CostReport, ExecuteInput, OpenSandboxInput, OpenSandboxResult, Phase, PolicyDecision, Receipt,
    SharedState, Usd,
};
use airlock_runs::Lease;
use airlock_runs::shared::{Fixed, SharedRecord};
use serde_json::{Value, json};

use super::{from_ms, ms};
use crate::context::{Ending, RunContext};
use crate::engine::Engine;
use crate::execute::{Work, drive};
use crate::run::{self, Halt, Price, Run, Stop, now_ms, rfc3339};
use crate::{failure, metrics};

impl Engine {
    /// Opens a sandbox that several activities share: an `OpenSandboxInput` as JSON to an
    /// `OpenSandboxResult` as JSON. Again by the same execution: the same sandbox.
    ///
    /// # Errors
    /// A failure as the contract lists them, or the report of a cancelled opening.
    pub async fn open_sandbox(&self, ctx: &dyn RunContext, input: Value) -> Result<Value, Ending> {
        self.core.check_names(&input)?;
        let parsed = OpenSandboxInput::parse(&input, &self.core.config.limits);
        let parsed = parsed.map_err(airlock_contract::Failure::from)?;
        let run = Run::new(self.core.clone(), ctx, parsed.run_id.clone(), 1);
        drive(run, ctx, Work::Open(Box::new(parsed))).await
    }
}

/// One opening, step by step.
pub(crate) async fn open(
    run: &mut Run,
    stop: Stop<'_>,
    input: &OpenSandboxInput,
) -> Result<Value, Halt> {
    let canonical = serde_json::to_value(input).unwrap_or_default();
    if let Some(outcome) = run.claim(&canonical).await? {
        run.put_on_agenda(&outcome).await?;
        return Err(Halt::Over(Box::new(run::replay(&outcome))));
    }
    stop.check()?;
    let carrier = carrier(input);
    let inputs = std::slice::from_ref(&carrier);
    let mut decisions = run.decide(inputs).await?;
    run.approve(inputs, &decisions, input.approval_id.as_deref()).await?;
    stop.check()?;
    run.pulse.phase(Phase::Reserving);
    run.reserve(run.opening_price(input, &carrier)).await?;
    stop.check()?;
    let spec = run::SandboxSpec { envs: input.env.clone(), ..run.spec(&carrier, &decisions, 0) };
    run.sandbox(&spec).await?;
    stop.check()?;
    run.phase(Phase::Preparing).await?;
    for file in &input.files {
        stop.check()?;
        run.put(file).await?;
    }
    let installs = run.install_reported(stop, &input.packages).await?;
    stop.check()?;
    let installed = installs.iter().all(super::packages::succeeded);
    let result = run.opened(input, decisions.remove(0), installs, installed);
    run.register(input, result.ok_or(Halt::Lost)?).await
}

/// What is decided about: what is put in, as a run without a command.
fn carrier(input: &OpenSandboxInput) -> ExecuteInput {
    ExecuteInput {
        run_id: input.run_id.clone(),
        command: None,
        env: input.env.clone(),
        files: input.files.clone(),
        packages: input.packages.clone(),
        template: input.template.clone(),
        network: input.network.clone(),
        labels: input.labels.clone(),
        cost: input.cost.clone(),
        timeout_ms: 0,
        ..ExecuteInput::of_command("")
    }
}

impl Run {
    /// The first slice, and what comes before and after it.
    fn opening_price(&self, input: &OpenSandboxInput, carrier: &ExecuteInput) -> Price {
        let cost = input.cost.clone().unwrap_or_default();
        let longest = Duration::from_millis(input.max_lifetime_ms);
        let slice = self.core.config.shared.slice.min(longest);
        let covers = (self.core.longest(carrier) + self.core.around() + slice).min(longest);
        Price {
            template: self.core.template(input.template.as_ref()),
            covers,
            total: covers,
            fee: cost.fee_usd.unwrap_or_default(),
            max: cost.max_usd,
        }
    }

    /// The result, before it is registered.
    fn opened(
        &self,
        input: &OpenSandboxInput,
        decision: PolicyDecision,
        installs: Vec<airlock_contract::InstallReport>,
        installed: bool,
    ) -> Option<OpenSandboxResult> {
        let bound = &self.live.as_ref()?.bound;
        let hold = self.hold.as_ref()?;
        let longest = i64::try_from(input.max_lifetime_ms).unwrap_or(i64::MAX);
        Some(OpenSandboxResult {
            run_id: self.key.account.clone(),
            execution_id: self.execution().clone(),
            sandbox_id: bound.id.clone(),
            template: bound.template.clone(),
            opened_at: rfc3339(bound.created_at_ms),
            lease_until: rfc3339(bound.lease_until_ms),
            closes_at: rfc3339(bound.created_at_ms.saturating_add(longest)),
            idle_timeout_ms: input.idle_timeout_ms,
            max_concurrent: input.max_concurrent,
            installed,
            installs,
            decision,
            cost: CostReport {
                reserved_usd: hold.amount,
                price_digest: self.core.prices.digest().to_owned(),
                ..CostReport::default()
            },
            budget_remaining: Usd::ZERO,
            budget_warnings: hold.warnings.clone(),
            receipt: None,
        })
    }

    /// Gives the sandbox a record of its own; from here on it is not this run's any more.
    async fn register(
        &mut self,
        input: &OpenSandboxInput,
        mut result: OpenSandboxResult,
    ) -> Result<Value, Halt> {
        let (Some(live), Some(hold)) = (&self.live, &self.hold) else { return Err(Halt::Lost) };
        let (bound, now) = (live.bound.clone(), now_ms());
        let longest = i64::try_from(input.max_lifetime_ms).unwrap_or(i64::MAX);
        let fixed = Fixed {
            account: self.key.account.clone(),
            execution: self.execution().clone(),
            owner: self.identity.clone(),
            sandbox: bound.id.clone(),
            slot: bound.slot,
            template: bound.template.clone(),
            network: input.network.clone(),
            created_at_ms: bound.created_at_ms,
            closes_at_ms: bound.created_at_ms.saturating_add(longest),
            idle_ms: input.idle_timeout_ms,
            seats: input.max_concurrent,
            fee: hold.price.fee,
            max: hold.price.max,
        };
        let mut record = SharedRecord {
            covers_ms: ms(hold.price.covers),
            held: hold.amount,
            lease_until_ms: bound.lease_until_ms,
            used_at_ms: now,
            fixed,
            state: SharedState::Open,
            reason: None,
            seats: Vec::new(),
            ended: None,
        };
        record.lease_until_ms = self.first_slice(&record).await;
        result.lease_until = rfc3339(record.lease_until_ms);
        let status = self.core.ledger.get(&self.key.account).await?;
        result.budget_remaining = status.remaining;
        let kept = serde_json::to_value(&result).unwrap_or_default();
        let outcome = json!({ "v": 1, "result": kept });
        self.core.runs.shared().register(self.fence, &record, &outcome).await?;
        (self.live, self.hold) = (None, None);
        self.pulse.phase(Phase::Done);
        metrics::shared_opened();
        let lease = Lease::of(&self.key, &bound);
        if let Err(error) = self.core.runs.remove_lease(&lease).await {
            tracing::warn!(error = %error, "an opener's lease is left to the reaper");
        }
        result.receipt = self.told(&record).await;
        Ok(serde_json::to_value(&result).unwrap_or_default())
    }

    /// Asks the provider for the first slice; until when it lives.
    async fn first_slice(&self, record: &SharedRecord) -> i64 {
        let now = now_ms();
        let slice = ms(self.core.config.shared.slice);
        let until = now.saturating_add(slice).min(record.paid_until_ms());
        if until <= record.lease_until_ms {
            return record.lease_until_ms;
        }
        match self.core.e2b.refresh(&record.fixed.sandbox, from_ms(until - now)).await {
            Ok(()) => until,
            Err(error) => {
                tracing::warn!(error = %error, "a shared sandbox starts with a short lease");
                record.lease_until_ms
            }
        }
    }

    /// An earlier attempt registered the sandbox; whether it came to the agenda is not known.
    async fn put_on_agenda(&self, outcome: &Value) -> Result<(), Halt> {
        let Some(id) = outcome.pointer("/result/sandboxId").and_then(Value::as_str) else {
            return Ok(());
        };
        let shared = self.core.runs.shared();
        match shared.get(&self.key.account, id).await? {
            Some(record) if record.state != SharedState::Closed => {
                Ok(shared.schedule(&record.fixed, now_ms()).await?)
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn told(&self, record: &SharedRecord) -> Option<Receipt> {
        let event = Event::new("sandbox.opened")
            .for_account(&self.key.account)
            .of_execution(self.execution())
            .with("sandboxId", record.fixed.sandbox.as_str())
            .with("template", record.fixed.template.as_str())
            .with("reservedUsd", json!(record.held));
        let told =
            tokio::time::timeout(failure::AUDIT_PATIENCE, self.core.audit.append(event)).await;
        if let Ok(Ok(receipt)) = told {
            return Some(receipt);
        }
        tracing::error!("the opening of a sandbox is not in the audit log");
        None
    }
}
