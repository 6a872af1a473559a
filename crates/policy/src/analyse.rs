//! From a request to findings: every field of the request becomes effects.

use crate::action::Action;
use crate::effect::EffectKind;
use crate::eval::{Eval, Findings, Unanalysed};
use crate::request::Request;
use crate::{MAX_COMMAND_BYTES, code, effects, paths};

/// The most paths, hosts or packages of a request that are judged; more are not analysed.
const MAX_LISTED: usize = 1000;

/// Everything the request would do.
pub(crate) fn analyse(request: &Request<'_>) -> Findings {
    let mut eval = Eval::new(request.cwd, request.env);
    if let Some(command) = request.command {
        if command.len() > MAX_COMMAND_BYTES {
            eval.unanalysed(Unanalysed::Length);
        } else {
            script(&mut eval, command, request.stdin);
        }
    }
    if let Some(given) = request.code {
        if given.source.len() > MAX_COMMAND_BYTES {
            eval.unanalysed(Unanalysed::Length);
        } else {
            let mut shell = eval.shell();
            code::source(&mut eval, &mut shell, given.language, given.source);
            eval.drain();
        }
    }
    if request.command.is_none() && request.code.is_none() || request.action != Action::ExecuteCode
    {
        fields(&mut eval, request);
    }
    packages(&mut eval, request);
    eval.found
}

/// A command line. Shells drop NUL bytes, so `r\0m` is `rm`: what runs is what is judged, and that
/// there were any is said.
fn script(eval: &mut Eval<'_>, command: &str, stdin: Option<&str>) {
    if stdin.is_some_and(|text| text.len() > MAX_COMMAND_BYTES) {
        eval.unanalysed(Unanalysed::Length);
    }
    let stdin = stdin.filter(|text| text.len() <= MAX_COMMAND_BYTES);
    if !command.contains('\0') {
        return eval.script(command, stdin);
    }
    eval.unanalysed(Unanalysed::Nul);
    eval.script(&command.replace('\0', ""), stdin);
    let places: Vec<usize> =
        command.bytes().enumerate().filter(|(_, b)| *b != 0).map(|(at, _)| at).collect();
    let place = |at: usize| places.get(at).copied().unwrap_or(command.len());
    for effect in &mut eval.found.effects {
        let (start, end) = effect.span;
        let last = end.checked_sub(1).filter(|last| *last >= start);
        effect.span = (place(start), last.map_or_else(|| place(start), |last| place(last) + 1));
    }
}

fn fields(eval: &mut Eval<'_>, request: &Request<'_>) {
    for path in listed(eval, request.paths) {
        let expanded = match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                format!("{}{rest}", eval.home)
            }
            _ => path.clone(),
        };
        let normal = paths::normalize(&expanded, &eval.root.clone());
        let class = paths::scope(&normal, &eval.root, &eval.home).delete_class(true);
        eval.push(EffectKind::FsDelete, class, &normal);
    }
    for host in listed(eval, request.hosts) {
        effects::egress(eval, host, "connect", (0, 0));
    }
    let service = request.service.unwrap_or_default();
    match request.action {
        Action::Deploy => eval.push(EffectKind::Deploy, "release", service),
        Action::CreateBilling => eval.push(EffectKind::Billing, "object", service),
        Action::ExecuteCode | Action::DeleteFiles | Action::NetworkAccess => {}
    }
}

/// The items of a list, or what was judged of one that is too long.
fn listed<'l, T>(eval: &mut Eval<'_>, items: &'l [T]) -> &'l [T] {
    if items.len() > MAX_LISTED {
        eval.unanalysed(Unanalysed::Fuel);
    }
    items.get(..MAX_LISTED).unwrap_or(items)
}

fn packages(eval: &mut Eval<'_>, request: &Request<'_>) {
    for package in listed(eval, request.packages) {
        let registry = match package.manager {
            "pip" => "pypi.org",
            "npm" => "registry.npmjs.org",
            "apt" => "deb.debian.org",
            "cargo" => "crates.io",
            _ => continue,
        };
        // A package may be named by an address, which is code from that host.
        if package.name.contains("://") || package.name.starts_with("git+") {
            effects::egress(eval, package.name, "connect", (0, 0));
        } else {
            effects::egress(eval, registry, "connect", (0, 0));
        }
    }
}
