//! What an expression of a program is known to be.

use crate::eval::{Taint, UNKNOWN};

/// The most elements of a list that are kept.
pub(super) const MAX_TEXTS: usize = 64;
/// The most alternatives of a value that are kept.
const MAX_ALTERNATIVES: usize = 8;
/// The longest text that is put together, in bytes.
const MAX_JOINED: usize = 8192;

/// A value: its texts, where it comes from, and what made it.
#[derive(Clone, Debug, Default)]
pub(super) struct Value {
    /// The elements of a list, or the alternatives of a single value.
    pub(super) texts: Vec<String>,
    pub(super) list: bool,
    pub(super) taint: Taint,
    /// The name of a module, or of the function that made it: `pathlib.Path`, `boto3.client`.
    pub(super) of: String,
    /// What the value is bound to: the host of a socket, the path of a file.
    pub(super) at: Option<String>,
}

impl Value {
    /// The name of a member; the beginning of a long one is left out.
    pub(super) fn member(&self, name: &str) -> String {
        if self.of.len() > 200 { name.to_owned() } else { format!("{}.{name}", self.of) }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { texts: vec![text.into()], ..Self::default() }
    }

    pub(super) fn list(texts: Vec<String>) -> Self {
        Self { texts, list: true, ..Self::default() }
    }

    pub(super) fn unknown() -> Self {
        Self::text(UNKNOWN)
    }

    /// Something that is known by name only: a module, a function.
    pub(super) fn named(name: &str) -> Self {
        Self { of: name.to_owned(), ..Self::unknown() }
    }

    pub(super) fn first(&self) -> &str {
        self.texts.first().map_or("", String::as_str)
    }

    /// How many bytes its texts have.
    pub(super) fn size(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    /// Whether nothing at all is known of its text.
    pub(super) fn is_blank(&self) -> bool {
        self.texts.iter().all(|text| text.chars().all(|c| c == UNKNOWN))
    }

    /// The same origin with other texts.
    pub(super) fn with(&self, texts: Vec<String>) -> Self {
        Self { texts, ..self.clone() }
    }

    /// The same origin, each text changed.
    pub(super) fn each(&self, change: impl Fn(&str) -> String) -> Self {
        self.with(self.texts.iter().map(|text| change(text)).collect())
    }

    /// One of both.
    pub(super) fn or(mut self, other: Self) -> Self {
        if self.texts.is_empty() || self.is_blank() && !other.is_blank() {
            self.texts = other.texts;
            self.list |= other.list;
        } else if !other.is_blank() {
            for text in other.texts {
                if self.texts.len() < MAX_ALTERNATIVES && !self.texts.contains(&text) {
                    self.texts.push(text);
                }
            }
        }
        self.taint = self.taint.worse(other.taint);
        if self.of.is_empty() {
            self.of = other.of;
        }
        self.at = self.at.or(other.at);
        self
    }

    /// This text followed by another; lists are joined.
    pub(super) fn then(mut self, other: Self) -> Self {
        self.taint = self.taint.worse(other.taint);
        if self.list || other.list {
            self.list = true;
            self.texts.extend(other.texts);
            self.texts.truncate(MAX_TEXTS);
            return self;
        }
        let mut texts = Vec::new();
        for head in &self.texts {
            for tail in &other.texts {
                if texts.len() >= MAX_ALTERNATIVES {
                    continue;
                }
                if head.len() + tail.len() > MAX_JOINED {
                    texts.push(UNKNOWN.to_string());
                } else {
                    texts.push(format!("{head}{tail}"));
                }
            }
        }
        self.texts = texts;
        self
    }
}

/// The arguments of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Args {
    pub(super) plain: Vec<Value>,
    pub(super) named: Vec<(String, Value)>,
}

impl Args {
    pub(super) fn get(&self, at: usize) -> Option<&Value> {
        self.plain.get(at)
    }

    pub(super) fn keyword(&self, names: &[&str]) -> Option<&Value> {
        self.named.iter().find(|(name, _)| names.contains(&name.as_str())).map(|(_, v)| v)
    }

    pub(super) fn first(&self) -> &str {
        self.plain.first().map_or("", Value::first)
    }

    /// Every text of the arguments without a name, in order.
    pub(super) fn texts(&self) -> Vec<String> {
        self.plain.iter().flat_map(|value| value.texts.iter().cloned()).collect()
    }

    /// The worst origin of any argument.
    pub(super) fn taint(&self) -> Taint {
        let named = self.named.iter().map(|(_, value)| value);
        self.plain
            .iter()
            .chain(named)
            .fold(Taint::None, |worst, value| worst.worse(value.taint.clone()))
    }
}
