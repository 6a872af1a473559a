//! What a call must look like before anything reads its body: which calls there are, and in what
//! form each comes. Everything else is answered as upstream's daemon answers it.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::json;

/// The calls with one answer each.
const UNARY: [&str; 13] = [
    "/process.Process/List",
    "/process.Process/Update",
    "/process.Process/SendInput",
    "/process.Process/SendSignal",
    "/process.Process/CloseStdin",
    "/filesystem.Filesystem/Stat",
    "/filesystem.Filesystem/MakeDir",
    "/filesystem.Filesystem/Move",
    "/filesystem.Filesystem/ListDir",
    "/filesystem.Filesystem/Remove",
    "/filesystem.Filesystem/CreateWatcher",
    "/filesystem.Filesystem/GetWatcherEvents",
    "/filesystem.Filesystem/RemoveWatcher",
];

/// The calls with a stream of questions or answers.
const STREAMS: [&str; 4] = [
    "/process.Process/Start",
    "/process.Process/Connect",
    "/process.Process/StreamInput",
    "/filesystem.Filesystem/WatchDir",
];

/// Digits of `Connect-Timeout-Ms`.
const MAX_TIMEOUT_DIGITS: usize = 10;

/// Lets a call through that is one, in its form.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_stream = STREAMS.contains(&path);
    if !is_stream && !UNARY.contains(&path) {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    if request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response();
    }
    if !has_form(request.headers(), is_stream) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    match timeout(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.answer(is_stream.then(|| content_type(request.headers()))),
    }
}

fn content_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    text.unwrap_or_default().to_ascii_lowercase()
}

fn has_form(headers: &HeaderMap, is_stream: bool) -> bool {
    let kind = content_type(headers);
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind.strip_prefix("application/") {
        Some("json" | "proto") => !is_stream,
        Some("connect+json" | "connect+proto") => is_stream,
        // The library speaks these, too, and checks them itself.
        Some(kind) => kind.starts_with("grpc"),
        None => false,
    }
}

/// Why a call is not made, in Connect's words.
struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

fn timeout(headers: &HeaderMap) -> Result<(), Refused> {
    let Some(value) = headers.get("connect-timeout-ms") else { return Ok(()) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let invalid = |problem: &str| {
        let message = format!("parse timeout: {text:?} {problem}");
        Err(Refused { status: StatusCode::BAD_REQUEST, code: "invalid_argument", message })
    };
    if text.len() > MAX_TIMEOUT_DIGITS {
        return invalid("has >10 digits");
    }
    match text.parse::<i64>() {
        Ok(1..) => Ok(()),
        Ok(_) => Err(Refused {
            status: StatusCode::GATEWAY_TIMEOUT,
            code: "deadline_exceeded",
            message: "the deadline was exceeded before the call".to_owned(),
        }),
        Err(_) => invalid("is no number"),
    }
}

impl Refused {
    /// As the answer to a unary call, or in the end message of a stream of this type.
    fn answer(self, stream: Option<String>) -> Response {
        let error = json!({"code": self.code, "message": self.message});
        let Some(kind) = stream else { return (self.status, axum::Json(error)).into_response() };
        let message = json!({"error": error}).to_string();
        let mut body = vec![2];
        body.extend(u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
        body.extend(message.into_bytes());
        ([(header::CONTENT_TYPE, kind)], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_one_of_a_unary_call_or_one_of_a_stream() {
        for (kind, is_stream, want) in [
            ("application/json", false, true),
            ("Application/JSON; charset=utf-8", false, true),
            ("application/proto", true, false),
            ("application/connect+proto", true, true),
            ("application/connect+json", false, false),
            ("application/grpc-web+proto", true, true),
            ("text/plain", false, false),
            ("", false, false),
        ] {
            let headers = [(header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
            assert_eq!(has_form(&headers, is_stream), want, "{kind} {is_stream}");
        }
    }

    #[test]
    fn a_timeout_is_a_number_of_ten_digits_that_is_not_over() {
        for (value, code) in [
            ("60000", None),
            ("9999999999", None),
            ("0", Some("deadline_exceeded")),
            ("-1", Some("deadline_exceeded")),
            ("99999999999", Some("invalid_argument")),
            ("soon", Some("invalid_argument")),
        ] {
            let name = http::HeaderName::from_static("connect-timeout-ms");
            let headers = [(name, value.parse().unwrap())].into_iter().collect();
            assert_eq!(timeout(&headers).err().map(|refused| refused.code), code, "{value}");
        }
    }
}
