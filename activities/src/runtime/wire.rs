//! JSON values and failures as Temporal's payloads and failures, and back.

use std::time::Duration;

use airlock_contract::{Failure, FailureType};
use serde_json::Value;
use temporalio_common::protos::temporal::api::common::v1::{Payload, Payloads};
use temporalio_common::protos::temporal::api::enums::v1::ApplicationErrorCategory;
use temporalio_common::protos::temporal::api::failure::v1::failure::FailureInfo;
use temporalio_common::protos::temporal::api::failure::v1::{
    ApplicationFailureInfo, CanceledFailureInfo, Failure as WireFailure,
};

const ENCODING: &str = "encoding";
const JSON: &[u8] = b"json/plain";
/// Other encodings whose data is JSON text.
const PROTOBUF_JSON: &[u8] = b"json/protobuf";
const NULL: &[u8] = b"binary/null";

/// The server refuses payloads above 2 MiB; some room is left for what it adds.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 2 * 1024 * 1024 - 64 * 1024;
/// Longest message of a failure, in bytes.
const MAX_MESSAGE_BYTES: usize = 4096;
/// A retry of `WorkerDraining` goes to another worker, so it need not wait.
const HAND_OVER_DELAY: Duration = Duration::from_millis(100);
/// What the failures name as their source.
const SOURCE: &str = "airlock";

/// A payload of JSON text.
pub(crate) fn json_text_payload(json: Vec<u8>) -> Payload {
    Payload {
        metadata: [(ENCODING.to_owned(), JSON.to_vec())].into(),
        data: json,
        ..Payload::default()
    }
}

/// A payload of a JSON value.
pub(crate) fn json_payload(value: &Value) -> Payload {
    json_text_payload(value.to_string().into_bytes())
}

/// `value` as a list of one payload.
pub(crate) fn json_payloads(value: &Value) -> Payloads {
    Payloads { payloads: vec![json_payload(value)] }
}

/// Why a payload cannot be read, as the end of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Not JSON by its own word.
    #[error("is not encoded as JSON (json/plain); a payload codec is not supported")]
    Encoding,
    /// JSON by its own word, but not in fact.
    #[error("is not valid JSON")]
    Json,
}

/// The JSON value in `payload`. Nesting is limited by the parser.
pub(crate) fn value_of(payload: &Payload) -> Result<Value, Unreadable> {
    match payload.metadata.get(ENCODING).map(Vec::as_slice) {
        Some(JSON | PROTOBUF_JSON) => {
            serde_json::from_slice(&payload.data).map_err(|_| Unreadable::Json)
        }
        Some(NULL) => Ok(Value::Null),
        _ => Err(Unreadable::Encoding),
    }
}

/// The first of `payloads` as JSON; none if there is none or it cannot be read.
pub(crate) fn first_value(payloads: Option<&Payloads>) -> Option<Value> {
    payloads.and_then(|all| all.payloads.first()).and_then(|payload| value_of(payload).ok())
}

/// An activity's one argument: no argument is null, more than one is refused.
pub(super) fn input_of(arguments: &[Payload]) -> Result<Value, Failure> {
    let refuse = |text: String| Failure::new(FailureType::InvalidInput, text);
    match arguments {
        [] => Ok(Value::Null),
        [one] => value_of(one).map_err(|problem| refuse(format!("the input {problem}"))),
        many => Err(refuse(format!("the activity takes one argument, not {}", many.len()))),
    }
}

/// `failure` as the server stores it.
pub(super) fn wire_failure(failure: &Failure) -> WireFailure {
    let info = ApplicationFailureInfo {
        r#type: failure.kind.as_str().to_owned(),
        non_retryable: !failure.kind.is_retryable(),
        details: failure.details.as_ref().map(json_payloads),
        next_retry_delay: retry_delay(failure).and_then(|delay| delay.try_into().ok()),
        category: category(failure.kind).into(),
    };
    WireFailure {
        message: clip(&failure.message, MAX_MESSAGE_BYTES).to_owned(),
        source: SOURCE.to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        ..WireFailure::default()
    }
}

fn retry_delay(failure: &Failure) -> Option<Duration> {
    let hand_over = matches!(
        failure.kind,
        FailureType::WorkerDraining | FailureType::ActivityPause | FailureType::ActivityReset
    );
    failure.retry_after.or_else(|| hand_over.then_some(HAND_OVER_DELAY))
}

fn category(kind: FailureType) -> ApplicationErrorCategory {
    if kind.is_benign() {
        ApplicationErrorCategory::Benign
    } else {
        ApplicationErrorCategory::Unspecified
    }
}

/// A cancellation with what there was.
pub(super) fn wire_cancellation(details: &Value) -> WireFailure {
    let info =
        CanceledFailureInfo { details: Some(json_payloads(details)), identity: String::new() };
    WireFailure {
        message: "cancelled".to_owned(),
        source: SOURCE.to_owned(),
        failure_info: Some(FailureInfo::CanceledFailureInfo(info)),
        ..WireFailure::default()
    }
}

/// At most `max` bytes of `text`, cut between characters.
fn clip(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payload(encoding: &str, data: &str) -> Payload {
        Payload {
            metadata: [(ENCODING.to_owned(), encoding.as_bytes().to_vec())].into(),
            data: data.as_bytes().to_vec(),
            ..Payload::default()
        }
    }

    #[test]
    fn one_json_argument_is_the_input_and_none_is_null() {
        assert_eq!(input_of(&[]).unwrap(), Value::Null);
        assert_eq!(input_of(&[payload("json/plain", "{\"a\":1}")]).unwrap(), json!({"a": 1}));
        assert_eq!(input_of(&[payload("binary/null", "")]).unwrap(), Value::Null);
    }

    #[test]
    fn anything_else_is_invalid_input() {
        let deep = "[".repeat(100_000);
        let cases: [&[Payload]; 4] = [
            &[payload("json/plain", "1"), payload("json/plain", "2")],
            &[payload("json/plain", "{")],
            &[payload("binary/encrypted", "1")],
            &[payload("json/plain", &deep)],
        ];
        for arguments in cases {
            let failure = input_of(arguments).unwrap_err();
            assert_eq!(failure.kind, FailureType::InvalidInput);
        }
    }

    #[test]
    fn a_failure_keeps_type_retry_details_category_and_delay() {
        let failure = Failure::new(FailureType::PolicyDenied, "no")
            .with_details(&json!({"ruleIds": ["a"]}))
            .with_retry_after(Some(Duration::from_millis(1500)));
        let wire = wire_failure(&failure);
        let Some(FailureInfo::ApplicationFailureInfo(info)) = &wire.failure_info else {
            panic!("{wire:?}");
        };
        assert_eq!((info.r#type.as_str(), info.non_retryable), ("PolicyDenied", true));
        assert_eq!(first_value(info.details.as_ref()), Some(json!({"ruleIds": ["a"]})));
        assert_eq!(info.category(), ApplicationErrorCategory::Benign);
        let delay = info.next_retry_delay.unwrap();
        assert_eq!((delay.seconds, delay.nanos), (1, 500_000_000));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let wire = wire_failure(&Failure::new(FailureType::Internal, "ä".repeat(3000)));
        assert_eq!(wire.message.len(), MAX_MESSAGE_BYTES);
        let wire =
            wire_failure(&Failure::new(FailureType::Internal, "a".to_owned() + &"ä".repeat(3000)));
        assert_eq!(wire.message.len(), MAX_MESSAGE_BYTES - 1);
    }
}
