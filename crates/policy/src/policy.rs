//! From a document to the policy of one environment: inheritance, the floor, the digest.
//!
//! An environment that extends another only tightens it, unless it says `override = true`; what
//! it says in vain is a [`Warning`]. The built-in allowlist is a default: the first list that a
//! document writes takes its place, and further environments narrow that one.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use sha2::{Digest, Sha256};

use crate::action::Action;
use crate::decision::{Mode, Outcome};
use crate::document::{Document, Environment, LoadError, Placed};
use crate::eval::Unanalysed;
use crate::nearest::nearest;
use crate::network::NetworkPolicy;
use crate::rules::{Approvals, Rule, Switch};

/// The policy of one environment, checked and ready.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) env: String,
    pub(crate) default: Outcome,
    pub(crate) mode: Mode,
    pub(crate) approvals: Approvals,
    pub(crate) actions: BTreeMap<Action, Switch>,
    pub(crate) network: NetworkPolicy,
    pub(crate) unanalysed: BTreeMap<Unanalysed, Outcome>,
    pub(crate) rules: Vec<(Rule, Origin)>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) digest: String,
}

/// Where a rule comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whether it is of the built-in policy.
    pub builtin: bool,
    /// Its environment; `None` for the floor.
    pub environment: Option<String>,
    /// Its line, from 1, in a text of the operator's own.
    pub line: Option<usize>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.builtin {
            f.write_str("built-in ")?;
        }
        match &self.environment {
            Some(name) => write!(f, "env.{name}")?,
            None => f.write_str("floor")?,
        }
        self.line.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}

/// Something written that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The line, from 1.
    pub line: Option<usize>,
    /// What has no effect, why, and what to do.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Resolves one environment of a document; `builtin` is what its environments may extend besides
/// their own, and its floor always holds.
pub(crate) fn resolve(
    document: &Document,
    builtin: Option<&Document>,
    name: &str,
) -> Result<Policy, LoadError> {
    let mut policy = Policy {
        env: name.to_owned(),
        default: Outcome::Allow,
        mode: Mode::Enforce,
        approvals: Approvals::Ask,
        actions: BTreeMap::new(),
        network: NetworkPolicy::default(),
        unanalysed: BTreeMap::new(),
        rules: Vec::new(),
        warnings: Vec::new(),
        digest: String::new(),
    };
    let chain = chain(document, builtin, name)?;
    let mut list_is_default = true;
    for (at, link) in chain.iter().rev().enumerate() {
        let loose = at == 0 || link.environment.overrides;
        Layer { policy: &mut policy, link, loose }.apply(list_is_default);
        list_is_default &= link.builtin || link.environment.network.allow.is_none();
    }
    let approvals = document.approvals.or_else(|| builtin.and_then(|b| b.approvals));
    policy.approvals = policy.approvals.max(approvals.unwrap_or(Approvals::Ask));
    for (source, builtin) in builtin.map(|b| (b, true)).into_iter().chain([(document, false)]) {
        lay_floor(&mut policy, &source.floor, builtin);
    }
    policy.digest = digest(&policy);
    Ok(policy)
}

/// The floor stands beside what the environments say: the strictest rule decides.
fn lay_floor(policy: &mut Policy, floor: &[Placed<Rule>], builtin: bool) {
    for placed in floor {
        let rule = &placed.value;
        for (other, origin) in policy.rules.iter().filter(|(other, _)| other.id == rule.id) {
            if other.decision < rule.decision && !origin.builtin {
                policy.warnings.push(Warning {
                    line: origin.line,
                    message: format!(
                        "rule `{}` is looser than the floor's rule of that id, which decides; \
                         no environment can relax the floor",
                        rule.id
                    ),
                });
            }
        }
        let line = placed.line.filter(|_| !builtin);
        policy.rules.push((rule.clone(), Origin { builtin, environment: None, line }));
    }
}

/// One environment of a chain.
struct Link<'d> {
    name: String,
    environment: &'d Environment,
    builtin: bool,
}

