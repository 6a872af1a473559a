//! The ready file: where the parts of a running stack answer.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::exit::Error;

/// Addresses of one stack, as `airlock dev --ready-file` writes them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ready {
    /// Temporal.
    pub(crate) temporal: ReadyTemporal,
    /// `redis://` address.
    pub(crate) redis_url: String,
    /// The sandbox host.
    pub(crate) sandbox_host: ReadySandboxHost,
    /// The HTTP API.
    pub(crate) http_url: String,
    /// The task queue that the worker polls.
    pub(crate) task_queue: String,
    /// A `temporal` command that fits the server.
    pub(crate) temporal_cli: String,
}

/// Temporal's part.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadyTemporal {
    /// `host:port`.
    pub(crate) address: String,
    /// Namespace.
    pub(crate) namespace: String,
    /// The web UI; none if it is left out.
    pub(crate) ui_url: Option<String>,
}

/// The sandbox host's part. The key is one of this machine's own, made by `airlock dev`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadySandboxHost {
    /// `E2B_API_URL`.
    pub(crate) api_url: String,
    /// `E2B_SANDBOX_URL`.
    pub(crate) sandbox_url: String,
    /// `E2B_API_KEY`.
    pub(crate) api_key: String,
}

impl Ready {
    /// Reads a ready file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::config(format_args!("{shown} cannot be read: {error}; is `airlock dev` up?"))
        })?;
        serde_json::from_str(&text).map_err(|error| {
            Error::config(format_args!("{shown} is no ready file of `airlock dev`: {error}"))
        })
    }

    /// Writes the file whole: a reader sees all of it or none.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        use std::os::unix::fs::PermissionsExt;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let failed = |error: std::io::Error| {
            Error::failed(format_args!("{} cannot be written: {error}", path.display()))
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        serde_json::to_writer_pretty(&mut file, self)
            .map_err(std::io::Error::from)
            .map_err(failed)?;
        // The key in it opens only a host on this machine's loopback, for this user.
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}
