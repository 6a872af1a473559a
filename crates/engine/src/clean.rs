//! The last look at what leaves through a door: no answer and no failure carries a secret that its
//! caller spelled out, or that a store or a provider quoted.
//!
//! Output of commands went through the streaming redactor of its run before; this is for all the
//! rest, and for whatever is forgotten elsewhere. What is kept under a name of the caller's choice
//! (an account, a key) cannot be redacted without becoming another name: a name that looks like a
//! secret is refused before anything is kept.

use airlock_contract::{Failure, Problems};
use airlock_redaction::Redactor;
use serde_json::Value;

use crate::context::Ending;
use crate::engine::{Core, Engine};

/// Fields that are left as they are: names that were looked at when they came in, Airlock's own
/// identifiers, and contents that were redacted before they were encoded.
const OURS: &[&str] = &[
    "runId",
    "run_id",
    "executionId",
    "execution_id",
    "sandboxId",
    "sandbox_id",
    "contentBase64",
    "content_base64",
];
/// Fields of an input whose text becomes a key, or an identifier that others see.
const NAMES: &[&str] = &[
    "runId",
    "parent",
    "family",
    "idempotencyKey",
    "holdId",
    "template",
    "sandboxId",
    "approvalId",
];

impl Engine {
    /// Redacts an answer.
    pub fn clean(&self, value: &mut Value) {
        clean(&self.core.redactor(), value);
    }

    /// Redacts text of any kind.
    pub fn clean_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.core.redactor().redact_bytes(bytes).into_owned()
    }

    /// Redacts a failure.
    pub fn clean_failure(&self, failure: &mut Failure) {
        let redactor = self.core.redactor();
        failure.message = redactor.redact(&failure.message).into_owned();
        if let Some(details) = &mut failure.details {
            clean(&redactor, details);
        }
    }

    /// Redacts how an activity ended.
    pub fn clean_ending(&self, mut ended: Result<Value, Ending>) -> Result<Value, Ending> {
        match &mut ended {
            Ok(value) | Err(Ending::Cancelled(value)) => self.clean(value),
            Err(Ending::Failed(failure)) => self.clean_failure(failure),
        }
        ended
    }
}

impl Core {
    /// Refuses names that look like secrets.
    ///
    /// # Errors
    /// As [`check_names`].
    pub(crate) fn check_names(&self, input: &Value) -> Result<(), Failure> {
        check(&self.redactor(), input)
    }
}

/// A caller's text as it may be kept.
pub(crate) fn clean_text(text: &str) -> String {
    Redactor::builtin().redact(text).into_owned()
}

/// Refuses names that look like secrets, where there is no engine.
///
/// # Errors
/// `InvalidInput` with each field, without what stood in it.
pub(crate) fn check_names(input: &Value) -> Result<(), Failure> {
    check(&Redactor::builtin(), input)
}

fn check(redactor: &Redactor, input: &Value) -> Result<(), Failure> {
    let mut problems = Problems::default();
    for &field in NAMES {
        let name = input.get(field).and_then(Value::as_str);
        if let Some(kind) = name.and_then(|name| redactor.token_in(name)) {
            let problem = format!(
                "looks like a secret ({kind}); it is kept and shown to others, so give another"
            );
            problems.add(field, problem);
        }
    }
    problems.or(()).map_err(Failure::from)
}

fn clean(redactor: &Redactor, value: &mut Value) {
    let mut kept = Vec::new();
    take(value, &mut kept);
    redactor.redact_json(value);
    kept.reverse();
    put(value, &mut kept);
}

/// Takes the fields out that stay as they are, in the order of [`put`].
fn take(value: &mut Value, kept: &mut Vec<Value>) {
    each(value, &mut |field| kept.push(field.take()));
}

fn put(value: &mut Value, kept: &mut Vec<Value>) {
    each(value, &mut |field| *field = kept.pop().unwrap_or_default());
}

fn each(value: &mut Value, act: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let scalar = !value.is_object() && !value.is_array();
                if scalar && OURS.contains(&name.as_str()) { act(value) } else { each(value, act) }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| each(value, act)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_contents_stay_and_all_else_is_redacted() {
        let token = format!("ghp_{}", "a1B2c3D4e5".repeat(4));
        let mut value = json!({
            "runId": "session:8f3a2b1c9d7e",
            "artifacts": [{"path": token, "contentBase64": "AAAA"}],
            "results": [{"result": {"runId": "a", "stdout": format!("x {token}\n")}}],
        });
        clean(&Redactor::builtin(), &mut value);
        let expected = json!({
            "runId": "session:8f3a2b1c9d7e",
            "artifacts": [{"path": "[REDACTED:github_token]", "contentBase64": "AAAA"}],
            "results": [{"result": {"runId": "a", "stdout": "x [REDACTED:github_token]\n"}}],
        });
        assert_eq!(value, expected);
    }
}
