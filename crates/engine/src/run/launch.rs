//! Starting a job at most once, and what came of a command.
//!
//! The script is put into the sandbox first, then `starting` is recorded, then the wrapper is
//! called, which takes the lock and the script in one step. So after `starting` there is either
//! the lock, or a whole script and no lock: nothing ran yet, and it is started now. Neither of the
//! two means that somebody took them away: then nobody knows, and it is not run again.

use std::time::Instant;

use airlock_contract::{
    Artifact, ExecuteInput, ExecuteResult, Failure, FailureType, Phase, RunStatus,
};
use airlock_e2b::{Error as SandboxError, Sandbox};
use airlock_runs::CommandState;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::capture::Capture;
use super::follow::Ended;
use super::job::{Owner, Place};
use super::sandbox::since;
use super::{Following, Halt, Job, Patience, Run, Stop, Texts, now_ms, rfc3339};
use crate::faultpoint::{Point, reach};
use crate::metrics;

/// What came of one command: everything of a result that does not depend on the rest of the run.
/// Kept in the run record, so that a later attempt need not run it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CommandEnd {
    pub(crate) status: RunStatus,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<String>,
    pub(crate) texts: Texts,
    pub(crate) duration_ms: u64,
    pub(crate) started_at: Option<String>,
    pub(crate) ended_at: Option<String>,
    pub(crate) sandbox_id: Option<String>,
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) attempt: u32,
    pub(crate) reattached: bool,
    /// Sandbox time that the run had used when it ended.
    #[serde(default)]
    pub(crate) metered_seconds: f64,
}

impl CommandEnd {
    /// Exit code 0.
    pub(crate) fn succeeded(&self) -> bool {
        self.status == RunStatus::Completed && self.exit_code == Some(0)
    }

    /// Fills the part of a result that the command gives.
    pub(crate) fn fill(self, result: &mut ExecuteResult) {
        result.status = self.status;
        result.exit_code = self.exit_code;
        result.signal = self.signal;
        result.stdout = self.texts.stdout.kept;
        result.stderr = self.texts.stderr.kept;
        result.stdout_bytes = self.texts.stdout.bytes;
        result.stderr_bytes = self.texts.stderr.bytes;
        result.stdout_truncated = self.texts.stdout.truncated;
        result.stderr_truncated = self.texts.stderr.truncated;
        result.duration_ms = self.duration_ms;
        result.started_at = self.started_at;
        result.ended_at = self.ended_at;
        result.sandbox_id = self.sandbox_id;
        result.redactions = self.texts.redactions;
        result.artifacts = self.artifacts;
        result.attempt = self.attempt;
        result.reattached = self.reattached;
    }
}

impl Run {
    /// Runs command `index` to its end, or takes over what an earlier attempt started.
    pub(crate) async fn command(
        &mut self,
        stop: Stop<'_>,
        input: &ExecuteInput,
        index: u32,
        shared: bool,
    ) -> Result<CommandEnd, Halt> {
        if let Some(end) = self.ended(index) {
            return Ok(end);
        }
        self.pulse.note(|beat| beat.command_index = index);
        let secrets = self.secrets(input).await?;
        if !self.commands.contains_key(&index)
            && let Some(end) = stop.or(self.prepare(stop, input, index)).await?
        {
            // A failed installation is the run's result; the command itself is never started.
            self.core.runs.starting(&self.key, self.fence, index).await?;
            self.keep_end(stop, index, &end).await?;
            return Ok(end);
        }
        let user = self.core.config.user.clone();
        let mut job = Job::of(input, index, self.execution(), &secrets, &user);
        job.keep_children = shared || self.borrowed.is_some();
        job.timeout = self.cover(job.timeout).await?;
        let ended = self.run_job(stop, &job).await?;
        let texts = self.texts();
        let mut end = self.command_end(&ended, texts);
        if !input.artifacts.is_empty() {
            self.phase(Phase::Collecting).await?;
            end.artifacts = stop.or(async { Ok(self.artifacts(&input.artifacts).await) }).await?;
        }
        self.keep_end(stop, index, &end).await?;
        Ok(end)
    }

    async fn keep_end(&mut self, stop: Stop<'_>, index: u32, end: &CommandEnd) -> Result<(), Halt> {
        metrics::redactions(end.texts.redactions.values().sum());
        let value = serde_json::to_value(end).unwrap_or_default();
        self.commands.insert(index, CommandState::Ended(value.clone()));
        let patience = Patience::new();
        let (runs, key) = (&self.core.runs, &self.key);
        while let Err(error) = runs.command_ended(key, self.fence, index, &value).await {
            patience.again(stop, error.into()).await?;
        }
        reach(Point::EndKept).await;
        Ok(())
    }

    /// Starts a job at most once and follows it to its end, or until the attempt must stop.
    pub(crate) async fn run_job(&mut self, stop: Stop<'_>, job: &Job) -> Result<Ended, Halt> {
        stop.or(self.start_and_follow(job)).await
    }

