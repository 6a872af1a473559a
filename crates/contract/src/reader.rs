//! Reads the fields of a JSON object and collects every problem on the way.
//!
//! serde stops at the first problem; a caller who must fix an input wants all of them. The reader
//! also knows which names were asked for, so an unknown one is refused with the nearest of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{AccountId, Problems, Usd};

/// The largest whole number that JSON carries exactly everywhere.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Reads one object. Call [`Reader::finish`] last: it reports the names that nobody asked for.
pub(crate) struct Reader<'v, 'p> {
    object: Option<&'v Map<String, Value>>,
    path: String,
    known: Vec<&'static str>,
    problems: &'p mut Problems,
}

impl<'v, 'p> Reader<'v, 'p> {
    /// Starts on `value`, which must be an object; `path` is how the caller calls it (empty at
    /// the top).
    pub(crate) fn new(value: &'v Value, path: &str, problems: &'p mut Problems) -> Self {
        let object = value.as_object();
        if object.is_none() {
            let name = if path.is_empty() { "." } else { path };
            problems.add(name, format!("must be a JSON object, not {}", kind(value)));
        }
        Self { object, path: path.to_owned(), known: Vec::new(), problems }
    }

    /// The path of `field` in this object.
    pub(crate) fn at(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// Notes a problem with `field`.
    pub(crate) fn problem(&mut self, field: &str, problem: impl Into<String>) {
        let at = self.at(field);
        self.problems.add(at, problem);
    }

    /// The problems, for a nested reader.
    pub(crate) fn problems(&mut self) -> &mut Problems {
        self.problems
    }

    /// The raw value; JSON `null` counts as absent.
    pub(crate) fn value(&mut self, field: &'static str) -> Option<&'v Value> {
        self.known.push(field);
        self.object?.get(field).filter(|value| !value.is_null())
    }

    /// Says that `field` is required if it is absent.
    pub(crate) fn require(&mut self, field: &'static str) {
        let absent = self.object.is_some_and(|o| o.get(field).is_none_or(Value::is_null));
        if absent {
            self.problem(field, "is required");
        }
    }

    /// A string of at most `max` bytes and without NUL.
    pub(crate) fn string(&mut self, field: &'static str, max: usize) -> Option<String> {
        let value = self.value(field)?;
        let at = self.at(field);
        text(value, &at, max, self.problems)
    }

    /// A boolean.
    pub(crate) fn boolean(&mut self, field: &'static str) -> Option<bool> {
        let value = self.value(field)?;
        if value.as_bool().is_none() {
            self.problem(field, format!("must be true or false, not {}", kind(value)));
        }
        value.as_bool()
    }

    /// A whole number from `min` to `max`.
    pub(crate) fn integer(&mut self, field: &'static str, min: u64, max: u64) -> Option<u64> {
        let value = self.value(field)?;
        let max = max.min(MAX_SAFE_INTEGER);
        // 5.0 is what some languages send for 5.
        let whole = |f: f64| (f.fract() == 0.0).then(|| f.to_string().parse::<u64>().ok());
        let number = value.as_u64().or_else(|| value.as_f64().and_then(whole).flatten());
        match number {
            Some(number) if (min..=max).contains(&number) => Some(number),
            _ => {
                self.problem(field, format!("must be a whole number from {min} to {max}"));
                None
            }
        }
    }

    /// An amount of dollars, as a number or a string.
    pub(crate) fn usd(&mut self, field: &'static str) -> Option<Usd> {
        let value = self.value(field)?;
        let parsed = match value {
            Value::String(text) => text.parse::<Usd>(),
            Value::Number(number) => number.to_string().parse(),
            _ => {
                self.problem(field, format!("must be an amount of dollars, not {}", kind(value)));
                return None;
            }
        };
        parsed.map_err(|why| self.problem(field, why.to_string())).ok()
    }

    /// The name of a budget account.
    pub(crate) fn account(&mut self, field: &'static str) -> Option<AccountId> {
        let text = self.string(field, usize::MAX)?;
        text.parse().map_err(|why| self.problem(field, format!("{why}"))).ok()
    }

    /// One of a few words; the nearest is named when it is none of them.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        field: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.string(field, 64)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let hint = nearest(&text, &names).map(|n| format!("; did you mean {n:?}?"));
            let list = names.join(", ");
            self.problem(field, format!("must be one of {list}{}", hint.unwrap_or_default()));
        }
        found
    }

    /// A list of at most `max` items, each read by `read` with its own path.
    pub(crate) fn list<T>(
        &mut self,
        field: &'static str,
        max: usize,
        mut read: impl FnMut(&'v Value, &str, &mut Problems) -> Option<T>,
    ) -> Option<Vec<T>> {
        let value = self.value(field)?;
        let at = self.at(field);
        let Some(items) = value.as_array() else {
            self.problem(field, format!("must be a list, not {}", kind(value)));
            return None;
        };
        if items.len() > max {
            self.problem(field, format!("has {} items; the limit is {max}", items.len()));
            return None;
        }
        let read_one =
            |(i, item): (usize, &'v Value)| read(item, &format!("{at}[{i}]"), self.problems);
        Some(items.iter().enumerate().filter_map(read_one).collect())
    }

    /// A map of strings: at most `max` entries, names checked by `name_ok`.
    pub(crate) fn map(
        &mut self,
        field: &'static str,
        max: usize,
        max_value: usize,
        name_ok: fn(&str) -> Result<(), &'static str>,
    ) -> BTreeMap<String, String> {
        let Some(value) = self.value(field) else { return BTreeMap::new() };
        let at = self.at(field);
        let Some(object) = value.as_object() else {
            self.problem(field, format!("must be an object of strings, not {}", kind(value)));
            return BTreeMap::new();
        };
        if object.len() > max {
            self.problem(field, format!("has {} entries; the limit is {max}", object.len()));
            return BTreeMap::new();
        }
        let mut map = BTreeMap::new();
        for (name, value) in object {
            let entry = format!("{at}.{name}");
            if let Err(why) = name_ok(name) {
                self.problems.add(&entry, why);
            } else if let Some(text) = text(value, &entry, max_value, self.problems) {
                map.insert(name.clone(), text);
            }
        }
        map
    }

    /// Reports every name that nobody asked for, with the nearest known one.
    pub(crate) fn finish(self) {
        let Some(object) = self.object else { return };
        for name in object.keys().filter(|name| !self.known.contains(&name.as_str())) {
            let at = self.at(name);
            let hint = match nearest(name, &self.known) {
                Some(near) => format!("; did you mean {near:?}?"),
                None => format!("; known fields: {}", self.known.join(", ")),
            };
            self.problems.add(at, format!("is not a known field{hint}"));
        }
    }
}

/// A string of at most `max` bytes and without NUL.
pub(crate) fn text(value: &Value, at: &str, max: usize, problems: &mut Problems) -> Option<String> {
    let Some(text) = value.as_str() else {
        problems.add(at, format!("must be a string, not {}", kind(value)));
        return None;
    };
    if text.len() > max {
        problems.add(at, format!("has {} bytes; the limit is {max}", text.len()));
        return None;
    }
    if text.contains('\0') {
        problems.add(at, "must not contain a NUL character");
        return None;
    }
    Some(text.to_owned())
}

/// What a JSON value is, for a message.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The known name nearest to `name`, if one is near enough to be meant.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    if name.len() > 64 {
        return None;
    }
    let folded = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let wanted = folded(name);
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(&wanted, &folded(known)), *known))
        .filter(|(score, _)| *score >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
