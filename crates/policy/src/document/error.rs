//! Why a policy is refused: the place, the key, and the nearest right one.

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The text is not TOML.
    #[error("{place}not TOML: {message}", place = place(*.line))]
    Toml {
        /// The line, from 1.
        line: Option<usize>,
        /// What the reader says.
        message: String,
    },
    /// A key that means nothing here.
    #[error("{place}unknown key `{key}`{hint}", place = place(*.line), hint = hint(.nearest.as_deref()))]
    UnknownKey {
        /// The line, from 1; `None` for a table that was not read from text.
        line: Option<usize>,
        /// The key with its path.
        key: String,
        /// The nearest key that exists.
        nearest: Option<String>,
    },
    /// A value of the wrong type or outside of what is known.
    #[error("{place}`{key}`: {problem}{hint}", place = place(*.line), hint = hint(.nearest.as_deref()))]
    Value {
        /// The line, from 1.
        line: Option<usize>,
        /// The key with its path.
        key: String,
        /// What is wrong.
        problem: String,
        /// The nearest value that exists.
        nearest: Option<String>,
    },
    /// An environment that is not there.
    #[error("no environment `{name}`{hint}", hint = hint(.nearest.as_deref()))]
    UnknownEnvironment {
        /// The name that was asked for.
        name: String,
        /// The nearest that exists.
        nearest: Option<String>,
    },
    /// Two rules of one table that cannot both be meant.
    #[error("{place}rule `{rule}` contradicts the one{at}: {problem}", place = place(*.line), at = at(*.other))]
    Contradiction {
        /// The line of the later rule, from 1.
        line: Option<usize>,
        /// The later rule's id.
        rule: String,
        /// The line of the earlier rule.
        other: Option<usize>,
        /// What is contradictory, and what to do.
        problem: String,
    },
    /// A rule's own example comes out differently.
    #[error("{place}rule `{rule}`: {key} example {example:?} {problem}", place = place(*.line))]
    Example {
        /// The line of the rule, from 1.
        line: Option<usize>,
        /// The rule's id.
        rule: String,
        /// `match` or `not_match`.
        key: &'static str,
        /// The example.
        example: String,
        /// What came out.
        problem: &'static str,
    },
}

fn place(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

fn at(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(" at line {line}"))
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}
