//! The edge: takes requests for a sandbox to its daemon, or through it to a port in the sandbox.
//!
//! A sandbox is named by two headers, or by the form of the host name. Answers are streamed; when
//! the sandbox ends they are cut in the middle, as clients expect of a sandbox that is gone.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::egress::Egress;
use super::sandboxes::{Sandbox, Sandboxes};
use super::tamper::Tampering;
use crate::drain::drained;
use crate::envd::signature::{self, Operation};
use crate::wire::{self, ENVD_PORT, PROXY_PORT};

const ID_HEADER: &str = "e2b-sandbox-id";
const SANDBOX_PORT_HEADER: &str = "e2b-sandbox-port";

/// Headers that are about one connection, not about the request.
const HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
];

/// Calls of the daemon that only its operator may make.
const INTERNAL: [&str; 7] =
    ["/init", "/freeze", "/unfreeze", "/collapse", "/fsfreeze", "/fsthaw", "/upgrade"];

/// Puts the edge in front of the control plane.
pub(crate) fn router(sandboxes: &Arc<Sandboxes>, control: Router) -> Router {
    control.layer(middleware::from_fn_with_state(Arc::clone(sandboxes), route))
}

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Control,
    Sandbox(String, u16),
    Invalid(&'static str),
}

async fn route(State(all): State<Arc<Sandboxes>>, mut request: Request, next: Next) -> Response {
    let host = request
        .uri()
        .host()
        .map(str::to_owned)
        .or_else(|| Some(request.headers().get(header::HOST)?.to_str().ok()?.to_owned()));
    let target = match target(host.as_deref().unwrap_or_default(), request.headers()) {
        Target::Control if request.uri().path() == "/files" => {
            signed(&all, &request).map_or(Target::Control, |id| Target::Sandbox(id, ENVD_PORT))
        }
        target => target,
    };
    request = drained(request);
    for name in [wire::PORT_HEADER, wire::FORGET_EXITS_HEADER, wire::PROXY_HEADER] {
        request.headers_mut().remove(name);
    }
    let (tampering, mut request) = match &target {
        Target::Sandbox(id, _) => Tampering::find(&all, Some(id), request).await,
        Target::Control if !request.uri().path().starts_with("/admin/") => {
            Tampering::find(&all, None, request).await
        }
        Target::Control | Target::Invalid(_) => (Tampering::default(), request),
    };
    let response = match tampering.before(&all, &mut request).await {
        Some(refusal) => refusal,
        None => match target {
            Target::Control => next.run(request).await,
            Target::Invalid(message) => (StatusCode::BAD_REQUEST, message).into_response(),
            Target::Sandbox(id, port) => serve(&all, &id, port, request).await,
        },
    };
    tampering.after(&all, response)
}

fn target(host: &str, headers: &HeaderMap) -> Target {
    if let Some((port, id)) = host_form(host) {
        return Target::Sandbox(id.to_owned(), port);
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text(ID_HEADER), text(SANDBOX_PORT_HEADER)) {
        (None, None) => Target::Control,
        (Some(id), Some(port)) => match port.parse() {
            Ok(port @ 1..) if is_id(id) => Target::Sandbox(id.to_owned(), port),
            _ => Target::Invalid("invalid sandbox id or port"),
        },
        (None, Some(_)) => Target::Invalid("missing header E2b-Sandbox-Id"),
        (Some(_), None) => Target::Invalid("missing header E2b-Sandbox-Port"),
    }
}

/// `<port>-<id>[-ignored].<domain>`.
pub(crate) fn host_form(host: &str) -> Option<(u16, &str)> {
    let (label, _domain) = host.split_once('.')?;
    let mut parts = label.split('-');
    let port = parts.next()?.parse().ok().filter(|port| *port > 0)?;
    let id = parts.next().filter(|id| is_id(id))?;
    Some((port, id))
}

