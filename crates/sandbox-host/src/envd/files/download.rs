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
use http::{HeaderMap, StatusCode, header};
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use nix::libc;

use super::range::{Range, parse_range};
use super::{Answered, Link, authorize, failure, refuse, regular, resolve};
use crate::envd::Daemon;
use crate::envd::signature::Operation;
use crate::wire::error;

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

/// A time in a header.
pub(crate) fn date(headers: &HeaderMap, name: &header::HeaderName) -> Option<jiff::Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(name)?.to_str().ok()?).ok()
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
