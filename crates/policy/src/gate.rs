//! The gate: a compiled policy, and the decision about one request.

use std::sync::{Arc, LazyLock};

use crate::action::Action;
use crate::decision::{Decision, Mode, Outcome, Severity};
use crate::document::{self, Document, LoadError};
use crate::effect::{Effect, EffectKind};
use crate::eval::{Findings, Unanalysed};
use crate::policy::{self, Policy};
use crate::request::Request;
use crate::rules::{Approvals, NetworkPolicy, Rule, Switch, belongs};

/// The policy that holds where nobody wrote another.
pub const DEFAULT_POLICY: &str = include_str!("default_policy.toml");

static BUILTIN: LazyLock<Result<Document, LoadError>> =
    LazyLock::new(|| document::read(DEFAULT_POLICY, true));
static BUILTIN_BASE: LazyLock<Option<Gate>> = LazyLock::new(|| {
    let document = BUILTIN.as_ref().ok()?;
    // Its examples are run by a test, not at every start.
    policy::resolve(document, None, "base").ok().map(|policy| Gate { policy: Arc::new(policy) })
});

/// A compiled policy for one environment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    policy: Arc<Policy>,
}

// A word in the decision: who spoke, and what for.
struct Voice {
    id: String,
    outcome: Outcome,
    severity: Severity,
    reason: String,
    remedy: Option<String>,
    expires: Option<std::time::Duration>,
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
        let document = document::read(toml_text, true)?;
        Self::compile(&document, BUILTIN.as_ref().ok(), env.unwrap_or("base"))
    }

    /// The same from a table of a larger configuration file. Errors carry no line.
    #[expect(clippy::needless_pass_by_value, reason = "the caller hands its table over")]
    pub fn from_value(table: toml::Table, env: Option<&str>) -> Result<Self, LoadError> {
        let text = toml::to_string(&table)
            .map_err(|error| LoadError::Toml { line: None, message: error.to_string() })?;
        let document = document::read(&text, false)?;
        Self::compile(&document, BUILTIN.as_ref().ok(), env.unwrap_or("base"))
    }

    fn compile(
        document: &Document,
        builtin: Option<&Document>,
        env: &str,
    ) -> Result<Self, LoadError> {
        // Every environment is checked, not only the chosen one.
        for name in document.environments.keys().filter(|name| *name != env) {
            Self { policy: Arc::new(policy::resolve(document, builtin, name)?) }
                .check_examples()?;
        }
        let gate = Self { policy: Arc::new(policy::resolve(document, builtin, env)?) };
        gate.check_examples()?;
        Ok(gate)
    }

    // A rule whose own examples come out differently does not load.
    fn check_examples(&self) -> Result<(), LoadError> {
        self.policy.rules.iter().try_for_each(|(rule, line)| {
            wrong_examples(rule, *line).into_iter().next().map_or(Ok(()), Err)
        })
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

    /// Decides about one request. Pure: the same request gives the same decision.
    ///
    /// Never panics; a command that is too long or too deep is decided by the policy's
    /// `unanalysed` table.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let findings = crate::analyse::analyse(request);
        let mut voices = Vec::new();
        self.by_unanalysed(&findings, &mut voices);
        self.by_rules(request, &findings, &mut voices);
        self.by_switches(request, &findings, &mut voices);
        self.by_network(&findings, &mut voices);
        // Strictest first; among equals the gravest; then what could not be analysed, then the
        // order of the rules.
        voices.sort_by(|a, b| b.outcome.cmp(&a.outcome).then(b.severity.cmp(&a.severity)));
        self.conclude(request.action, findings, &voices)
    }

    fn by_rules(&self, request: &Request<'_>, findings: &Findings, voices: &mut Vec<Voice>) {
        for (rule, _) in &self.policy.rules {
            let effect = findings.effects.iter().find(|effect| rule.speaks_of(effect));
            if effect.is_none() && !rule.speaks_of_action(request.action) {
                continue;
            }
            voices.push(Voice {
                id: rule.id.clone(),
                outcome: rule.decision,
                severity: rule.severity(),
                reason: effect.map_or_else(|| rule.reason.clone(), |e| sentence(&rule.reason, e)),
                remedy: rule.remedy.clone(),
                expires: rule.expires,
            });
        }
    }

    fn by_switches(&self, request: &Request<'_>, findings: &Findings, voices: &mut Vec<Voice>) {
        for (action, switch) in &self.policy.actions {
            let named = request.action == *action;
            let found = *action != Action::ExecuteCode
                && *action != Action::NetworkAccess
                && *action != Action::DeleteFiles
                && findings.effects.iter().any(|effect| belongs(effect, *action));
            if !named && !found {
                continue;
            }
            let (outcome, what) = match switch {
                Switch::On => continue,
                Switch::Approval => (Outcome::RequireApproval, "needs an approval"),
                Switch::Off => (Outcome::Deny, "is switched off"),
            };
            let service = request.service.map(|s| format!(" of {}", cut(s))).unwrap_or_default();
            let amount = request.amount.map(|a| format!(" for {}", cut(a))).unwrap_or_default();
            voices.push(Voice {
                id: format!("action.{action}"),
                outcome,
                severity: if outcome == Outcome::Deny { Severity::High } else { Severity::Medium },
                reason: format!(
                    "The action {action}{service}{amount} {what} in environment {}",
                    self.policy.env
                ),
                remedy: None,
                expires: None,
            });
        }
    }

    fn by_network(&self, findings: &Findings, voices: &mut Vec<Voice>) {
        for effect in &findings.effects {
            if effect.kind != EffectKind::NetEgress || effect.class == "listen" {
                continue;
            }
            let outcome = self.policy.network.outcome(&effect.target);
            if outcome == Outcome::Allow {
                continue;
            }
            let known = !effect.target.is_empty() && !effect.target.starts_with('*');
            let host =
                if known { effect.target.as_str() } else { "a host that depends on the run" };
            voices.push(Voice {
                id: "network.unlisted".into(),
                outcome,
                severity: Severity::Medium,
                reason: format!("The host is not on the allowlist: {host}"),
                remedy: Some("Use a listed host, or have it added to the allowlist".into()),
                expires: None,
            });
        }
    }

    fn by_unanalysed(&self, findings: &Findings, voices: &mut Vec<Voice>) {
        for why in &findings.unanalysed {
            let outcome =
                self.policy.unanalysed.get(why).copied().unwrap_or(Outcome::RequireApproval);
            voices.push(Voice {
                id: format!("unanalysed.{}", why.code()),
                outcome,
                severity: Severity::Medium,
                reason: format!("Could not analyse: {}", why.reason()),
                remedy: Some(remedy_for(*why).into()),
                expires: None,
            });
        }
    }

    fn conclude(&self, action: Action, findings: Findings, voices: &[Voice]) -> Decision {
        let policy = &*self.policy;
        let mut outcome = voices.first().map_or(policy.default, |v| v.outcome.max(policy.default));
        let deciding = voices.first().filter(|voice| voice.outcome == outcome);
        let mut reason = match deciding {
            Some(voice) if outcome != Outcome::Allow => voice.reason.clone(),
            _ if outcome == Outcome::Allow => "Nothing in it needs an approval".to_owned(),
            _ => format!("Environment {} allows only what a rule allows", policy.env),
        };
        if outcome == Outcome::RequireApproval && policy.approvals == Approvals::Deny {
            outcome = Outcome::Deny;
            reason.push_str("; nobody can approve in this environment");
        }
        let mut rule_ids: Vec<String> = Vec::new();
        for voice in voices {
            if !rule_ids.contains(&voice.id) {
                rule_ids.push(voice.id.clone());
            }
        }
        Decision {
            outcome,
            action,
            reason,
            remedy: deciding.and_then(|voice| voice.remedy.clone()),
            rule_ids,
            effects: findings.effects,
            severity: voices
                .iter()
                .filter(|voice| voice.outcome != Outcome::Allow)
                .map(|voice| voice.severity)
                .max()
                .unwrap_or(Severity::Info),
            policy_digest: policy.digest.clone(),
            mode: policy.mode,
            unseen: findings.unseen,
            approval_expires: deciding.and_then(|voice| voice.expires),
        }
    }

    /// Whether decisions bind.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.policy.mode
    }
}

