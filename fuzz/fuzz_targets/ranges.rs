//! `Range`, `If-Range` and the other headers of a download or an upload, and signatures of links.
#![no_main]

use airlock_sandbox_host::fuzzing::{file_headers, range};
use libfuzzer_sys::fuzz_target;

// Eight bytes are the file's length, the rest is the header.
fuzz_target!(|data: &[u8]| {
    let Some((length, value)) = data.split_first_chunk::<8>() else { return };
    let length = u64::from_be_bytes(*length);
    for length in [length, length % 16] {
        if let Some((from, to)) = range(value, length) {
            assert!(from < to && to <= length, "{from}..{to} of {length}");
        }
    }
    file_headers(value);
});
