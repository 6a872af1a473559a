//! `POST /files/compose`: puts files together into one, and removes them.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::StatusCode;
use nix::libc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answered, acting, failure, refuse, resolve};
use crate::envd::Daemon;
use crate::envd::filesystem::make_parents;

/// Most files put together at once.
const MAX_SOURCES: usize = 10_000;

/// Largest request body, in bytes.
pub(crate) const MAX_BODY: usize = 4 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    source_paths: Option<Vec<String>>,
    destination: Option<String>,
    username: Option<String>,
}

/// `POST /files/compose`.
pub(crate) async fn compose(State(daemon): State<Arc<Daemon>>, body: Bytes) -> Response {
    match put_together(&daemon, &body).await {
        Ok(made) => Json(made).into_response(),
        Err(answer) => *answer,
    }
}

async fn put_together(daemon: &Daemon, body: &[u8]) -> Answered<Value> {
    let asked: Asked = match serde_json::from_slice(body) {
        Ok(asked) if body.trim_ascii_start().starts_with(b"{") => asked,
        Ok(_) => return refuse(StatusCode::BAD_REQUEST, "invalid request body: use an object"),
        Err(invalid) => {
            return refuse(StatusCode::BAD_REQUEST, &format!("invalid request body: {invalid}"));
        }
    };
    let sources = asked.source_paths.unwrap_or_default();
    if sources.is_empty() || sources.len() > MAX_SOURCES {
        let message = format!("source_paths must not be empty, nor more than {MAX_SOURCES}");
        return refuse(StatusCode::BAD_REQUEST, &message);
    }
    let Some(destination) = asked.destination.filter(|path| !path.is_empty()) else {
        return refuse(StatusCode::BAD_REQUEST, "destination is required");
    };
    let user = acting(asked.username.as_deref())?;
    let to = resolve(&destination, &user)?;
    let mut from = Vec::new();
    for source in &sources {
        let path = resolve(source, &user)?;
        if path == to {
            let message = format!("source path '{source}' cannot be the same as destination");
            return refuse(StatusCode::BAD_REQUEST, &message);
        }
        from.push(path);
    }
    let target = to.clone();
    let done = daemon.workers.run_as(&user, move || Ok(write(&from, &target))).await;
    match done {
        Ok(Ok(())) => {}
        Ok(Err((failed, path))) => return failure(&failed, &path),
        Err(failed) => return failure(&failed, &to),
    }
    let name = Path::new(&to).file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(json!({"path": to, "name": name.unwrap_or_default(), "type": "file"}))
}

/// Writes beside the target and renames: what was there stays whole until the new one is. The error
/// says which path failed.
fn write(from: &[String], to: &str) -> Result<(), (io::Error, String)> {
    for path in from {
        let found = fs::metadata(path).map_err(|error| (error, path.clone()))?;
        if !found.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err((error, path.clone()));
        }
    }
    let failed = |error| (error, to.to_owned());
    make_parents(Path::new(to)).map_err(failed)?;
    let beside = format!("{to}.compose-{}", hex::encode(rand::random::<[u8; 8]>()));
    let result = fill(from, &beside)
        .and_then(|()| fs::rename(&beside, to).map_err(|error| (error, to.to_owned())));
    if result.is_err() {
        let _never_made = fs::remove_file(&beside);
        return result;
    }
    for path in from {
        let _already_gone = fs::remove_file(path);
    }
    Ok(())
}

fn fill(from: &[String], beside: &str) -> Result<(), (io::Error, String)> {
    let failed = |error| (error, beside.to_owned());
    let mut options = OpenOptions::new();
    let mut target =
        options.write(true).create_new(true).mode(0o666).open(beside).map_err(failed)?;
    for path in from {
        let mut options = OpenOptions::new();
        let source = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let copied = source.and_then(|mut source| io::copy(&mut source, &mut target));
        copied.map_err(|error| (error, path.clone()))?;
    }
    Ok(())
}
