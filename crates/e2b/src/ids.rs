//! Checks of everything that goes into a URL or a header.
//!
//! A sandbox id comes from a caller or from the control plane, and both may be hostile: an id with
//! a slash, a dot or a question mark would change which endpoint is called.

use crate::error::Error;

/// The longest path of a file, in bytes; Linux allows no more.
const MAX_PATH: usize = 4096;

/// The id without its old-style suffix (`<id>-<client>`), if it is one.
pub(crate) fn sandbox_id(id: &str) -> Result<&str, Error> {
    let (bare, suffix) = id.split_once('-').unwrap_or((id, ""));
    let is_plain = |text: &str| {
        text.len() <= 64 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if !bare.is_empty() && is_plain(bare) && is_plain(suffix) {
        Ok(bare)
    } else {
        Err(Error::invalid("sandbox id: must be 1 to 64 lower-case letters and digits"))
    }
}

/// A host name without port: labels of letters, digits and inner hyphens.
pub(crate) fn check_domain(domain: &str) -> Result<(), Error> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if domain.len() <= 253 && domain.split('.').all(is_label) {
        Ok(())
    } else {
        Err(Error::invalid("domain: must be a host name like `e2b.app`"))
    }
}

/// A template's id, alias, `namespace/alias` or `alias:tag`. It goes into a body, not a URL.
pub(crate) fn check_template(template: &str) -> Result<(), Error> {
    let is_ok = |b: u8| b.is_ascii_alphanumeric() || b"-_./:".contains(&b);
    if !template.is_empty() && template.len() <= 256 && template.bytes().all(is_ok) {
        Ok(())
    } else {
        Err(Error::invalid("template: must be 1 to 256 of the characters A-Z a-z 0-9 - _ . / :"))
    }
}

/// An idempotency key as the control plane takes it.
pub(crate) fn check_idempotency_key(key: &str) -> Result<(), Error> {
    let is_ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !key.is_empty() && key.len() <= 255 && key.bytes().all(is_ok) {
        Ok(())
    } else {
        Err(Error::invalid("idempotency key: must be 1 to 255 of the characters a-z 0-9 -"))
    }
}

/// The name of a Linux user in the sandbox.
pub(crate) fn check_user(user: &str) -> Result<(), Error> {
    let is_ok = |b: u8| b.is_ascii_alphanumeric() || b"-_.$".contains(&b);
    if !user.is_empty() && user.len() <= 64 && user.bytes().all(is_ok) {
        Ok(())
    } else {
        Err(Error::invalid("user: must be the name of a Linux user, at most 64 characters"))
    }
}

/// A path in the sandbox.
pub(crate) fn check_path(path: &str) -> Result<(), Error> {
    if path.is_empty() {
        Err(Error::invalid("path: must not be empty"))
    } else if path.len() > MAX_PATH {
        Err(Error::invalid("path: must be at most 4096 bytes long"))
    } else if path.contains('\0') {
        Err(Error::invalid("path: must not hold a NUL character"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_id_can_never_change_a_path() {
        assert_eq!(sandbox_id("i7abc0").unwrap(), "i7abc0");
        assert_eq!(sandbox_id("i7abc0-8fe2").unwrap(), "i7abc0");
        let long = "a".repeat(65);
        for hostile in [
            "", "-", "-a", "..", ".", "a/b", "a/../b", "a?b", "a#b", "a%2fb", "A", "a b", "a\nb",
            "a-b-c", "a-..", "ä", "a\\b", "a@b", "a:1", &long,
        ] {
            assert!(sandbox_id(hostile).is_err(), "{hostile:?}");
        }
    }

    #[test]
    fn a_domain_is_a_host_name_and_nothing_more() {
        for good in ["e2b.app", "localhost", "a-b.c9.example"] {
            check_domain(good).unwrap();
        }
        for bad in ["", ".", "a..b", "-a.b", "a.b/c", "a.b:80", "u@a.b", "a.b?x", "a b", "a.b\n"] {
            assert!(check_domain(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_users_templates_and_paths_are_checked() {
        check_idempotency_key("9f-a").unwrap();
        for bad in ["", "A", "a_b", "a b", &"a".repeat(256)] {
            assert!(check_idempotency_key(bad).is_err(), "{bad:?}");
        }
        check_user("root").unwrap();
        for bad in ["", "a:b", "a\r\nb", "a b"] {
            assert!(check_user(bad).is_err(), "{bad:?}");
        }
        check_template("team/base:v1").unwrap();
        assert!(check_template("a b").is_err());
        check_path("/tmp/ä b").unwrap();
        assert!(check_path("a\0b").is_err());
        assert!(check_path("").is_err());
    }
}
