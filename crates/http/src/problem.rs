//! Failures as RFC 9457 problem details.

use airlock_contract::{Failure, FailureType};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::names::{snake, to_snake};

/// A failure on its way out.
#[derive(Debug)]
pub(crate) struct Problem {
    failure: Failure,
    status: StatusCode,
}

impl Problem {
    /// What kept an approval from being read or answered: there, not to have one is not found, and
    /// one that is over is a conflict. Elsewhere either forbids what it was presented for.
    pub(crate) fn of_approval(failure: Failure) -> Self {
        let state = failure.details.as_ref().and_then(|details| details.get("state"));
        match (failure.kind, state) {
            (FailureType::ApprovalInvalid, Some(Value::Null)) => {
                Self { failure, status: StatusCode::NOT_FOUND }
            }
            (FailureType::ApprovalInvalid, _) => Self { failure, status: StatusCode::CONFLICT },
            _ => failure.into(),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = status(failure.kind);
        Self { failure, status }
    }
}

/// The status that stands for a failure type.
pub(crate) const fn status(kind: FailureType) -> StatusCode {
    match kind {
        FailureType::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
        FailureType::PolicyDenied
        | FailureType::ApprovalRequired
        | FailureType::ApprovalInvalid => StatusCode::FORBIDDEN,
        FailureType::Conflict => StatusCode::CONFLICT,
        FailureType::SandboxNotFound
        | FailureType::SandboxTemplateNotFound
        | FailureType::BudgetNotFound => StatusCode::NOT_FOUND,
        FailureType::BudgetExceeded => StatusCode::PAYMENT_REQUIRED,
        FailureType::CircuitOpen | FailureType::SandboxRateLimited => StatusCode::TOO_MANY_REQUESTS,
        FailureType::ResultTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FailureType::SandboxBusy
        | FailureType::SandboxUnavailable
        | FailureType::SandboxCapacity
        | FailureType::BudgetStoreUnavailable
        | FailureType::AuditUnavailable
        | FailureType::WorkerDraining
        | FailureType::ActivityPause
        | FailureType::ActivityReset => StatusCode::SERVICE_UNAVAILABLE,
        FailureType::SandboxAuth => StatusCode::BAD_GATEWAY,
        FailureType::OutcomeUnknown | FailureType::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { failure: Failure { kind, message, details, retry_after }, status } = self;
        let mut body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": message,
            "failure": kind,
        });
        match (kind, details) {
            (FailureType::InvalidInput, Some(details)) => body["errors"] = fields(&details),
            (_, Some(details)) => body["details"] = to_snake(details),
            (_, None) => {}
        }
        let mut response = (status, Json(body)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if let Some(delay) = retry_after {
            let seconds = HeaderValue::from(delay.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// The bad fields, by the names that the caller used.
fn fields(details: &Value) -> Value {
    let Some(fields) = details["fields"].as_array() else { return json!([]) };
    let named = fields.iter().map(|field| {
        let name = field["field"].as_str().unwrap_or_default();
        json!({ "field": snake(name), "problem": field["problem"] })
    });
    named.collect()
}
