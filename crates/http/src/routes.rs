//! Paths and what they call.

use std::collections::BTreeMap;

use airlock_contract::{Failure, FailureType};
use airlock_engine::Engine;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};

use crate::names::{camel, to_camel, to_snake};
use crate::problem::Problem;
use crate::{MAX_BODY_BYTES, auth};

/// An answer is never larger: lists have limits.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

type Answer = Result<Response, Problem>;

/// All routes; those but health and readiness ask for `token` if there is one.
pub(crate) fn router(
    engine: Engine,
    metrics: Option<PrometheusHandle>,
    token: Option<SecretString>,
) -> Router {
    let safety = Router::new()
        .route("/api/v1/safety/check", post(check))
        .route("/api/v1/safety/budget/create", post(create_budget))
        .route("/api/v1/safety/budget/spend", post(spend_budget))
        .route("/api/v1/safety/budget/can-spend", post(can_spend))
        .route("/api/v1/safety/budget/reserve", post(reserve_budget))
        .route("/api/v1/safety/budget/extend", post(extend_budget))
        .route("/api/v1/safety/budget/settle", post(settle_budget))
        .route("/api/v1/safety/budget/void", post(void_budget))
        .route("/api/v1/safety/budget/top-up", post(top_up_budget))
        .route("/api/v1/safety/budget/reset-circuit", post(reset_circuit))
        .route("/api/v1/safety/budgets", get(list_budgets))
        .route("/api/v1/safety/ledger/{*run_id}", get(budget_ledger))
        .route("/api/v1/safety/budget/{*run_id}", get(get_budget).delete(delete_budget))
        .route("/api/v1/safety/approvals", get(list_approvals))
        .route("/api/v1/safety/approvals/{id}", get(get_approval))
        .route("/api/v1/safety/approvals/{id}/approve", post(approve))
        .route("/api/v1/safety/approvals/{id}/reject", post(reject))
        .route("/api/v1/safety/audit", get(read_audit))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(engine.clone())
        .route("/metrics", get(render_metrics).with_state(metrics))
        .layer(middleware::from_fn_with_state(token, auth::require))
        .layer(middleware::map_response_with_state(engine.clone(), clean));
    Router::new()
        .route("/healthz", get(async || Json(json!({ "status": "ok" }))))
        .route("/readyz", get(ready))
        .with_state(engine)
        .merge(safety)
        .fallback(async || problem(StatusCode::NOT_FOUND, "no such path"))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method")
        })
}

/// The last look at every answer: no JSON and no text goes out with a secret in it.
async fn clean(State(engine): State<Engine>, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_ANSWER_BYTES).await else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be shown");
    };
    let clean = match serde_json::from_slice::<Value>(&body) {
        Ok(mut value) => {
            engine.clean(&mut value);
            value.to_string().into_bytes()
        }
        Err(_) => engine.clean_bytes(&body),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, clean.into())
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(),
        "detail": detail,
    });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

/// A body as the engine's input.
fn read(body: &Bytes) -> Result<Value, Problem> {
    let value = serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::new(FailureType::InvalidInput, format!("the body is not JSON ({place})"))
    })?;
    Ok(to_camel(value))
}

fn answer(status: StatusCode, value: &impl Serialize) -> Answer {
    let value = serde_json::to_value(value)
        .map_err(|_| Failure::new(FailureType::Internal, "the answer cannot be written as JSON"))?;
    Ok((status, Json(to_snake(value))).into_response())
}

async fn check(State(engine): State<Engine>, body: Bytes) -> Answer {
    answer(StatusCode::OK, &engine.check_policy(&read(&body)?).await?)
}

async fn create_budget(State(engine): State<Engine>, body: Bytes) -> Answer {
    answer(StatusCode::CREATED, &engine.create_budget(&read(&body)?).await?)
}

async fn spend_budget(State(engine): State<Engine>, body: Bytes) -> Answer {
    answer(StatusCode::OK, &engine.spend_budget(&read(&body)?, None).await?)
}

async fn can_spend(State(engine): State<Engine>, body: Bytes) -> Answer {
    answer(StatusCode::OK, &engine.can_spend(&read(&body)?).await?)
}

