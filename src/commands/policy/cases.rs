//! Labelled cases: steps to decide about, with what is expected of them.

use std::io::Read as _;
use std::path::Path;

use airlock_contract::{PolicyDecision, PolicyOutcome};
use airlock_policy::Gate;
use serde_json::{Map, Value, json};

use crate::commands::check;
use crate::exit::{Error, Exit};

/// A file of cases is no larger than this, in bytes.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// One case.
pub(super) struct Case {
    /// Its file, as it was named.
    pub(super) file: String,
    /// Its line, or its number in a file of tables, from 1.
    pub(super) place: usize,
    /// The case as written.
    pub(super) object: Map<String, Value>,
    /// What is expected.
    pub(super) expect: Option<PolicyOutcome>,
}

impl Case {
    /// A command whose outcome nobody expects.
    pub(super) fn of_command(file: &str, place: usize, command: &str) -> Self {
        let mut object = Map::new();
        object.insert("command".to_owned(), json!(command));
        Self { file: file.to_owned(), place, object, expect: None }
    }

    /// What the policy says.
    pub(super) fn decide(&self, gate: &Gate) -> Result<PolicyDecision, Error> {
        check::one(gate, &check::question(&self.object))
            .map_err(|failure| self.wrong(&failure.message))
    }

    /// What is decided about, on one line.
    pub(super) fn shown(&self) -> String {
        let context = self.object.get("context");
        let code = context.and_then(|context| context.pointer("/code/source"));
        let text = self.object.get("command").or(code).and_then(Value::as_str);
        let text = text.map_or_else(|| json!(context).to_string(), |text| format!("{text:?}"));
        match text.char_indices().nth(160) {
            Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
            None => text,
        }
    }

    /// The case's category.
    pub(super) fn category(&self) -> &str {
        self.object.get("category").and_then(Value::as_str).unwrap_or("-")
    }

    fn wrong(&self, problem: &str) -> Error {
        let Self { file, place, .. } = self;
        Error::new(Exit::Usage, format_args!("{file}: line {place}: {problem}"))
    }
}

/// Reads a file of cases; `labelled` ones need an `expect`.
pub(super) fn read(path: &Path, labelled: bool) -> Result<Vec<Case>, Error> {
    let file = path.display().to_string();
    let bytes = bytes(path)
        .map_err(|error| Error::new(Exit::Usage, format_args!("{file} cannot be read: {error}")))?;
    let cases = if path.extension().is_some_and(|extension| extension == "toml") {
        tables(&file, &bytes)
    } else {
        lines(&file, &bytes)
    };
    let cases = cases.map_err(|(place, problem)| {
        Error::new(Exit::Usage, format_args!("{file}: line {place}: {problem}"))
    })?;
    let expected = |mut case: Case| {
        case.expect = expect(&case.object).map_err(|problem| case.wrong(&problem))?;
        if labelled && case.expect.is_none() {
            let known = "has no `expect`; write allow, require_approval or deny";
            return Err(case.wrong(known));
        }
        Ok(case)
    };
    cases.into_iter().map(expected).collect()
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let count = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_BYTES).read_to_end(&mut bytes)?
    } else {
        std::fs::File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?
    };
    if count as u64 == MAX_BYTES {
        return Err(std::io::Error::other(format!("it is over {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

type Wrong = (usize, String);

fn lines(file: &str, bytes: &[u8]) -> Result<Vec<Case>, Wrong> {
    let mut cases = Vec::new();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let place = at + 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(Value::Object(object)) => {
                cases.push(Case { file: file.to_owned(), place, object, expect: None });
            }
            Ok(_) => return Err((place, "is no JSON object".to_owned())),
            Err(error) => return Err((place, format!("is no JSON ({error})"))),
        }
    }
    Ok(cases)
}

fn tables(file: &str, bytes: &[u8]) -> Result<Vec<Case>, Wrong> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        (line_of(before), "is not UTF-8".to_owned())
    })?;
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        (line_of(before.as_bytes()), error.message().to_owned())
    })?;
    let (Some(toml::Value::Array(items)), 1) = (table.get("case"), table.len()) else {
        return Err((
            1,
            "holds nothing but [[case]] tables, or it is a policy: use --config".into(),
        ));
    };
    let case = |(at, item)| {
        let place = at + 1;
        match serde_json::to_value(item) {
            Ok(Value::Object(object)) => {
                Ok(Case { file: file.to_owned(), place, object, expect: None })
            }
            _ => Err((place, "is no table".to_owned())),
        }
    };
    items.iter().enumerate().map(case).collect()
}

fn line_of(before: &[u8]) -> usize {
    before.split(|byte| *byte == b'\n').count()
}

/// The label of a case; `approve` is short for `require_approval`.
fn expect(object: &Map<String, Value>) -> Result<Option<PolicyOutcome>, String> {
    match object.get("expect").map(|label| label.as_str().unwrap_or_default()) {
        None => Ok(None),
        Some("allow") => Ok(Some(PolicyOutcome::Allow)),
        Some("require_approval" | "approve") => Ok(Some(PolicyOutcome::RequireApproval)),
        Some("deny") => Ok(Some(PolicyOutcome::Deny)),
        Some(other) => {
            Err(format!("`expect` is {other:?}; write \"allow\", \"require_approval\" or \"deny\""))
        }
    }
}

/// The name of an outcome.
pub(super) const fn word(outcome: PolicyOutcome) -> &'static str {
    match outcome {
        PolicyOutcome::Allow => "allow",
        PolicyOutcome::RequireApproval => "require_approval",
        PolicyOutcome::Deny => "deny",
    }
}
