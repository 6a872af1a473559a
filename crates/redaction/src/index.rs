//! Finds anchors fast: a bloom filter over the rarest trigrams, looked up at every second byte.
//!
//! Each literal gives two neighbouring trigrams, so that one of them stands at an even
//! position wherever the literal lies. Nearly every byte of ordinary text is dismissed by
//! one multiplication and one bit; what passes is looked up exactly. Trigrams are folded
//! to one case; the comparison of the whole literal decides about case.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::class::Class;
use crate::frequency;

/// Longest literal of a rule. Known values may be longer: they check what follows themselves.
pub(crate) const LONGEST_LITERAL: usize = 32;

/// What an anchor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Shape(u16),
    Word(u16),
    Authorization,
    Scheme,
    Cookie,
    Url,
    Parameter,
    Jwt,
    Pem,
    Netrc,
    User,
    Pgpass,
    Sshpass,
    /// A command that takes a password behind this letter.
    Tool(u8),
    Discord,
    Known(u32),
}

/// A literal to be found.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    pub(crate) literal: Box<[u8]>,
    /// Compare without regard to ASCII case.
    pub(crate) fold: bool,
    pub(crate) rule: Rule,
    /// Number of the kind in the marker.
    pub(crate) kind: u16,
    /// Of two spans with one start the lower rank names the kind.
    pub(crate) rank: u8,
    /// What may follow, or stand before: needed for literals of two or three bytes.
    pub(crate) next: Option<Class>,
    pub(crate) previous: Option<Class>,
}

/// One trigram of an anchor: where it stands relative to the anchor's first byte.
#[derive(Clone, Copy, Debug)]
struct Entry {
    gram: u32,
    anchor: u32,
    offset: i16,
    /// The anchor is longer than its head, or of a known value.
    more: bool,
    known: bool,
    head: Head,
}

/// The first eight bytes of a literal, to be compared at once.
#[derive(Clone, Copy, Debug)]
struct Head {
    bytes: u64,
    /// Bytes that count.
    mask: u64,
    /// Bits of case that do not.
    fold: u64,
}

impl Head {
    fn new(literal: &[u8], fold: bool) -> Self {
        let (mut bytes, mut mask, mut folds) = ([0; 8], [0; 8], [0; 8]);
        for (at, &b) in literal.iter().take(8).enumerate() {
            mask[at] = 0xff;
            folds[at] = if fold && b.is_ascii_alphabetic() { 0x20 } else { 0 };
            bytes[at] = b | folds[at];
        }
        let [bytes, mask, fold] = [bytes, mask, folds].map(u64::from_le_bytes);
        Self { bytes, mask, fold }
    }

    #[inline]
    fn is_at(self, found: [u8; 8]) -> bool {
        (u64::from_le_bytes(found) | self.fold) & self.mask == self.bytes
    }
}

/// All anchors of a redactor, ready to be searched.
#[derive(Clone)]
pub(crate) struct Index {
    anchors: Vec<Anchor>,
    entries: Vec<Entry>,
    /// Per bucket, the first of its entries.
    heads: Vec<u32>,
    filter: Vec<u64>,
    shift: u32,
}

/// An anchor's trigram was seen at `at`; the literal would begin at `start`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) start: usize,
    pub(crate) anchor: u32,
    /// How far into the literal the trigram stands.
    pub(crate) offset: usize,
}

/// Positions that passed the filter: bit `n` of `set` stands for `from + 2 * n`.
#[derive(Debug)]
pub(crate) struct Passed {
    from: usize,
    set: u64,
    /// Where to look next.
    pub(crate) next: usize,
}

impl Iterator for Passed {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lowest = self.set.trailing_zeros() as usize;
        (self.set != 0).then(|| {
            self.set &= self.set - 1;
            self.from + 2 * lowest
        })
    }
}

/// Anchors whose literals stand around one trigram.
pub(crate) struct Candidates<'a> {
    index: &'a Index,
    entries: std::slice::Iter<'a, Entry>,
    bytes: &'a [u8],
    at: usize,
    gram: u32,
}

impl Iterator for Candidates<'_> {
    type Item = Candidate;

    #[inline]
    fn next(&mut self) -> Option<Candidate> {
        for entry in self.entries.by_ref() {
            if entry.gram == self.gram {
                let candidate = self.index.candidate(entry, self.bytes, self.at);
                if candidate.is_some() {
                    return candidate;
                }
            }
        }
        None
    }
}

const FOLD: u32 = 0x0020_2020;
const BUCKET_BITS: u32 = 12;
/// Most anchors of one trigram, if they have others.
const CROWD: usize = 8;
const LOOKUPS: usize = 8;
const STRIDE: usize = 2 * LOOKUPS;

