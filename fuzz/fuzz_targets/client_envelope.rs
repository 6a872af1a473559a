//! The client's side of Connect: the same envelopes however the bytes are cut, no more held back
//! than one message, and every payload read as whatever envd may send.
#![no_main]

use airlock_e2b::fuzzing::{envelopes, messages};
use libfuzzer_sys::fuzz_target;

/// The largest message, in bytes; the largest end message is the client's own.
const MAX_MESSAGE: usize = 4096;
const MAX_END: usize = 64 << 10;

// The first byte says how long the pieces are, the rest is the stream.
fuzz_target!(|data: &[u8]| {
    let [size, stream @ ..] = data else { return };
    let whole = envelopes([stream], MAX_MESSAGE);
    let pieces = envelopes(stream.chunks(usize::from(*size) + 1), MAX_MESSAGE);
    assert_eq!(whole.frames, pieces.frames);
    assert_eq!(whole.is_refused, pieces.is_refused);
    assert!(pieces.most_held <= 5 + MAX_END);
    for (is_end, payload) in &whole.frames {
        assert!(payload.len() <= if *is_end { MAX_END } else { MAX_MESSAGE });
        messages(payload);
    }
});
