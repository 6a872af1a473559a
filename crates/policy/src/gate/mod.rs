//! The gate: a compiled policy for one environment.

mod examples;
mod judge;

use std::sync::{Arc, LazyLock};

use crate::decision::{Mode, Outcome};
use crate::document::{self, Document, LoadError, Source};
use crate::network::NetworkPolicy;
use crate::policy::{self, Origin, Policy, Warning};
use crate::rules::Rule;

pub use examples::Example;

/// The policy that holds where nobody wrote another.
pub const DEFAULT_POLICY: &str = include_str!("../default_policy.toml");

static BUILTIN: LazyLock<Result<Document, LoadError>> =
    LazyLock::new(|| document::read(DEFAULT_POLICY, Source::Policy));
static BUILTIN_BASE: LazyLock<Option<Gate>> = LazyLock::new(|| {
    let empty = Document::default();
    // Its examples are run by a test, not at every start.
    Gate::resolve(&empty, "base").ok()
});

/// A compiled policy for one environment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    policy: Arc<Policy>,
}

impl Gate {
    /// The built-in policy, environment `base`.
    ///
    /// # Panics
    ///
    /// Never: a test loads the embedded file.
    #[must_use]
    pub fn builtin() -> Self {
        #[expect(clippy::expect_used, reason = "a test loads the embedded file")]
        BUILTIN_BASE.clone().expect("the embedded policy loads")
    }

    /// Reads a policy document and compiles one of its environments, `base` if none is named.
    ///
    /// The document's environments may extend the built-in ones; the built-in floor holds in
    /// every case.
    pub fn load(toml_text: &str, env: Option<&str>) -> Result<Self, LoadError> {
        Self::proven(&document::read(toml_text, Source::Policy)?, env)
    }

    /// The same from the text of a larger configuration file, whose other root keys are left
    /// alone.
    pub fn load_config(toml_text: &str, env: Option<&str>) -> Result<Self, LoadError> {
        Self::proven(&document::read(toml_text, Source::Configuration)?, env)
    }

    /// The same from a table of a larger configuration file. Errors carry no line.
    #[expect(clippy::needless_pass_by_value, reason = "the caller hands its table over")]
    pub fn from_value(table: toml::Table, env: Option<&str>) -> Result<Self, LoadError> {
        let text = toml::to_string(&table)
            .map_err(|error| LoadError::Toml { line: None, message: error.to_string() })?;
        Self::proven(&document::read(&text, Source::Table)?, env)
    }

    /// The same without a word about the rules' examples: for a caller that tries and reports
    /// them itself ([`Gate::examples`]).
    pub fn load_untried(toml_text: &str, env: Option<&str>) -> Result<Self, LoadError> {
        let document = document::read(toml_text, Source::Configuration)?;
        Self::resolve(&document, env.unwrap_or("base"))
    }

    /// The environments that a configuration file defines, by name.
    pub fn environments(toml_text: &str) -> Result<Vec<String>, LoadError> {
        let document = document::read(toml_text, Source::Configuration)?;
        Ok(document.environments.into_keys().collect())
    }

    // Every environment is checked, not only the chosen one.
    fn proven(document: &Document, env: Option<&str>) -> Result<Self, LoadError> {
        let env = env.unwrap_or("base");
        for name in document.environments.keys().filter(|name| *name != env) {
            Self::resolve(document, name)?.check_examples()?;
        }
        let gate = Self::resolve(document, env)?;
        gate.check_examples()?;
        Ok(gate)
    }

    fn resolve(document: &Document, env: &str) -> Result<Self, LoadError> {
        let policy = policy::resolve(document, BUILTIN.as_ref().ok(), env)?;
        Ok(Self { policy: Arc::new(policy) })
    }

    // A rule whose own examples come out differently does not load. The built-in ones are held by
    // a test.
    fn check_examples(&self) -> Result<(), LoadError> {
        let wrong = self.examples_of(|origin| !origin.builtin).find(|example| !example.holds);
        wrong.map_or(Ok(()), |example| Err(example.error()))
    }

    /// SHA-256 of the policy in its canonical form, in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.policy.digest
    }

    /// The environment.
    #[must_use]
    pub fn env(&self) -> &str {
        &self.policy.env
    }

    /// Which hosts may be reached.
    #[must_use]
    pub fn network(&self) -> &NetworkPolicy {
        &self.policy.network
    }

    /// The rules, the floor's last.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.policy.rules.iter().map(|(rule, _)| rule)
    }

    /// The rules with where each comes from.
    pub fn placed_rules(&self) -> impl Iterator<Item = (&Rule, &Origin)> {
        self.policy.rules.iter().map(|(rule, origin)| (rule, origin))
    }

    /// What the document says in vain: looser than what it extends, outside of its list.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.policy.warnings
    }

    /// What happens where no rule speaks.
    #[must_use]
    pub fn default_outcome(&self) -> Outcome {
        self.policy.default
    }

    /// Whether decisions bind.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.policy.mode
    }

    /// The settings besides rules and hosts, as written in a document: key and value, in order.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, &'static str)> {
        let policy = &self.policy;
        let mut out = vec![
            ("default".to_owned(), policy.default.as_str()),
            ("mode".to_owned(), policy.mode.as_str()),
            ("approvals".to_owned(), policy.approvals.as_str()),
        ];
        let actions = policy.actions.iter();
        out.extend(actions.map(|(action, switch)| (format!("actions.{action}"), switch.as_str())));
        let reasons = policy.unanalysed.iter();
        out.extend(reasons.map(|(why, o)| (format!("unanalysed.{}", why.code()), o.as_str())));
        out.push(("network.otherwise".to_owned(), policy.network.otherwise.as_str()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_the_embedded_policy_holds() {
        let document = document::read(DEFAULT_POLICY, Source::Policy).unwrap();
        for name in document.environments.keys() {
            let policy = policy::resolve(&document, None, name).unwrap();
            let gate = Gate { policy: Arc::new(policy) };
            let wrong: Vec<_> = gate.examples().filter(|example| !example.holds).collect();
            assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        }
    }
}
