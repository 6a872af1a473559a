//! The signature of a message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::Sha256;

use super::Error;

/// The secret that both sides know, as bytes.
#[derive(Debug)]
pub(super) struct Key(SecretBox<Vec<u8>>);

impl Key {
    pub(super) fn new(secret: &SecretString) -> Result<Self, Error> {
        let text = secret.expose_secret();
        let bytes = match text.strip_prefix("whsec_") {
            Some(base64) => STANDARD.decode(base64).map_err(|_| Error::Secret)?,
            None => text.as_bytes().to_vec(),
        };
        if !(16..=512).contains(&bytes.len()) {
            return Err(Error::Secret);
        }
        Ok(Self(SecretBox::new(Box::new(bytes))))
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let mac = self.mac(&[id, &timestamp.to_string(), body]);
        format!("v1,{}", STANDARD.encode(mac))
    }

    /// Names an endpoint without showing its URL, which may hold a token.
    pub(super) fn fingerprint(&self, url: &str) -> String {
        let mut name = hex::encode(self.mac(&["endpoint", url]));
        name.truncate(16);
        name
    }

    fn mac(&self, parts: &[&str]) -> Vec<u8> {
        // HMAC takes a key of any length, so this is never the empty answer.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()) else {
            return Vec::new();
        };
        mac.update(parts.join(".").as_bytes());
        mac.finalize().into_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's libraries.
    #[test]
    fn signs_like_the_reference() {
        let key = Key::new(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        let signature =
            key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn short_or_broken_secrets_are_refused_and_none_is_shown() {
        for bad in ["", "short", "whsec_not base64!", "whsec_c2hvcnQ="] {
            assert!(matches!(Key::new(&bad.into()), Err(Error::Secret)), "{bad}");
        }
        let key = Key::new(&"a-secret-of-some-length".into()).unwrap();
        assert!(!format!("{key:?}").contains("length") && !format!("{key:?}").contains("97"));
    }
}