// The examples of a rule that come out differently.
fn wrong_examples(rule: &Rule, line: Option<usize>) -> Vec<LoadError> {
    let wrong = |key: &'static str, examples: &[String], expected: bool| -> Vec<LoadError> {
        examples
            .iter()
            .filter(|example| {
                let findings = crate::analyse::analyse(&Request::command(example));
                findings.effects.iter().any(|effect| rule.speaks_of(effect)) != expected
            })
            .map(|example| LoadError::Example {
                line,
                rule: rule.id.clone(),
                key,
                example: example.clone(),
                problem: if expected {
                    "is not something the rule speaks of"
                } else {
                    "is something the rule speaks of"
                },
            })
            .collect()
    };
    let mut out = wrong("match", &rule.examples, true);
    out.extend(wrong("not_match", &rule.counter_examples, false));
    out
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

fn sentence(reason: &str, effect: &Effect) -> String {
    let reason = if reason.is_empty() { effect.kind.as_str() } else { reason };
    if effect.target.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason}: {}", effect.target)
    }
}

fn remedy_for(why: Unanalysed) -> &'static str {
    match why {
        Unanalysed::Syntax => "Correct the syntax, or write it as several plain commands",
        Unanalysed::Depth | Unanalysed::Fuel => "Write it as several plain commands",
        Unanalysed::Length => "Put the script into a file of the project and run that",
        Unanalysed::Language => "Use a language that can be analysed, or have it approved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_the_embedded_policy_holds() {
        let document = document::read(DEFAULT_POLICY, true).unwrap();
        for name in document.environments.keys() {
            let policy = policy::resolve(&document, None, name).unwrap();
            let wrong: Vec<String> = policy
                .rules
                .iter()
                .flat_map(|(rule, line)| wrong_examples(rule, *line))
                .map(|error| error.to_string())
                .collect();
            assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        }
    }
}