fn is_id(id: &str) -> bool {
    let short = id.split('-').next().unwrap_or_default();
    !short.is_empty()
        && short.len() <= 64
        && short.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// A signed link without a sandbox in it: the one whose token made the signature.
fn signed(all: &Sandboxes, request: &Request) -> Option<String> {
    let query: std::collections::HashMap<String, String> =
        axum::extract::Query::try_from_uri(request.uri()).ok()?.0;
    let given = query.get("signature")?;
    let text = |name| query.get(name).map(String::as_str).unwrap_or_default();
    let expiry = query.get("signature_expiration").and_then(|expiry| expiry.parse().ok());
    let operation =
        if request.method() == http::Method::GET { Operation::Read } else { Operation::Write };
    let matches = |sandbox: &Arc<Sandbox>| {
        let token = sandbox.token.expose_secret();
        let made = signature::sign(text("path"), operation, text("username"), token, expiry);
        wire::same(made.as_bytes(), given.as_bytes())
    };
    all.all().into_iter().find(matches).map(|sandbox| sandbox.id.clone())
}

fn not_found(id: &str) -> Response {
    let body = json!({"sandboxId": id, "message": "The sandbox was not found", "code": 502});
    (StatusCode::BAD_GATEWAY, axum::Json(body)).into_response()
}

fn not_open(id: &str, port: u16) -> Response {
    let message = "The sandbox is running but port is not open";
    let body = json!({"sandboxId": id, "message": message, "port": port, "code": 502});
    (StatusCode::BAD_GATEWAY, axum::Json(body)).into_response()
}

async fn serve(all: &Sandboxes, id: &str, port: u16, mut request: Request) -> Response {
    let short = id.split('-').next().unwrap_or_default();
    let found = all.find(short).filter(|sandbox| !sandbox.life.borrow().paused);
    let Some(sandbox) = found else { return not_found(short) };
    let path = request.uri().path().to_owned();
    if port == ENVD_PORT && INTERNAL.contains(&path.as_str()) {
        let body = json!({"message": "not found", "path": path, "code": 404});
        return (StatusCode::NOT_FOUND, axum::Json(body)).into_response();
    }
    if port == PROXY_PORT {
        // The way out is for the sandbox's own commands.
        return not_open(short, port);
    }
    let headers = request.headers_mut();
    if port != ENVD_PORT {
        headers.insert(wire::PORT_HEADER, HeaderValue::from(port));
    } else if matches!(sandbox.gate.egress(), Egress::Rules(_)) {
        headers.insert(wire::PROXY_HEADER, HeaderValue::from_static("yes"));
    }
    let answer = tokio::select! {
        biased;
        () = sandbox.ending.cancelled() => None,
        answer = forward(&sandbox, request) => answer,
    };
    match answer {
        _ if sandbox.ending.is_cancelled() => not_found(short),
        None => not_open(short, port),
        Some(answer) if answer.headers().contains_key(wire::PORT_HEADER) => not_open(short, port),
        Some(answer) => cut_at_the_end(&sandbox, answer),
    }
}

async fn forward(sandbox: &Sandbox, mut request: Request) -> Option<Response> {
    let stream = sandbox.socket.connect().await.ok()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    if !request.headers().contains_key(header::HOST) {
        let host = request.uri().host().and_then(|host| HeaderValue::from_str(host).ok());
        let host = host.unwrap_or_else(|| HeaderValue::from_static("sandbox"));
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    *request.uri_mut() = path.parse().ok()?;
    *request.version_mut() = http::Version::HTTP_11;
    for name in HOP {
        request.headers_mut().remove(name);
    }
    let mut answer = sender.send_request(request).await.ok()?;
    for name in HOP {
        answer.headers_mut().remove(name);
    }
    Some(answer.map(Body::new))
}

/// Makes the body an error, which aborts the connection, once the sandbox begins to end.
fn cut_at_the_end(sandbox: &Sandbox, answer: Response) -> Response {
    let ending = sandbox.ending.clone();
    answer.map(|body| {
        let body = body.into_data_stream();
        Body::from_stream(stream::unfold(Some(body), move |body| {
            let ending = ending.clone();
            async move {
                let mut body = body?;
                let cut = || {
                    axum::Error::new(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
                };
                tokio::select! {
                    biased;
                    () = ending.cancelled() => Some((Err(cut()), None)),
                    chunk = body.next() => match chunk? {
                        Ok(chunk) => Some((Ok(chunk), Some(body))),
                        Err(error) => Some((Err(error), None)),
                    }
                }
            }
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_for_what_its_host_or_its_headers_name() {
        let sandbox = |port| Target::Sandbox("iabc".to_owned(), port);
        for (host, headers, want) in [
            ("localhost:3000", vec![], Target::Control),
            ("127.0.0.1:1", vec![(ID_HEADER, "iabc"), (SANDBOX_PORT_HEADER, "80")], sandbox(80)),
            ("49983-iabc.e2b.local", vec![], sandbox(49_983)),
            ("8080-iabc-old.e2b.local:99", vec![], sandbox(8080)),
            ("api.e2b.local", vec![], Target::Control),
            ("x", vec![(ID_HEADER, "iabc")], Target::Invalid("missing header E2b-Sandbox-Port")),
            (
                "x",
                vec![(SANDBOX_PORT_HEADER, "1")],
                Target::Invalid("missing header E2b-Sandbox-Id"),
            ),
            (
                "x",
                vec![(ID_HEADER, "../x"), (SANDBOX_PORT_HEADER, "1")],
                Target::Invalid("invalid sandbox id or port"),
            ),
            (
                "x",
                vec![(ID_HEADER, "iabc"), (SANDBOX_PORT_HEADER, "0")],
                Target::Invalid("invalid sandbox id or port"),
            ),
        ] {
            let map = headers
                .iter()
                .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)))
                .collect();
            assert_eq!(target(host, &map), want, "{host} {headers:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_request_names_only_ids_and_ports_come_through(
            host in prop_oneof![any::<String>(), "[0-9a-z.:-]{0,40}"],
            id in "[ -~]{0,70}",
            port in "[0-9]{0,6}",
        ) {
            let mut map = HeaderMap::new();
            map.insert(ID_HEADER, HeaderValue::from_str(&id).unwrap());
            map.insert(SANDBOX_PORT_HEADER, HeaderValue::from_str(&port).unwrap());
            if let Target::Sandbox(id, _) = target(&host, &map) {
                let short = id.split('-').next().unwrap_or_default();
                prop_assert!(!short.is_empty() && short.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            }
        }
    }
}
