//! The bearer token.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};

/// Lets a request through if it carries the token, or if there is none.
pub(crate) async fn require(
    State(token): State<Option<SecretString>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = token else { return next.run(request).await };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    match given {
        Some(given) if same(given.trim(), token.expose_secret()) => next.run(request).await,
        _ => refused(),
    }
}

/// Compares without telling by its time where the difference is.
fn same(given: &str, token: &str) -> bool {
    let differences = given.bytes().zip(token.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    given.len() == token.len() && differences == 0
}

fn refused() -> Response {
    let body = serde_json::json!({
        "type": "about:blank", "title": "Unauthorized", "status": 401,
        "detail": "send the token of AIRLOCK_HTTP_TOKEN as \"Authorization: Bearer ...\"",
    });
    let headers =
        [(header::WWW_AUTHENTICATE, "Bearer"), (header::CONTENT_TYPE, "application/problem+json")];
    (StatusCode::UNAUTHORIZED, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn only_the_whole_token_is_the_token() {
        assert!(same("secret", "secret"));
        for other in ["", "secre", "secrets", "Secret"] {
            assert!(!same(other, "secret"), "{other}");
        }
    }
}
