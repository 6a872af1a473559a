//! Requests for a port that a command in the sandbox listens on.
//!
//! The host cannot enter the sandbox's network, so it sends such requests here with the port in a
//! header that it takes from no client.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::wire;

/// Forwards a request that is for another port than the daemon's.
pub(crate) async fn forward(mut request: Request, next: Next) -> Response {
    let Some(port) = request.headers_mut().remove(wire::PORT_HEADER) else {
        return next.run(request).await;
    };
    let port = port.to_str().ok().and_then(|port| port.parse().ok());
    let Some(port) = port else { return closed() };
    send(port, request).await.unwrap_or_else(closed)
}

async fn send(port: u16, request: Request) -> Option<Response> {
    let stream = match TcpStream::connect(("127.0.0.1", port)).await {
        Ok(stream) => stream,
        Err(_) => TcpStream::connect(("::1", port)).await.ok()?,
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(sender.send_request(request).await.ok()?.map(Body::new))
}

/// The edge words the answer; it knows the sandbox.
fn closed() -> Response {
    let mut response = StatusCode::BAD_GATEWAY.into_response();
    response.headers_mut().insert(wire::PORT_HEADER, http::HeaderValue::from_static("closed"));
    response
}
