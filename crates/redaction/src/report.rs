//! What a redactor did, without saying what it removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Replacements whose place a report keeps; the rest is only counted, so that a report of a
/// hostile stream stays small.
pub const MOST_FOUND: usize = 1000;

/// Which secrets were replaced in one stream: how many of each kind, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Kind, as in `[REDACTED:kind]`, to number of markers written.
    pub counts: BTreeMap<String, u64>,
    /// The first [`MOST_FOUND`] replacements, in the order of the stream.
    #[serde(default)]
    pub found: Vec<Found>,
}

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Kind, as in the marker.
    pub kind: String,
    /// First byte that was replaced, counted from the beginning of the input.
    pub start: u64,
    /// The byte after the last one that was replaced, in the input.
    pub end: u64,
    /// First byte of the marker, counted from the beginning of the output.
    pub marker: u64,
}

impl Report {
    pub(crate) const fn new() -> Self {
        Self { counts: BTreeMap::new(), found: Vec::new() }
    }

    /// A marker was written at `marker` of the output in place of `start..end` of the input.
    pub(crate) fn add(&mut self, kind: &str, start: usize, end: usize, marker: usize) {
        if let Some(count) = self.counts.get_mut(kind) {
            *count += 1;
        } else {
            self.counts.insert(kind.to_owned(), 1);
        }
        if self.found.len() < MOST_FOUND {
            let [start, end, marker] = [start, end, marker].map(|at| at as u64);
            self.found.push(Found { kind: kind.to_owned(), start, end, marker });
        }
    }

    /// The secret that the last marker stands for reached further than was known then.
    pub(crate) fn extend(&mut self, end: usize) {
        let listed = self.total() <= MOST_FOUND as u64;
        if let Some(last) = self.found.last_mut().filter(|_| listed) {
            last.end = last.end.max(end as u64);
        }
    }

    /// Adds the counts of another stream's report. Places are of one stream and stay with it.
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
