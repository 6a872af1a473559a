//! Signed links to files: `v1_` + unpadded base64 of SHA-256 of `path:operation:user:token[:expiry]`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::wire::same;

/// What a link allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Write,
}

/// The signature over a link's parts, exactly as they stand in its query.
pub(crate) fn sign(
    path: &str,
    operation: Operation,
    user: &str,
    token: &str,
    expiry: Option<i64>,
) -> String {
    let operation = match operation {
        Operation::Read => "read",
        Operation::Write => "write",
    };
    let expiry = expiry.map(|expiry| format!(":{expiry}")).unwrap_or_default();
    let text = format!("{path}:{operation}:{user}:{token}{expiry}");
    format!("v1_{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(text)))
}

/// Whether `given` is the signature of the link's parts and not past its expiry (unix seconds).
pub(crate) fn check(
    given: &str,
    wanted: &str,
    expiry: Option<i64>,
    now: i64,
) -> Result<(), &'static str> {
    if !same(given.as_bytes(), wanted.as_bytes()) {
        return Err("invalid signature");
    }
    match expiry {
        Some(expiry) if expiry < now => Err("signature is already expired"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_the_clients_compute() {
        let token = "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0";
        let signature = sign("hello.txt", Operation::Read, "user", token, None);
        assert_eq!(signature, "v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E");
        assert_eq!(check(&signature, &signature, Some(9), 9), Ok(()));
        assert_eq!(check(&signature, &signature, Some(8), 9), Err("signature is already expired"));
        assert_eq!(check("v1_", &signature, None, 9), Err("invalid signature"));
    }
}
