//! Activity types and their handlers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use airlock_contract::{Failure, FailureType};
use airlock_engine::Ending;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::Context;

/// What runs one attempt of one activity type.
pub type Handler =
    Arc<dyn Fn(Context, Value) -> BoxFuture<'static, Result<Value, Ending>> + Send + Sync>;

/// The activity types of one task queue.
#[derive(Clone, Default)]
pub struct Registry {
    handlers: BTreeMap<String, Handler>,
}

impl Registry {
    /// Without any handler.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with `handler` for `activity_type`; a later one replaces an earlier one.
    #[must_use]
    pub fn with<F, R>(mut self, activity_type: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Context, Value) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, Ending>> + Send + 'static,
    {
        let boxed: Handler = Arc::new(move |context, input| Box::pin(handler(context, input)));
        self.handlers.insert(activity_type.into(), boxed);
        self
    }

    /// The registered activity types, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.handlers.keys().map(String::as_str)
    }

    /// Whether there is no handler.
    pub fn is_empty(&self) -> bool {
        self.handlers.is_empty()
    }

    /// The handler of `activity_type`, else the failure that says which types there are. It is not
    /// retryable: this queue will not learn the type by waiting.
    pub(super) fn get(&self, activity_type: &str) -> Result<&Handler, Failure> {
        self.handlers.get(activity_type).ok_or_else(|| {
            let known: Vec<&str> = self.names().collect();
            // Only what can be a name is repeated: this failure passes no redactor.
            let named =
                activity_type.len() <= 64 && activity_type.bytes().all(|b| b.is_ascii_alphabetic());
            let shown = if named { format!("{activity_type:?} ") } else { String::new() };
            let message = format!(
                "there is no activity type {shown}on this task queue; it has {}",
                known.join(", ")
            );
            Failure::new(FailureType::InvalidInput, message)
                .with_details(&serde_json::json!({ "known": known }))
        })
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
