//! JSON values as they are kept in the record: capped, and compressed when that pays.
//!
//! The first byte says how the rest is written: `j` JSON, `z` zlib of JSON.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde_json::Value;

use crate::Error;

/// The largest result, outcome or note that is kept, as JSON text: what fits into a Temporal
/// payload.
pub const MAX_PAYLOAD_BYTES: usize = 2 * 1024 * 1024;
/// Below this, compression saves less than it costs.
const COMPRESS_FROM_BYTES: usize = 1024;

/// Writes `value`; the same value gives the same bytes.
pub(crate) fn encode(value: &Value) -> Result<Vec<u8>, Error> {
    let json = value.to_string();
    if json.len() > MAX_PAYLOAD_BYTES {
        return Err(Error::TooLarge { bytes: json.len(), limit: MAX_PAYLOAD_BYTES });
    }
    if json.len() < COMPRESS_FROM_BYTES {
        return Ok(plain(&json));
    }
    // The fastest level of some of zlib's implementations saves little; which one is linked is
    // decided elsewhere.
    let mut encoder = ZlibEncoder::new(vec![b'z'], Compression::default());
    let written = encoder.write_all(json.as_bytes()).and_then(|()| encoder.finish());
    Ok(written.unwrap_or_else(|_| plain(&json)))
}

/// Reads what [`encode`] wrote; never inflates more than [`MAX_PAYLOAD_BYTES`].
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, Error> {
    let corrupt = Error::Corrupt("a kept value is not JSON");
    match bytes.split_first() {
        Some((b'j', json)) => serde_json::from_slice(json).map_err(|_| corrupt),
        Some((b'z', zlib)) => {
            let mut json = Vec::new();
            let limit = MAX_PAYLOAD_BYTES as u64;
            match ZlibDecoder::new(zlib).take(limit).read_to_end(&mut json) {
                Ok(_) => serde_json::from_slice(&json).map_err(|_| corrupt),
                Err(_) => Err(corrupt),
            }
        }
        _ => Err(corrupt),
    }
}

fn plain(json: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(json.len() + 1);
    bytes.push(b'j');
    bytes.extend_from_slice(json.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn small_and_large_values_come_back() {
        let large = json!({"stdout": "all work and no play\n".repeat(10_000), "exitCode": 0});
        for value in [json!(null), json!({"exitCode": 1}), large.clone()] {
            assert_eq!(decode(&encode(&value).unwrap()).unwrap(), value);
        }
        assert!(encode(&large).unwrap().len() < 2_000, "repetitive output is compressed");
    }

    #[test]
    fn a_value_over_the_cap_is_refused() {
        let value = json!("x".repeat(MAX_PAYLOAD_BYTES));
        assert!(matches!(encode(&value), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn what_inflates_beyond_the_cap_is_refused() {
        let mut encoder = ZlibEncoder::new(vec![b'z'], Compression::best());
        encoder.write_all(format!("\"{}\"", " ".repeat(64 << 20)).as_bytes()).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(matches!(decode(&bomb), Err(Error::Corrupt(_))));
        for broken in [&b""[..], b"x", b"j{", b"z\x01\x02"] {
            assert!(matches!(decode(broken), Err(Error::Corrupt(_))), "{broken:?}");
        }
    }
}
