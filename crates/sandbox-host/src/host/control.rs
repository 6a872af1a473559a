//! The control plane: sandboxes as E2B's REST interface has them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::egress::Egress;
use super::egress::rules::Invalid;
use super::idempotency::{Keys, Use};
use super::sandboxes::{Refusal, Sandbox, Sandboxes, Shown, Wanted};
use super::{admin, listing, metrics};
use crate::wire::{self, ENVD_VERSION, error, error_with_code};

/// Largest request body, in bytes.
const MAX_BODY: usize = 1 << 20;

/// It was built without a network of its own, so nothing can be taken from it later.
const SHARES_NETWORK: &str = "this sandbox was created with the machine's network, which cannot be \
     restricted later: create it with network rules";

/// A life is never shortened below this by a refresh.
const MIN_REFRESH: i64 = 15;

#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) sandboxes: Arc<Sandboxes>,
    keys: Arc<Keys>,
}

/// All routes; those that need the key answer 401 without it.
pub(crate) fn router(sandboxes: &Arc<Sandboxes>) -> Router {
    let app = App { sandboxes: Arc::clone(sandboxes), keys: Arc::default() };
    let keyed = Router::new()
        .route("/v2/sandboxes", get(list).post(create))
        .route("/sandboxes", get(list_running).post(create_v1))
        .route("/sandboxes/metrics", get(all_metrics))
        .route("/sandboxes/{id}", get(detail).delete(kill))
        .route("/sandboxes/{id}/timeout", post(set_timeout))
        .route("/sandboxes/{id}/refreshes", post(refresh))
        .route("/sandboxes/{id}/connect", post(connect_v1))
        .route("/v2/sandboxes/{id}/connect", post(connect))
        .route("/sandboxes/{id}/resume", post(resume))
        .route("/sandboxes/{id}/pause", post(pause))
        .route("/sandboxes/{id}/network", put(set_network))
        .route("/sandboxes/{id}/metrics", get(one_metric))
        .merge(admin::router())
        .route("/v2/sandboxes/{id}/logs", get(|| async { Json(json!({"logs": []})) }))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "this host has no such endpoint") })
        .method_not_allowed_fallback(|| async {
            error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
        })
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), require_key));
    Router::new().route("/health", get(|| async { "OK" })).merge(keyed).with_state(app)
}

async fn require_key(State(app): State<App>, request: Request, next: Next) -> Response {
    let key = app.sandboxes.config().api_key.expose_secret().as_bytes();
    match request.headers().get("x-api-key") {
        Some(given) if wire::same(given.as_bytes(), key) => next.run(request).await,
        Some(_) => error(StatusCode::UNAUTHORIZED, "invalid API key"),
        None => error(StatusCode::UNAUTHORIZED, "X-API-Key header is missing"),
    }
}

/// An answer that is not the asked one.
pub(crate) type Answered<T> = Result<T, Box<Response>>;

pub(super) fn refuse<T>(status: StatusCode, message: &str) -> Answered<T> {
    Err(Box::new(error(status, message)))
}

pub(super) fn answer(result: Answered<Response>) -> Response {
    result.unwrap_or_else(|answer| *answer)
}

pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Answered<T> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .or_else(|failed| refuse(StatusCode::BAD_REQUEST, &format!("invalid body: {failed}")))
}

fn find(app: &App, id: &str) -> Answered<Arc<Sandbox>> {
    app.sandboxes.find(id).map_or_else(
        || {
            refuse(
                StatusCode::NOT_FOUND,
                &format!("sandbox \"{id}\" doesn't exist or you don't have access to it"),
            )
        },
        Ok,
    )
}

#[derive(Debug, Deserialize)]
pub(crate) struct CreateBody {
    #[serde(rename = "templateID")]
    template: Option<String>,
    timeout: Option<i64>,
    metadata: Option<BTreeMap<String, String>>,
    #[serde(rename = "envVars")]
    envs: Option<BTreeMap<String, String>>,
    allow_internet_access: Option<bool>,
    network: Option<Value>,
    #[serde(rename = "autoPause")]
    auto_pause: Option<bool>,
    #[serde(rename = "volumeMounts")]
    volume_mounts: Option<Vec<Value>>,
}

