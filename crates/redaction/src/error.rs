//! What can be wrong with a redactor's configuration.

/// A redactor that cannot be built. No message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name of a pattern becomes part of the marker.
    #[error(
        "redaction pattern name `{name}` must be 1 to 40 of a-z, 0-9, `_` and `-`, and begin with a letter"
    )]
    Name {
        /// The name as written.
        name: String,
    },
    /// The expression does not compile, or is too large.
    #[error("redaction pattern `{name}` is not a valid regular expression")]
    Syntax {
        /// The pattern's name.
        name: String,
        /// What the regex engine says.
        #[source]
        source: Box<regex::Error>,
    },
    /// The expression matches where there is nothing.
    #[error("redaction pattern `{name}` matches the empty string; make it require a character")]
    Empty {
        /// The pattern's name.
        name: String,
    },
    /// The longest match asked for is out of bounds.
    #[error("redaction pattern `{name}`: max_length {length} must be between 1 and {limit} bytes")]
    Length {
        /// The pattern's name.
        name: String,
        /// The length as written.
        length: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// An example that should be redacted is not.
    #[error("redaction pattern `{name}`: example {number} of `matches` is not matched")]
    NotMatched {
        /// The pattern's name.
        name: String,
        /// Position in the list, from 1.
        number: usize,
    },
    /// An example that should stay is redacted.
    #[error("redaction pattern `{name}`: example {number} of `leaves` is matched")]
    Matched {
        /// The pattern's name.
        name: String,
        /// Position in the list, from 1.
        number: usize,
    },
    /// Too many patterns for a stream to be searched in time.
    #[error("{count} redaction patterns are more than the {limit} allowed; join some with `|`")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
}
