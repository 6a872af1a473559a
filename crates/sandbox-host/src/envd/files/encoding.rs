//! `Accept-Encoding` of a download: as it is, or gzip where that is preferred.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, header};

/// How a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
}

/// Chooses; `None` if the client takes neither. `is_partial` is for a range or a condition, where
/// gzip would be another file.
pub(crate) fn choose(headers: &HeaderMap, is_partial: bool) -> Option<Encoding> {
    let text = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Some(Encoding::Identity);
    };
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for item in text.split(',') {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(1.0, |q| q.parse().unwrap_or(1.0));
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" => gzip = Some(weight),
            "identity" => identity = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    // A star speaks of what is not named; without a word, identity is welcome least of all.
    let refused_with_the_rest = any.filter(|weight| *weight == 0.0);
    let identity: f32 = match identity {
        Some(weight) => weight,
        None => refused_with_the_rest.unwrap_or(f32::MIN_POSITIVE),
    };
    let gzip: f32 = gzip.unwrap_or_default();
    if !is_partial && gzip > identity {
        Some(Encoding::Gzip)
    } else if identity > 0.0 {
        Some(Encoding::Identity)
    } else {
        None
    }
}

/// Compresses a body piece by piece.
pub(crate) fn gzip<S>(contents: S) -> impl Stream<Item = io::Result<Bytes>>
where
    S: Stream<Item = io::Result<Bytes>>,
{
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    stream::try_unfold((Box::pin(contents), Some(encoder)), |(mut contents, encoder)| async move {
        let Some(mut encoder) = encoder else { return Ok(None) };
        loop {
            let Some(chunk) = contents.next().await else {
                let rest = encoder.finish()?;
                return Ok(Some((Bytes::from(rest), (contents, None))));
            };
            encoder.write_all(&chunk?)?;
            let ready = std::mem::take(encoder.get_mut());
            if !ready.is_empty() {
                return Ok(Some((Bytes::from(ready), (contents, Some(encoder)))));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_prefer_it_and_never_for_a_part() {
        use Encoding::{Gzip, Identity};
        for (accept, whole, part) in [
            ("", Some(Identity), Some(Identity)),
            ("gzip", Some(Gzip), Some(Identity)),
            ("*", Some(Identity), Some(Identity)),
            ("br", Some(Identity), Some(Identity)),
            ("gzip;q=0", Some(Identity), Some(Identity)),
            ("gzip;q=0.5, identity;q=1", Some(Identity), Some(Identity)),
            ("identity;q=0, gzip", Some(Gzip), None),
            ("identity;q=0", None, None),
            ("*;q=0", None, None),
            ("deflate, gzip;q=1.0", Some(Gzip), Some(Identity)),
        ] {
            let headers =
                [(header::ACCEPT_ENCODING, accept.parse().unwrap())].into_iter().collect();
            assert_eq!(choose(&headers, false), whole, "{accept:?}");
            assert_eq!(choose(&headers, true), part, "{accept:?} of a part");
        }
    }

    #[test]
    fn what_is_compressed_is_the_file() {
        use std::io::Read as _;
        let chunks = (0..100).map(|n| Ok(Bytes::from(format!("line {n}\n").repeat(1000))));
        let all = gzip(stream::iter(chunks)).fold(Vec::new(), async |mut all, chunk| {
            all.extend(chunk.unwrap());
            all
        });
        let all = futures_util::FutureExt::now_or_never(all).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&all[..]).read_to_string(&mut text).unwrap();
        assert!(text.starts_with("line 0\n") && text.ends_with("line 99\n"));
        assert_eq!(text.lines().count(), 100_000);
    }
}