/// The environments from `name` up to its root.
fn chain<'d>(
    document: &'d Document,
    builtin: Option<&'d Document>,
    name: &str,
) -> Result<Vec<Link<'d>>, LoadError> {
    let missing = |name: &str| LoadError::UnknownEnvironment {
        name: name.to_owned(),
        nearest: nearest(
            name,
            document
                .environments
                .keys()
                .chain(builtin.into_iter().flat_map(|b| b.environments.keys()))
                .map(String::as_str),
        )
        .map(str::to_owned),
    };
    let mut out: Vec<Link<'_>> = Vec::new();
    let mut next = name.to_owned();
    let mut use_builtin = false;
    loop {
        let own = if use_builtin { None } else { document.environments.get(&next) };
        let found = own.or_else(|| builtin.and_then(|b| b.environments.get(&next)));
        let Some(environment) = found else {
            return Err(match out.last() {
                None => missing(&next),
                Some(child) => no_parent(child, missing(&next)),
            });
        };
        if out.len() > 16 {
            return Err(LoadError::Value {
                line: environment.line,
                key: format!("env.{next}.extends"),
                problem: "the environments extend each other in a circle".into(),
                nearest: None,
            });
        }
        // The embedded document stands alone when it is resolved itself.
        let is_builtin = own.is_none() && builtin.is_some();
        out.push(Link { name: next.clone(), environment, builtin: is_builtin });
        // A document's own `base` or `production` may extend the built-in one of that name.
        match &environment.extends {
            Some(parent) => {
                use_builtin = own.is_none() || *parent == next;
                if *parent == next && own.is_none() {
                    return Ok(out);
                }
                next.clone_from(parent);
            }
            None => return Ok(out),
        }
    }
}

/// The same complaint at the line that names the environment.
fn no_parent(child: &Link<'_>, error: LoadError) -> LoadError {
    match error {
        LoadError::UnknownEnvironment { name, nearest } => LoadError::Value {
            line: child.environment.line,
            key: format!("env.{}.extends", child.name),
            problem: format!("there is no environment `{name}`"),
            nearest,
        },
        other => other,
    }
}

/// An environment laid over what it extends.
struct Layer<'p, 'd> {
    policy: &'p mut Policy,
    link: &'p Link<'d>,
    /// Whether it may loosen: the root of a chain, or `override = true`.
    loose: bool,
}

impl Layer<'_, '_> {
    fn apply(&mut self, list_is_default: bool) {
        let environment = self.link.environment;
        if let Some(placed) = &environment.default {
            self.policy.default = self.outcome("default", self.policy.default, placed);
        }
        if let Some(placed) = &environment.mode {
            let old = self.policy.mode;
            // Shadow blocks nothing, so it is the looser of the two.
            let keeps = !self.loose && placed.value > old;
            self.in_vain(keeps, "mode", old.as_str(), placed.value.as_str(), placed.line);
            self.policy.mode = if keeps { old } else { placed.value };
        }
        if let Some(placed) = &environment.approvals {
            let old = self.policy.approvals;
            let keeps = !self.loose && placed.value < old;
            self.in_vain(keeps, "approvals", old.as_str(), placed.value.as_str(), placed.line);
            self.policy.approvals = if keeps { old } else { placed.value };
        }
        for (action, placed) in &environment.actions {
            let old = self.policy.actions.get(action).copied().unwrap_or(Switch::On);
            let keeps = !self.loose && placed.value < old;
            let key = format!("actions.{action}");
            self.in_vain(keeps, &key, old.as_str(), placed.value.as_str(), placed.line);
            self.policy.actions.insert(*action, if keeps { old } else { placed.value });
        }
        for (reason, placed) in &environment.unanalysed {
            let old = self.policy.unanalysed.get(reason).copied();
            let old = old.unwrap_or(Outcome::RequireApproval);
            let new = self.outcome(&format!("unanalysed.{}", reason.code()), old, placed);
            self.policy.unanalysed.insert(*reason, new);
        }
        self.network(list_is_default);
        for placed in &environment.rules {
            self.rule(placed);
        }
    }

