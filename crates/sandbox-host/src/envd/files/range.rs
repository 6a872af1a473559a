//! The `Range` header: one range of bytes.

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// First byte, and the one after the last.
    Part(u64, u64),
    Outside,
    /// Not one range of bytes: the whole file is a right answer.
    Ignored,
}

/// Reads a `Range` header for a file of `length` bytes.
pub(crate) fn parse_range(value: &[u8], length: u64) -> Range {
    let parts = std::str::from_utf8(value)
        .ok()
        .and_then(|value| value.strip_prefix("bytes="))
        .and_then(|range| range.trim().split_once('-'));
    let Some((first, last)) = parts else { return Range::Ignored };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= length => Range::Outside,
        (Ok(first), Ok(last)) if first <= last => Range::Part(first, last.min(length - 1) + 1),
        (Ok(first), Err(_)) if last.is_empty() => Range::Part(first, length),
        (Err(_), Ok(0)) if first.is_empty() => Range::Outside,
        (Err(_), Ok(last)) if first.is_empty() && length > 0 => {
            Range::Part(length.saturating_sub(last), length)
        }
        _ => Range::Ignored,
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
            ("bytes=0-", 0, Range::Outside),
            ("bytes=-5", 100, Range::Part(95, 100)),
            ("bytes=-500", 100, Range::Part(0, 100)),
            ("bytes=-0", 100, Range::Outside),
            ("bytes=5-1", 100, Range::Ignored),
            ("bytes=0-1,3-4", 100, Range::Ignored),
            ("lines=0-1", 100, Range::Ignored),
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
