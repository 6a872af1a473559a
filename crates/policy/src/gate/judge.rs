//! The decision: every rule, switch and list speaks, and the strictest voice decides.

use super::Gate;
use crate::action::Action;
use crate::decision::{Decision, Outcome, Severity};
use crate::effect::{Effect, EffectKind};
use crate::eval::{Findings, Unanalysed};
use crate::request::Request;
use crate::rules::{Approvals, Switch, belongs};

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
            if self.policy.network.allows_at(&effect.target, effect.port) {
                continue;
            }
            let outcome = self.policy.network.otherwise;
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
            unenforced: policy
                .network
                .gaps_of(&findings.effects)
                .iter()
                .map(ToString::to_string)
                .collect(),
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
        Unanalysed::Nul => "Send the command without NUL bytes",
        Unanalysed::Language => "Use a language that can be analysed, or have it approved",
    }
}