    fn network(&mut self, list_is_default: bool) {
        let network = &self.link.environment.network;
        if let Some(placed) = &network.otherwise {
            let old = self.policy.network.otherwise;
            // What nobody wrote yet is no more than a default.
            let old = if list_is_default && self.policy.network.entries().is_empty() {
                Outcome::Allow
            } else {
                old
            };
            self.policy.network.otherwise = self.outcome("network.otherwise", old, placed);
        }
        let Some(entries) = &network.allow else { return };
        let otherwise = self.policy.network.otherwise;
        let mut list = NetworkPolicy::new(otherwise);
        for placed in entries {
            let (entry, patterns) = &placed.value;
            if self.loose || list_is_default || self.policy.network.covers(entry) {
                list.add(entry.clone(), patterns.clone());
                continue;
            }
            // Of a group, what the other list has is kept.
            let kept = list.add_covered(entry, &self.policy.network);
            self.policy.warnings.push(Warning {
                line: placed.line,
                message: format!(
                    "`env.{}.network.allow`: `{entry}` is {} what it extends allows and is left \
                     out; set `override = true` to widen on purpose",
                    self.link.name,
                    if kept { "in part outside of" } else { "outside of" },
                ),
            });
        }
        self.policy.network = list;
    }

    fn rule(&mut self, placed: &Placed<Rule>) {
        let rule = &placed.value;
        let origin = Origin {
            builtin: self.link.builtin,
            environment: Some(self.link.name.clone()),
            line: placed.line.filter(|_| !self.link.builtin),
        };
        let old = self.policy.rules.iter_mut().find(|(old, _)| old.id == rule.id);
        match old {
            Some(slot) if self.loose => *slot = (rule.clone(), origin),
            // Beside the old one: the strictest wins, so this can only tighten.
            Some((old, _)) => {
                let (looser, old) = (rule.decision < old.decision, old.decision.as_str());
                let key = format!("rule {}", rule.id);
                self.in_vain(looser, &key, old, rule.decision.as_str(), placed.line);
                self.policy.rules.push((rule.clone(), origin));
            }
            None => self.policy.rules.push((rule.clone(), origin)),
        }
    }

    fn outcome(&mut self, key: &str, old: Outcome, new: &Placed<Outcome>) -> Outcome {
        let keeps = !self.loose && new.value < old;
        self.in_vain(keeps, key, old.as_str(), new.value.as_str(), new.line);
        if keeps { old } else { new.value }
    }

    fn in_vain(&mut self, is: bool, key: &str, old: &str, new: &str, line: Option<usize>) {
        if !is {
            return;
        }
        self.policy.warnings.push(Warning {
            line,
            message: format!(
                "`env.{}.{key}`: {new} is looser than {old} of what it extends and has no effect; \
                 set `override = true` to loosen on purpose",
                self.link.name
            ),
        });
    }
}

// A digest over everything that can change a decision, in one fixed spelling.
fn digest(policy: &Policy) -> String {
    let mut text = format!(
        "v1\n{}\n{}\n{}\n{:?}\n",
        policy.env,
        policy.default.as_str(),
        policy.mode.as_str(),
        policy.approvals
    );
    for (action, switch) in &policy.actions {
        let _infallible = writeln!(text, "{action}={switch:?}");
    }
    for (reason, outcome) in &policy.unanalysed {
        let _infallible = writeln!(text, "{}={}", reason.code(), outcome.as_str());
    }
    let network = &policy.network;
    let _infallible = writeln!(text, "{:?} {}", network.entries(), network.otherwise.as_str());
    for (rule, _) in &policy.rules {
        let _infallible = writeln!(text, "{rule:?}");
    }
    hex::encode(Sha256::digest(text.as_bytes()))
}
