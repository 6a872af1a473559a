//! Links to a file that carry their own permission, for those who have no token.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use url::Url;

use super::sandbox::Sandbox;
use crate::error::Error;
use crate::ids;

/// What a link allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOperation {
    /// Downloading the file with GET.
    Read,
    /// Uploading the file with POST.
    Write,
}

impl Sandbox {
    /// A link that lets whoever holds it read or write one file until `expires_at`, or for the
    /// sandbox's life. It is as secret as the file.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a path or user that cannot be, or an unsecured sandbox,
    /// whose files need no signature.
    pub fn signed_url(
        &self,
        operation: FileOperation,
        path: &str,
        user: Option<&str>,
        expires_at: Option<Timestamp>,
    ) -> Result<Url, Error> {
        ids::check_path(path)?;
        if let Some(user) = user {
            ids::check_user(user)?;
        }
        let token = self.access_token().expose_secret();
        if token.is_empty() {
            return Err(Error::invalid("access token: an unsecured sandbox signs no links"));
        }
        let expiry = expires_at.map(Timestamp::as_second);
        let signature = sign(operation, path, user.unwrap_or_default(), token, expiry);
        let mut url = crate::transport::join(&self.direct_url()?, &["files"])?;
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("path", path);
        if let Some(user) = user {
            pairs.append_pair("username", user);
        }
        pairs.append_pair("signature", &signature);
        if let Some(expiry) = expiry {
            pairs.append_pair("signature_expiration", &expiry.to_string());
        }
        drop(pairs);
        Ok(url)
    }
}

fn sign(
    operation: FileOperation,
    path: &str,
    user: &str,
    token: &str,
    expiry: Option<i64>,
) -> String {
    let operation = match operation {
        FileOperation::Read => "read",
        FileOperation::Write => "write",
    };
    let mut text = format!("{path}:{operation}:{user}:{token}");
    if let Some(expiry) = expiry {
        text.push(':');
        text.push_str(&expiry.to_string());
    }
    format!("v1_{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_envd_computes() {
        let token = "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0";
        let signature = sign(FileOperation::Read, "hello.txt", "user", token, None);
        assert_eq!(signature, "v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E");
    }
}