impl CreateBody {
    /// The template and the environment, if a sandbox can be made of what was asked for.
    pub(crate) fn check(&self) -> Answered<(&str, &BTreeMap<String, String>)> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        let Some(template) = self.template.as_deref().filter(|name| !name.is_empty()) else {
            return refuse(StatusCode::BAD_REQUEST, "templateID: is required");
        };
        if self.volume_mounts.as_ref().is_some_and(|mounts| !mounts.is_empty()) {
            return refuse(StatusCode::BAD_REQUEST, "volumeMounts: this host has no volumes");
        }
        let envs = self.envs.as_ref().unwrap_or(&NONE);
        let is_bad = |(key, value): (&String, &String)| {
            key.is_empty() || key.contains(['=', '\0']) || value.contains('\0')
        };
        if envs.iter().any(is_bad) {
            let message = "envVars: a name is empty or has '=' or NUL in it";
            return refuse(StatusCode::BAD_REQUEST, message);
        }
        Ok((template, envs))
    }
}

async fn create(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap_or_default().to_owned());
    answer(match key {
        None => create_one(&app, &body, 300).await.map(created),
        Some(key) if !Keys::is_valid(&key) => {
            let message = "Idempotency-Key: use 1 to 255 lower-case letters, digits and dashes";
            refuse(StatusCode::BAD_REQUEST, message)
        }
        Some(key) => create_once(&app, &key, &body).await,
    })
}

async fn create_v1(State(app): State<App>, body: Bytes) -> Response {
    answer(create_one(&app, &body, 15).await.map(created))
}

fn created(reply: Value) -> Response {
    (StatusCode::CREATED, Json(reply)).into_response()
}

async fn create_once(app: &App, key: &str, body: &[u8]) -> Answered<Response> {
    let value: Value = parse(body)?;
    match app.keys.begin(key, &value) {
        Use::Again(reply) => return Ok(created(reply)),
        Use::InProgress => {
            let message = "a request with this idempotency key is in progress";
            let code = Some("idempotency_in_progress");
            return Err(Box::new(error_with_code(StatusCode::CONFLICT, message, code)));
        }
        Use::Mismatch => {
            let message = "this idempotency key was used with another request";
            let code = Some("idempotency_request_mismatch");
            return Err(Box::new(error_with_code(StatusCode::UNPROCESSABLE_ENTITY, message, code)));
        }
        Use::First => {}
    }
    // On its own: the key's state must follow the sandbox, also if the client goes away.
    let (app, key, body) = (app.clone(), key.to_owned(), body.to_owned());
    let creating = tokio::spawn(async move {
        let reply = create_one(&app, &body, 300).await;
        match &reply {
            Ok(reply) => app.keys.done(&key, reply.clone()),
            Err(_) => app.keys.failed(&key),
        }
        reply
    });
    match creating.await {
        Ok(reply) => reply.map(created),
        Err(_panicked) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
    }
}

async fn create_one(app: &App, body: &[u8], default_timeout: i64) -> Answered<Value> {
    let body: CreateBody = parse(body)?;
    let (template, envs) = body.check()?;
    let (template, envs) = (template.to_owned(), envs.clone());
    let timeout = lifetime(app, body.timeout.unwrap_or(default_timeout))?;
    let egress = egress(app, body.allow_internet_access, body.network.as_ref())?;
    let wanted = Wanted {
        template: template.split(':').next().unwrap_or_default().to_owned(),
        timeout,
        metadata: body.metadata.unwrap_or_default(),
        envs,
        allow_internet_access: body.allow_internet_access,
        network: body.network,
        egress,
        auto_pause: body.auto_pause.unwrap_or(false),
    };
    match app.sandboxes.create(wanted).await {
        Ok(sandbox) => Ok(reply(&sandbox)),
        Err(Refusal::UnknownTemplate) => {
            refuse(StatusCode::NOT_FOUND, &format!("template '{template}' not found"))
        }
        Err(Refusal::TooMany) => refuse(
            StatusCode::TOO_MANY_REQUESTS,
            "you have reached the maximum number of concurrent sandboxes",
        ),
        Err(Refusal::Closed) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, "this host is shutting down")
        }
        Err(Refusal::Failed(failed)) => {
            tracing::error!(error = &failed as &dyn std::error::Error, "cannot create a sandbox");
            let message = "the sandbox could not be created; the host's log says why";
            let code = Some("sandbox_create_failed");
            Err(Box::new(error_with_code(StatusCode::INTERNAL_SERVER_ERROR, message, code)))
        }
    }
}

/// A number of seconds that a sandbox may be asked to live.
fn lifetime(app: &App, seconds: i64) -> Answered<Duration> {
    let max = app.sandboxes.config().limits.max_timeout;
    match u64::try_from(seconds).map(Duration::from_secs) {
        Ok(timeout) if !timeout.is_zero() && timeout <= max => Ok(timeout),
        _ => {
            let message = format!("timeout: use 1 to {} seconds", max.as_secs());
            refuse(StatusCode::BAD_REQUEST, &message)
        }
    }
}

