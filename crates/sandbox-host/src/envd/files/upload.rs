//! `POST /files`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest as _, Multipart, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{StatusCode, header};
use nix::libc;
use serde::Serialize;

use super::gzip::unpack;
use super::{Answered, Link, authorize, failure, refuse, regular, resolve};
use crate::envd::filesystem::make_parents;
use crate::envd::signature::Operation;
use crate::envd::users::User;
use crate::envd::{Daemon, xattr};

/// Most bytes of an upload that are read for nothing.
const MAX_DRAINED: usize = 256 << 20;

const INVALID: &str = "invalid multipart body";

#[derive(Debug, Serialize)]
struct Written {
    path: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

/// `POST /files`.
pub(crate) async fn upload(
    State(daemon): State<Arc<Daemon>>,
    Query(link): Query<Link>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = Arc::new(tokio::sync::Mutex::new(body.into_data_stream()));
    let shared = Arc::clone(&body);
    let chunks = stream::poll_fn(move |context| match shared.try_lock() {
        Ok(mut body) => body.poll_next_unpin(context),
        // Only taken below, when nobody polls this any more.
        Err(_) => std::task::Poll::Ready(None),
    });
    let request = Request::from_parts(head, Body::from_stream(chunks));
    let answer = match write(&daemon, &link, request).await {
        Ok(written) => Json(written).into_response(),
        Err(answer) => *answer,
    };
    drain(&mut *body.lock().await).await;
    answer
}

/// Reads what is left of a body, within reason: a client that still writes when the connection
/// closes would see the closing and not the answer. That is all of a refused body, or what follows
/// the last part of an accepted one.
async fn drain(body: &mut BodyDataStream) {
    let mut left = MAX_DRAINED;
    while let Some(Ok(chunk)) = body.next().await {
        let Some(rest) = left.checked_sub(chunk.len()) else { return };
        left = rest;
    }
}

async fn write(daemon: &Daemon, link: &Link, request: Request) -> Answered<Vec<Written>> {
    let user = authorize(daemon, request.headers(), link, Operation::Write)?;
    let metadata = xattr::from_headers(request.headers())
        .or_else(|message| refuse(StatusCode::BAD_REQUEST, &message))?;
    let mut upload = Upload::read(request, link.path.as_deref(), &user).await?;
    let mut written = Vec::new();
    while let Some(part) = upload.next().await? {
        if let Part::File(path, body) = part {
            written.push(store(daemon, &user, path, &metadata, body).await?);
        }
    }
    Ok(written)
}

/// The files of an upload, in turn.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    form: Form,
    user: &'a User,
    /// Where the files go if it is not their own names that say so.
    path: Option<&'a str>,
    /// Where those that came went.
    seen: Vec<String>,
}

#[derive(Debug)]
enum Form {
    /// The body is the file; `None` once it was handed out.
    Raw(Option<BodyDataStream>),
    Multipart(Multipart),
}

/// One part of an upload.
pub(crate) enum Part<'a> {
    /// A file: its path, resolved, and its contents.
    File(String, Contents<'a>),
    /// A field of another name, which means nothing here.
    Other,
}

type Contents<'a> = BoxStream<'a, Result<Bytes, axum::BoxError>>;