    async fn start_and_follow(&mut self, job: &Job) -> Result<Ended, Halt> {
        let known = self.commands.contains_key(&job.index);
        let place = if known {
            self.reattached = true;
            metrics::reattached();
            Place::new(self.owner().await?, self.execution(), job.index)
        } else {
            reach(Point::StartUploading).await;
            let place = self.upload(job).await?;
            reach(Point::StartUploaded).await;
            self.phase(Phase::Starting).await?;
            self.core.runs.starting(&self.key, self.fence, job.index).await?;
            reach(Point::StartNoted).await;
            self.commands.insert(job.index, CommandState::Starting);
            place
        };
        let capture = Box::new(Capture::new(&self.redactor, self.stream_cap));
        let (user, heard_at) = (job.user.clone(), Instant::now());
        self.following = Some(Following { place, user, capture, heard_at });
        self.phase(Phase::Running).await?;
        self.follow(job).await
    }

    /// Puts the script and standard input where the wrapper finds them: as root, or where the
    /// sandbox has none to offer, as the command's own user.
    async fn upload(&mut self, job: &Job) -> Result<Place, Halt> {
        let root = Place::new(Owner::Root, self.execution(), job.index);
        match self.upload_to(&root, job).await {
            Ok(()) => return Ok(root),
            Err(SandboxError::Auth { .. } | SandboxError::InvalidArgument { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let own = Place::new(Owner::User, self.execution(), job.index);
        self.upload_to(&own, job).await?;
        Ok(own)
    }

    async fn upload_to(&self, place: &Place, job: &Job) -> Result<(), SandboxError> {
        let Some(live) = &self.live else { return Ok(()) };
        let acting = Some(place.acting(&job.user));
        if let Some(stdin) = &job.stdin {
            live.sandbox.write_file(acting, &place.stdin(), stdin.clone()).await?;
        }
        let script = Bytes::copy_from_slice(job.script.as_bytes());
        live.sandbox.write_file(acting, &place.script(self.fence.0), script).await
    }

    /// Who an earlier attempt acted as: root unless the sandbox has none to offer.
    async fn owner(&self) -> Result<Owner, Halt> {
        let Some(live) = &self.live else { return Err(Halt::Lost) };
        Ok(owner_of(&live.sandbox).await?)
    }

    /// What was captured of the job that was followed last.
    pub(crate) fn texts(&mut self) -> Texts {
        self.following.take().map(|following| following.capture.finish()).unwrap_or_default()
    }

    /// The end of a command in the words of the contract.
    pub(crate) fn command_end(&self, ended: &Ended, texts: Texts) -> CommandEnd {
        let (status, exit_code) = match ended.code {
            _ if ended.out_of_budget => (RunStatus::OutOfBudget, None),
            _ if ended.timed_out => (RunStatus::TimedOut, None),
            None => (RunStatus::Killed, None),
            // SIGKILL that neither the time limit nor a stop sent: the sandbox or its memory limit.
            Some(code) if ended.killed || code == 137 => (RunStatus::Killed, Some(code)),
            Some(code) => (RunStatus::Completed, Some(code)),
        };
        let (started_ms, ended_ms) = self.plausible(ended);
        CommandEnd {
            status,
            exit_code,
            signal: ended.code.and_then(signal_name).map(str::to_owned),
            texts,
            duration_ms: u64::try_from(since(started_ms, ended_ms).as_millis()).unwrap_or(0),
            started_at: rfc3339(started_ms),
            ended_at: rfc3339(ended_ms),
            sandbox_id: self.live.as_ref().map(|live| live.bound.id.clone()),
            artifacts: Vec::new(),
            attempt: self.attempt.number,
            reattached: self.reattached,
            metered_seconds: self.used().as_secs_f64(),
        }
    }

    /// The sandbox's own times, unless its clock cannot be right.
    fn plausible(&self, ended: &Ended) -> (i64, i64) {
        const SKEW_MS: i64 = 60_000;
        let now = now_ms();
        let created = self.live.as_ref().map_or(now, |live| live.bound.created_at_ms);
        let (from, to) = (ended.from_ms, ended.until_ms);
        if from >= created - SKEW_MS && to <= now + SKEW_MS && from <= to {
            return (from, to);
        }
        let length = to.saturating_sub(from).clamp(0, now.saturating_sub(created).max(0));
        (now - length, now)
    }

    /// The failure of a command of which nobody knows whether it ran, or how it ended.
    pub(crate) fn outcome_unknown(&mut self, why: &str) -> Failure {
        let texts = self.texts();
        let sandbox_id = self.live.as_ref().map(|live| live.bound.id.clone());
        Failure::new(
            FailureType::OutcomeUnknown,
            format!(
                "the command may have run: {why}; it is not run again, look at what it changed \
                 before you do"
            ),
        )
        .with_details(&serde_json::json!({
            "executionId": self.execution(),
            "sandboxId": sandbox_id,
            "why": why,
            "howToLook": "the audit log has what was decided and begun under executionId; if the \
                          sandbox lives, `airlock sandbox list` shows it",
            "stdout": texts.stdout.kept,
            "stderr": texts.stderr.kept,
            "stdoutBytes": texts.stdout.bytes,
            "stderrBytes": texts.stderr.bytes,
        }))
    }
}

/// Who acts in a sandbox: root unless it has none to offer.
pub(crate) async fn owner_of(sandbox: &Sandbox) -> Result<Owner, SandboxError> {
    match sandbox.stat(Some("root"), "/").await {
        Ok(_) => Ok(Owner::Root),
        Err(SandboxError::Auth { .. } | SandboxError::InvalidArgument { .. }) => Ok(Owner::User),
        Err(error) => Err(error),
    }
}

/// The signal behind an exit code, by the shell's convention.
fn signal_name(code: i32) -> Option<&'static str> {
    Some(match code.checked_sub(128)? {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return None,
    })
}
