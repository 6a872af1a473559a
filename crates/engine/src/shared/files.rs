//! `uploadFiles` and `downloadFiles` on a shared sandbox. They need no seat: a command may run
//! meanwhile.

use airlock_contract::{
    Artifact, DownloadFilesInput, DownloadFilesResult, Failure, FailureType, Phase,
    UploadFilesInput, UploadFilesResult, UploadedFile,
};
use airlock_e2b::Error as SandboxError;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::context::{Ending, RunContext};
use crate::engine::Engine;
use crate::execute::{Work, drive, no_nul};
use crate::run::{self, Halt, Run, Stop, content_of};

/// Most bytes of all downloaded files together: with base64 around them they fit into a result.
const MAX_DOWNLOAD: u64 = 1024 * 1024;
/// Most files of one download.
const MAX_FILES: usize = 100;

impl Engine {
    /// Puts files into a shared sandbox: an `UploadFilesInput` as JSON to an `UploadFilesResult` as
    /// JSON.
    ///
    /// # Errors
    /// A failure as the contract lists them, or the report of a cancelled run.
    pub async fn upload_files(&self, ctx: &dyn RunContext, input: Value) -> Result<Value, Ending> {
        let limits = &self.core.config.limits;
        self.core.check_names(&input)?;
        let parsed = UploadFilesInput::parse(&input, limits).map_err(Failure::from)?;
        drop(input);
        let paths = parsed.files.iter().map(|file| file.path.as_str());
        no_nul("files", paths).map_err(Failure::from)?;
        let run = Run::new(self.core.clone(), ctx, parsed.run_id.clone(), 1);
        drive(run, ctx, Work::Upload(Box::new(parsed))).await
    }

    /// Brings files of a shared sandbox back whole: a `DownloadFilesInput` as JSON to a
    /// `DownloadFilesResult` as JSON. Text is redacted.
    ///
    /// # Errors
    /// `ResultTooLarge` if the files do not fit into a result; else a failure as the contract lists
    /// them, or the report of a cancelled run.
    pub async fn download_files(
        &self,
        ctx: &dyn RunContext,
        input: Value,
    ) -> Result<Value, Ending> {
        self.core.check_names(&input)?;
        let parsed = DownloadFilesInput::parse(&input).map_err(Failure::from)?;
        no_nul("paths", parsed.paths.iter().map(String::as_str)).map_err(Failure::from)?;
        let run = Run::new(self.core.clone(), ctx, parsed.run_id.clone(), 1);
        drive(run, ctx, Work::Download(Box::new(parsed))).await
    }
}

/// One upload, step by step. A retry puts the same files again, unless a later attempt did.
pub(crate) async fn upload(
    run: &mut Run,
    stop: Stop<'_>,
    input: &UploadFilesInput,
) -> Result<Value, Halt> {
    let canonical = serde_json::to_value(input).unwrap_or_default();
    if let Some(outcome) = run.claim(&canonical).await? {
        return Err(Halt::Over(Box::new(run::replay(&outcome))));
    }
    stop.check()?;
    run.visit_shared(&input.sandbox_id).await?;
    run.phase(Phase::Preparing).await?;
    let mut files = Vec::with_capacity(input.files.len());
    for file in &input.files {
        stop.check()?;
        run.core.runs.check(&run.key, run.fence).await?;
        run.put(file).await?;
        let bytes = content_of(file);
        files.push(UploadedFile {
            path: file.path.clone(),
            bytes: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(&bytes)),
        });
    }
    let result = UploadFilesResult {
        run_id: input.run_id.clone(),
        sandbox_id: input.sandbox_id.clone(),
        files,
    };
    keep(run, stop, serde_json::to_value(&result)).await
}

/// One download, step by step.
pub(crate) async fn download(
    run: &mut Run,
    stop: Stop<'_>,
    input: &DownloadFilesInput,
) -> Result<Value, Halt> {
    let canonical = serde_json::to_value(input).unwrap_or_default();
    if let Some(outcome) = run.claim(&canonical).await? {
        return Err(Halt::Over(Box::new(run::replay(&outcome))));
    }
    stop.check()?;
    run.visit_shared(&input.sandbox_id).await?;
    run.phase(Phase::Collecting).await?;
    let mut files: Vec<Artifact> = Vec::new();
    let mut left = MAX_DOWNLOAD;
    for path in run.named(&input.paths).await? {
        stop.check()?;
        if files.len() >= MAX_FILES {
            return Err(too_many().into());
        }
        let file = run.whole(&path, left).await?;
        left = left.saturating_sub(file.bytes);
        files.push(file);
    }
    let result = DownloadFilesResult {
        run_id: input.run_id.clone(),
        sandbox_id: input.sandbox_id.clone(),
        files,
    };
    keep(run, stop, serde_json::to_value(&result)).await
}

async fn keep(
    run: &Run,
    stop: Stop<'_>,
    result: Result<Value, serde_json::Error>,
) -> Result<Value, Halt> {
    let value = result.unwrap_or_default();
    run.finish(stop, &json!({ "v": 1, "result": value })).await?;
    Ok(value)
}

impl Run {
    /// The files that paths and globs name, in order. A glob that names none is kept as it is: it
    /// is answered as a file that is not there.
    async fn named(&self, paths: &[String]) -> Result<Vec<String>, Halt> {
        let Some(live) = &self.live else { return Err(Halt::Lost) };
        let mut named = Vec::with_capacity(paths.len());
        for path in paths {
            let found = if path.contains(['*', '?', '[']) {
                self.expand(&live.sandbox, path).await
            } else {
                Vec::new()
            };
            if found.is_empty() {
                named.push(path.clone());
            }
            named.extend(found);
        }
        Ok(named)
    }

    /// A file that is whole, or is not there.
    async fn whole(&self, path: &str, left: u64) -> Result<Artifact, Halt> {
        let Some(live) = &self.live else { return Err(Halt::Lost) };
        let user = Some(self.core.config.user.as_str());
        match live.sandbox.read_file(user, path, None, left).await {
            Ok(bytes) => Ok(self.shown(path, &bytes)),
            Err(SandboxError::TooLarge { .. }) => {
                let size = live.sandbox.stat(user, path).await.map_or(0, |info| info.size);
                Err(too_large(path, size).into())
            }
            Err(SandboxError::NotFound { .. }) => Ok(run::omitted(path, 0, "no such file")),
            Err(SandboxError::InvalidArgument { .. }) => Ok(run::omitted(path, 0, "not a file")),
            Err(error) => Err(error.into()),
        }
    }
}

fn too_large(path: &str, bytes: u64) -> Failure {
    Failure::new(
        FailureType::ResultTooLarge,
        "the files together are larger than the 1 MiB that a result takes; ask for fewer, or \
         compress or split them with a command first",
    )
    .with_details(&json!({ "path": path, "bytes": bytes, "limit": MAX_DOWNLOAD }))
}

fn too_many() -> Failure {
    Failure::new(
        FailureType::ResultTooLarge,
        "the paths name more than the 100 files that a result takes; ask for fewer, or pack them \
         with a command first",
    )
    .with_details(&json!({ "limit": MAX_FILES }))
}
