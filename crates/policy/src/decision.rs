//! What the gate answers.

use std::time::Duration;

use crate::action::Action;
use crate::effect::Effect;

/// The three answers; the strictest is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It may run.
    Allow,
    /// It may run once somebody has approved it.
    RequireApproval,
    /// It may not run.
    Deny,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Allow, Self::RequireApproval, Self::Deny];

    /// The name on the wire and in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::RequireApproval => "require_approval",
            Self::Deny => "deny",
        }
    }
}

/// How grave the gravest thing is that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing to note.
    Info,
    /// Worth a line in a log.
    Low,
    /// Worth a look.
    Medium,
    /// Damage that is hard to undo.
    High,
    /// Damage that cannot be undone, or a breach.
    Critical,
}

impl Severity {
    /// Every severity.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name on the wire and in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Whether a decision binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// It binds.
    Enforce,
    /// It is recorded and blocks nothing.
    Shadow,
}

impl Mode {
    /// The name on the wire and in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

/// The answer to one request. The same request and policy give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Allow, require approval or deny.
    pub outcome: Outcome,
    /// The action type that was asked for.
    pub action: Action,
    /// One sentence a person or a model can act on.
    pub reason: String,
    /// What to do instead, if there is something.
    pub remedy: Option<String>,
    /// Every rule that spoke, the deciding one first.
    pub rule_ids: Vec<String>,
    /// What the step would do, in the order it was found.
    pub effects: Vec<Effect>,
    /// How grave it is.
    pub severity: Severity,
    /// The policy that decided.
    pub policy_digest: String,
    /// Whether the decision binds.
    pub mode: Mode,
    /// What the gate could not see: scripts on disk, targets that depend on the run.
    pub unseen: Vec<String>,
    /// What of the hosts it reaches the sandbox's network rules cannot hold.
    pub unenforced: Vec<String>,
    /// How long an approval counts, where the deciding rule says so.
    pub approval_expires: Option<Duration>,
}

impl Decision {
    /// Whether the step must not run now: enforced, and anything but allowed.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.mode == Mode::Enforce && self.outcome != Outcome::Allow
    }
}
