//! Redaction of JSON values: every string, keys too, and values by the name of their key.

use serde_json::Value;

use crate::redactor::Redactor;
use crate::report::Report;

/// Deeper values are replaced whole: nothing that deep was meant to be read.
const DEEPEST: usize = 128;

impl Redactor {
    /// Replaces secrets in every string of `value`, in keys too. A string whose key names a
    /// secret is judged together with the key, as it would be in text.
    pub fn redact_json(&self, value: &mut Value) -> Report {
        let mut report = Report::default();
        self.walk(value, None, 0, &mut report);
        report
    }

    fn walk(&self, value: &mut Value, key: Option<&str>, depth: usize, report: &mut Report) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.replace(text, key, report),
            Value::Array(_) | Value::Object(_) if depth == DEEPEST => {
                *value = Value::String("[REDACTED:nested_too_deep]".to_owned());
                *report.counts.entry("nested_too_deep".to_owned()).or_default() += 1;
            }
            Value::Array(values) => {
                for value in values {
                    self.walk(value, key, depth + 1, report);
                }
            }
            Value::Object(map) => {
                for (mut name, mut value) in std::mem::take(map) {
                    self.walk(&mut value, Some(&name), depth + 1, report);
                    self.replace(&mut name, None, report);
                    let mut free = name;
                    while map.contains_key(&free) {
                        free.push('\'');
                    }
                    map.insert(free, value);
                }
            }
        }
    }

    fn replace(&self, text: &mut String, key: Option<&str>, report: &mut Report) {
        if let std::borrow::Cow::Owned(clean) = {
            let (clean, found) = self.redact_report(text);
            report.merge(&found);
            clean
        } {
            *text = clean;
        }
        let Some(key) = key else { return };
        let lead = format!("\"{key}\": \"");
        let whole = format!("{lead}{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let (clean, found) = self.redact_report(&whole);
        if found.is_empty() {
            return;
        }
        let clean = clean.strip_prefix(&*lead).and_then(|clean| clean.strip_suffix('"'));
        if let Some(clean) = clean {
            report.merge(&found);
            *text = clean.replace("\\\"", "\"").replace("\\\\", "\\");
        }
    }
}
