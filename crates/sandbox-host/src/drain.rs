//! Bodies of requests that were answered before they were read.
//!
//! A client that still writes when the connection closes sees the closing and not the answer. So
//! what is left of such a body is read for a while and thrown away. Both the edge and the daemon do
//! it: the edge is the daemon's client.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use futures_util::StreamExt as _;
use hyper::body::{Frame, SizeHint};

/// Most bytes that are read for nothing.
const MAX_BYTES: usize = 64 << 20;

/// Longest time that it may take.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Sees to it that the body of `request` is read, whoever drops it.
pub(crate) fn drained(request: Request) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    request.map(|body| Body::new(Drained(Some(body))))
}

/// A body that goes on being read when it is dropped.
struct Drained(Option<Body>);

impl HttpBody for Drained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let mut body = body.into_data_stream();
            let mut left = MAX_BYTES;
            let rest = async {
                while let Some(Ok(chunk)) = body.next().await {
                    let Some(rest) = left.checked_sub(chunk.len()) else { return };
                    left = rest;
                }
            };
            let _too_slow = tokio::time::timeout(MAX_TIME, rest).await;
        });
    }
}
