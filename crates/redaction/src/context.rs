//! Context rules: a name that promises a secret, a separator, a value.
//!
//! From the word the whole identifier is read; what follows the word in it must be an
//! allowed suffix (`_key`, `_id`, not `_path`). Then a separator (`=`, `:`, `=>`, the
//! blank after `--flag`), then a value with its own terminator, then the gate.

mod parts;
mod separator;
mod value;

use crate::class::Class;
use crate::gate::{self, Trust};
use crate::text::{Text, Verdict};
use parts::{HARMLESS, NOT_SECRET, SUFFIXES};
use separator::{LONGEST_SEPARATOR, may_separate, separator};
pub(crate) use value::value;

/// A word that names secrets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) kind: &'static str,
    pub(crate) literal: &'static str,
    trust: Trust,
    /// Must begin an identifier or a part of one (`pass`, not `bypass`).
    bounded: bool,
    /// Counts only in upper case, as in an environment (`_KEY`).
    upper: bool,
}

const fn word(kind: &'static str, literal: &'static str, trust: Trust) -> Word {
    Word { kind, literal, trust, bounded: false, upper: false }
}

const fn bounded(kind: &'static str, literal: &'static str, trust: Trust) -> Word {
    Word { kind, literal, trust, bounded: true, upper: false }
}

const fn upper(kind: &'static str, literal: &'static str) -> Word {
    Word { kind, literal, trust: Trust::Strong, bounded: false, upper: true }
}

/// Every word, folded to lower case.
pub(crate) const WORDS: &[Word] = &[
    word("password", "password", Trust::Strong),
    word("password", "passwd", Trust::Strong),
    word("password", "passwort", Trust::Strong),
    word("password", "passphrase", Trust::Strong),
    word("password", "passcode", Trust::Strong),
    bounded("password", "pwd", Trust::Strong),
    bounded("password", "pass", Trust::Strong),
    bounded("password", "psk", Trust::Strong),
    word("password", "storepass", Trust::Strong),
    word("password", "keypass", Trust::Strong),
    word("password", "requirepass", Trust::Strong),
    word("password", "masterauth", Trust::Strong),
    word("password", "dbpass", Trust::Strong),
    word("password", "userpass", Trust::Strong),
    word("password", "rootpass", Trust::Strong),
    word("password", "smtppass", Trust::Strong),
    word("password", "identified by", Trust::Strong),
    word("secret", "setcookie", Trust::Strong),
    word("secret", "unseal key 1", Trust::Strong),
    word("secret", "unseal key 2", Trust::Strong),
    word("secret", "unseal key 3", Trust::Strong),
    word("secret", "unseal key 4", Trust::Strong),
    word("secret", "unseal key 5", Trust::Strong),
    word("secret", "validationkey", Trust::Strong),
    word("api_key", "subscription-key", Trust::Strong),
    word("api_key", "subscription_key", Trust::Strong),
    word("api_key", "subscriptionkey", Trust::Strong),
    word("api_key", "honeycomb-team", Trust::Strong),
    word("token", "sonar.login", Trust::Strong),
    word("secret", "decryptionkey", Trust::Strong),
    word("private_key", "client-key-data", Trust::Strong),
    upper("password", "_PW"),
    upper("secret", "_KEY"),
    word("secret", "_key", Trust::Long),
    upper("token", "_PAT"),
    word("secret", "secret", Trust::Strong),
    word("token", "token", Trust::Weak),
    word("credential", "credential", Trust::Weak),
    bounded("auth", "auth", Trust::Weak),
    bounded("session", "session", Trust::Weak),
    bounded("session", "sessid", Trust::Weak),
    bounded("cookie", "cookie", Trust::Weak),
    word("api_key", "apikey", Trust::Strong),
    word("api_key", "api_key", Trust::Strong),
    word("api_key", "api-key", Trust::Strong),
    word("api_key", "api key", Trust::Strong),
    word("access_key", "accesskey", Trust::Strong),
    word("access_key", "access_key", Trust::Strong),
    word("access_key", "access-key", Trust::Strong),
    word("access_key", "access key", Trust::Strong),
    word("private_key", "privatekey", Trust::Strong),
    word("private_key", "private_key", Trust::Strong),
    word("private_key", "private-key", Trust::Strong),
    word("secret", "presharedkey", Trust::Strong),
    word("secret", "signing_key", Trust::Strong),
    word("secret", "signing-key", Trust::Strong),
    word("secret", "signingkey", Trust::Strong),
    word("secret", "encryption_key", Trust::Strong),
    word("secret", "encryption-key", Trust::Strong),
    word("secret", "encryptionkey", Trust::Strong),
    word("secret", "master_key", Trust::Strong),
    word("secret", "master-key", Trust::Strong),
    word("secret", "masterkey", Trust::Strong),
    word("secret", "storage_key", Trust::Strong),
    word("secret", "storagekey", Trust::Strong),
    word("secret", "account_key", Trust::Strong),
    word("secret", "accountkey", Trust::Strong),
    word("secret", "service_key", Trust::Strong),
    word("secret", "shared_key", Trust::Strong),
    word("secret", "sharedkey", Trust::Strong),
    word("secret", "license_key", Trust::Strong),
    word("secret", "app_key", Trust::Strong),
    word("secret", "auth_key", Trust::Strong),
    word("secret", "authkey", Trust::Strong),
    word("secret", "hmac_key", Trust::Strong),
    word("secret", "jwt_key", Trust::Strong),
];

