//! Who may call, and as which user of the sandbox.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use connectrpc::ConnectError;
use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret as _;

use super::Daemon;
use super::users::{self, User};
use crate::wire;

/// Header that carries the sandbox's access token.
pub(crate) const TOKEN_HEADER: &str = "x-access-token";

/// Lets a request pass that carries the sandbox's token.
pub(crate) async fn require_token(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
    next: Next,
) -> Response {
    match token(&daemon, request.headers()) {
        Some(true) => next.run(request).await,
        Some(false) | None => wire::error(
            StatusCode::UNAUTHORIZED,
            "unauthorized access, please provide a valid access token or method signing if supported",
        )
        .into_response(),
    }
}

/// Whether the token is right; `None` without one.
pub(crate) fn token(daemon: &Daemon, headers: &HeaderMap) -> Option<bool> {
    let given = headers.get(TOKEN_HEADER)?;
    Some(wire::same(given.as_bytes(), daemon.token.expose_secret().as_bytes()))
}

/// The user that a remote procedure call acts as: the name of its Basic credentials, else `user`.
/// It says who acts; who may call is the token's matter.
pub(crate) fn acting_user(headers: &HeaderMap) -> Result<User, ConnectError> {
    let given = headers.get(http::header::AUTHORIZATION);
    let name = given.and_then(|value| basic_name(value.as_bytes()));
    let name = name.unwrap_or_else(|| users::DEFAULT.to_owned());
    users::find(&name)
        .map_err(|_unknown| ConnectError::unauthenticated(format!("invalid username: '{name}'")))
}

fn basic_name(value: &[u8]) -> Option<String> {
    let encoded = std::str::from_utf8(value).ok()?.strip_prefix("Basic ")?;
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(name, _password)| name.to_owned())
}
