//! No panic, little held back, and the same bytes however a text is cut; redacting twice
//! changes nothing. `make fuzz ARGS=redaction_stream`.
#![no_main]

use std::sync::LazyLock;

use airlock_redaction::Redactor;
use libfuzzer_sys::fuzz_target;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let known = ("KEY".to_owned(), "known-Value-123".to_owned().into());
    Redactor::builtin().with_values([known])
});

// The first byte says how long the pieces are, the rest is the text.
fuzz_target!(|data: &[u8]| {
    let [size, text @ ..] = data else { return };
    let size = usize::from(*size) % 64 + 1;
    let whole = REDACTOR.redact_bytes(text);
    let mut stream = REDACTOR.stream();
    let mut out = Vec::new();
    for piece in text.chunks(size) {
        stream.push(piece, &mut out);
        assert!(stream.held_back() <= 16 * 1024);
    }
    stream.finish(&mut out);
    assert_eq!(out, *whole);
    assert_eq!(*REDACTOR.redact_bytes(&whole), *whole);
    let mut stream = REDACTOR.stream();
    for piece in text.chunks(size) {
        stream.push(piece, &mut out);
        stream.idle(&mut out);
    }
    stream.finish(&mut out);
});
