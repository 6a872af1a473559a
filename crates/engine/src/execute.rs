//! `safeExecuteCode`: one command or program.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use airlock_contract::{
    CostReport, ExecuteInput, ExecuteResult, Failure, PolicyDecision, Problems, RunStatus,
};
use serde_json::{Value, json};

use crate::batch;
use crate::context::{Ending, RunContext};
use crate::engine::{Core, Engine};
use crate::faultpoint::{Point, reach};
use crate::metrics;
use crate::run::{self, CommandEnd, Halt, Orders, Price, Run, SandboxSpec, Stop};
use crate::shared;

/// What a run is to do.
pub(crate) enum Work {
    Single(Box<ExecuteInput>),
    Batch(Box<airlock_contract::BatchInput>),
    Open(Box<airlock_contract::OpenSandboxInput>),
    Upload(Box<airlock_contract::UploadFilesInput>),
    Download(Box<airlock_contract::DownloadFilesInput>),
    Install(Box<airlock_contract::InstallPackagesInput>),
}

impl Engine {
    /// Runs one command: an `ExecuteInput` as JSON to an `ExecuteResult` as JSON.
    ///
    /// Dropping the future hands the run over: the command keeps running, the next attempt takes
    /// it over; clean-ups that have begun run to their end.
    ///
    /// # Errors
    /// A failure as the contract lists them, or the report of a cancelled run.
    pub async fn execute(&self, ctx: &dyn RunContext, input: Value) -> Result<Value, Ending> {
        reach(Point::ValidateBefore).await;
        let limits = &self.core.config.limits;
        self.core.check_names(&input)?;
        let parsed = ExecuteInput::parse(&input, limits).map_err(Failure::from)?;
        drop(input);
        self.execute_input(ctx, parsed).await
    }

    /// The same with an input that was read before.
    ///
    /// # Errors
    /// As [`Engine::execute`].
    pub async fn execute_input(
        &self,
        ctx: &dyn RunContext,
        input: ExecuteInput,
    ) -> Result<Value, Ending> {
        let mut problems = Problems::default();
        check(&input, "", &mut problems);
        shared::check(&input, &mut problems);
        problems.or(()).map_err(Failure::from)?;
        reach(Point::ValidateAfter).await;
        let account = input.run_id.clone();
        let run = Run::new(self.core.clone(), ctx, account, 1);
        drive(run, ctx, Work::Single(Box::new(input))).await
    }
}

/// Goes through a run and ends it, with heartbeats throughout.
pub(crate) async fn drive(run: Run, ctx: &dyn RunContext, work: Work) -> Result<Value, Ending> {
    let pulse = run.pulse.clone();
    let orders = Orders::default();
    let stop = orders.stop(ctx);
    let whole = Box::pin(async move {
        let mut run = run;
        reach(Point::IdentifyAfter).await;
        let done = match &work {
            Work::Single(input) => Box::pin(run.single(stop, input)).await,
            Work::Batch(input) => Box::pin(batch::run(&mut run, stop, input)).await,
            Work::Open(input) => Box::pin(shared::open(&mut run, stop, input)).await,
            Work::Upload(input) => Box::pin(shared::upload(&mut run, stop, input)).await,
            Work::Download(input) => Box::pin(shared::download(&mut run, stop, input)).await,
            Work::Install(input) => Box::pin(shared::install(&mut run, stop, input)).await,
        };
        match done {
            Ok(value) => Ok(value),
            Err(halt) => Box::pin(run.conclude(halt, ctx)).await,
        }
    });
    let heard = async {
        tokio::select! {
            biased;
            never = orders.hear(ctx) => match never {},
            ending = whole => ending,
        }
    };
    let ending = pulse.during(ctx, heard).await;
    if let Err(Ending::Failed(failure)) = &ending {
        metrics::failure(failure.kind);
    }
    ending
}

/// What `parse` cannot know: a shell takes no NUL.
pub(crate) fn check(input: &ExecuteInput, at: &str, problems: &mut Problems) {
    let mut look = |field: &str, text: Option<&str>| {
        if text.is_some_and(|text| text.contains('\0')) {
            problems.add(format!("{at}{field}"), "must not contain a NUL character");
        }
    };
    look("command", input.command.as_deref());
    look("cwd", input.cwd.as_deref());
    for (name, value) in &input.env {
        look(&format!("env.{name}"), Some(value));
    }
    for (i, file) in input.files.iter().enumerate() {
        look(&format!("files[{i}].path"), Some(&file.path));
    }
    for (i, pattern) in input.artifacts.iter().enumerate() {
        look(&format!("artifacts[{i}]"), Some(pattern));
    }
}

/// A sandbox's paths take no NUL.
pub(crate) fn no_nul<'t>(
    field: &str,
    texts: impl Iterator<Item = &'t str>,
) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (i, text) in texts.enumerate() {
        if text.contains('\0') {
            problems.add(format!("{field}[{i}]"), "must not contain a NUL character");
        }
    }
    problems.or(())
}

impl Core {
    /// Sandbox time that a command may need at most, without set-up and clean-up of the sandbox.
    pub(crate) fn longest(&self, input: &ExecuteInput) -> Duration {
        let installs = u32::try_from(input.packages.len()).unwrap_or(u32::MAX);
        Duration::from_millis(input.timeout_ms)
            .saturating_add(self.config.margins.install.saturating_mul(installs))
    }

    /// Creating a sandbox and cleaning up.
    pub(crate) fn around(&self) -> Duration {
        self.config.margins.setup + self.config.margins.cleanup
    }

