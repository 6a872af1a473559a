//! Rules over effects, and what an environment says besides.

use std::time::Duration;

use crate::action::Action;
use crate::decision::{Outcome, Severity};
use crate::effect::{Effect, EffectKind};
use crate::glob;
use crate::hosts::HostPattern;

/// One rule of a policy. All the conditions it names must hold for the same effect.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its id, shown in decisions.
    pub id: String,
    /// The kinds of effect it speaks of; empty means every kind.
    pub effects: Vec<EffectKind>,
    /// The action type it speaks of: a request of that type, or an effect that belongs to it.
    pub action: Option<Action>,
    /// Classes of those effects.
    pub classes: Vec<String>,
    /// Globs over the effect's target.
    pub targets: Vec<String>,
    /// Path globs over the effect's target; `dir/**` is everything below, `~` the home.
    pub paths: Vec<String>,
    /// Hosts, as in a network allowlist.
    pub hosts: Vec<HostPattern>,
    /// What it decides.
    pub decision: Outcome,
    /// Why, in one sentence.
    pub reason: String,
    /// What to do instead.
    pub remedy: Option<String>,
    /// How grave it is; follows from the decision if not given.
    pub severity: Option<Severity>,
    /// How long an approval counts.
    pub expires: Option<Duration>,
    /// Commands it speaks of; checked when the policy loads.
    pub examples: Vec<String>,
    /// Commands it does not speak of; checked when the policy loads.
    pub counter_examples: Vec<String>,
    /// Whether no environment can relax it.
    pub floor: bool,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            id: String::new(),
            effects: Vec::new(),
            action: None,
            classes: Vec::new(),
            targets: Vec::new(),
            paths: Vec::new(),
            hosts: Vec::new(),
            decision: Outcome::Allow,
            reason: String::new(),
            remedy: None,
            severity: None,
            expires: None,
            examples: Vec::new(),
            counter_examples: Vec::new(),
            floor: false,
        }
    }
}

impl Rule {
    /// Whether the rule speaks of this effect.
    #[must_use]
    pub fn speaks_of(&self, effect: &Effect) -> bool {
        (self.effects.is_empty() || self.effects.contains(&effect.kind))
            && self.action.is_none_or(|action| belongs(effect, action))
            && (self.classes.is_empty() || self.classes.iter().any(|c| c == effect.class))
            && (self.targets.is_empty()
                || self.targets.iter().any(|target| glob::matches(target, &effect.target)))
            && (self.paths.is_empty()
                || self.paths.iter().any(|path| path_matches(path, &effect.target)))
            && (self.hosts.is_empty()
                || self.hosts.iter().any(|host| host.matches_at(&effect.target, effect.port)))
    }

    /// What the rule speaks of, as written in a document: key and values.
    #[must_use]
    pub fn conditions(&self) -> Vec<(&'static str, Vec<String>)> {
        let hosts = self.hosts.iter().map(ToString::to_string).collect();
        let all = [
            ("effect", self.effects.iter().map(ToString::to_string).collect()),
            ("action", self.action.iter().map(ToString::to_string).collect()),
            ("class", self.classes.clone()),
            ("target", self.targets.clone()),
            ("path", self.paths.clone()),
            ("host", hosts),
        ];
        all.into_iter().filter(|(_, values): &(_, Vec<String>)| !values.is_empty()).collect()
    }

    /// Whether the rule speaks of the action type itself, whatever the effects.
    #[must_use]
    pub(crate) fn speaks_of_action(&self, action: Action) -> bool {
        self.action == Some(action)
            && self.effects.is_empty()
            && self.classes.is_empty()
            && self.targets.is_empty()
            && self.paths.is_empty()
            && self.hosts.is_empty()
    }

    /// How grave it is when this rule decides.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity.unwrap_or(match self.decision {
            Outcome::Allow => Severity::Info,
            Outcome::RequireApproval => Severity::Medium,
            Outcome::Deny => Severity::High,
        })
    }
}

/// The effects that make up an action type.
pub(crate) fn belongs(effect: &Effect, action: Action) -> bool {
    match action {
        Action::ExecuteCode => true,
        Action::Deploy => matches!(effect.kind, EffectKind::Deploy | EffectKind::Publish),
        Action::CreateBilling => effect.kind == EffectKind::Billing,
        Action::DeleteFiles => effect.kind == EffectKind::FsDelete,
        Action::NetworkAccess => effect.kind == EffectKind::NetEgress,
    }
}

fn path_matches(pattern: &str, target: &str) -> bool {
    let pattern = match pattern.strip_prefix('~') {
        Some(rest) => format!("/home/*{rest}"),
        None => pattern.to_owned(),
    };
    match pattern.strip_suffix("/**") {
        Some(base) => {
            let depth = base.split('/').count();
            let head: Vec<&str> = target.split('/').take(depth).collect();
            glob::matches(base, &head.join("/"))
        }
        None => {
            pattern.matches('/').count() == target.matches('/').count()
                && glob::matches(&pattern, target)
        }
    }
}

/// How an action type is handled as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Switch {
    /// Judged by its effects.
    On,
    /// Needs an approval.
    Approval,
    /// Denied.
    Off,
}

impl Switch {
    /// The name in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Approval => "approval",
            Self::Off => "off",
        }
    }
}

/// Whether anybody can approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approvals {
    /// Approvals can be asked for.
    Ask,
    /// Nobody can approve: what would need an approval is denied.
    Deny,
}

impl Approvals {
    /// The name in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}
