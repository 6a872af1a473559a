//! From a document to the policy of one environment: inheritance, the floor, the digest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::action::Action;
use crate::decision::{Mode, Outcome};
use crate::document::{Document, Environment, LoadError};
use crate::eval::Unanalysed;
use crate::nearest::nearest;
use crate::rules::{Approvals, NetworkPolicy, Rule, Switch};

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
    pub(crate) rules: Vec<(Rule, Option<usize>)>,
    pub(crate) digest: String,
}

/// Resolves one environment of a document; `base` is what its environments may extend besides
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
        digest: String::new(),
    };
    for (at, environment) in chain(document, builtin, name)?.into_iter().rev().enumerate() {
        apply(&mut policy, environment, at == 0);
    }
    let approvals = document.approvals.or_else(|| builtin.and_then(|b| b.approvals));
    policy.approvals = policy.approvals.max(approvals.unwrap_or(Approvals::Ask));
    for source in builtin.into_iter().chain([document]) {
        for (rule, line) in &source.floor {
            policy.rules.retain(|(kept, _)| kept.id != rule.id || kept.floor);
            policy.rules.push((rule.clone(), *line));
        }
    }
    policy.digest = digest(&policy);
    Ok(policy)
}

// The environments from `name` up to its root.
fn chain<'d>(
    document: &'d Document,
    builtin: Option<&'d Document>,
    name: &str,
) -> Result<Vec<&'d Environment>, LoadError> {
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
    let mut out: Vec<&Environment> = Vec::new();
    let mut next = name.to_owned();
    let mut use_builtin = false;
    loop {
        let own = if use_builtin { None } else { document.environments.get(&next) };
        let found = own.or_else(|| builtin.and_then(|b| b.environments.get(&next)));
        let Some(environment) = found else { return Err(missing(&next)) };
        if out.len() > 16 {
            return Err(LoadError::Value {
                line: environment.line,
                key: format!("env.{next}.extends"),
                problem: "the environments extend each other in a circle".into(),
                nearest: None,
            });
        }
        out.push(environment);
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

fn apply(policy: &mut Policy, environment: &Environment, first: bool) {
    let loose = first || environment.overrides;
    let stricter = |old: Outcome, new: Outcome| if loose { new } else { old.max(new) };
    if let Some(default) = environment.default {
        policy.default = stricter(policy.default, default);
    }
    if let Some(mode) = environment.mode {
        policy.mode = if loose { mode } else { policy.mode.min(mode) };
    }
    if let Some(approvals) = environment.approvals {
        policy.approvals = if loose { approvals } else { policy.approvals.max(approvals) };
    }
    for (action, switch) in &environment.actions {
        let slot = policy.actions.entry(*action).or_insert(Switch::On);
        *slot = if loose { *switch } else { (*slot).max(*switch) };
    }
    for (reason, outcome) in &environment.unanalysed {
        let slot = policy.unanalysed.entry(*reason).or_insert(Outcome::Allow);
        *slot = stricter(*slot, *outcome);
    }
    if let Some(network) = &environment.network {
        if loose {
            policy.network = network.clone();
        } else {
            policy.network = policy.network.narrowed(network);
        }
    }
    for (rule, line) in &environment.rules {
        let old = policy.rules.iter().position(|(old, _)| old.id == rule.id);
        match old {
            Some(at) if loose => {
                if let Some(slot) = policy.rules.get_mut(at) {
                    *slot = (rule.clone(), *line);
                }
            }
            // Beside the old one: the strictest wins, so this can only tighten.
            _ => policy.rules.push((rule.clone(), *line)),
        }
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
