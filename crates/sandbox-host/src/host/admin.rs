//! `/admin/faults`: the fault rules over HTTP (see [`crate::faults`]).

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::{Answered, App, answer, parse, refuse};
use crate::faults::{Fault, Faults};

const FAULTS_ARE_OFF: &str = "fault injection is off: start the host with faults to have it";

/// The routes; the caller puts them behind the key.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/admin/faults", get(list).post(add).delete(clear))
        .route("/admin/faults/{id}", delete(remove))
}

/// The fault rules; where they are off, as if there were no such thing.
fn rules(app: &App) -> Answered<&Faults> {
    app.sandboxes.faults().map_or_else(|| refuse(StatusCode::NOT_FOUND, FAULTS_ARE_OFF), Ok)
}

async fn list(State(app): State<App>) -> Response {
    answer(rules(&app).map(|faults| Json(faults.report()).into_response()))
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Value>),
    One(Value),
}

async fn add(State(app): State<App>, body: Bytes) -> Response {
    answer((|| {
        let rules = rules(&app)?;
        let values = match parse(&body)? {
            OneOrMany::Many(values) => values,
            OneOrMany::One(value) => vec![value],
        };
        let faults = values.into_iter().map(serde_json::from_value::<Fault>).collect();
        let faults: Result<Vec<_>, _> = faults;
        let added = match faults {
            Ok(faults) => rules.add(faults).map_err(|wrong| wrong.to_string()),
            Err(wrong) => Err(wrong.to_string()),
        };
        match added {
            Ok(ids) => Ok((StatusCode::CREATED, Json(json!({"ids": ids}))).into_response()),
            Err(wrong) => refuse(StatusCode::BAD_REQUEST, &wrong),
        }
    })())
}

async fn clear(State(app): State<App>) -> Response {
    answer(rules(&app).map(|faults| {
        faults.clear();
        StatusCode::NO_CONTENT.into_response()
    }))
}

async fn remove(State(app): State<App>, Path(id): Path<String>) -> Response {
    answer(rules(&app).and_then(|faults| match id.parse() {
        Ok(id) if faults.remove(id) => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => refuse(StatusCode::NOT_FOUND, "no fault rule has this id"),
    }))
}