fn reply(sandbox: &Sandbox) -> Value {
    json!({
        "templateID": sandbox.wanted.template,
        "alias": sandbox.wanted.template,
        "sandboxID": sandbox.id,
        "clientID": "airlock",
        "envdVersion": ENVD_VERSION,
        "envdAccessToken": sandbox.token.expose_secret(),
        "trafficAccessToken": null,
        "domain": null,
    })
}

fn listed(sandbox: &Sandbox) -> Value {
    let life = *sandbox.life.borrow();
    json!({
        "templateID": sandbox.wanted.template,
        "alias": sandbox.wanted.template,
        "sandboxID": sandbox.id,
        "clientID": "airlock",
        "startedAt": sandbox.started_at.to_string(),
        "endAt": life.end_at.to_string(),
        "cpuCount": sandbox.template.cpu_count,
        "memoryMB": sandbox.template.memory_mb,
        "diskSizeMB": sandbox.template.disk_mb,
        "metadata": sandbox.wanted.metadata,
        "state": if life.paused { "paused" } else { "running" },
        "envdVersion": ENVD_VERSION,
    })
}

async fn list(State(app): State<App>, Query(query): Query<listing::Query>) -> Response {
    let page = match query.page(app.sandboxes.all(), true) {
        Ok(page) => page,
        Err(message) => return error(StatusCode::BAD_REQUEST, &message),
    };
    let list: Vec<Value> = page.sandboxes.iter().map(|sandbox| listed(sandbox)).collect();
    let mut response = Json(list).into_response();
    if let Some(next) = page.next.and_then(|next| HeaderValue::from_str(&next).ok()) {
        response.headers_mut().insert("x-next-token", next);
    }
    if let Some(total) = page.total_running {
        response.headers_mut().insert("x-total-running", HeaderValue::from(total));
    }
    response
}

async fn list_running(
    State(app): State<App>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let query = listing::Query::running(query.get("metadata").cloned());
    match query.page(app.sandboxes.all(), false) {
        Ok(page) => {
            let list: Vec<Value> = page.sandboxes.iter().map(|sandbox| listed(sandbox)).collect();
            Json(list).into_response()
        }
        Err(message) => error(StatusCode::BAD_REQUEST, &message),
    }
}

async fn detail(State(app): State<App>, Path(id): Path<String>) -> Response {
    answer(find(&app, &id).map(|sandbox| {
        let mut detail = listed(&sandbox);
        detail["envdAccessToken"] = json!(sandbox.token.expose_secret());
        detail["domain"] = Value::Null;
        let Shown { internet, network } = sandbox.shown.lock().clone();
        detail["allowInternetAccess"] = json!(internet);
        if let Some(network) = network {
            detail["network"] = network;
        }
        let on_timeout = if sandbox.wanted.auto_pause { "pause" } else { "kill" };
        detail["lifecycle"] = json!({"autoResume": false, "onTimeout": on_timeout});
        Json(detail).into_response()
    }))
}

fn egress(app: &App, internet: Option<bool>, network: Option<&Value>) -> Answered<Egress> {
    Egress::wanted(app.sandboxes.config(), internet, network)
        .or_else(|Invalid(message)| refuse(StatusCode::BAD_REQUEST, &message))
}

async fn set_network(State(app): State<App>, Path(id): Path<String>, body: Bytes) -> Response {
    answer((|| {
        let sandbox = find(&app, &id)?;
        let mut network: serde_json::Map<String, Value> = parse(&body)?;
        let internet = match network.remove("allow_internet_access") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(internet)) => Some(internet),
            Some(_) => return refuse(StatusCode::BAD_REQUEST, "allow_internet_access: use a bool"),
        };
        let network = Some(Value::Object(network)).filter(|network| *network != json!({}));
        let egress = egress(&app, internet, network.as_ref())?;
        match (sandbox.shares_network, egress) {
            (true, Egress::Machine) => {}
            (true, _) => return refuse(StatusCode::CONFLICT, SHARES_NETWORK),
            (false, egress) => sandbox.gate.set(egress.through_proxy()),
        }
        *sandbox.shown.lock() = Shown { internet, network };
        Ok(StatusCode::NO_CONTENT.into_response())
    })())
}

