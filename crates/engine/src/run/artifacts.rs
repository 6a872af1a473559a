//! Bringing files back after the command: size-capped, redacted if they are text.
//!
//! An artifact that cannot be had is listed with the reason; it never turns a result into a
//! failure.

use airlock_contract::Artifact;
use airlock_e2b::{Error as SandboxError, Sandbox, StartProcess};
use airlock_redaction::Redactor;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::Run;

/// Most files that the patterns of one run may name.
const MAX_FILES: usize = 100;
/// Most bytes of their names together.
const MAX_NAMES: usize = 64 * 1024;

impl Run {
    /// The files behind paths and globs, in order.
    pub(crate) async fn artifacts(&self, patterns: &[String]) -> Vec<Artifact> {
        let Some(live) = &self.live else { return Vec::new() };
        let sandbox = &live.sandbox;
        let mut artifacts = Vec::new();
        let mut left = self.core.config.output.artifacts;
        for pattern in patterns {
            let paths = if pattern.contains(['*', '?', '[']) {
                self.expand(sandbox, pattern).await
            } else {
                vec![pattern.clone()]
            };
            if paths.is_empty() {
                artifacts.push(omitted(pattern, 0, "no file matches"));
            }
            for path in paths {
                if artifacts.len() >= MAX_FILES {
                    return artifacts;
                }
                let artifact = self.fetch(sandbox, &path, left).await;
                if artifact.content_base64.is_some() {
                    left = left.saturating_sub(artifact.bytes);
                }
                artifacts.push(artifact);
            }
        }
        artifacts
    }

    /// The paths that a glob names, by the sandbox's own shell.
    pub(crate) async fn expand(&self, sandbox: &Sandbox, pattern: &str) -> Vec<String> {
        // The pattern is data of the script and is expanded unquoted: words are split nowhere.
        let pattern = pattern.strip_prefix("~/").unwrap_or(pattern);
        let script = "cd; IFS=; for f in $1; do [ -f \"$f\" ] && printf '%s\\n' \"$f\"; done";
        let args = ["-c", script, "airlock", pattern].map(str::to_owned);
        let mut process = StartProcess::new("/bin/sh", args);
        process.user = Some(self.core.config.user.clone());
        match sandbox.run(&process, MAX_NAMES).await {
            Ok(output) => String::from_utf8_lossy(&output.stdout)
                .lines()
                .take(MAX_FILES)
                .map(str::to_owned)
                .collect(),
            Err(error) => {
                tracing::warn!(error = %error, "a pattern of artifacts was not expanded");
                Vec::new()
            }
        }
    }

    async fn fetch(&self, sandbox: &Sandbox, path: &str, left: u64) -> Artifact {
        let user = Some(self.core.config.user.as_str());
        let cap = self.core.config.output.artifact.min(left);
        match sandbox.read_file(user, path, None, cap).await {
            Ok(bytes) => self.shown(path, &bytes),
            Err(SandboxError::TooLarge { .. }) => {
                let size = sandbox.stat(user, path).await.map_or(0, |info| info.size);
                omitted(path, size, "larger than what a result may hold")
            }
            Err(SandboxError::NotFound { .. }) => omitted(path, 0, "no such file"),
            Err(SandboxError::InvalidArgument { .. }) => omitted(path, 0, "not a file"),
            Err(error) => {
                tracing::warn!(error = %error, "an artifact was not fetched");
                omitted(path, 0, "it could not be read")
            }
        }
    }

    /// A file with its content, redacted if it is text.
    pub(crate) fn shown(&self, path: &str, bytes: &[u8]) -> Artifact {
        // What holds no NUL is taken for text. A binary file would be broken by a marker, and by
        // one that stands there by chance: it comes whole, unless it holds a value that the worker
        // knows to be secret.
        let path = &*self.redactor.redact(path);
        let (clean, report) = self.redactor.redact_bytes_report(bytes);
        let binary = bytes.contains(&0);
        if binary && report.counts.contains_key(Redactor::KNOWN_VALUE) {
            return omitted(path, bytes.len() as u64, "a binary file that holds a secret");
        }
        let clean = if binary { std::borrow::Cow::Borrowed(bytes) } else { clean };
        Artifact {
            path: path.to_owned(),
            bytes: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(&clean)),
            content_base64: Some(STANDARD.encode(&clean)),
            omitted: None,
        }
    }
}

/// A file that has no content, and why.
pub(crate) fn omitted(path: &str, bytes: u64, why: &str) -> Artifact {
    Artifact {
        // Commands choose the names of their files.
        path: Redactor::builtin().redact(path).into_owned(),
        bytes,
        sha256: String::new(),
        content_base64: None,
        omitted: Some(why.to_owned()),
    }
}
