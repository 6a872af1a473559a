//! The `Range` header: one range of bytes.

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// First byte, and the one after the last.
    Part(u64, u64),
    Outside,
    /// Several ranges, or none of an empty file: the whole is a right answer.
    Ignored,
    /// No range of bytes.
    Invalid,
}

/// Reads a `Range` header for a file of `length` bytes, as Go's file server does.
pub(crate) fn parse_range(value: &[u8], length: u64) -> Range {
    let Some(ranges) = std::str::from_utf8(value).ok().and_then(|v| v.strip_prefix("bytes="))
    else {
        return Range::Invalid;
    };
    let mut ranges = ranges.split(',').map(str::trim).filter(|range| !range.is_empty());
    let (range, more) = (ranges.next(), ranges.next());
    match range {
        None => Range::Ignored,
        // Several parts are one answer of several bodies, which nobody here asks for.
        Some(_) if more.is_some() => Range::Ignored,
        Some(range) => one_range(range, length),
    }
}

fn one_range(range: &str, length: u64) -> Range {
    let Some((first, last)) = range.split_once('-') else { return Range::Invalid };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Beyond all files is beyond this one.
        is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first.trim()), number(last.trim())) {
        (None, Some(_)) if !first.is_empty() => Range::Invalid,
        (_, None) if !last.is_empty() => Range::Invalid,
        (None, None) => Range::Invalid,
        (Some(first), Some(last)) if first > last => Range::Invalid,
        _ if length == 0 => Range::Ignored,
        (Some(first), _) if first >= length => Range::Outside,
        (Some(first), Some(last)) => Range::Part(first, last.min(length - 1) + 1),
        (Some(first), None) => Range::Part(first, length),
        (None, Some(0)) => Range::Outside,
        (None, Some(last)) => Range::Part(length.saturating_sub(last), length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_one_part_or_outside_or_ignored() {
        for (value, length, want) in [
            ("bytes=0-9", 100, Range::Part(0, 10)),
            ("bytes=90-999", 100, Range::Part(90, 100)),
            ("bytes=99-", 100, Range::Part(99, 100)),
            ("bytes=100-", 100, Range::Outside),
            ("bytes=0-", 0, Range::Ignored),
            ("bytes=0-9", 0, Range::Ignored),
            ("bytes= 0-9 ", 100, Range::Part(0, 10)),
            ("bytes=0-9,", 100, Range::Part(0, 10)),
            ("bytes=--1", 100, Range::Invalid),
            ("bytes=+1-2", 100, Range::Invalid),
            ("bytes=99999999999999999999-", 100, Range::Outside),
            ("0-9", 100, Range::Invalid),
            ("bytes=-5", 100, Range::Part(95, 100)),
            ("bytes=-500", 100, Range::Part(0, 100)),
            ("bytes=-0", 100, Range::Outside),
            ("bytes=5-1", 100, Range::Invalid),
            ("bytes=0-1,3-4", 100, Range::Ignored),
            ("lines=0-1", 100, Range::Invalid),
        ] {
            assert_eq!(parse_range(value.as_bytes(), length), want, "{value} of {length}");
        }
    }

    proptest! {
        #[test]
        fn a_range_is_never_empty_and_never_outside(
            value in prop_oneof![any::<Vec<u8>>(), "bytes=[0-9 ,-]{0,24}".prop_map(String::into_bytes)],
            length in prop_oneof![0..20_u64, any::<u64>()],
        ) {
            if let Range::Part(from, to) = parse_range(&value, length) {
                prop_assert!(from < to && to <= length, "{from}..{to} of {length}");
            }
        }
    }
}
