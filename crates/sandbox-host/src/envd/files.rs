//! `/files`: whole files in and out, streamed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest as _, Multipart, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, StatusCode, header};
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use nix::libc;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::filesystem::make_parents;
use super::signature::{self, Operation};
use super::users::{self, User};
use super::{Daemon, auth, path, xattr};
use crate::wire::error;

/// Bytes read from a file at once.
const CHUNK: usize = 256 << 10;

/// Bytes of a compressed upload decoded at once: bounds what a bomb can blow up to in memory.
const COMPRESSED_CHUNK: usize = 4 << 10;

/// Most bytes of an upload that are read for nothing.
const MAX_DRAINED: usize = 256 << 20;

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

#[derive(Debug, Serialize)]
struct Written {
    path: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
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
        io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
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
    let name = match link.username.as_deref() {
        None | Some("") => users::DEFAULT,
        Some(name) => name,
    };
    users::find(name).or_else(|_unknown| {
        refuse(StatusCode::UNAUTHORIZED, &format!("error looking up user '{name}'"))
    })
}

fn resolve(path: &str, user: &User) -> Answered<String> {
    path::resolve(path, user).or_else(|message| refuse(StatusCode::BAD_REQUEST, &message))
}

/// `GET /files`.
pub(crate) async fn download(
    State(daemon): State<Arc<Daemon>>,
    Query(link): Query<Link>,
    headers: HeaderMap,
) -> Response {
    read(daemon, link, headers).await.unwrap_or_else(|answer| *answer)
}

async fn read(daemon: Arc<Daemon>, link: Link, headers: HeaderMap) -> Answered<Response> {
    let user = authorize(&daemon, &headers, &link, Operation::Read)?;
    let path = resolve(link.path.as_deref().unwrap_or_default(), &user)?;
    let wanted = path.clone();
    let opened = daemon.workers.run_as(&user, move || {
        // Without O_NONBLOCK opening a FIFO would hold the thread.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(wanted)?;
        let length = regular(&file)?;
        let modified = file.metadata()?.mtime();
        Ok((file, length, modified))
    });
    let (file, length, modified) = match opened.await {
        Ok(opened) => opened,
        Err(failed) => return failure(&failed, &path),
    };
    let modified = jiff::Timestamp::from_second(modified).unwrap_or_default();
    let last_modified = DateTimePrinter::new().timestamp_to_rfc9110_string(&modified);
    let last_modified = last_modified.unwrap_or_default();
    if date(&headers, &header::IF_MODIFIED_SINCE).is_some_and(|since| modified <= since) {
        let unchanged = [(header::LAST_MODIFIED, last_modified)];
        return Ok((StatusCode::NOT_MODIFIED, unchanged).into_response());
    }
    // A part of another version than the one that the client has is of no use to it.
    let same = !headers.contains_key(header::IF_RANGE)
        || date(&headers, &header::IF_RANGE) == Some(modified);
    let range = headers.get(header::RANGE).filter(|_| same);
    let range = match range.map(|range| parse_range(range.as_bytes(), length)) {
        Some(Range::Outside) => {
            let mut answer =
                error(StatusCode::RANGE_NOT_SATISFIABLE, "invalid range: failed to overlap");
            if let Ok(value) = format!("bytes */{length}").parse() {
                answer.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            return Ok(answer);
        }
        Some(Range::Part(from, to)) => Some((from, to)),
        Some(Range::Ignored) | None => None,
    };
    let (from, to) = range.unwrap_or((0, length));
    let name = Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
    let name = percent_encoding::utf8_percent_encode(
        name.as_deref().unwrap_or_default(),
        percent_encoding::NON_ALPHANUMERIC,
    );
    let mut answer = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::LAST_MODIFIED, last_modified)
        .header(header::CONTENT_LENGTH, to - from)
        .header(header::CONTENT_DISPOSITION, format!("inline; filename*=utf-8''{name}"));
    if range.is_some() {
        let value = format!("bytes {from}-{}/{length}", to - 1);
        answer = answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, value);
    }
    answer.body(Body::from_stream(contents(daemon, file, from, to))).or_else(|_invalid| {
        refuse(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written")
    })
}

