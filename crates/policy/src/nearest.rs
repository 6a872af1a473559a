//! The nearest known name to a mistyped one.

/// The candidate with the smallest edit distance; `None` without candidates.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name: String = name.chars().take(64).collect();
    candidates.into_iter().min_by_key(|candidate| strsim::damerau_levenshtein(&name, candidate))
}
