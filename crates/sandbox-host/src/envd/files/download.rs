//! `GET /files`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::fmt::rfc2822::DateTimePrinter;
use nix::libc;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::condition::{self, Outcome};
use super::encoding::{self, Encoding};
use super::range::{Range, parse_range};
use super::{Answered, Link, authorize, failure, refuse, regular, resolve};
use crate::envd::Daemon;
use crate::envd::signature::Operation;

/// Bytes read from a file at once.
const CHUNK: usize = 256 << 10;

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
    let headers_of = |name| headers.contains_key(name);
    let is_partial = headers_of(header::RANGE)
        || headers_of(header::IF_MODIFIED_SINCE)
        || headers_of(header::IF_NONE_MATCH)
        || headers_of(header::IF_RANGE);
    let Some(encoding) = encoding::choose(&headers, is_partial) else {
        return refuse(StatusCode::NOT_ACCEPTABLE, "accept identity or gzip");
    };
    let mut answer = serve(&daemon, &headers, (file, length, modified), encoding);
    let common = answer.headers_mut();
    common.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(value) = disposition(&path).parse() {
        common.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(answer)
}

fn serve(
    daemon: &Arc<Daemon>,
    headers: &HeaderMap,
    (file, length, modified): (File, u64, i64),
    encoding: Encoding,
) -> Response {
    let modified = jiff::Timestamp::from_second(modified).unwrap_or_default();
    let last_modified = DateTimePrinter::new().timestamp_to_rfc9110_string(&modified);
    let last_modified = last_modified.unwrap_or_default();
    match condition::decide(headers, modified) {
        Outcome::Send => {}
        Outcome::NotModified => {
            let unchanged = [(header::LAST_MODIFIED, last_modified)];
            return (StatusCode::NOT_MODIFIED, unchanged).into_response();
        }
        Outcome::Failed => return StatusCode::PRECONDITION_FAILED.into_response(),
    }
    // A part of another version than the one that the client has is of no use to it.
    let wanted = headers.get(header::RANGE);
    let wanted = wanted.filter(|_| condition::is_same_version(headers, modified));
    let range = match wanted.map(|range| parse_range(range.as_bytes(), length)) {
        Some(Range::Outside) => {
            let whole = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            let message = "invalid range: failed to overlap\n";
            return (StatusCode::RANGE_NOT_SATISFIABLE, whole, message).into_response();
        }
        Some(Range::Invalid) => {
            return (StatusCode::RANGE_NOT_SATISFIABLE, "invalid range\n").into_response();
        }
        Some(Range::Part(from, to)) => Some((from, to)),
        Some(Range::Ignored) | None => None,
    };
    let (from, to) = range.unwrap_or((0, length));
    let answer = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::LAST_MODIFIED, last_modified);
    let contents = contents(Arc::clone(daemon), file, from, to);
    let answer = match (encoding, range) {
        (Encoding::Gzip, _) => answer
            .header(header::CONTENT_ENCODING, "gzip")
            .body(Body::from_stream(encoding::gzip(contents))),
        (Encoding::Identity, None) => answer
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::CONTENT_LENGTH, length)
            .body(Body::from_stream(contents)),
        (Encoding::Identity, Some((from, to))) => answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::CONTENT_LENGTH, to - from)
            .header(header::CONTENT_RANGE, format!("bytes {from}-{}/{length}", to - 1))
            .body(Body::from_stream(contents)),
    };
    answer.unwrap_or_else(|_invalid| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The file's name for a browser: as it is, in quotes, or percent-encoded.
fn disposition(path: &str) -> String {
    /// What need not be encoded (RFC 5987).
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'.')
        .remove(b'-')
        .remove(b'_')
        .remove(b'~')
        .remove(b'!')
        .remove(b'$')
        .remove(b'&')
        .remove(b'+')
        .remove(b'^')
        .remove(b'`')
        .remove(b'|')
        .remove(b'#');
    let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        format!("inline; filename*=utf-8''{}", utf8_percent_encode(&name, PLAIN))
    } else if !name.is_empty() && name.bytes().all(is_token) {
        format!("inline; filename={name}")
    } else {
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("inline; filename=\"{name}\"")
    }
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
