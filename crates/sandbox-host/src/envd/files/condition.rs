//! Conditions of a download (RFC 9110, 13.2.2). Files have a time and no tag: `*` is the one tag
//! that they match.

use http::{HeaderMap, HeaderName, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// What the conditions of a request say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Send the file.
    Send,
    /// The client has it: 304.
    NotModified,
    /// It is not the one that the client means: 412.
    Failed,
}

/// Whether a file that was modified then is to be sent.
pub(crate) fn decide(headers: &HeaderMap, modified: Timestamp) -> Outcome {
    if headers.contains_key(header::IF_MATCH) {
        if !is_any(headers, header::IF_MATCH) {
            return Outcome::Failed;
        }
    } else if date(headers, &header::IF_UNMODIFIED_SINCE).is_some_and(|since| modified > since) {
        return Outcome::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        if is_any(headers, header::IF_NONE_MATCH) {
            return Outcome::NotModified;
        }
    } else if date(headers, &header::IF_MODIFIED_SINCE).is_some_and(|since| modified <= since) {
        return Outcome::NotModified;
    }
    Outcome::Send
}

/// Whether a range is one of the version that the client has.
pub(crate) fn is_same_version(headers: &HeaderMap, modified: Timestamp) -> bool {
    !headers.contains_key(header::IF_RANGE) || date(headers, &header::IF_RANGE) == Some(modified)
}

fn is_any(headers: &HeaderMap, name: HeaderName) -> bool {
    headers.get(name).is_some_and(|value| value.as_bytes().trim_ascii() == b"*")
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_before_times_and_a_failed_one_before_an_unchanged_one() {
        let modified: Timestamp = "2023-11-14T22:13:20Z".parse().unwrap();
        let (before, same) = ("Tue, 14 Nov 2023 22:13:19 GMT", "Tue, 14 Nov 2023 22:13:20 GMT");
        for (given, want) in [
            (vec![], Outcome::Send),
            (vec![("if-modified-since", before)], Outcome::Send),
            (vec![("if-modified-since", same)], Outcome::NotModified),
            (vec![("if-modified-since", "soon")], Outcome::Send),
            (vec![("if-none-match", "\"x\""), ("if-modified-since", same)], Outcome::Send),
            (vec![("if-none-match", "*")], Outcome::NotModified),
            (vec![("if-unmodified-since", before)], Outcome::Failed),
            (vec![("if-unmodified-since", same)], Outcome::Send),
            (vec![("if-match", "\"x\""), ("if-none-match", "*")], Outcome::Failed),
            (vec![("if-match", "*"), ("if-unmodified-since", before)], Outcome::Send),
        ] {
            let headers = given
                .iter()
                .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(decide(&headers, modified), want, "{given:?}");
        }
    }
}
