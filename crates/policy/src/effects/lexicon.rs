//! The word lists of the verb lexicon, one text file a list.

use std::collections::HashSet;
use std::sync::LazyLock;

/// A list of words.
pub(super) type Words = LazyLock<HashSet<&'static str>>;

fn words(text: &'static str) -> HashSet<&'static str> {
    text.split_ascii_whitespace().collect()
}

/// Tools whose resources are live elsewhere.
pub(super) static CLOUD: Words = LazyLock::new(|| words(include_str!("lexicon/cloud_tools.txt")));
/// Tools that delete things of this machine or of the project only.
pub(super) static LOCAL: Words = LazyLock::new(|| words(include_str!("lexicon/local_tools.txt")));
/// Verbs that destroy.
pub(super) static DESTROY: Words = LazyLock::new(|| words(include_str!("lexicon/destroy.txt")));
/// Of these, verbs that destroy only for some tools, or undo easily.
pub(super) static MILD: Words = LazyLock::new(|| words(include_str!("lexicon/mild.txt")));
/// Verbs that create.
pub(super) static PAID_VERBS: Words = LazyLock::new(|| words(include_str!("lexicon/create.txt")));
/// What costs money once it is created.
pub(super) static PAID_NOUNS: Words = LazyLock::new(|| words(include_str!("lexicon/paid.txt")));
/// Verbs that change something live.
pub(super) static CHANGE: Words = LazyLock::new(|| words(include_str!("lexicon/change.txt")));
/// Verbs that only look, and groups of such commands.
pub(super) static READ: Words = LazyLock::new(|| words(include_str!("lexicon/read.txt")));
/// Options with a value that stand among the words.
pub(super) static VALUED: Words = LazyLock::new(|| words(include_str!("lexicon/valued.txt")));
