//! What is planted, and the search for it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::places::Places;

/// In every planted token, at both ends of what is its own: a search for these finds them all.
const CORES: [&str; 2] = ["Kc4rB9xTw2", "Vq7Zn3LdHs"];
/// A form of a known value shorter than this may stand anywhere.
const LEAST: usize = 8;

pub(crate) struct Garden {
    /// Token to place.
    planted: RefCell<BTreeMap<String, String>>,
    known: Vec<&'static str>,
}

impl Garden {
    pub(crate) fn new(known: &[&'static str]) -> Self {
        Self { planted: RefCell::default(), known: known.to_vec() }
    }

    /// A token of the look of GitHub's, that stands at `place` and nowhere else.
    pub(crate) fn plant(&self, place: &str) -> String {
        let own = format!("{:08x}{:08x}", rand::random::<u32>(), rand::random::<u32>());
        let token = format!("ghp_{}{own}{}", CORES[0], CORES[1]);
        self.planted.borrow_mut().insert(token.clone(), place.to_owned());
        token
    }

    /// A token in two halves, of which neither is secret.
    pub(crate) fn halves(&self, place: &str) -> (String, String) {
        let token = self.plant(place);
        // Within the first core, so that neither half holds a core's searched part whole.
        let (head, tail) = token.split_at(8);
        let tail = tail.replace(CORES[1], &format!("{}\"\"{}", &CORES[1][..5], &CORES[1][5..]));
        (head.to_owned(), tail)
    }

    /// Each leak, once a place.
    pub(crate) fn search(&self, places: &Places) -> Vec<String> {
        let mut leaks = Vec::new();
        let needles: Vec<(String, Vec<u8>)> = CORES
            .iter()
            .flat_map(|core| forms(core).into_iter().map(|(form, bytes)| (form.to_owned(), bytes)))
            .chain(self.known.iter().flat_map(|known| {
                let named = |(form, bytes)| (format!("known value, {form}"), bytes);
                forms(known).into_iter().map(named)
            }))
            .filter(|(_, bytes)| bytes.len() >= LEAST)
            .collect();
        for (place, bytes) in places.all() {
            for (form, needle) in &needles {
                let Some(at) = find(bytes, needle) else { continue };
                let around = &bytes[at.saturating_sub(150)..bytes.len().min(at + 150)];
                let around = String::from_utf8_lossy(around);
                let planted = self.planted.borrow();
                let source = planted.iter().find(|(token, _)| {
                    find(bytes, token.as_bytes()).is_some() || around.contains(&token[14..30])
                });
                let source = source.map_or("?", |(_, place)| place);
                leaks.push(format!("{place}: {form} of {source:?}: ...{around}..."));
                break;
            }
        }
        leaks.sort();
        leaks.dedup();
        leaks
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, needle)
}

/// A text in every spelling in which it may come out.
fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hex = text.bytes().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat();
    let numbers = text.bytes().map(|b| b.to_string()).collect::<Vec<_>>();
    let percent: String = text
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
        })
        .collect();
    let json = serde_json::Value::from(text).to_string();
    let json = json.trim_matches('"').to_owned();
    let mut forms = vec![
        ("plain", text.into()),
        ("hex", hex.clone().into()),
        ("HEX", hex.to_uppercase().into()),
        ("bytes", numbers.join(", ").into()),
        ("bytes", numbers.join(",").into()),
        ("percent-encoded", percent.to_lowercase().into()),
        ("percent-encoded", percent.into()),
        ("JSON", json.replace('/', "\\/").into()),
        ("JSON", json.into()),
        ("reversed", text.chars().rev().collect::<String>().into()),
    ];
    for shift in 0..3 {
        let shifted = format!("{}{text}", "\0".repeat(shift));
        let encoded = base64(&shifted);
        let encoded = encoded.trim_end_matches('=');
        // Only what depends on nothing but the text.
        let first = [0, 2, 3][shift];
        let last = encoded.len() - usize::from(shifted.len() % 3 != 0);
        forms.push(("base64", encoded[first..last].into()));
        forms.push(("base64url", encoded[first..last].replace('+', "-").replace('/', "_").into()));
    }
    forms
}

/// Standard base64, written down here so that the product's own is not what checks it.
pub(crate) fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for digit in 0..4 {
            let index = usize::try_from((bits >> (18 - 6 * digit)) & 63).expect("six bits");
            out.push(if digit <= chunk.len() { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    out
}
