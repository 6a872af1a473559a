//! Uploads: multipart bodies, compressed or not, in pieces of any length. The memory stays bounded
//! (the runner watches it), and what comes out as a target is an absolute path, once.
#![no_main]

use std::collections::BTreeSet;

use airlock_sandbox_host::fuzzing::upload;
use axum::body::Body;
use axum::extract::Request;
use futures_util::{StreamExt as _, stream};
use libfuzzer_sys::fuzz_target;

// The first byte: compressed, with a path in the query. The second: how long the pieces are. Then
// the boundary up to a line end, then the body.
fuzz_target!(|data: &[u8]| {
    let [flags, size, rest @ ..] = data else { return };
    let split = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len().min(8));
    let (boundary, body) = rest.split_at(split);
    let Ok(boundary) = std::str::from_utf8(boundary) else { return };
    let chunks: Vec<_> = body.chunks(usize::from(*size) + 1).map(<[u8]>::to_vec).collect();
    let kind = format!("multipart/form-data; boundary={boundary}");
    let mut request = Request::post("/files").header("content-type", kind);
    if flags & 2 != 0 {
        request = request.header("content-encoding", "gzip");
    }
    let body = Body::from_stream(stream::iter(chunks).map(std::io::Result::Ok));
    let Ok(request) = request.body(body) else { return };
    let path = (flags & 1 != 0).then_some("a/../b");
    // Nothing waits for anything but the body, and that is all there.
    let Some(answer) = futures_util::FutureExt::now_or_never(upload(request, path)) else {
        panic!("the upload hangs");
    };
    if let Ok(files) = answer {
        let paths: BTreeSet<_> = files.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(paths.len(), files.len(), "a path was written twice");
        assert!(paths.iter().all(|path| path.starts_with('/') && !path.contains('\0')));
    }
});
