//! Rules over effects, and what an environment says besides.

use std::time::Duration;

use crate::action::Action;
use crate::decision::{Outcome, Severity};
use crate::effect::{Effect, EffectKind};
use crate::glob;
use crate::hosts::{self, HostPattern};

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
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(&effect.target)))
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

/// Whether anybody can approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approvals {
    /// Approvals can be asked for.
    Ask,
    /// Nobody can approve: what would need an approval is denied.
    Deny,
}

/// Which hosts may be reached.
#[derive(Clone, Debug)]
pub struct NetworkPolicy {
    entries: Vec<String>,
    patterns: Vec<HostPattern>,
    /// What happens to a host that no entry names.
    pub otherwise: Outcome,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self { entries: Vec::new(), patterns: Vec::new(), otherwise: Outcome::RequireApproval }
    }
}

impl NetworkPolicy {
    pub(crate) fn add(&mut self, entry: String, patterns: Vec<HostPattern>) {
        self.entries.push(entry);
        self.patterns.extend(patterns);
    }

    /// The entries as written: hosts, `*.host`, ranges, `group:NAME`.
    #[must_use]
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// The entries with every group spelled out as its hosts, for enforcement elsewhere.
    #[must_use]
    pub fn expanded(&self) -> Vec<String> {
        self.entries.iter().flat_map(|entry| hosts::spelled_out(entry)).collect()
    }

    /// Whether a host, `host` or `host:port`, may be reached: listed, or this machine itself.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        let name = hosts::split_port(host).map_or_else(|| host.to_owned(), |(name, _)| name);
        hosts::is_local(&name) || self.patterns.iter().any(|pattern| pattern.matches(host))
    }

    /// This list narrowed by another: only what both allow, and the stricter of both otherwise.
    pub(crate) fn narrowed(&self, by: &Self) -> Self {
        let otherwise = self.otherwise.max(by.otherwise);
        if by.entries.is_empty() {
            return Self { otherwise, ..self.clone() };
        }
        let mut out = Self { otherwise, ..Self::default() };
        for entry in by.expanded() {
            // A pattern is inside the old list if the old list has it, or covers it as a host.
            let inside = self.expanded().contains(&entry)
                || self.allows(entry.trim_start_matches("*.")) && !entry.starts_with('*')
                || self.patterns.iter().any(|p| p.matches(&entry));
            if let (true, Ok(patterns)) = (inside, HostPattern::parse_entry(&entry)) {
                out.add(entry, patterns);
            }
        }
        out
    }

    /// What happens to a host.
    #[must_use]
    pub fn outcome(&self, host: &str) -> Outcome {
        if self.allows(host) { Outcome::Allow } else { self.otherwise }
    }
}
