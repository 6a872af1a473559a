//! What goes live: deployments and publications, as a table of command beginnings.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval};

use super::cloud::is_dry;
use super::opts::raw;

#[derive(Clone, Copy, Debug)]
enum Goes {
    Deploy,
    Publish,
    Image,
    Billing,
}

type Row = (Vec<&'static str>, Goes);

/// By a command's name: the words that follow it, and what that does.
static TABLE: LazyLock<HashMap<&'static str, Vec<Row>>> = LazyLock::new(|| {
    let mut table: HashMap<&str, Vec<Row>> = HashMap::new();
    let mut goes = Goes::Deploy;
    for line in include_str!("lexicon/live.txt").lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("[deploy]") => goes = Goes::Deploy,
            Some("[publish]") => goes = Goes::Publish,
            Some("[image]") => goes = Goes::Image,
            Some("[billing]") => goes = Goes::Billing,
            Some(name) if name != "#" => {
                table.entry(name).or_default().push((words.collect(), goes));
            }
            _ => {}
        }
    }
    table
});

/// Records deployments, publications and what costs money.
pub(super) fn run(eval: &mut Eval<'_>, name: &str, args: &[Arg]) {
    if is_dry(name, args)
        || raw(
            args,
            &[
                "--snapshot",
                "--skip-publish",
                "--skip=publish",
                "--no-push",
                "--list",
                "--list-tasks",
                "--list-hosts",
                "--syntax-check",
            ],
        )
        || is_check(name, args)
    {
        return;
    }
    bare(eval, name, args);
    let words: Vec<&str> =
        args.iter().skip(1).map(|a| a.text.as_str()).filter(|t| !t.starts_with('-')).collect();
    let rows = TABLE.get(name).map_or(&[][..], Vec::as_slice);
    if let Some((_, goes)) = rows.iter().find(|(begin, _)| follows(&words, begin)) {
        let target =
            format!("{name} {}", words.iter().take(3).copied().collect::<Vec<_>>().join(" "));
        match goes {
            Goes::Deploy => eval.push(EffectKind::Deploy, "apply", &target),
            Goes::Publish => eval.push(EffectKind::Publish, "package", &target),
            Goes::Image => eval.push(EffectKind::Publish, "image", &target),
            Goes::Billing => eval.push(EffectKind::Billing, "machine", &target),
        }
    }
}

fn is_check(name: &str, args: &[Arg]) -> bool {
    match name {
        "ansible-playbook" => raw(args, &["--check", "-C", "--syntax-check"]),
        "cargo" => raw(args, &["-n"]),
        "surge" | "np" | "release-it" | "semantic-release" => {
            raw(args, &["--preview", "-d", "list", "whoami", "login", "--ci=false"])
                || name == "surge" && args.len() < 2
        }
        _ => false,
    }
}

// `:core:publish`, `publishToMavenCentral`; a publication to this machine is none.
fn publishes(task: &str) -> bool {
    let task = task.rsplit(':').next().unwrap_or(task);
    let more = task.strip_prefix("publish");
    more.is_some_and(|m| {
        (m.is_empty() || m.starts_with(char::is_uppercase)) && !m.ends_with("Local")
    })
}

// The words in order, with at most a flag's value in between.
fn follows(words: &[&str], begin: &[&str]) -> bool {
    let mut rest = words.iter().take(begin.len() + 3);
    begin
        .iter()
        .all(|wanted| rest.any(|word| word == wanted || *wanted == "publish" && publishes(word)))
}

// Tools that deploy when they are given nothing, and builds that push.
fn bare(eval: &mut Eval<'_>, name: &str, args: &[Arg]) {
    let alone = args.iter().skip(1).all(|a| a.text.starts_with('-'));
    if matches!(name, "vercel" | "vc" | "now")
        && alone
        && !raw(args, &["--version", "-v", "--help"])
        || matches!(name, "vercel" | "vc" | "netlify") && raw(args, &["--prod", "--production"])
    {
        eval.push(EffectKind::Deploy, "apply", name);
    }
    if matches!(name, "docker" | "buildctl" | "nerdctl" | "podman") && raw(args, &["--push"]) {
        eval.push(EffectKind::Publish, "image", name);
    }
    if matches!(name, "pytest" | "python3" | "python")
        && raw(args, &["setup.py"])
        && raw(args, &["upload"])
    {
        eval.push(EffectKind::Publish, "package", "setup.py upload");
    }
    if name == "helm"
        && raw(args, &["install", "upgrade", "rollback", "uninstall", "delete"])
        && raw(args, &["template"])
    {
        eval.unseen("helm chart");
    }
}
