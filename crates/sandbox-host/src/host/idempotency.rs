//! `Idempotency-Key`: the same create, sent twice, makes one sandbox.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

/// How long a key is remembered.
const RETENTION: Duration = Duration::from_hours(24);

/// Most keys remembered; beyond it the oldest is forgotten.
const CAPACITY: usize = 10_000;

#[derive(Debug)]
struct Entry {
    body: Value,
    /// The reply, once there is one.
    reply: Option<Value>,
    at: Instant,
}

/// The keys that were used.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<HashMap<String, Entry>>);

/// What a key means for a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Use {
    /// Never seen: create, then [`Keys::done`] or [`Keys::failed`].
    First,
    /// Created before; the reply of then.
    Again(Value),
    /// The first request is still under way.
    InProgress,
    /// The key belongs to another request.
    Mismatch,
}

impl Keys {
    /// Whether `key` has the form that is accepted.
    pub(crate) fn is_valid(key: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=255).contains(&key.len()) && key.bytes().all(allowed)
    }

    pub(crate) fn begin(&self, key: &str, body: &Value) -> Use {
        let mut keys = self.0.lock();
        keys.retain(|_, entry| entry.at.elapsed() < RETENTION);
        if let Some(entry) = keys.get(key) {
            return match (&entry.reply, entry.body == *body) {
                (_, false) => Use::Mismatch,
                (Some(reply), true) => Use::Again(reply.clone()),
                (None, true) => Use::InProgress,
            };
        }
        if keys.len() >= CAPACITY {
            let done = keys.iter().filter(|(_, entry)| entry.reply.is_some());
            let oldest = done.min_by_key(|(_, entry)| entry.at).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| keys.remove(&oldest));
        }
        let entry = Entry { body: body.clone(), reply: None, at: Instant::now() };
        keys.insert(key.to_owned(), entry);
        Use::First
    }

    pub(crate) fn done(&self, key: &str, reply: Value) {
        if let Some(entry) = self.0.lock().get_mut(key) {
            entry.reply = Some(reply);
        }
    }

    pub(crate) fn failed(&self, key: &str) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_gives_the_first_reply_again_and_a_failed_one_is_free() {
        let keys = Keys::default();
        assert_eq!(keys.begin("k", &json!(1)), Use::First);
        assert_eq!(keys.begin("k", &json!(1)), Use::InProgress);
        keys.done("k", json!("reply"));
        assert_eq!(keys.begin("k", &json!(1)), Use::Again(json!("reply")));
        assert_eq!(keys.begin("k", &json!(2)), Use::Mismatch);
        assert_eq!(keys.begin("l", &json!(2)), Use::First);
        keys.failed("l");
        assert_eq!(keys.begin("l", &json!(3)), Use::First);
    }

    #[test]
    fn keys_are_lower_case_letters_digits_and_dashes() {
        for (key, want) in [("a-1", true), ("", false), ("A", false), ("a_b", false)] {
            assert_eq!(Keys::is_valid(key), want, "{key}");
        }
        assert!(Keys::is_valid(&"a".repeat(255)) && !Keys::is_valid(&"a".repeat(256)));
    }
}
