//! `/files`: whole files in and out, streamed.
//!
//! Who may is decided by the token in the header or by the signature in the query; what happens to
//! the file is done with the credentials of the user that the query names.

mod compose;
mod condition;
mod download;
mod encoding;
mod gzip;
mod range;
mod upload;

use std::fs::File;
use std::io;

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::signature::{self, Operation};
use super::users::{self, User};
use super::{Daemon, auth, path};
use crate::wire::error;

pub(crate) use compose::{MAX_BODY as MAX_COMPOSE_BODY, compose};
pub(crate) use condition::decide;
pub(crate) use download::download;
pub(crate) use encoding::choose;
pub(crate) use range::{Range, parse_range};
pub(crate) use upload::{Part, Upload, upload};

/// The query of `/files`.
#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    signature_expiration: Option<i64>,
}

/// An error with its answer.
type Answered<T> = Result<T, Box<Response>>;

fn refuse<T>(status: StatusCode, message: &str) -> Answered<T> {
    Err(Box::new(error(status, message)))
}

fn failure<T>(failed: &io::Error, path: &str) -> Answered<T> {
    let (status, message) = match failed.kind() {
        io::ErrorKind::NotFound => (StatusCode::NOT_FOUND, format!("path '{path}' does not exist")),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (StatusCode::FORBIDDEN, format!("path '{path}': permission denied"))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (StatusCode::INSUFFICIENT_STORAGE, "not enough disk space available".to_owned())
        }
        io::ErrorKind::IsADirectory => {
            (StatusCode::BAD_REQUEST, format!("path '{path}' is a directory"))
        }
        io::ErrorKind::InvalidData => {
            (StatusCode::BAD_REQUEST, "the body is not valid gzip".to_owned())
        }
        io::ErrorKind::InvalidInput => {
            (StatusCode::BAD_REQUEST, format!("path '{path}': {failed}"))
        }
        io::ErrorKind::Unsupported => (
            StatusCode::NOT_IMPLEMENTED,
            "this machine keeps no file metadata: that needs Linux 6.6".to_owned(),
        ),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, format!("path '{path}': {failed}")),
    };
    refuse(status, &message)
}

/// The token in the header decides if there is one, else the signature in the query.
fn authorize(daemon: &Daemon, headers: &HeaderMap, link: &Link, op: Operation) -> Answered<User> {
    match auth::token(daemon, headers) {
        Some(true) => {}
        Some(false) => return refuse(StatusCode::UNAUTHORIZED, "invalid access token"),
        None => {
            let Some(given) = &link.signature else {
                return refuse(StatusCode::UNAUTHORIZED, "missing signature query parameter");
            };
            let path = link.path.as_deref().unwrap_or_default();
            let user = link.username.as_deref().unwrap_or_default();
            let token = daemon.token.expose_secret();
            let wanted = signature::sign(path, op, user, token, link.signature_expiration);
            let now = jiff::Timestamp::now().as_second();
            if let Err(message) = signature::check(given, &wanted, link.signature_expiration, now) {
                return refuse(StatusCode::UNAUTHORIZED, message);
            }
        }
    }
    acting(link.username.as_deref())
}

/// The user that a request names, else the default one.
fn acting(name: Option<&str>) -> Answered<User> {
    let name = name.unwrap_or(users::DEFAULT);
    users::find(name).or_else(|_unknown| {
        refuse(StatusCode::UNAUTHORIZED, &format!("error looking up user '{name}'"))
    })
}

fn resolve(path: &str, user: &User) -> Answered<String> {
    path::resolve(path, user).or_else(|message| refuse(StatusCode::BAD_REQUEST, &message))
}

/// The length of a regular file; anything else is refused.
fn regular(file: &File) -> io::Result<u64> {
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(found.len())
}
