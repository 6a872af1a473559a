//! The query of a list of sandboxes: the filter, encoded three times, the cursor, and all the rest
//! are read or refused.
#![no_main]

use airlock_sandbox_host::fuzzing::{list_query, metadata};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs = metadata(text);
    // Decoding never makes text longer: U+FFFD takes three bytes for one that was `%xx`.
    let size: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(size <= 3 * text.len(), "{size} bytes out of {}", text.len());
    if let Some(Err(message)) = list_query(text) {
        assert!(message.contains(':'), "a refusal that names no parameter: {message}");
    }
});
