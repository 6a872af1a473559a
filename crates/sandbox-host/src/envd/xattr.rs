//! Metadata of files: what a client says with an upload, kept as extended attributes.
//!
//! `X-Metadata-<key>: <value>` becomes the attribute `user.e2b.<key in lower case>`. An upload
//! replaces all of them.

#![expect(unsafe_code, reason = "extended attributes have no wrappers in the standard library")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use http::HeaderMap;
use nix::errno::Errno;
use nix::libc;

/// Before the key of a header.
const HEADER: &str = "x-metadata-";

/// Before the key of an attribute.
const PREFIX: &str = "user.e2b.";

/// Longest key: with the prefix, what the kernel takes as a name.
const MAX_KEY: usize = 255 - PREFIX.len();

/// Most bytes of keys with their prefix and values together.
const MAX_TOTAL: usize = 4096;

/// Longest list of names that is read, which is what the kernel gives at most.
const MAX_NAMES: usize = 64 << 10;

/// The metadata that the headers of an upload say; the message of a refusal.
pub(crate) fn from_headers(headers: &HeaderMap) -> Result<BTreeMap<String, String>, String> {
    let mut metadata = BTreeMap::new();
    let mut total = 0;
    for name in headers.keys() {
        // Names are in lower case here.
        let Some(key) = name.as_str().strip_prefix(HEADER) else { continue };
        let Some(value) = headers.get(name) else { continue };
        if key.is_empty() {
            continue;
        }
        if key.len() > MAX_KEY {
            return Err(format!("metadata key '{key}': use at most {MAX_KEY} characters"));
        }
        let value = value.to_str().ok().filter(|value| is_printable(value));
        let value =
            value.ok_or_else(|| format!("metadata '{key}': use printable ASCII characters"))?;
        total += PREFIX.len() + key.len() + value.len();
        metadata.insert(key.to_owned(), value.to_owned());
    }
    if total > MAX_TOTAL {
        return Err(format!("metadata is {total} bytes with its prefixes, of at most {MAX_TOTAL}"));
    }
    Ok(metadata)
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Makes `metadata` all the metadata of a file.
pub(crate) fn replace(file: &File, metadata: &BTreeMap<String, String>) -> io::Result<()> {
    let fd = file.as_raw_fd();
    // SAFETY (all three calls): the descriptor is open, names are NUL-terminated, and pointer and
    // length of a buffer describe a live slice.
    let names =
        names(|buffer| unsafe { libc::flistxattr(fd, buffer.as_mut_ptr().cast(), buffer.len()) });
    for name in names.unwrap_or_default() {
        let removed = unsafe { libc::fremovexattr(fd, name.as_ptr()) };
        Errno::result(removed)?;
    }
    for (key, value) in metadata {
        let name = CString::new(format!("{PREFIX}{key}"))?;
        let set =
            unsafe { libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
        Errno::result(set)?;
    }
    Ok(())
}

/// The metadata of what a path leads to; none where it cannot be read.
pub(crate) fn read(path: &Path) -> BTreeMap<String, String> {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return BTreeMap::new() };
    // SAFETY (both calls): path and name are NUL-terminated, and pointer and length of a buffer
    // describe a live slice.
    let names = names(|buffer| unsafe {
        libc::listxattr(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    });
    let mut metadata = BTreeMap::new();
    for name in names.unwrap_or_default() {
        // One that a command made larger than a client may is none of ours.
        let mut value = [0_u8; MAX_TOTAL];
        let length = unsafe {
            libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
        };
        let value = usize::try_from(length).ok().and_then(|length| value.get(..length));
        let value = value.and_then(|value| std::str::from_utf8(value).ok());
        let key = name.to_str().ok().and_then(|name| name.strip_prefix(PREFIX));
        if let (Some(key), Some(value)) = (key, value) {
            metadata.insert(key.to_owned(), value.to_owned());
        }
    }
    metadata
}

/// The names of attributes that are metadata.
fn names(list: impl Fn(&mut [u8]) -> libc::ssize_t) -> io::Result<Vec<CString>> {
    let mut buffer = vec![0; 1024];
    let mut length = Errno::result(list(&mut buffer));
    if length == Err(Errno::ERANGE) {
        buffer.resize(MAX_NAMES, 0);
        length = Errno::result(list(&mut buffer));
    }
    let length = usize::try_from(length?).unwrap_or(0);
    let names = buffer.get(..length).unwrap_or_default().split_inclusive(|byte| *byte == 0);
    let names = names.filter(|name| name.starts_with(PREFIX.as_bytes()));
    Ok(names.filter_map(|name| CStr::from_bytes_with_nul(name).ok()).map(CStr::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn headers_become_metadata_within_limits() {
        let given = headers(&[
            ("X-Metadata-Author", "a b"),
            ("x-other", "1"),
            ("x-metadata-e", ""),
            ("x-metadata-", "x"),
        ]);
        let want = [("author", "a b"), ("e", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(from_headers(&given), Ok(want.into()));
        let fits = "v".repeat(MAX_TOTAL - PREFIX.len() - 1);
        assert!(from_headers(&headers(&[("x-metadata-k", &fits)])).is_ok());
        for (name, value) in [
            ("x-metadata-k", format!("{fits}v")),
            ("x-metadata-k", "a\tb".to_owned()),
            ("x-metadata-k", "\u{fc}".to_owned()),
        ] {
            assert!(from_headers(&headers(&[(name, &value)])).is_err(), "{name}: {value}");
        }
        let long = format!("x-metadata-{}", "k".repeat(MAX_KEY + 1));
        assert!(from_headers(&headers(&[(&long, "v")])).is_err());
    }
}
