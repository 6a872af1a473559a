//! What a redactor did, without saying what it removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many secrets of each kind were replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Kind, as in `[REDACTED:kind]`, to number of markers written.
    pub counts: BTreeMap<String, u64>,
}

impl Report {
    pub(crate) const fn new() -> Self {
        Self { counts: BTreeMap::new() }
    }

    pub(crate) fn count(&mut self, kind: &str) {
        if let Some(count) = self.counts.get_mut(kind) {
            *count += 1;
        } else {
            self.counts.insert(kind.to_owned(), 1);
        }
    }

    /// Adds another report's counts.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.counts {
            *self.counts.entry(kind.clone()).or_default() += count;
        }
    }

    /// Number of markers of all kinds.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether nothing was replaced.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}
