//! Rules of one table that cannot both be meant: the same id twice, or the same conditions with
//! two decisions. Rules of different environments may differ; that is what environments are for.

use super::{LoadError, Placed};
use crate::rules::Rule;

/// Refuses the first pair of rules that contradict each other.
pub(super) fn check(rules: &[Placed<Rule>]) -> Result<(), LoadError> {
    for (at, later) in rules.iter().enumerate() {
        for earlier in rules.iter().take(at) {
            if let Some(problem) = problem(&earlier.value, &later.value) {
                return Err(LoadError::Contradiction {
                    line: later.line,
                    rule: later.value.id.clone(),
                    other: earlier.line,
                    problem,
                });
            }
        }
    }
    Ok(())
}

fn problem(earlier: &Rule, later: &Rule) -> Option<String> {
    if earlier.id == later.id {
        return Some("both have this id; give each rule an id of its own".to_owned());
    }
    if earlier.decision != later.decision && same_conditions(earlier, later) {
        return Some(format!(
            "`{}` says {} and this one {} of the same effects; keep one, or narrow one of them",
            earlier.id,
            earlier.decision.as_str(),
            later.decision.as_str()
        ));
    }
    None
}

fn same_conditions(a: &Rule, b: &Rule) -> bool {
    a.action == b.action
        && same(&a.effects, &b.effects)
        && same(&a.classes, &b.classes)
        && same(&a.targets, &b.targets)
        && same(&a.paths, &b.paths)
        && same(&a.hosts, &b.hosts)
}

// The same set, whatever the order.
fn same<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    a.iter().all(|x| b.contains(x)) && b.iter().all(|x| a.contains(x))
}
