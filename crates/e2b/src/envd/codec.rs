//! Connect envelopes: one flag byte, the length in four bytes, big end first, and the payload.
//!
//! The decoder takes bytes as they arrive, however they are cut, and never holds more than one
//! message of the size limit and one chunk of the network's: a length is believed only after it
//! was compared with the limit, and no memory is reserved for bytes that have not arrived.

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;

/// Flag and length.
const HEADER: usize = 5;
/// The payload is compressed.
const COMPRESSED: u8 = 0b01;
/// The payload is the end of the stream, in JSON.
const END: u8 = 0b10;
/// The largest end message, in bytes.
const MAX_END: usize = 64 << 10;

/// One envelope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message.
    Message(Bytes),
    /// The end of the stream, in JSON.
    End(Bytes),
}

/// Why bytes are no stream of envelopes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A message over the limit.
    TooLarge,
    /// A flag that this client did not agree to.
    Flags,
}

/// Cuts a stream of bytes into envelopes.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    max_message: usize,
}

impl Decoder {
    pub(crate) fn new(max_message: usize) -> Self {
        Self { buffer: BytesMut::new(), max_message }
    }

    /// How many bytes wait for the rest of their envelope.
    pub(crate) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Takes bytes from the network.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole envelope, or `None` until more bytes come.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some(&[flags, a, b, c, d]) = self.buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let limit = match flags {
            0 => self.max_message,
            END => MAX_END,
            _ => return Err(Malformed::Flags),
        };
        debug_assert!(flags & COMPRESSED == 0, "compression was never offered");
        if length > limit {
            return Err(Malformed::TooLarge);
        }
        if self.buffer.len() - HEADER < length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let payload = self.buffer.split_to(length).freeze();
        Ok(Some(if flags == END { Frame::End(payload) } else { Frame::Message(payload) }))
    }
}

/// How many fields a message has at its top level; `None` if it is cut short or malformed.
///
/// An entry of a repeated field may take two bytes on the wire and a hundred times that in memory,
/// so the entries are counted before the message is decoded.
pub(crate) fn count_fields(mut message: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !message.is_empty() {
        let (key, rest) = varint(message)?;
        let (skipped, rest) = match key & 7 {
            0 => (0, varint(rest)?.1),
            1 => (8, rest),
            2 => varint(rest)?,
            5 => (4, rest),
            _ => return None,
        };
        message = rest.get(usize::try_from(skipped).ok()?..)?;
        count += 1;
    }
    Some(count)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// One message in its envelope.
pub(crate) fn envelope(message: &impl Message) -> Option<Bytes> {
    let length = u32::try_from(message.encoded_len()).ok()?;
    let mut body = Vec::with_capacity(HEADER + message.encoded_len());
    body.push(0);
    body.extend_from_slice(&length.to_be_bytes());
    message.encode(&mut body).ok()?;
    Some(body.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut all = vec![flags];
        all.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
        all.extend_from_slice(payload);
        all
    }

    fn frames(decoder: &mut Decoder) -> Result<Vec<Frame>, Malformed> {
        std::iter::from_fn(|| decoder.next().transpose()).collect()
    }

    #[test]
    fn a_length_over_the_limit_is_refused_by_its_header_alone() {
        let mut decoder = Decoder::new(10);
        decoder.push(&[0, 0, 0, 0, 11]);
        assert_eq!(decoder.next(), Err(Malformed::TooLarge));
        let mut decoder = Decoder::new(usize::MAX);
        decoder.push(&[END, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decoder.next(), Err(Malformed::TooLarge));
    }

    #[test]
    fn a_compressed_or_unknown_envelope_is_refused() {
        for flags in [COMPRESSED, END | COMPRESSED, 4, 0x80, 0xff] {
            let mut decoder = Decoder::new(10);
            decoder.push(&bytes(flags, b"x"));
            assert_eq!(decoder.next(), Err(Malformed::Flags), "{flags}");
        }
    }

    #[test]
    fn the_fields_of_a_message_are_counted_without_decoding_it() {
        use airlock_proto::process::{ListResponse, ProcessConfig, ProcessInfo};
        let process = ProcessInfo {
            config: Some(ProcessConfig { args: vec![String::new(); 9], ..Default::default() }),
            pid: u32::MAX,
            tag: None,
        };
        let list = ListResponse { processes: vec![process; 300] }.encode_to_vec();
        assert_eq!(count_fields(&list), Some(300));
        assert_eq!(count_fields(&list[..list.len() - 1]), None);
        assert_eq!(count_fields(&[]), Some(0));
        assert_eq!(count_fields(&[0x0b]), None);
        assert_eq!(
            count_fields(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            None
        );
    }

    proptest! {
        #[test]
        fn counting_neither_panics_nor_refuses_what_decodes(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            use airlock_proto::filesystem::ListDirResponse;
            let decoded = ListDirResponse::decode(bytes.as_slice());
            // Groups are the one thing that prost skips and this refuses; envd has none.
            if let Ok(message) = decoded && let Some(count) = count_fields(&bytes) {
                prop_assert!(message.entries.len() <= count);
            }
        }

        #[test]
        fn envelopes_come_out_whole_however_the_bytes_are_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            cuts in prop::collection::vec(1usize..64, 1..200),
        ) {
            let mut wire: Vec<u8> = payloads.iter().flat_map(|p| bytes(0, p)).collect();
            wire.extend(bytes(END, b"{}"));
            let (mut decoder, mut seen, mut rest) = (Decoder::new(200), Vec::new(), wire.as_slice());
            for cut in cuts.iter().cycle() {
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                decoder.push(chunk);
                seen.extend(frames(&mut decoder).unwrap());
                rest = after;
                if rest.is_empty() { break; }
            }
            let mut expected: Vec<Frame> =
                payloads.into_iter().map(|p| Frame::Message(p.into())).collect();
            expected.push(Frame::End(Bytes::from_static(b"{}")));
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn any_bytes_at_all_neither_panic_nor_grow_the_memory(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..512), 0..64),
            limit in 0usize..1024,
        ) {
            let mut decoder = Decoder::new(limit);
            for chunk in &chunks {
                decoder.push(chunk);
                if frames(&mut decoder).is_err() { return Ok(()); }
                // What is kept is less than one message, whatever lengths were claimed.
                prop_assert!(decoder.held() < HEADER + limit.max(MAX_END));
            }
        }
    }
}