impl<'a> Upload<'a> {
    /// Reads what comes before the first file.
    pub(crate) async fn read(
        request: Request,
        path: Option<&'a str>,
        user: &'a User,
    ) -> Answered<Self> {
        let given = text(&request, header::CONTENT_TYPE).to_owned();
        let (kind, parameters) = given.split_once(';').unwrap_or((&given, ""));
        let kind = kind.trim().to_ascii_lowercase();
        let mut request =
            match text(&request, header::CONTENT_ENCODING).to_ascii_lowercase().as_str() {
                "gzip" => request.map(unpack),
                "" | "identity" => request,
                other => {
                    let message =
                        format!("unsupported Content-Encoding: {other}, supported: [gzip]");
                    return refuse(StatusCode::BAD_REQUEST, &message);
                }
            };
        let path = path.filter(|path| !path.is_empty());
        let form = if kind == "application/octet-stream" {
            if path.is_none() {
                return refuse(StatusCode::BAD_REQUEST, "path query parameter is required");
            }
            Form::Raw(Some(request.into_body().into_data_stream()))
        } else if kind.starts_with("multipart/") {
            // Whatever kind of parts it calls them: they are read as a form's.
            let form = format!("multipart/form-data;{parameters}").parse();
            if let Ok(form) = form {
                request.headers_mut().insert(header::CONTENT_TYPE, form);
            }
            let Ok(parts) = Multipart::from_request(request, &()).await else {
                return refuse(StatusCode::INTERNAL_SERVER_ERROR, INVALID);
            };
            Form::Multipart(parts)
        } else {
            let message = format!(
                "unsupported content type: {given}, expected multipart/form-data or \
                 application/octet-stream"
            );
            return refuse(StatusCode::BAD_REQUEST, &message);
        };
        Ok(Self { form, user, path, seen: Vec::new() })
    }

    /// What comes next; `None` after the last.
    pub(crate) async fn next(&mut self) -> Answered<Option<Part<'_>>> {
        let Self { form, user, path, seen } = self;
        let parts = match form {
            Form::Raw(body) => {
                let Some(body) = body.take() else { return Ok(None) };
                let path = resolve(path.unwrap_or_default(), user)?;
                return Ok(Some(Part::File(path, body.map_err(Into::into).boxed())));
            }
            Form::Multipart(parts) => parts,
        };
        let part = match parts.next_field().await {
            Ok(Some(part)) if part.name() == Some("file") => part,
            Ok(Some(_)) => return Ok(Some(Part::Other)),
            Ok(None) => return Ok(None),
            Err(_) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, INVALID),
        };
        let target = path.or_else(|| part.file_name()).filter(|target| !target.is_empty());
        let Some(target) = target else {
            let message = "a part has no file name, and there is no path";
            return refuse(StatusCode::BAD_REQUEST, message);
        };
        let target = resolve(target, user)?;
        if seen.contains(&target) {
            let message = format!("you cannot upload multiple files to the same path '{target}'");
            return refuse(StatusCode::BAD_REQUEST, &message);
        }
        seen.push(target.clone());
        Ok(Some(Part::File(target, part.map_err(Into::into).boxed())))
    }
}

fn text(request: &Request, name: header::HeaderName) -> &str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Writes a body to a file, as the user; the file is truncated first.
async fn store(
    daemon: &Daemon,
    user: &User,
    path: String,
    metadata: &BTreeMap<String, String>,
    mut body: Contents<'_>,
) -> Answered<Written> {
    // A body that is none from its first byte on must not cost the file that is there.
    let mut next = body.next().await;
    if let Some(Err(failed)) = &next
        && is_invalid_gzip(failed)
    {
        return failure(&io::ErrorKind::InvalidData.into(), &path);
    }
    let (wanted, kept) = (path.clone(), metadata.clone());
    let opened = daemon.workers.run_as(user, move || {
        make_parents(Path::new(&wanted))?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o666)
            .custom_flags(libc::O_NONBLOCK)
            .open(wanted)?;
        regular(&file)?;
        xattr::replace(&file, &kept)?;
        Ok(Arc::new(file))
    });
    let file = match opened.await {
        Ok(file) => file,
        Err(failed) => return failure(&failed, &path),
    };
    while let Some(chunk) = next {
        let Ok(chunk) = chunk else {
            return failure(&io::Error::other("the body was cut short"), &path);
        };
        let file = Arc::clone(&file);
        let written = daemon.workers.run(move || (&*file).write_all(&chunk)).await;
        if let Err(failed) = written.and_then(|written| written) {
            return failure(&failed, &path);
        }
        next = body.next().await;
    }
    let name = Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    Ok(Written { name, path, kind: "file", metadata: metadata.clone() })
}

fn is_invalid_gzip(failed: &axum::BoxError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&**failed);
    while let Some(error) = source {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::InvalidData) {
            return true;
        }
        source = error.source();
    }
    false
}