impl Index {
    pub(crate) fn new(anchors: Vec<Anchor>) -> Self {
        let mut entries = Vec::new();
        let mut crowds = HashMap::new();
        for (number, anchor) in anchors.iter().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            for (gram, offset) in grams(anchor, &crowds) {
                *crowds.entry(gram).or_insert(0_usize) += 1;
                let known = matches!(anchor.rule, Rule::Known(_));
                let more = known || anchor.literal.len() > 8;
                let head = Head::new(&anchor.literal, anchor.fold);
                entries.push(Entry { gram, anchor: number, offset, more, known, head });
            }
        }
        entries.sort_by_key(|e| (bucket(e.gram), e.gram, e.anchor, e.offset));
        entries.dedup_by_key(|e| (e.gram, e.anchor, e.offset));
        let mut heads = vec![0; (1 << BUCKET_BITS) + 1];
        for entry in &entries {
            heads[bucket(entry.gram) + 1] += 1;
        }
        for at in 1..heads.len() {
            heads[at] += heads[at - 1];
        }
        // One bit in sixty-four at most, in 16 to 64 KiB: it has to stay in the first cache.
        let bits = (entries.len() * 64).next_power_of_two().ilog2().clamp(17, 19);
        let shift = 32 - bits;
        let mut filter = vec![0_u64; 1 << (bits - 6)];
        for entry in &entries {
            let hash = hash(entry.gram) >> shift;
            filter[(hash >> 6) as usize] |= 1 << (hash & 63);
        }
        Self { anchors, entries, heads, filter, shift }
    }

    pub(crate) fn anchor(&self, number: u32) -> &Anchor {
        &self.anchors[number as usize]
    }

    pub(crate) fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// The next positions from `from` on, in steps of two, before `to`, that the filter lets
    /// pass; or the first position not looked at.
    pub(crate) fn next(&self, bytes: &[u8], mut from: usize, to: usize) -> Result<Passed, usize> {
        let to = to.min(bytes.len().saturating_sub(2));
        while from + STRIDE <= to {
            let Some(block) = bytes.get(from..).and_then(|b| b.first_chunk::<{ STRIDE + 2 }>())
            else {
                break;
            };
            let mut passed = 0;
            for lookup in 0..LOOKUPS {
                let at = 2 * lookup;
                let gram = u32::from_le_bytes([block[at], block[at + 1], block[at + 2], 0]);
                passed |= self.test(gram | FOLD) << lookup;
            }
            if passed != 0 {
                return Ok(Passed { from, set: passed, next: from + STRIDE });
            }
            from += STRIDE;
        }
        while from < to {
            if self.test(gram_at(bytes, from)) != 0 {
                return Ok(Passed { from, set: 1, next: from + 2 });
            }
            from += 2;
        }
        Err(from)
    }

    #[inline]
    fn test(&self, gram: u32) -> u64 {
        let hash = hash(gram) >> self.shift;
        (self.filter[(hash >> 6) as usize & (self.filter.len() - 1)] >> (hash & 63)) & 1
    }

    /// The anchors whose trigram stands at `at`. Whether the literal is there is not checked
    /// for known values, which may be broken over lines.
    #[inline]
    pub(crate) fn candidates<'a>(&'a self, bytes: &'a [u8], at: usize) -> Candidates<'a> {
        let gram = gram_at(bytes, at);
        let bucket = bucket(gram);
        let range = self.heads[bucket] as usize..self.heads[bucket + 1] as usize;
        Candidates { index: self, entries: self.entries[range].iter(), bytes, at, gram }
    }

    #[inline]
    fn candidate(&self, entry: &Entry, bytes: &[u8], at: usize) -> Option<Candidate> {
        let anchor = entry.anchor;
        if entry.known {
            let offset = usize::try_from(entry.offset).ok()?;
            return Some(Candidate { start: at, anchor, offset });
        }
        let start = at.checked_add_signed(-isize::from(entry.offset))?;
        let rest = bytes.get(start..)?;
        let head = rest.first_chunk::<8>();
        if head.is_some_and(|head| !entry.head.is_at(*head)) {
            return None;
        }
        if entry.more || head.is_none() {
            let Anchor { literal, fold, .. } = self.anchor(anchor);
            let found = rest.get(..literal.len())?;
            if !(found == &**literal || *fold && found.eq_ignore_ascii_case(literal)) {
                return None;
            }
        }
        Some(Candidate { start, anchor, offset: 0 })
    }
}

#[inline]
fn hash(gram: u32) -> u32 {
    gram.wrapping_mul(0x9E37_79B1)
}

fn bucket(gram: u32) -> usize {
    (gram.wrapping_mul(0x85EB_CA6B) >> (32 - BUCKET_BITS)) as usize
}

fn gram_at(bytes: &[u8], at: usize) -> u32 {
    fold([bytes[at], bytes[at + 1], bytes[at + 2]])
}

