//! Lists of words in which only those that begin, or end, with a byte are compared.
//!
//! Gates ask for words at every candidate of a hostile text; without this a list of
//! eighty words would be eighty comparisons each time.

/// Words in the order of their first, or of their last, byte. Lower case.
pub(crate) struct Words {
    words: &'static [&'static str],
    /// Per byte, the first word of it or of a later one.
    from: [u8; 129],
}

impl Words {
    /// In the order of first bytes; does not compile in another one.
    pub(crate) const fn by_first(words: &'static [&'static str]) -> Self {
        Self::new(words, false)
    }

    /// In the order of last bytes; does not compile in another one.
    pub(crate) const fn by_last(words: &'static [&'static str]) -> Self {
        Self::new(words, true)
    }

    const fn new(words: &'static [&'static str], last: bool) -> Self {
        assert!(words.len() < 256, "too many words");
        let mut from = [0; 129];
        let (mut byte, mut at) = (0, 0);
        while byte <= 128 {
            while at < words.len() && (key(words[at], last) as usize) < byte {
                assert!(
                    at == 0 || key(words[at - 1], last) <= key(words[at], last),
                    "words are out of order"
                );
                at += 1;
            }
            from[byte] = low(at);
            byte += 1;
        }
        assert!(at == words.len(), "words are out of order");
        Self { words, from }
    }

    /// The words that begin, or end, with `byte` in either case.
    #[inline]
    pub(crate) fn of(&self, byte: u8) -> &'static [&'static str] {
        let byte = usize::from(byte.to_ascii_lowercase());
        if byte >= 128 {
            return &[];
        }
        &self.words[usize::from(self.from[byte])..usize::from(self.from[byte + 1])]
    }
}

const fn key(word: &str, last: bool) -> u8 {
    let word = word.as_bytes();
    word[if last { word.len() - 1 } else { 0 }]
}

/// `at` as a byte; it is under 256.
const fn low(at: usize) -> u8 {
    at.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn words_are_found_by_a_letter_in_either_case() {
        const FIRST: Words = Words::by_first(&["0", "access", "api", "token"]);
        const LAST: Words = Words::by_last(&["public", "cached", "token"]);
        assert_eq!(FIRST.of(b'A'), ["access", "api"]);
        assert_eq!(FIRST.of(b't'), ["token"]);
        assert_eq!(FIRST.of(b'0'), ["0"]);
        assert!(FIRST.of(b'z').is_empty() && FIRST.of(0xff).is_empty());
        assert_eq!(LAST.of(b'n'), ["token"]);
        assert_eq!(LAST.of(b'D'), ["cached"]);
    }
}
