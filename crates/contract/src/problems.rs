//! Every problem of one input, field by field.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Path of the field as the caller wrote it: `commands[2].timeoutMs`; `.` is the whole input.
    pub field: String,
    /// What is wrong and what would be right, as the end of a sentence that starts with the field.
    pub problem: String,
}

/// All problems of one input. Empty means valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// No more than this many are kept: a hostile input must not make a long failure.
    pub const MAX: usize = 50;

    /// Adds one, unless there are [`Self::MAX`] already.
    pub fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        if self.0.len() < Self::MAX {
            self.0.push(Problem { field: clip(field.into()), problem: problem.into() });
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// `value` if nothing is wrong, else the problems.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

/// A field's name comes from the caller: keep it short.
fn clip(mut field: String) -> String {
    if field.len() > 120 {
        let end = (0..=120).rev().find(|&i| field.is_char_boundary(i)).unwrap_or(0);
        field.truncate(end);
        field.push('…');
    }
    field
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { field, problem }) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            if field == "." {
                write!(f, "{separator}the input {problem}")?;
            } else {
                write!(f, "{separator}{field} {problem}")?;
            }
        }
        Ok(())
    }
}
