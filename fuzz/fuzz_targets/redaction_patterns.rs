//! A pattern of a configuration is refused or works: no panic, the same bytes however a text is
//! cut, and little held back. `make fuzz ARGS=redaction_patterns`.
#![no_main]

use airlock_redaction::{CustomPattern, Redactor};
use libfuzzer_sys::fuzz_target;

// A length of pieces, a length of lines, a regular expression, a line feed, and the text.
fuzz_target!(|data: &[u8]| {
    let [size, longest, rest @ ..] = data else { return };
    let Some(end) = rest.iter().position(|b| *b == b'\n') else { return };
    let (regex, text) = (&rest[..end], &rest[end + 1..]);
    let Ok(regex) = std::str::from_utf8(regex) else { return };
    let pattern = serde_json::json!({
        "name": "fuzzed", "regex": regex, "max_length": usize::from(*longest) + 1,
    });
    let Ok(pattern) = serde_json::from_value::<CustomPattern>(pattern) else { return };
    let Ok(redactor) = Redactor::builder().custom(pattern).build() else { return };
    let whole = redactor.redact_bytes(text);
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    for piece in text.chunks(usize::from(*size) % 64 + 1) {
        stream.push(piece, &mut out);
        assert!(stream.held_back() <= 16 * 1024);
    }
    stream.finish(&mut out);
    assert_eq!(out, *whole);
});
