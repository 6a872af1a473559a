//! Bodies and checks that the control plane, the edge and the daemon have in common.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Serialize;

/// Version of the daemon that is reported; SDKs choose by it what they ask for.
pub(crate) const ENVD_VERSION: &str = "0.6.13";

/// Port of the daemon.
pub(crate) const ENVD_PORT: u16 = 49_983;

/// Between edge and daemon only: the port of the sandbox that a request is for.
pub(crate) const PORT_HEADER: &str = "x-airlock-sandbox-port";

/// Port on a sandbox's loopback where the host's proxy accepts connections.
pub(crate) const PROXY_PORT: u16 = 49_984;

/// Between edge and daemon only: commands are to use the proxy.
pub(crate) const PROXY_HEADER: &str = "x-airlock-proxy";

/// Between edge and daemon only: forget the ends of all processes before this request.
pub(crate) const FORGET_EXITS_HEADER: &str = "x-airlock-forget-exits";

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
}

/// `{"code", "message"}` with the status; SDKs read the code of the body.
pub(crate) fn error(status: StatusCode, message: &str) -> Response {
    error_with_code(status, message, None)
}

/// As [`error`], with a machine-readable `error_code`.
pub(crate) fn error_with_code(
    status: StatusCode,
    message: &str,
    error_code: Option<&str>,
) -> Response {
    (status, Json(ErrorBody { code: status.as_u16(), message, error_code })).into_response()
}

/// Compares secrets in a time that does not depend on where they differ.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |all, (left, right)| all | (left ^ right)) == 0
}