fn fold(gram: [u8; 3]) -> u32 {
    u32::from_le_bytes([gram[0], gram[1], gram[2], 0]) | FOLD
}

/// Two neighbouring trigrams of an anchor, as rare as it has.
/// and not those that many anchors share already.
fn grams(anchor: &Anchor, crowds: &HashMap<u32, usize>) -> Vec<(u32, i16)> {
    let literal = &anchor.literal;
    if literal.len() < 4 {
        return short_grams(anchor);
    }
    let mut found = Vec::new();
    let reach = literal.len().min(if matches!(anchor.rule, Rule::Known(_)) { 64 } else { 30 });
    let best = |from: usize, to: usize| {
        (from..to).max_by_key(|&at| {
            let gram = &literal[at..at + 4];
            let crowd = |from: usize| {
                let gram = fold([gram[from], gram[from + 1], gram[from + 2]]);
                crowds.get(&gram).is_some_and(|&crowd| crowd >= CROWD)
            };
            (
                Reverse(crowd(0) || crowd(1)),
                Reverse(frequency::count(gram)),
                rarity(gram),
                Reverse(at),
            )
        })
    };
    let last = reach - 3;
    let halves = if matches!(anchor.rule, Rule::Known(_)) && last >= 8 {
        // A line break may fall into one of them.
        vec![best(0, last / 2 - 3), best(last / 2 + 1, last)]
    } else {
        vec![best(0, last)]
    };
    for at in halves.into_iter().flatten() {
        for at in [at, at + 1] {
            let gram = fold([literal[at], literal[at + 1], literal[at + 2]]);
            found.push((gram, i16::try_from(at).unwrap_or(0)));
        }
    }
    found
}

/// A literal too short for two trigrams of its own takes its neighbours in.
fn short_grams(anchor: &Anchor) -> Vec<(u32, i16)> {
    let mut found = Vec::new();
    let members = |class: Option<Class>| {
        (0..=u8::MAX).filter(move |&b| class.is_some_and(|class| class.has(b)))
    };
    match *anchor.literal {
        [a, b, c] => {
            found.push((fold([a, b, c]), 0));
            found.extend(members(anchor.next).map(|next| (fold([b, c, next]), 1)));
            found.extend(members(anchor.previous).map(|before| (fold([before, a, b]), -1)));
        }
        [a, b] => {
            found.extend(members(anchor.next).map(|next| (fold([a, b, next]), 0)));
            found.extend(members(anchor.previous).map(|before| (fold([before, a, b]), -1)));
            if anchor.previous.is_none() {
                for next in members(anchor.next) {
                    found.extend(members(anchor.next).map(|after| (fold([b, next, after]), 1)));
                }
            }
        }
        _ => {}
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// How seldom a string stands in ordinary text; a rough order is all that is needed.
fn rarity(gram: &[u8]) -> u32 {
    gram.iter()
        .map(|b| match b.to_ascii_lowercase() {
            b' ' | b'e' | b't' => 0,
            b'a' | b'i' | b'n' | b'o' | b'r' | b's' => 2,
            b'c' | b'd' | b'l' | b'u' | b'm' | b'p' => 4,
            b'.' | b'/' | b'-' | b'f' | b'g' | b'h' | b'0' | b'1' | b'2' | b'b' => 5,
            b':' | b'=' | b'"' | b'3'..=b'9' | b'y' => 6,
            b'k' | b'v' | b'w' | b'_' => 8,
            _ => 10,
        })
        .sum()
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Anchors of known values are secrets.
        f.debug_struct("Index").field("anchors", &self.anchors.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "../tests/corpus/mod.rs"]
mod corpus;

#[cfg(test)]
mod tests {
    use super::corpus::Corpus;
    use crate::compiled::BUILTIN;

    #[test]
    fn ordinary_text_hardly_passes_the_filter() {
        let text = Corpus::new(1, 5000, 0, 0).text;
        let (bytes, index) = (text.as_bytes(), &BUILTIN.index);
        let mut passed = std::collections::BTreeMap::<String, usize>::new();
        let mut at = 0;
        let mut count = 0;
        while let Ok(found) = index.next(bytes, at, bytes.len()) {
            at = found.next;
            for hit in found {
                count += 1;
                let gram = String::from_utf8_lossy(&bytes[hit..hit + 3]).to_lowercase();
                *passed.entry(gram).or_default() += 1;
            }
        }
        let mut worst: Vec<_> = passed.into_iter().map(|(gram, n)| (n, gram)).collect();
        worst.sort_unstable_by(|a, b| b.cmp(a));
        worst.truncate(20);
        let share = count * 2000 / bytes.len();
        assert!(share <= 35, "{share} of 1000 pass: {worst:?}");
    }
}
