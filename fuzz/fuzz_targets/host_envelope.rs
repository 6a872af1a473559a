//! The host's side of Connect: every call that starts nothing, over the services as they are, with
//! bodies that are JSON, binary, enveloped, compressed, cut or nothing of the kind.
#![no_main]

use std::sync::LazyLock;

use airlock_sandbox_host::fuzzing::{METHODS, calls, start_request};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use futures_util::{StreamExt as _, stream};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service as _;

const TYPES: [&str; 4] = [
    "application/json",
    "application/proto",
    "application/connect+json",
    "application/connect+proto",
];

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
});
static CALLS: LazyLock<Router> = LazyLock::new(|| calls().expect("the daemon's threads"));

// Three bytes: method; type and compression; how long the pieces are. The rest is the body.
fuzz_target!(|data: &[u8]| {
    let [method, kind, size, body @ ..] = data else { return };
    let method = METHODS[usize::from(*method) % METHODS.len()];
    let content_type = TYPES[usize::from(*kind) % TYPES.len()];
    let chunks: Vec<_> = body.chunks(usize::from(*size) + 1).map(<[u8]>::to_vec).collect();
    let mut request = Request::post(format!("/process.Process/{method}"));
    request = request.header("content-type", content_type);
    if kind & 4 != 0 {
        let is_stream = content_type.contains("connect");
        let name = if is_stream { "connect-content-encoding" } else { "content-encoding" };
        request = request.header(name, "gzip");
    }
    let stream = Body::from_stream(stream::iter(chunks).map(std::io::Result::Ok));
    let request = request.body(stream).expect("a plain request");
    RUNTIME.block_on(async {
        let Ok(answer) = CALLS.clone().call(request).await;
        let answer = to_bytes(answer.into_body(), 1 << 20).await.expect("a small answer");
        assert!(answer.len() < 64 << 10, "an answer of {} bytes", answer.len());
    });
    start_request(body);
});