async fn kill(State(app): State<App>, Path(id): Path<String>) -> Response {
    match find(&app, &id) {
        Ok(sandbox) => {
            sandbox.kill().await;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(answer) => *answer,
    }
}

#[derive(Debug, Deserialize)]
struct TimeoutBody {
    timeout: Option<i64>,
}

async fn set_timeout(State(app): State<App>, Path(id): Path<String>, body: Bytes) -> Response {
    answer((|| {
        let body: TimeoutBody = parse(&body)?;
        let Some(seconds) = body.timeout else {
            return refuse(StatusCode::BAD_REQUEST, "timeout: is required");
        };
        let sandbox = find(&app, &id)?;
        let timeout = lifetime(&app, seconds)?;
        sandbox.life.send_modify(|life| life.end_at = Timestamp::now() + timeout);
        Ok(StatusCode::NO_CONTENT.into_response())
    })())
}

#[derive(Debug, Deserialize)]
struct RefreshBody {
    duration: Option<i64>,
}

async fn refresh(State(app): State<App>, Path(id): Path<String>, body: Bytes) -> Response {
    answer((|| {
        let body: RefreshBody = parse(&body)?;
        let seconds = body.duration.unwrap_or(MIN_REFRESH);
        if !(0..=3600).contains(&seconds) {
            return refuse(StatusCode::BAD_REQUEST, "duration: use 0 to 3600 seconds");
        }
        let sandbox = find(&app, &id)?;
        extend(&sandbox, lifetime(&app, seconds.max(MIN_REFRESH))?);
        Ok(StatusCode::NO_CONTENT.into_response())
    })())
}

/// Moves the end of a sandbox's time away, never nearer.
fn extend(sandbox: &Sandbox, timeout: Duration) {
    let end_at = Timestamp::now() + timeout;
    sandbox.life.send_modify(|life| life.end_at = life.end_at.max(end_at));
}

async fn connect(State(app): State<App>, Path(id): Path<String>, body: Bytes) -> Response {
    answer(connect_to(&app, &id, &body, Some(300)))
}

async fn connect_v1(State(app): State<App>, Path(id): Path<String>, body: Bytes) -> Response {
    answer(connect_to(&app, &id, &body, None))
}

fn connect_to(app: &App, id: &str, body: &[u8], default: Option<i64>) -> Answered<Response> {
    let body: TimeoutBody = parse(body)?;
    let Some(seconds) = body.timeout.or(default) else {
        return refuse(StatusCode::BAD_REQUEST, "timeout: is required");
    };
    let sandbox = find(app, id)?;
    let timeout = lifetime(app, seconds)?;
    let status = if sandbox.life.borrow().paused {
        sandbox.resume(Timestamp::now() + timeout);
        StatusCode::CREATED
    } else {
        extend(&sandbox, timeout);
        StatusCode::OK
    };
    Ok((status, Json(reply(&sandbox))).into_response())
}

async fn resume(State(app): State<App>, Path(id): Path<String>, body: Bytes) -> Response {
    answer((|| {
        if !find(&app, &id)?.life.borrow().paused {
            return refuse(StatusCode::CONFLICT, &format!("sandbox {id} is already running"));
        }
        connect_to(&app, &id, &body, Some(15))
    })())
}

async fn pause(State(app): State<App>, Path(id): Path<String>) -> Response {
    answer((|| {
        let sandbox = find(&app, &id)?;
        if sandbox.life.borrow().paused {
            return refuse(StatusCode::CONFLICT, &format!("sandbox {id} is already paused"));
        }
        if !sandbox.pause() {
            return refuse(StatusCode::NOT_IMPLEMENTED, "this machine cannot freeze processes");
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })())
}

#[derive(Debug, Deserialize)]
struct Between {
    start: Option<i64>,
    end: Option<i64>,
}

/// The one reading there is, of now, if it is asked for (seconds since 1970).
async fn one_metric(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(between): Query<Between>,
) -> Response {
    answer((|| {
        let sandbox = find(&app, &id)?;
        if let Between { start: Some(start), end: Some(end) } = between
            && start > end
        {
            return refuse(StatusCode::BAD_REQUEST, "start: must not be after end");
        }
        let mut metrics = vec![metrics::read(&sandbox)];
        metrics.retain(|metric| metric.is_between(between.start, between.end));
        Ok(Json(metrics).into_response())
    })())
}

async fn all_metrics(
    State(app): State<App>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let ids = query.get("sandbox_ids").map(String::as_str).unwrap_or_default();
    if ids.split(',').count() > 100 {
        return error(StatusCode::BAD_REQUEST, "sandbox_ids: use at most 100");
    }
    let found = ids.split(',').filter_map(|id| app.sandboxes.find(id));
    let metrics: HashMap<String, metrics::Metric> =
        found.map(|sandbox| (sandbox.id.clone(), metrics::read(&sandbox))).collect();
    Json(json!({"sandboxes": metrics})).into_response()
}
