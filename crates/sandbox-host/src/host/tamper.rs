//! Does to requests and answers what the rules of [`crate::faults`] say.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::sandboxes::Sandboxes;
use crate::faults::{Asked, FaultAction};
use crate::wire;

/// Largest body that rules look into, in bytes.
const MAX_BODY: u64 = 1 << 20;

/// What was written may leave before the connection is aborted.
const FLUSH: Duration = Duration::from_millis(20);

const SHOULD_RETRY: HeaderName = HeaderName::from_static("should-retry");

/// What rules have to do with one request.
#[derive(Debug, Default)]
pub(super) struct Tampering {
    actions: Vec<FaultAction>,
    sandbox: Option<String>,
}

impl Tampering {
    /// Counts the request for all rules.
    pub(super) async fn find(
        all: &Sandboxes,
        sandbox: Option<&str>,
        request: Request,
    ) -> (Self, Request) {
        let path = request.uri().path().to_owned();
        let Some(faults) = all.faults() else {
            return (Self::default(), request);
        };
        let sandbox = sandbox.or_else(|| in_path(&path)).map(str::to_owned);
        let method = request.method().clone();
        let asked = Asked { method: &method, path: &path, sandbox: sandbox.as_deref() };
        let (request, body) = if faults.asks_for_body(&asked) && is_small(&request) {
            read(request).await
        } else {
            (request, None)
        };
        let actions = faults.strike(&asked, body.as_deref());
        (Self { actions, sandbox }, request)
    }

    /// What comes before the request is served; an answer if it is not to be served at all.
    pub(super) async fn before(&self, all: &Sandboxes, request: &mut Request) -> Option<Response> {
        for action in &self.actions {
            match action {
                FaultAction::Delay { ms } => tokio::time::sleep(Duration::from_millis(*ms)).await,
                FaultAction::ForgetSandbox => self.end_sandbox(all),
                FaultAction::ForgetExits => {
                    let yes = HeaderValue::from_static("yes");
                    request.headers_mut().insert(wire::FORGET_EXITS_HEADER, yes);
                }
                _ => {}
            }
        }
        self.actions.iter().find_map(refusal)
    }

    /// What becomes of the answer.
    pub(super) fn after(self, all: &Arc<Sandboxes>, response: Response) -> Response {
        if self.actions.contains(&FaultAction::LoseReply) {
            // An error before the first byte keeps the head from being written, too.
            return response.map(|_| Body::from_stream(stream::iter([Err::<Bytes, _>(aborted())])));
        }
        let mut steps: Vec<(u64, FaultAction)> = self
            .actions
            .iter()
            .filter_map(|action| Some((offset(action)?, action.clone())))
            .collect();
        if steps.is_empty() {
            return response;
        }
        // Taken from the end.
        steps.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let all = Arc::clone(all);
        response.map(|body| {
            let state = Tampered {
                body: Some(body.into_data_stream()),
                rest: Bytes::new(),
                passed: 0,
                steps,
                tampering: self,
                all,
            };
            Body::from_stream(stream::unfold(state, |mut state| async {
                let item = state.next().await?;
                if item.is_err() {
                    state.body = None;
                }
                Some((item, state))
            }))
        })
    }

    fn end_sandbox(&self, all: &Sandboxes) {
        if let Some(sandbox) = self.sandbox.as_ref().and_then(|id| all.find(id)) {
            sandbox.ending.cancel();
        }
    }
}

/// `/sandboxes/{id}/...`, with or without `/v2`.
fn in_path(path: &str) -> Option<&str> {
    let path = path.strip_prefix("/v2").unwrap_or(path).strip_prefix("/sandboxes/")?;
    path.split('/').next().filter(|id| *id != "metrics")
}

fn is_small(request: &Request) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length <= MAX_BODY)
}

async fn read(request: Request) -> (Request, Option<Bytes>) {
    let (head, body) = request.into_parts();
    let limit = usize::try_from(MAX_BODY).unwrap_or(usize::MAX);
    let body = axum::body::to_bytes(body, limit).await.ok();
    let again = body.clone().map_or_else(Body::empty, Body::from);
    (Request::from_parts(head, again), body)
}

fn refusal(action: &FaultAction) -> Option<Response> {
    let FaultAction::Refuse { status, retry_after, should_retry, message } = action else {
        return None;
    };
    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = message.as_deref().unwrap_or("refused by a fault rule of this host");
    let mut response = wire::error(status, message);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    if let Some(should) = should_retry {
        let should = HeaderValue::from_static(if *should { "true" } else { "false" });
        response.headers_mut().insert(SHOULD_RETRY, should);
    }
    Some(response)
}

/// Where in the answer's body an action takes place.
fn offset(action: &FaultAction) -> Option<u64> {
    match action {
        FaultAction::Cut { at }
        | FaultAction::Stall { at, .. }
        | FaultAction::KillSandbox { at, .. } => Some(*at),
        _ => None,
    }
}

fn aborted() -> axum::Error {
    axum::Error::new(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
}

/// A body on its way.
struct Tampered {
    body: Option<axum::body::BodyDataStream>,
    /// Of the last piece, what comes after a step.
    rest: Bytes,
    passed: u64,
    /// The next one last.
    steps: Vec<(u64, FaultAction)>,
    tampering: Tampering,
    all: Arc<Sandboxes>,
}

impl Tampered {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        while self.steps.last().is_some_and(|(at, _)| *at <= self.passed) {
            let (_, action) = self.steps.pop()?;
            if self.step(action).await {
                return Some(Err(aborted()));
            }
        }
        if self.rest.is_empty() {
            self.rest = match self.body.as_mut()?.next().await? {
                Ok(piece) => piece,
                Err(error) => return Some(Err(error)),
            };
        }
        let until = self.steps.last().map_or(u64::MAX, |(at, _)| at - self.passed);
        let until = usize::try_from(until).unwrap_or(usize::MAX).min(self.rest.len());
        let piece = self.rest.split_to(until);
        self.passed += piece.len() as u64;
        Some(Ok(piece))
    }

    /// Whether the connection is to be aborted now.
    async fn step(&mut self, action: FaultAction) -> bool {
        match action {
            FaultAction::Cut { .. } => {
                tokio::time::sleep(FLUSH).await;
                true
            }
            FaultAction::Stall { ms, .. } => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                false
            }
            FaultAction::KillSandbox { after_ms, .. } => {
                tokio::time::sleep(FLUSH).await;
                let sandbox = self.tampering.sandbox.clone();
                let dying = Tampering { actions: Vec::new(), sandbox };
                let all = Arc::clone(&self.all);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(after_ms)).await;
                    dying.end_sandbox(&all);
                });
                false
            }
            _ => false,
        }
    }
}