fn date(headers: &HeaderMap, name: &header::HeaderName) -> Option<jiff::Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(name)?.to_str().ok()?).ok()
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

fn contents(
    daemon: Arc<Daemon>,
    file: File,
    from: u64,
    to: u64,
) -> impl Stream<Item = io::Result<Bytes>> {
    let file = Arc::new(file);
    stream::try_unfold(from, move |at| {
        let (daemon, file) = (Arc::clone(&daemon), Arc::clone(&file));
        async move {
            if at >= to {
                return Ok(None);
            }
            let size = usize::try_from(to - at).unwrap_or(CHUNK).min(CHUNK);
            let read = daemon.workers.run(move || {
                let mut buffer = vec![0; size];
                let count = file.read_at(&mut buffer, at)?;
                buffer.truncate(count);
                io::Result::Ok(buffer)
            });
            let buffer = read.await??;
            if buffer.is_empty() {
                // The file shrank: fewer bytes than announced must not look whole.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let next = at + buffer.len() as u64;
            Ok(Some((Bytes::from(buffer), next)))
        }
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// First byte, and the one after the last.
    Part(u64, u64),
    Outside,
    /// Not one range of bytes: the whole file is a right answer.
    Ignored,
}

fn parse_range(value: &[u8], length: u64) -> Range {
    let parts = std::str::from_utf8(value)
        .ok()
        .and_then(|value| value.strip_prefix("bytes="))
        .and_then(|range| range.trim().split_once('-'));
    let Some((first, last)) = parts else { return Range::Ignored };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= length => Range::Outside,
        (Ok(first), Ok(last)) if first <= last => Range::Part(first, last.min(length - 1) + 1),
        (Ok(first), Err(_)) if last.is_empty() => Range::Part(first, length),
        (Err(_), Ok(0)) if first.is_empty() => Range::Outside,
        (Err(_), Ok(last)) if first.is_empty() && length > 0 => {
            Range::Part(length.saturating_sub(last), length)
        }
        _ => Range::Ignored,
    }
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
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    let metadata = xattr::from_headers(request.headers())
        .or_else(|message| refuse(StatusCode::BAD_REQUEST, &message))?;
    let packed = request.headers().get(header::CONTENT_ENCODING).is_some_and(|e| e == "gzip");
    let request = if packed { request.map(unpack) } else { request };
    let path = link.path.as_deref().filter(|path| !path.is_empty());
    if kind.starts_with("application/octet-stream") {
        let Some(path) = path else {
            return refuse(StatusCode::BAD_REQUEST, "path query parameter is required");
        };
        let body = request.into_body().into_data_stream();
        return Ok(vec![store(daemon, &user, path, &metadata, body).await?]);
    }
    if !kind.starts_with("multipart/form-data") {
        return refuse(StatusCode::BAD_REQUEST, &format!("unsupported content type '{kind}'"));
    }
    let Ok(mut parts) = Multipart::from_request(request, &()).await else {
        return refuse(StatusCode::BAD_REQUEST, "invalid multipart body");
    };
    let mut written: Vec<Written> = Vec::new();
    loop {
        let part = match parts.next_field().await {
            Ok(Some(part)) if part.name() == Some("file") => part,
            Ok(Some(_)) => continue,
            Ok(None) => return Ok(written),
            Err(_) => return refuse(StatusCode::BAD_REQUEST, "invalid multipart body"),
        };
        let target = path.or_else(|| part.file_name()).map(str::to_owned);
        let Some(target) = target.filter(|target| !target.is_empty()) else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "a part has no file name, and there is no path",
            );
        };
        let resolved = resolve(&target, &user)?;
        if written.iter().any(|earlier| earlier.path == resolved) {
            let message = format!("you cannot upload multiple files to the same path '{resolved}'");
            return refuse(StatusCode::BAD_REQUEST, &message);
        }
        written.push(store(daemon, &user, &target, &metadata, part).await?);
    }
}

