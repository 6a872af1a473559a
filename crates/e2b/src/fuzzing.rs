//! What the fuzz targets reach of this crate. No part of its interface: it changes without notice.

use airlock_proto::{filesystem, process};
use bytes::Bytes;
use prost::Message;
use reqwest::header::HeaderMap;

use crate::control::wire::{InfoReply, SandboxReply};
use crate::envd::codec::{Decoder, Frame};
use crate::envd::rpc;
use crate::transport::Refusal;
use crate::{EntryInfo, FilesystemEvent, Metric};

/// A stream of bytes, cut into envelopes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Envelopes {
    /// Each with whether it is the end message.
    pub frames: Vec<(bool, Bytes)>,
    /// Whether the bytes were refused after these.
    pub is_refused: bool,
    /// The most bytes that were held back.
    pub most_held: usize,
}

/// Cuts bytes into envelopes of at most `max_message` bytes, as they arrive in `chunks`.
pub fn envelopes<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max_message: usize) -> Envelopes {
    let mut decoder = Decoder::new(max_message);
    let mut found = Envelopes::default();
    for chunk in chunks {
        decoder.push(chunk);
        loop {
            match decoder.next() {
                Ok(Some(Frame::Message(payload))) => found.frames.push((false, payload)),
                Ok(Some(Frame::End(payload))) => found.frames.push((true, payload)),
                Ok(None) => break,
                Err(_) => {
                    found.is_refused = true;
                    return found;
                }
            }
        }
        found.most_held = found.most_held.max(decoder.held());
    }
    found
}

/// Reads one message as every reply that envd may send, and as the end of a stream.
pub fn messages(payload: &Bytes) {
    fn read<Reply: Message + Default>(payload: &Bytes) -> Option<Reply> {
        rpc::decode("fuzz", payload.clone()).ok()
    }
    let _none = read::<process::StartResponse>(payload);
    let _none = read::<process::ConnectResponse>(payload);
    let _none = read::<process::ListResponse>(payload);
    if let Some(reply) = read::<filesystem::ListDirResponse>(payload) {
        let entries = reply.entries.into_iter().map(EntryInfo::from);
        assert!(entries.count() <= payload.len());
    }
    if let Some(reply) = read::<filesystem::WatchDirResponse>(payload)
        && let Some(filesystem::watch_dir_response::Event::Filesystem(event)) = reply.event
    {
        let _event = FilesystemEvent::from(event);
    }
    let _refused_mostly = rpc::end("fuzz", payload);
}

/// Reads an answer that is no success, and the error that becomes of it.
pub fn refusal(status: u16, headers: &HeaderMap, body: &[u8]) -> crate::Error {
    rpc::refused("fuzz", &Refusal::parse(status, headers, body))
}

/// Reads a body as every reply of the control plane.
pub fn replies(body: &[u8]) {
    let _refused_mostly = serde_json::from_slice::<SandboxReply>(body);
    let _refused_mostly = serde_json::from_slice::<Vec<Metric>>(body);
    if let Ok(replies) = serde_json::from_slice::<Vec<InfoReply>>(body) {
        for info in replies.into_iter().filter_map(|reply| reply.into_info("fuzz").ok()) {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            assert!(info.id.bytes().all(plain), "an id that changes a URL");
        }
    }
}
