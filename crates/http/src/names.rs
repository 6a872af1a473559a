//! The contract's `camelCase` as the HTTP API's `snake_case`, and back.

use serde_json::{Map, Value};

/// `runId` -> `run_id`. A name that is in another case is the caller's own and stays: it may be a
/// secret, and must be found as one.
pub(crate) fn snake(name: &str) -> String {
    if name.contains('_') {
        return name.to_owned();
    }
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// `run_id` -> `runId`. A name with capitals stays as it is.
pub(crate) fn camel(name: &str) -> String {
    if name.contains(|c: char| c.is_ascii_uppercase()) {
        return name.to_owned();
    }
    let mut camel = String::with_capacity(name.len());
    let mut up = false;
    for c in name.chars() {
        if c == '_' && !camel.is_empty() {
            up = true;
        } else if std::mem::take(&mut up) {
            camel.push(c.to_ascii_uppercase());
        } else {
            camel.push(c);
        }
    }
    camel
}

/// An answer's keys in `snake_case`, at every depth.
pub(crate) fn to_snake(value: Value) -> Value {
    rename(value, usize::MAX, snake)
}

/// A body's keys in `camelCase`: the fields and those of `context`, not deeper, where names may be
/// the caller's own.
pub(crate) fn to_camel(value: Value) -> Value {
    rename(value, 2, camel)
}

fn rename(value: Value, depth: usize, name: fn(&str) -> String) -> Value {
    if depth == 0 {
        return value;
    }
    match value {
        Value::Object(object) => {
            let renamed = object.into_iter().map(|(k, v)| (name(&k), rename(v, depth - 1, name)));
            Value::Object(renamed.collect::<Map<_, _>>())
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| rename(item, depth, name)).collect())
        }
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_go_there_and_back() {
        for (one, other) in [("runId", "run_id"), ("ttlSeconds", "ttl_seconds"), ("limit", "limit")]
        {
            assert_eq!((snake(one).as_str(), camel(other).as_str()), (other, one));
        }
        assert_eq!((snake("aB_cD"), camel("aB_cD")), ("aB_cD".into(), "aB_cD".into()));
    }

    #[test]
    fn only_keys_change() {
        let answer = to_snake(json!({"ruleIds": ["a.bC"], "effects": [{"kindOf": "xY"}]}));
        assert_eq!(answer, json!({"rule_ids": ["a.bC"], "effects": [{"kind_of": "xY"}]}));
    }
}