/// Writes a body to a file, as the user; the file is truncated first.
async fn store<E: Into<axum::BoxError>>(
    daemon: &Daemon,
    user: &User,
    path: &str,
    metadata: &BTreeMap<String, String>,
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Answered<Written> {
    let path = resolve(path, user)?;
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
    while let Some(chunk) = body.next().await {
        let chunk = match chunk.map_err(Into::into) {
            Ok(chunk) => chunk,
            Err(failed) => {
                let invalid = failed.downcast_ref::<axum::Error>().is_some_and(is_invalid_data);
                let kind =
                    if invalid { io::ErrorKind::InvalidData } else { io::ErrorKind::InvalidInput };
                return failure(&io::Error::new(kind, "the body was cut short"), &path);
            }
        };
        let file = Arc::clone(&file);
        let written = daemon.workers.run(move || (&*file).write_all(&chunk)).await;
        if let Err(failed) = written.and_then(|written| written) {
            return failure(&failed, &path);
        }
    }
    let name = Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    Ok(Written { name, path, kind: "file", metadata: metadata.clone() })
}

fn is_invalid_data(failed: &axum::Error) -> bool {
    let source = std::error::Error::source(failed);
    source
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| source.kind() == io::ErrorKind::InvalidData)
}

/// Decodes a gzip body piece by piece.
fn unpack(body: Body) -> Body {
    struct State {
        body: BodyDataStream,
        rest: Bytes,
        decoder: Option<MultiGzDecoder<Vec<u8>>>,
    }
    let state = State {
        body: body.into_data_stream(),
        rest: Bytes::new(),
        decoder: Some(MultiGzDecoder::new(Vec::new())),
    };
    let invalid = |_error| io::Error::from(io::ErrorKind::InvalidData);
    Body::from_stream(stream::try_unfold(state, move |mut state| async move {
        loop {
            let Some(decoder) = &mut state.decoder else { return Ok(None) };
            if state.rest.is_empty() {
                let Some(chunk) = state.body.next().await else {
                    decoder.try_finish().map_err(invalid)?;
                    let last = std::mem::take(decoder.get_mut());
                    state.decoder = None;
                    return Ok((!last.is_empty()).then(|| (Bytes::from(last), state)));
                };
                state.rest = chunk.map_err(io::Error::other)?;
            }
            let size = state.rest.len().min(COMPRESSED_CHUNK);
            decoder.write_all(&state.rest.split_to(size)).map_err(invalid)?;
            let plain = std::mem::take(decoder.get_mut());
            if !plain.is_empty() {
                return io::Result::Ok(Some((Bytes::from(plain), state)));
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_one_part_or_outside_or_ignored() {
        for (value, length, want) in [
            ("bytes=0-9", 100, Range::Part(0, 10)),
            ("bytes=90-999", 100, Range::Part(90, 100)),
            ("bytes=99-", 100, Range::Part(99, 100)),
            ("bytes=100-", 100, Range::Outside),
            ("bytes=0-", 0, Range::Outside),
            ("bytes=-5", 100, Range::Part(95, 100)),
            ("bytes=-500", 100, Range::Part(0, 100)),
            ("bytes=-0", 100, Range::Outside),
            ("bytes=5-1", 100, Range::Ignored),
            ("bytes=0-1,3-4", 100, Range::Ignored),
            ("lines=0-1", 100, Range::Ignored),
        ] {
            assert_eq!(parse_range(value.as_bytes(), length), want, "{value} of {length}");
        }
    }

    proptest! {
        #[test]
        fn a_range_is_never_empty_and_never_outside(
            value in prop_oneof![any::<Vec<u8>>(), "bytes=[0-9 ,-]{0,24}".prop_map(String::into_bytes)],
            length in prop_oneof![0..20_u64, any::<u64>()],
        ) {
            if let Range::Part(from, to) = parse_range(&value, length) {
                prop_assert!(from < to && to <= length, "{from}..{to} of {length}");
            }
        }
    }
}