    pub(crate) fn template(&self, asked: Option<&String>) -> String {
        asked.unwrap_or(&self.config.default_template).clone()
    }

    /// What a single run may come to.
    fn price(&self, input: &ExecuteInput) -> Price {
        let cost = input.cost.clone().unwrap_or_default();
        let longest = self.longest(input);
        Price {
            template: self.template(input.template.as_ref()),
            covers: longest.min(self.config.slice) + self.around(),
            total: longest + self.around(),
            fee: cost.fee_usd.unwrap_or_default(),
            max: cost.max_usd,
        }
    }
}

impl Run {
    /// A single run, step by step.
    async fn single(&mut self, stop: Stop<'_>, input: &ExecuteInput) -> Result<Value, Halt> {
        let price = self.core.price(input);
        let inputs = std::slice::from_ref(input);
        let sandbox_id = input.sandbox_id.as_deref();
        if input.dry_run {
            self.plan_shared(sandbox_id).await?;
            return self.plan(inputs, price).await;
        }
        let canonical = serde_json::to_value(input).unwrap_or_default();
        if let Some(outcome) = stop.or_soon(self.claim(&canonical)).await? {
            return Err(Halt::Over(Box::new(run::replay(&outcome))));
        }
        reach(Point::ClaimAfter).await;
        let is_over = self.ended(0).is_some();
        self.resume_shared(stop, sandbox_id, is_over).await?;
        let mut decisions = stop.or(self.decide(inputs)).await?;
        reach(Point::DecideAfter).await;
        stop.or(self.approve(inputs, &decisions, input.approval_id.as_deref())).await?;
        reach(Point::ApproveAfter).await;
        self.pulse.phase(airlock_contract::Phase::Reserving);
        stop.check()?;
        self.borrow_shared(stop, sandbox_id).await?;
        stop.or(self.reserve(price)).await?;
        reach(Point::ReserveAfter).await;
        if self.ended(0).is_none() {
            let spec = self.spec(input, &decisions, 0);
            self.refuse_another_sandbox(0)?;
            stop.or(self.sandbox(&spec)).await?;
            reach(Point::SandboxAfter).await;
        }
        let end = self.command(stop, input, 0, false).await?;
        let decision = decisions.remove(0);
        let result = self.close_with(stop, input, decision, end).await?;
        let value = serde_json::to_value(&result).unwrap_or_default();
        self.finish(stop, &json!({ "v": 1, "result": value })).await?;
        metrics::run(result.status);
        Ok(value)
    }

    async fn close_with(
        &mut self,
        stop: Stop<'_>,
        input: &ExecuteInput,
        decision: PolicyDecision,
        end: CommandEnd,
    ) -> Result<ExecuteResult, Halt> {
        let closed = self.close(stop, &status_word(end.status)).await?;
        let mut result = self.blank(input, decision);
        end.fill(&mut result);
        result.cost = closed.cost;
        result.budget_remaining = closed.remaining;
        result.budget_warnings = closed.warnings;
        result.receipt = closed.receipt;
        Ok(result)
    }

    /// The sandbox for `input`.
    pub(crate) fn spec(
        &self,
        input: &ExecuteInput,
        decisions: &[PolicyDecision],
        slot: u32,
    ) -> SandboxSpec {
        let asked = input.network.as_ref().or(self.core.config.network.as_ref());
        let granted = if self.approved { run::hosts_of(decisions) } else { Vec::new() };
        SandboxSpec {
            template: self.core.template(input.template.as_ref()),
            network: run::network(self.core.gate().network(), asked, &granted),
            labels: self.labels(input),
            envs: BTreeMap::new(),
            slot,
        }
    }

    /// The template that `input` runs in.
    fn template(&self, input: &ExecuteInput) -> String {
        match &self.borrowed {
            Some(borrowed) => borrowed.fixed().template.clone(),
            None => self.core.template(input.template.as_ref()),
        }
    }

    /// The run's labels without secrets: they go to the audit log and to the provider.
    pub(crate) fn labels(&self, input: &ExecuteInput) -> BTreeMap<String, String> {
        let clean = |text: &String| self.redactor.redact(text).into_owned();
        input.labels.iter().map(|(name, value)| (clean(name), clean(value))).collect()
    }

    /// A result that says nothing yet.
    pub(crate) fn blank(&self, input: &ExecuteInput, decision: PolicyDecision) -> ExecuteResult {
        ExecuteResult {
            run_id: self.key.account.clone(),
            execution_id: self.execution().clone(),
            status: RunStatus::DryRun,
            exit_code: None,
            signal: None,
            stdout: String::new(),
            stderr: String::new(),
            stdout_bytes: 0,
            stderr_bytes: 0,
            stdout_truncated: false,
            stderr_truncated: false,
            duration_ms: 0,
            started_at: None,
            ended_at: None,
            sandbox_id: None,
            template: self.template(input),
            decision,
            cost: CostReport {
                price_digest: self.core.prices.digest().to_owned(),
                ..CostReport::default()
            },
            budget_remaining: airlock_contract::Usd::ZERO,
            budget_warnings: Vec::new(),
            redactions: BTreeMap::new(),
            artifacts: Vec::new(),
            attempt: self.attempt.number,
            reattached: false,
            receipt: None,
            plan: None,
        }
    }
}

/// The word on the wire.
pub(crate) fn status_word(status: RunStatus) -> String {
    serde_json::to_value(status)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Kept for [`Engine`]'s clones.
#[expect(dead_code, reason = "asserts that the engine can be shared between tasks")]
fn engine_is_shared(engine: Engine) -> Arc<dyn Send + Sync> {
    Arc::new(engine)
}