const LONGEST_SUFFIX: usize = 40;

impl Word {
    pub(crate) fn verify(&self, text: &mut Text<'_>, at: usize) -> Verdict {
        let end = at + self.literal.len();
        if self.upper && text.slice(at, end) != self.literal.as_bytes() {
            return Verdict::No;
        }
        let suffix = Class::WORD.run(text.slice(end, end + LONGEST_SUFFIX + 1));
        if suffix > LONGEST_SUFFIX {
            return Verdict::No;
        }
        let name_end = end + suffix;
        if name_end + LONGEST_SEPARATOR > text.end() && !text.complete() {
            return match self.left(text, at) {
                Some(left) => undecided(text, at - left.len(), name_end),
                None => Verdict::No,
            };
        }
        let rest = text.slice(name_end, name_end + LONGEST_SEPARATOR);
        // Most words in a text are followed by nothing that separates a name from a value.
        if !rest.first().is_some_and(|b| may_separate(*b)) {
            return Verdict::No;
        }
        let glued = suffix > 0 && self.literal.len() <= 4 && text.get(end) != Some(b'_');
        if glued && !self.suffix(text.slice(end, name_end), false) {
            return Verdict::No;
        }
        let Some(left) = self.left(text, at) else { return Verdict::No };
        let name = &text.slice(at - left.len(), name_end);
        let before = text.previous(at - left.len());
        let Some(separator) = separator(rest, name, before) else {
            return Verdict::No;
        };
        let env = separator.tight && !name.iter().any(|b| b.is_ascii_lowercase() || *b == b'-');
        if (self.upper && !env) || !self.suffix(text.slice(end, name_end), env) {
            return Verdict::No;
        }
        let literal = env || separator.tag || (separator.tight && name.starts_with(b"--"));
        let trust = if literal && self.trust != Trust::Long { Trust::Env } else { self.trust };
        if trust == Trust::Long && is_short(text, name_end + separator.length) {
            return Verdict::No;
        }
        match value(text, name_end + separator.length, trust) {
            Verdict::Hit { end, .. } if separator.tag && text.slice(end, end + 2) != b"</" => {
                Verdict::No
            }
            Verdict::Hit { start, end }
                if separator.loose && !gate::stands_alone(text.slice(start, end)) =>
            {
                Verdict::No
            }
            verdict => verdict,
        }
    }

