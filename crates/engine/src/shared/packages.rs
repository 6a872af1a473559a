//! Installing packages for their own sake: `installPackages`, and the `packages` of `openSandbox`.

use airlock_contract::{
    ExecuteInput, Failure, InstallPackagesInput, InstallPackagesResult, InstallReport,
    PackageInput, RunStatus,
};
use airlock_runs::CommandState;
use serde_json::{Value, json};

use crate::context::{Ending, RunContext};
use crate::engine::Engine;
use crate::execute::{Work, drive};
use crate::run::{self, CommandEnd, Halt, Job, Run, Stop};

impl Engine {
    /// Installs packages in a shared sandbox: an `InstallPackagesInput` as JSON to an
    /// `InstallPackagesResult` as JSON. It takes a seat, as a command does.
    ///
    /// # Errors
    /// A failure as the contract lists them, or the report of a cancelled run.
    pub async fn install_packages(
        &self,
        ctx: &dyn RunContext,
        input: Value,
    ) -> Result<Value, Ending> {
        self.core.check_names(&input)?;
        let parsed = InstallPackagesInput::parse(&input).map_err(Failure::from)?;
        let run = Run::new(self.core.clone(), ctx, parsed.run_id.clone(), 1);
        drive(run, ctx, Work::Install(Box::new(parsed))).await
    }
}

/// One installation, step by step.
pub(crate) async fn install(
    run: &mut Run,
    stop: Stop<'_>,
    input: &InstallPackagesInput,
) -> Result<Value, Halt> {
    let canonical = serde_json::to_value(input).unwrap_or_default();
    if let Some(outcome) = run.claim(&canonical).await? {
        return Err(Halt::Over(Box::new(run::replay(&outcome))));
    }
    if run.resumed {
        run.enter_shared(stop, &input.sandbox_id).await?;
    }
    stop.check()?;
    let carrier = ExecuteInput {
        run_id: input.run_id.clone(),
        command: None,
        packages: input.packages.clone(),
        sandbox_id: Some(input.sandbox_id.clone()),
        ..ExecuteInput::of_command("")
    };
    let inputs = std::slice::from_ref(&carrier);
    let mut decisions = run.decide(inputs).await?;
    run.approve(inputs, &decisions, input.approval_id.as_deref()).await?;
    stop.check()?;
    run.enter_shared(stop, &input.sandbox_id).await?;
    let installs = run.install_reported(stop, &input.packages).await?;
    run.leave_shared().await?;
    let result = InstallPackagesResult {
        run_id: input.run_id.clone(),
        execution_id: run.execution().clone(),
        sandbox_id: input.sandbox_id.clone(),
        installed: installs.iter().all(succeeded),
        installs,
        decision: decisions.remove(0),
    };
    let value = serde_json::to_value(&result).unwrap_or_default();
    run.finish(stop, &json!({ "v": 1, "result": value })).await?;
    Ok(value)
}

/// Exit code 0.
pub(super) fn succeeded(report: &InstallReport) -> bool {
    report.status == RunStatus::Completed && report.exit_code == Some(0)
}

impl Run {
    /// Installs entry by entry, each at most once over all attempts, up to the first that fails.
    pub(super) async fn install_reported(
        &mut self,
        stop: Stop<'_>,
        packages: &[PackageInput],
    ) -> Result<Vec<InstallReport>, Halt> {
        // An installation in a sandbox that was lost says nothing about the one after it.
        let slot = self.bills.len().try_into().unwrap_or(u32::MAX);
        let mut reports = Vec::with_capacity(packages.len());
        for (step, entry) in (0..).zip(packages) {
            stop.check()?;
            let lock = Job::setup_index(slot, 0, step);
            let end = match self.ended(lock) {
                Some(end) => end,
                None => self.install_entry(stop, entry, lock).await?,
            };
            let report = report(entry, end);
            let went_well = succeeded(&report);
            reports.push(report);
            if !went_well {
                break;
            }
        }
        Ok(reports)
    }

    async fn install_entry(
        &mut self,
        stop: Stop<'_>,
        entry: &PackageInput,
        lock: u32,
    ) -> Result<CommandEnd, Halt> {
        let timeout = self.cover(self.core.config.margins.install).await?;
        let user = self.core.config.user.clone();
        let bare = ExecuteInput::of_command("");
        let job = Job::install(&bare, lock, entry, timeout, &user);
        let ended = self.run_job(stop, &job).await?;
        let texts = self.texts();
        let end = self.command_end(&ended, texts);
        let value = serde_json::to_value(&end).unwrap_or_default();
        self.core.runs.command_ended(&self.key, self.fence, lock, &value).await?;
        self.commands.insert(lock, CommandState::Ended(value));
        Ok(end)
    }
}

fn report(entry: &PackageInput, end: CommandEnd) -> InstallReport {
    InstallReport {
        manager: entry.manager,
        names: entry.names.clone(),
        status: end.status,
        exit_code: end.exit_code,
        stdout: end.texts.stdout.kept,
        stderr: end.texts.stderr.kept,
        duration_ms: end.duration_ms,
    }
}
