//! `secretEnv` references on this worker: its environment and its files.

use airlock_engine::SecretSource;
use async_trait::async_trait;
use secrecy::SecretString;

use crate::telemetry;

/// A secret file is no larger than this, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads `env:NAME` and `file:PATH`. The engine asks only for what the configuration allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProcessSecrets;

#[async_trait]
impl SecretSource for ProcessSecrets {
    async fn resolve(&self, reference: &str) -> Option<SecretString> {
        let value = fetch(reference).await?;
        telemetry::learn(reference, &value);
        Some(value)
    }
}

async fn fetch(reference: &str) -> Option<SecretString> {
    if let Some(name) = reference.strip_prefix("env:") {
        return std::env::var(name).ok().map(SecretString::from);
    }
    let path = reference.strip_prefix("file:")?;
    let size = tokio::fs::metadata(path).await.ok()?.len();
    if size > MAX_BYTES {
        tracing::warn!(path, size, limit = MAX_BYTES, "a secret file is too large");
        return None;
    }
    let text = tokio::fs::read_to_string(path).await.ok()?;
    // Editors end a file with a line feed that is no part of the secret.
    Some(SecretString::from(text.trim_end_matches(['\n', '\r']).to_owned()))
}

/// The worker's own secrets, to be redacted everywhere: variables with a secret-like name.
pub(crate) fn own_secrets() -> Vec<(String, SecretString)> {
    std::env::vars()
        .filter(|(name, value)| !value.is_empty() && airlock_redaction::is_secret_name(name))
        .map(|(name, value)| (name, SecretString::from(value)))
        .collect()
}