    /// The part of the identifier before the word, if that leaves it a secret's name.
    fn left<'a>(&self, text: &Text<'a>, at: usize) -> Option<&'a [u8]> {
        let before = text.slice(at.saturating_sub(96), at);
        let left = &before[before.len() - Class::WORD.run_back(before)..];
        let first = text.get(at)?;
        if self.bounded
            && let Some(&last) = left.last()
            && Class::ALNUM.has(last)
        {
            let camel = first.is_ascii_uppercase() && last.is_ascii_lowercase();
            let upper = first.is_ascii_uppercase() && last.is_ascii_uppercase();
            if !camel && !upper {
                return None;
            }
        }
        let outer = &before[..before.len() - left.len()];
        // A digest of a file, a part of an identifier with colons.
        if outer.ends_with(b"checksum/") || outer.ends_with(b":") && is_resource(outer) {
            return None;
        }
        // A name whose beginning was replaced was judged before that.
        if outer.ends_with(b"]") && memchr::memmem::find(before, b"[REDACTED:").is_some() {
            return None;
        }
        let trimmed = match left {
            [head @ .., b'_' | b'-'] => head,
            _ => left,
        };
        let Some(&last) = trimmed.last() else { return Some(left) };
        let harmless = HARMLESS.of(last).iter().any(|h| {
            let Some(cut) = trimmed.len().checked_sub(h.len()) else { return false };
            trimmed[cut..].eq_ignore_ascii_case(h.as_bytes())
                && (cut == 0
                    || !Class::ALNUM.has(trimmed[cut - 1])
                    || (trimmed[cut].is_ascii_uppercase() && trimmed[cut - 1].is_ascii_lowercase()))
        });
        (!harmless).then_some(left)
    }

    fn suffix(&self, suffix: &[u8], env: bool) -> bool {
        // The id of a key is none, but for those of access keys.
        let keyed = self.literal.to_ascii_lowercase().ends_with("key") && self.kind != "access_key";
        if keyed && matches!(suffix, [b'_' | b'-', b'i' | b'I', b'd' | b'D'] | [b'I', b'd' | b'D'])
        {
            return false;
        }
        if env {
            let last = suffix.rsplit(|b| *b == b'_').next().unwrap_or_default();
            let words = last.first().map_or(&[][..], |first| NOT_SECRET.of(*first));
            return suffix.is_empty()
                || (suffix[0] == b'_' || self.literal.len() > 4)
                    && !words.iter().any(|n| last.eq_ignore_ascii_case(n.as_bytes()));
        }
        let mut rest = suffix;
        while !rest.is_empty() {
            let part = match rest {
                [b'_' | b'-', part @ ..] => part,
                _ => rest,
            };
            let Some(&first) = part.first() else { return false };
            let known = SUFFIXES.of(first).iter().find(|s| {
                part.len() >= s.len() && part[..s.len()].eq_ignore_ascii_case(s.as_bytes())
            });
            let Some(known) = known else { return false };
            rest = &part[known.len()..];
        }
        true
    }
}

/// Waits for the separator. What follows one already seen is held, the prompt itself not.
fn undecided(text: &Text<'_>, name_start: usize, name_end: usize) -> Verdict {
    let name = text.slice(name_start, name_end);
    let found = separator(text.rest(name_end), name, text.previous(name_start));
    let start = found.map_or_else(|| text.end(), |separator| name_end + separator.length);
    Verdict::More { start, from: text.end(), class: None }
}

/// Whether what begins at `at` is no long token: told at a glance.
fn is_short(text: &Text<'_>, at: usize) -> bool {
    let seen = text.slice(at, at + 24);
    let token = &seen[seen.iter().take_while(|b| matches!(b, b'"' | b'\'' | b'\\')).count()..];
    let run = token.iter().take_while(|b| Class::WORD.has(**b)).count();
    run < token.len() && run < 18
}

/// Whether a name stands in the name of a cloud's resource: `arn:aws:...:secret:x`.
fn is_resource(outer: &[u8]) -> bool {
    let word = &outer[outer.len() - Class::VALUE.run_back(outer)..];
    memchr::memmem::find(word, b"arn:").is_some()
}
