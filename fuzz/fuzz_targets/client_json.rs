//! The client's side of REST: any status, any wait and any body is read without panic, ids that
//! would change a URL are refused, and no error shows what the other side wrote.
#![no_main]

use airlock_e2b::fuzzing::{refusal, replies};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

// Two bytes are the status, up to the first NUL goes `Retry-After`, the rest is the body.
fuzz_target!(|data: &[u8]| {
    let [high, low, rest @ ..] = data else { return };
    let split = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let (wait, body) = rest.split_at(split);
    let body = body.strip_prefix(&[0]).unwrap_or(body);
    let mut headers = HeaderMap::new();
    if let Ok(wait) = HeaderValue::from_bytes(wait) {
        headers.insert("retry-after", wait);
    }
    let error = refusal(u16::from_be_bytes([*high, *low]), &headers, body);
    let shown = error.to_string();
    assert!(shown.len() < 400 && shown.starts_with("fuzz: "), "{shown}");
    replies(body);
});
