//! Compressed uploads.

use std::io::{self, Write as _};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::{StreamExt as _, stream};

/// Bytes of a compressed upload decoded at once: bounds what a bomb can blow up to in memory.
const COMPRESSED_CHUNK: usize = 4 << 10;

/// Decodes a gzip body piece by piece.
pub(super) fn unpack(body: Body) -> Body {
    struct State {
        body: BodyDataStream,
        rest: Bytes,
        decoder: Option<MultiGzDecoder<Vec<u8>>>,
    }
    let state = State {
        body: body.into_data_stream(),
        rest: Bytes::new(),
        decoder: Some(MultiGzDecoder::new(Vec::new())),
    };
    let invalid = |_error| io::Error::from(io::ErrorKind::InvalidData);
    Body::from_stream(stream::try_unfold(state, move |mut state| async move {
        loop {
            let Some(decoder) = &mut state.decoder else { return Ok(None) };
            if state.rest.is_empty() {
                let Some(chunk) = state.body.next().await else {
                    decoder.try_finish().map_err(invalid)?;
                    let last = std::mem::take(decoder.get_mut());
                    state.decoder = None;
                    return Ok((!last.is_empty()).then(|| (Bytes::from(last), state)));
                };
                state.rest = chunk.map_err(io::Error::other)?;
            }
            let size = state.rest.len().min(COMPRESSED_CHUNK);
            decoder.write_all(&state.rest.split_to(size)).map_err(invalid)?;
            let plain = std::mem::take(decoder.get_mut());
            if !plain.is_empty() {
                return io::Result::Ok(Some((Bytes::from(plain), state)));
            }
        }
    }))
}
