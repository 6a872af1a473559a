//! The host name that a TLS client asks for, out of the first bytes that it sends (RFC 8446, 4.1.2;
//! RFC 6066, 3).
//!
//! A tunnel to a host that is allowed by name is for that name alone: another name behind the same
//! address would be another host. What a client encrypts (ECH) is not seen; the outer name is.

/// Largest first message, in bytes: four records.
pub(crate) const MAX_HELLO: usize = 64 << 10;

/// What the first bytes of a connection say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hello {
    /// It is not all there.
    More,
    /// It asks for this host.
    Name(String),
    /// It is no TLS, or names nobody.
    Nameless,
}

/// Reads what has come so far.
pub(crate) fn server_name(bytes: &[u8]) -> Hello {
    match message(bytes) {
        Ok(Some(hello)) => name(&hello).map_or(Hello::Nameless, Hello::Name),
        Ok(None) if bytes.len() < MAX_HELLO => Hello::More,
        Ok(None) | Err(NoTls) => Hello::Nameless,
    }
}

struct NoTls;

/// The first handshake message, out of one record or several; `None` if it is not all there.
fn message(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, NoTls> {
    /// Content type of a handshake's record, and the type of a `ClientHello` in it.
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    let mut message = Vec::new();
    loop {
        if let Some((&[kind, a, b, c], rest)) = message.split_first_chunk::<4>() {
            if kind != CLIENT_HELLO {
                return Err(NoTls);
            }
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if let Some(hello) = rest.get(..length) {
                return Ok(Some(hello.to_vec()));
            }
        }
        match bytes.first() {
            None => return Ok(None),
            Some(&HANDSHAKE) => {}
            Some(_) => return Err(NoTls),
        }
        let Some((&[_, major, _, high, low], rest)) = bytes.split_first_chunk::<5>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if major != 3 || length == 0 {
            return Err(NoTls);
        }
        let Some(record) = rest.get(..length) else { return Ok(None) };
        message.extend_from_slice(record);
        bytes = &rest[length..];
    }
}

/// The `server_name` extension's host.
fn name(hello: &[u8]) -> Option<String> {
    const SERVER_NAME: u16 = 0;
    const HOST_NAME: u8 = 0;
    // Version and random.
    let rest = hello.get(34..)?;
    let (_session, rest) = vector::<1>(rest)?;
    let (_ciphers, rest) = vector::<2>(rest)?;
    let (_compressions, rest) = vector::<1>(rest)?;
    let (mut extensions, _) = vector::<2>(rest)?;
    while let Some((kind, rest)) = extensions.split_first_chunk::<2>() {
        let (extension, rest) = vector::<2>(rest)?;
        extensions = rest;
        if u16::from_be_bytes(*kind) == SERVER_NAME {
            let (names, _) = vector::<2>(extension)?;
            let (&kind, host) = names.split_first()?;
            let (host, _) = vector::<2>(host)?;
            return (kind == HOST_NAME).then(|| std::str::from_utf8(host).ok())?.map(str::to_owned);
        }
    }
    None
}

/// A vector whose length takes `N` bytes, and what follows it.
fn vector<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<N>()?;
    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use proptest::prelude::*;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    /// What a TLS library sends first.
    fn hello(name: &str) -> Vec<u8> {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let roots = RootCertStore::empty();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_name_is_found_once_all_of_it_came() {
        let bytes = hello("pypi.org");
        for length in 0..bytes.len() {
            assert_eq!(server_name(&bytes[..length]), Hello::More, "{length}");
        }
        assert_eq!(server_name(&bytes), Hello::Name("pypi.org".into()));
        // In records of ten bytes each, as evasive clients send it.
        let pieces = bytes[5..]
            .chunks(10)
            .flat_map(|piece| [&[22, 3, 1, 0, u8::try_from(piece.len()).unwrap()], piece].concat());
        assert_eq!(server_name(&pieces.collect::<Vec<_>>()), Hello::Name("pypi.org".into()));
    }

    #[test]
    fn what_is_no_tls_or_has_no_name_is_nameless() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"SSH-2.0-x\r\n",
            &[22, 3, 1, 0, 0],
            &[22, 9, 9, 0, 1, 1],
            &[22, 3, 1, 0, 4, 2, 0, 0, 0],
            &[22, 3, 1, 0, 4, 1, 0, 0, 0],
        ] {
            assert_eq!(server_name(bytes), Hello::Nameless, "{bytes:?}");
        }
        assert_eq!(server_name(&hello("127.0.0.1")), Hello::Nameless);
    }

    proptest! {
        #[test]
        fn any_change_of_a_hello_is_read_without_panic(at in 0usize..600, byte in any::<u8>()) {
            let mut bytes = hello("pypi.org");
            let at = at % bytes.len();
            bytes[at] = byte;
            let _decided = server_name(&bytes);
        }
    }
}
