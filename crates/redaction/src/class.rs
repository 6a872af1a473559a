//! Byte classes: what a run of a token may consist of.
//!
//! Every class is one bit, so that a single table answers for all of them and a run is
//! walked with one lookup a byte.

/// A set of bytes, named by one bit of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u8);

impl Class {
    /// `[A-Za-z0-9]`
    pub(crate) const ALNUM: Self = Self(0);
    /// `[a-z0-9]`
    pub(crate) const LOWER: Self = Self(1);
    /// `[A-Z0-9]`
    pub(crate) const UPPER: Self = Self(2);
    /// `[0-9a-fA-F]`
    pub(crate) const HEX: Self = Self(3);
    /// `[0-9]`
    pub(crate) const DIGIT: Self = Self(4);
    /// `[A-Za-z0-9_-]`
    pub(crate) const WORD: Self = Self(5);
    /// `[A-Za-z0-9+/=]`
    pub(crate) const BASE64: Self = Self(6);
    /// `[A-Z2-7]`
    pub(crate) const BASE32: Self = Self(7);
    /// `[A-Za-z]`
    pub(crate) const LETTER: Self = Self(8);
    /// RFC 7235 token68 and base64 in both alphabets: `[A-Za-z0-9._~+/=-]`
    pub(crate) const TOKEN: Self = Self(9);
    /// What an unquoted value may hold: no white space, quotes or control bytes.
    pub(crate) const VALUE: Self = Self(10);
    /// What stands between `://` and the path of a URL.
    pub(crate) const AUTHORITY: Self = Self(11);
    /// Anything on one line.
    pub(crate) const LINE: Self = Self(12);
    /// Percent-encoded base64: `[A-Za-z0-9+/=%_-]`
    pub(crate) const PERCENT: Self = Self(13);
    /// `[A-Za-z0-9_.-]`
    pub(crate) const DOTTED: Self = Self(14);
    /// Anything on one line but a double quote or a back slash.
    pub(crate) const QUOTED: Self = Self(15);

    /// What may follow a name's word: a separator, a quote, a joint or a digit.
    pub(crate) const JOINT: Self = Self(16);

    /// Fourth character of the base64 of three digits: `[w-z0-5]`
    pub(crate) const DIGITS: Self = Self(17);

    /// Classes whose runs are remembered; those after it are asked for single bytes.
    pub(crate) const COUNT: usize = 18;

    /// What no mark of a placeholder begins with: all but `[${*E` and `x`, `y`, `p`, `r`.
    pub(crate) const UNMARKED: Self = Self(18);
    /// Vowels, `y` too.
    pub(crate) const VOWEL: Self = Self(19);
    /// Letters but `j`, `q`, `v`, `x`, `z`.
    pub(crate) const USUAL: Self = Self(20);

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    #[inline]
    pub(crate) const fn has(self, byte: u8) -> bool {
        TABLE[byte as usize] & (1 << self.0) != 0
    }

    /// Length of the run of this class that `bytes` begins with.
    pub(crate) fn run(self, bytes: &[u8]) -> usize {
        let mask = 1 << self.0;
        let (eights, _) = bytes.as_chunks::<8>();
        // Eight at a time: one branch for all of them.
        let whole =
            |eight: &&[u8; 8]| eight.iter().fold(mask, |all, &b| all & TABLE[b as usize]) != 0;
        let from = 8 * eights.iter().take_while(whole).count();
        let rest = &bytes[from..];
        crate::work::count(from + 8);
        from + rest.iter().position(|&b| TABLE[b as usize] & mask == 0).unwrap_or(rest.len())
    }

    /// Length of the run of this class that `bytes` ends with.
    pub(crate) fn run_back(self, bytes: &[u8]) -> usize {
        let mask = 1 << self.0;
        let (_, eights) = bytes.as_rchunks::<8>();
        let whole =
            |eight: &&[u8; 8]| eight.iter().fold(mask, |all, &b| all & TABLE[b as usize]) != 0;
        let run = 8 * eights.iter().rev().take_while(whole).count();
        let rest = &bytes[..bytes.len() - run];
        crate::work::count(run + 8);
        run + rest.iter().rev().position(|&b| !self.has(b)).unwrap_or(rest.len())
    }

    /// Whether all of `bytes` are of this class.
    pub(crate) fn all(self, bytes: &[u8]) -> bool {
        self.run(bytes) == bytes.len()
    }
}

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = bits(byte);
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

const fn bits(b: u8) -> u32 {
    let alnum = b.is_ascii_alphanumeric();
    let upper = b.is_ascii_uppercase();
    let digit = b.is_ascii_digit();
    let line = b != b'\n' && b != b'\r';
    let quote = matches!(b, b'"' | b'\'' | b'`');
    let base64 = alnum || matches!(b, b'+' | b'/' | b'=');
    flag(alnum, Class::ALNUM)
        | flag(digit || b.is_ascii_lowercase(), Class::LOWER)
        | flag(digit || upper, Class::UPPER)
        | flag(b.is_ascii_hexdigit(), Class::HEX)
        | flag(digit, Class::DIGIT)
        | flag(alnum || matches!(b, b'_' | b'-'), Class::WORD)
        | flag(base64, Class::BASE64)
        | flag(upper || matches!(b, b'2'..=b'7'), Class::BASE32)
        | flag(b.is_ascii_alphabetic(), Class::LETTER)
        | flag(base64 || matches!(b, b'_' | b'-' | b'.' | b'~'), Class::TOKEN)
        | flag(b > b' ' && b != 0x7f && !quote, Class::VALUE)
        | flag(
            b > b' '
                && b != 0x7f
                && !matches!(b, b'"' | b'`' | b'/' | b'?' | b'#' | b'<' | b'>' | b'\\'),
            Class::AUTHORITY,
        )
        | flag(line, Class::LINE)
        | flag(base64 || matches!(b, b'%' | b'_' | b'-'), Class::PERCENT)
        | flag(alnum || matches!(b, b'_' | b'-' | b'.'), Class::DOTTED)
        | flag(line && b != b'"' && b != b'\\', Class::QUOTED)
        | flag(
            digit
                || matches!(
                    b,
                    b' ' | b'\t'
                        | b'='
                        | b':'
                        | b'"'
                        | b'\''
                        | b'`'
                        | b'_'
                        | b'-'
                        | b'>'
                        | b'\\'
                        | b'|'
                ),
            Class::JOINT,
        )
        | flag(matches!(b, b'w'..=b'z' | b'0'..=b'5'), Class::DIGITS)
        | flag(
            b != b'E'
                && !matches!(
                    b.to_ascii_lowercase(),
                    b'[' | b'$' | b'{' | b'*' | b'x' | b'y' | b'p' | b'r'
                ),
            Class::UNMARKED,
        )
        | flag(
            matches!(b.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y'),
            Class::VOWEL,
        )
        | flag(
            b.is_ascii_alphabetic()
                && !matches!(b.to_ascii_lowercase(), b'j' | b'q' | b'v' | b'x' | b'z'),
            Class::USUAL,
        )
}

const fn flag(yes: bool, class: Class) -> u32 {
    if yes { 1 << class.0 } else { 0 }
}
