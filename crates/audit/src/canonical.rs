//! One way to write a JSON value: keys in byte order, no spaces.

use serde_json::Value;

/// Appends `value` to `out` in canonical form.
pub(crate) fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            // The map may keep the order of insertion, depending on serde_json's features.
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (index, (name, field)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(field, out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth_and_strings_escaped() {
        let value = json!({"b": [1, {"z": null, "a": true}], "a\"": "x\ny", "B": 0.5});
        let mut text = String::new();
        write(&value, &mut text);
        assert_eq!(text, r#"{"B":0.5,"a\"":"x\ny","b":[1,{"a":true,"z":null}]}"#);
    }
}