async fn reserve_budget(State(engine): State<Engine>, body: Bytes) -> Answer {
    answer(StatusCode::OK, &engine.reserve_budget(&read(&body)?).await?)
}

async fn extend_budget(State(engine): State<Engine>, body: Bytes) -> Answer {
    answer(StatusCode::OK, &engine.extend_budget(&read(&body)?).await?)
}

async fn settle_budget(State(engine): State<Engine>, body: Bytes) -> Answer {
    answer(StatusCode::OK, &engine.settle_budget(&read(&body)?).await?)
}

async fn void_budget(State(engine): State<Engine>, body: Bytes) -> Answer {
    answer(StatusCode::OK, &engine.void_budget(&read(&body)?).await?)
}

async fn top_up_budget(State(engine): State<Engine>, body: Bytes) -> Answer {
    answer(StatusCode::OK, &engine.top_up_budget(&read(&body)?, None).await?)
}

async fn reset_circuit(State(engine): State<Engine>, body: Bytes) -> Answer {
    answer(StatusCode::OK, &engine.reset_circuit(&read(&body)?).await?)
}

async fn list_budgets(
    State(engine): State<Engine>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    answer(StatusCode::OK, &engine.list_budgets(&asked(query)).await?)
}

async fn budget_ledger(
    State(engine): State<Engine>,
    Path(run_id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    let mut input = asked(query);
    input["runId"] = run_id.into();
    answer(StatusCode::OK, &engine.budget_ledger(&input).await?)
}

/// A query string as the engine's input: `limit` is a number, all else is text.
fn asked(query: BTreeMap<String, String>) -> Value {
    let read = |(name, text): (String, String)| {
        let number = text.parse::<u64>().ok().filter(|_| name == "limit");
        (camel(&name), number.map_or_else(|| text.into(), Value::from))
    };
    Value::Object(query.into_iter().map(read).collect())
}

async fn get_budget(State(engine): State<Engine>, Path(run_id): Path<String>) -> Answer {
    answer(StatusCode::OK, &engine.get_budget(&json!({ "runId": run_id })).await?)
}

async fn delete_budget(State(engine): State<Engine>, Path(run_id): Path<String>) -> Answer {
    answer(StatusCode::OK, &engine.delete_budget(&json!({ "runId": run_id })).await?)
}

async fn list_approvals(
    State(engine): State<Engine>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    answer(StatusCode::OK, &engine.approval_desk().list(&asked(query)).await?)
}

async fn get_approval(State(engine): State<Engine>, Path(id): Path<String>) -> Answer {
    let found = engine.approval_desk().get(&id).await.map_err(Problem::of_approval)?;
    answer(StatusCode::OK, &found)
}

async fn approve(engine: State<Engine>, id: Path<String>, body: Bytes) -> Answer {
    resolve(engine, id, &body, "approve").await
}

async fn reject(engine: State<Engine>, id: Path<String>, body: Bytes) -> Answer {
    resolve(engine, id, &body, "reject").await
}

/// The body says `by`, and perhaps `reason`.
async fn resolve(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    body: &Bytes,
    answer_given: &str,
) -> Answer {
    let mut input = read(body)?;
    if let Some(fields) = input.as_object_mut() {
        fields.insert("approvalId".to_owned(), id.into());
        fields.insert("answer".to_owned(), answer_given.into());
    }
    let resolved = engine.approval_desk().resolve(&input).await.map_err(Problem::of_approval)?;
    answer(StatusCode::OK, &resolved)
}

/// The newest audit records, oldest first: of a `run_id`, `execution_id` or `kind`.
async fn read_audit(
    State(engine): State<Engine>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    answer(StatusCode::OK, &engine.read_audit(&asked(query)).await?)
}

/// Whether the stores answer: a load balancer sends nothing here while they do not.
async fn ready(State(engine): State<Engine>) -> Answer {
    engine.ready().await?;
    answer(StatusCode::OK, &json!({ "status": "ready" }))
}

async fn render_metrics(State(metrics): State<Option<PrometheusHandle>>) -> Response {
    match metrics {
        Some(metrics) => {
            let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (text, metrics.render()).into_response()
        }
        None => problem(StatusCode::NOT_FOUND, "metrics are not recorded"),
    }
}
