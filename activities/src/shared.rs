//! The activities on sandboxes that several activities share.

use airlock_engine::{Ending, Engine};
use serde_json::Value;

use crate::activities::json;
use crate::runtime::Context;

/// `openSandbox`: `OpenSandboxInput` -> `OpenSandboxResult`.
pub(crate) async fn open_sandbox(
    engine: Engine,
    context: Context,
    input: Value,
) -> Result<Value, Ending> {
    engine.open_sandbox(&context, input).await
}

/// `closeSandbox`: `SharedSandboxInput` -> `CloseSandboxResult`.
pub(crate) async fn close_sandbox(
    engine: Engine,
    context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.close_sandbox(&context, &input).await)
}

/// `uploadFiles`: `UploadFilesInput` -> `UploadFilesResult`.
pub(crate) async fn upload_files(
    engine: Engine,
    context: Context,
    input: Value,
) -> Result<Value, Ending> {
    engine.upload_files(&context, input).await
}

/// `downloadFiles`: `DownloadFilesInput` -> `DownloadFilesResult`.
pub(crate) async fn download_files(
    engine: Engine,
    context: Context,
    input: Value,
) -> Result<Value, Ending> {
    engine.download_files(&context, input).await
}

/// `installPackages`: `InstallPackagesInput` -> `InstallPackagesResult`.
pub(crate) async fn install_packages(
    engine: Engine,
    context: Context,
    input: Value,
) -> Result<Value, Ending> {
    engine.install_packages(&context, input).await
}

/// `sandboxHealth`: `SharedSandboxInput` -> `SandboxHealth`.
pub(crate) async fn sandbox_health(
    engine: Engine,
    _context: Context,
    input: Value,
) -> Result<Value, Ending> {
    json(engine.sandbox_health(&input).await)
}
