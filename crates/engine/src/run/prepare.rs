//! What goes into the sandbox before the command: files, the program, packages, secrets.
//!
//! All of it may be done again by a later attempt, until the command is recorded as starting.
//! Packages are installed as jobs of their own; one that fails is the run's result - its exit code
//! and output - and the command is not started.

use std::collections::BTreeMap;

use airlock_contract::{ExecuteInput, FileInput, Phase};
use airlock_e2b::StartProcess;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::SecretString;

use super::job::{program_file, program_path, quote};
use super::launch::CommandEnd;
use super::{Halt, Job, Run, Stop};
use crate::secrets;

impl Run {
    /// Fetches the values of `secretEnv` and makes them known to this run's redactor.
    pub(crate) async fn secrets(
        &mut self,
        input: &ExecuteInput,
    ) -> Result<BTreeMap<String, SecretString>, Halt> {
        let mut values = BTreeMap::new();
        for (name, reference) in &input.secret_env {
            let allowed = secrets::is_allowed(&self.core.config.secret_env, reference);
            let value = if allowed { self.core.secrets.resolve(reference).await } else { None };
            let Some(value) = value else {
                return Err(secrets::unresolved(name, allowed).into());
            };
            values.insert(name.clone(), value);
        }
        if !values.is_empty() {
            self.redactor = self.redactor.with_values(values.clone());
        }
        Ok(values)
    }

    /// Puts files, the program and packages in. The end of the run, if a package cannot be
    /// installed.
    pub(crate) async fn prepare(
        &mut self,
        stop: Stop<'_>,
        input: &ExecuteInput,
        index: u32,
    ) -> Result<Option<CommandEnd>, Halt> {
        if input.files.is_empty() && input.packages.is_empty() && input.code.is_none() {
            return Ok(None);
        }
        self.phase(Phase::Preparing).await?;
        for file in &input.files {
            stop.check()?;
            self.put(file).await?;
        }
        if let Some(code) = &input.code {
            let file = program_file(code, self.execution(), index);
            let source = Bytes::copy_from_slice(code.source.as_bytes());
            self.write(&program_path(input, &file), source).await?;
        }
        self.install(stop, input, index).await
    }

    pub(crate) async fn put(&self, file: &FileInput) -> Result<(), Halt> {
        let bytes = content_of(file);
        self.write(&file.path, bytes).await?;
        let (Some(mode), Some(live)) = (&file.mode, &self.live) else { return Ok(()) };
        let path = file.path.strip_prefix("~/").unwrap_or(&file.path);
        let script = format!("cd; chmod {mode} -- {}", quote(path));
        let mut process = StartProcess::new("/bin/sh", ["-c".to_owned(), script]);
        process.user = Some(self.core.config.user.clone());
        live.sandbox.run(&process, 1024).await?;
        Ok(())
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), Halt> {
        let Some(live) = &self.live else { return Err(Halt::Lost) };
        let user = Some(self.core.config.user.as_str());
        Ok(live.sandbox.write_file(user, path, bytes).await?)
    }

    async fn install(
        &mut self,
        stop: Stop<'_>,
        input: &ExecuteInput,
        index: u32,
    ) -> Result<Option<CommandEnd>, Halt> {
        let slot = self.live.as_ref().map_or(0, |live| live.bound.slot);
        for (step, packages) in (0..).zip(&input.packages) {
            let lock = Job::setup_index(slot, index, step);
            if self.ended(lock).is_some_and(|end| end.succeeded()) {
                continue;
            }
            let timeout = self.cover(self.core.config.margins.install).await?;
            let user = self.core.config.user.clone();
            let job = Job::install(input, lock, packages, timeout, &user);
            let ended = self.run_job(stop, &job).await?;
            let texts = self.texts();
            let end = self.command_end(&ended, texts);
            if !end.succeeded() {
                return Ok(Some(end));
            }
            let value = serde_json::to_value(&end).unwrap_or_default();
            self.core.runs.command_ended(&self.key, self.fence, lock, &value).await?;
            self.commands.insert(lock, airlock_runs::CommandState::Ended(value));
        }
        Ok(None)
    }
}

/// The bytes of a file that is put in.
pub(crate) fn content_of(file: &FileInput) -> Bytes {
    match (&file.content, &file.content_base64) {
        (Some(text), _) => Bytes::copy_from_slice(text.as_bytes()),
        (None, Some(text)) => Bytes::from(STANDARD.decode(text).unwrap_or_default()),
        (None, None) => Bytes::new(),
    }
}
