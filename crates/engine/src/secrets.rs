//! Where the values of `secretEnv` come from.

use airlock_contract::{Failure, FailureType};
use async_trait::async_trait;
use secrecy::SecretString;

/// Resolves references such as `env:NAME` or `file:PATH` on the worker. The engine asks only for
/// references that the configuration allows.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// The value behind `reference`; none if there is none or it cannot be read.
    async fn resolve(&self, reference: &str) -> Option<SecretString>;
}

/// Has no secrets: every `secretEnv` is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecrets;

#[async_trait]
impl SecretSource for NoSecrets {
    async fn resolve(&self, _reference: &str) -> Option<SecretString> {
        None
    }
}

/// Whether the allow list has this reference.
pub(crate) fn is_allowed(allow: &[String], reference: &str) -> bool {
    // A path that climbs could leave an allowed directory.
    if reference.split('/').any(|part| part == "..") {
        return false;
    }
    allow.iter().any(|entry| match entry.strip_suffix('*') {
        Some(prefix) => !prefix.is_empty() && reference.starts_with(prefix),
        None => entry == reference,
    })
}

/// The failure for a reference that gives no value. It names the variable and the reference, both
/// the caller's own words, never a value.
pub(crate) fn unresolved(name: &str, allowed: bool) -> Failure {
    let why = if allowed {
        "refers to a value that this worker does not have"
    } else {
        "refers to a value that is not on the worker's secretEnv allow list"
    };
    let mut problems = airlock_contract::Problems::default();
    problems.add(format!("secretEnv.{name}"), why);
    let failure = Failure::from(problems);
    debug_assert_eq!(failure.kind, FailureType::InvalidInput);
    failure
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn only_what_the_list_names_is_allowed() {
        let allow = ["env:NPM_TOKEN", "file:/run/secrets/*", "*"].map(str::to_owned);
        for (reference, allowed) in [
            ("env:NPM_TOKEN", true),
            ("env:NPM_TOKEN2", false),
            ("env:PATH", false),
            ("file:/run/secrets/key", true),
            ("file:/run/secrets/../../etc/shadow", false),
            ("file:/etc/shadow", false),
        ] {
            assert_eq!(is_allowed(&allow, reference), allowed, "{reference}");
        }
    }
}
