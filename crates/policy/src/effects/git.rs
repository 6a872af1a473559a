//! Version control: history, branches, uncommitted work.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Flow, Shell};

use super::opts::{Opts, raw};

pub(super) fn run(eval: &mut Eval<'_>, shell: &mut Shell, name: &str, args: &[Arg]) -> bool {
    match name {
        "git" | "yadm" | "hub" => {
            git(eval, shell, args);
            true
        }
        "git-filter-repo" | "bfg" => {
            eval.push(EffectKind::VcsMutate, "history", name);
            true
        }
        "hg" => {
            if raw(args, &["purge", "strip", "rollback"])
                || raw(args, &["update", "revert"]) && raw(args, &["-C", "--clean", "--all"])
            {
                eval.push(EffectKind::VcsMutate, "discard", "hg");
            }
            true
        }
        "svn" => {
            if raw(args, &["revert", "cleanup"]) && raw(args, &["-R", "--remove-unversioned"]) {
                eval.push(EffectKind::VcsMutate, "discard", "svn");
            }
            if raw(args, &["delete", "rm"]) && args.iter().any(|a| a.text.contains("://")) {
                eval.push(EffectKind::VcsMutate, "push-delete", "svn");
            }
            true
        }
        _ => false,
    }
}

fn git(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg]) {
    let mut at = 1;
    let cwd = shell.cwd.clone();
    while let Some(arg) = args.get(at) {
        match arg.text.as_str() {
            "-C" => {
                if let Some(dir) = args.get(at + 1) {
                    shell.cwd = crate::paths::normalize(&dir.text, &shell.cwd);
                }
                at += 2;
            }
            "-c" | "--config-env" => {
                if let Some(setting) = args.get(at + 1).cloned() {
                    config(eval, shell, &setting);
                }
                at += 2;
            }
            "--git-dir" | "--work-tree" | "--namespace" | "--exec-path" => at += 2,
            text if text.starts_with('-') => at += 1,
            _ => break,
        }
    }
    let rest = args.get(at..).unwrap_or_default();
    if let Some(sub) = rest.first() {
        subcommand(eval, shell, &sub.text, rest);
    }
    shell.cwd = cwd;
}

// `-c alias.x='!cmd'` and settings that name a command.
fn config(eval: &mut Eval<'_>, shell: &mut Shell, setting: &Arg) {
    let Some((key, value)) = setting.text.split_once('=') else { return };
    let key = key.to_ascii_lowercase();
    let runs = [
        "core.pager",
        "core.sshcommand",
        "core.editor",
        "core.fsmonitor",
        "diff.external",
        "sequence.editor",
        "credential.helper",
        "core.askpass",
        "core.hookspath",
        "gpg.program",
    ];
    if let Some(command) = value.strip_prefix('!') {
        eval.text(shell, command, setting.span, &Flow::empty());
    } else if (runs.contains(&key.as_str())
        || key.starts_with("pager.")
        || key.starts_with("filter.")
        || key.ends_with(".cmd")
        || key.ends_with(".command"))
        && value.contains(' ')
    {
        eval.text(shell, value, setting.span, &Flow::empty());
    }
}

fn vcs(eval: &mut Eval<'_>, class: &'static str, target: &str) {
    eval.push(EffectKind::VcsMutate, class, target);
}

#[expect(clippy::too_many_lines, reason = "one arm for each subcommand")]
fn subcommand(eval: &mut Eval<'_>, shell: &mut Shell, sub: &str, args: &[Arg]) {
    let dry =
        raw(args, &["--dry-run", "-n"]) && !matches!(sub, "commit" | "log" | "show" | "fetch-pack");
    if dry {
        return;
    }
    match sub {
        "push" => push(eval, args),
        "reset" if raw(args, &["--hard", "--merge", "--keep"]) => {
            vcs(eval, "discard", "git reset --hard");
        }
        "clean" => clean(eval, args),
        "checkout" => {
            let paths =
                args.iter().position(|a| a.text == "--").is_some_and(|at| at + 1 < args.len());
            let whole = raw(args, &[".", "*", ":/"]);
            if paths || whole || raw(args, &["-f", "--force"]) {
                vcs(eval, "discard", "git checkout");
            }
        }
        "restore" => {
            let staged_only = raw(args, &["--staged", "-S"]) && !raw(args, &["--worktree", "-W"]);
            if !staged_only && args.len() > 1 {
                vcs(eval, "discard", "git restore");
            }
        }
        "switch" if raw(args, &["-f", "--force", "--discard-changes", "-C"]) => {
            vcs(eval, "discard", "git switch");
        }
        "stash" if raw(args, &["drop", "clear"]) => {
            vcs(eval, "discard", "git stash");
        }
        "branch" => branch(eval, args),
        "rm" => {
            let opts = Opts::scan(args, &[]);
            if !opts.has(&["--cached"]) {
                for word in opts.words {
                    let whole = matches!(word.text.as_str(), "." | "*" | "./" | ":/");
                    if whole {
                        vcs(eval, "discard", "git rm");
                    } else {
                        super::delete_path(eval, shell, &word.text, true, word.span);
                    }
                }
            }
        }
        "reflog" if raw(args, &["expire", "delete"]) => vcs(eval, "history", "git reflog"),
        "gc" if args
            .iter()
            .any(|a| a.text.starts_with("--prune=now") || a.text.starts_with("--prune=all")) =>
        {
            vcs(eval, "history", "git gc --prune=now");
        }
        "prune" | "filter-branch" | "filter-repo" | "replace" | "obliterate" => {
            vcs(eval, "history", &format!("git {sub}"));
            if sub == "filter-branch" {
                for (at, arg) in args.iter().enumerate() {
                    if arg.text.ends_with("-filter")
                        && let Some(text) = args.get(at + 1).cloned()
                    {
                        eval.text(shell, &text.text, text.span, &Flow::empty());
                    }
                }
            }
        }
        "update-ref" | "symbolic-ref" if raw(args, &["-d", "--delete"]) => {
            vcs(eval, "history", "git update-ref");
        }
        "worktree" if raw(args, &["remove"]) && raw(args, &["-f", "--force"]) => {
            vcs(eval, "discard", "git worktree remove");
        }
        "submodule" => submodule(eval, shell, args),
        "remote" | "clone" | "fetch" | "pull" | "ls-remote" | "archive" | "send-email" => {
            remote(eval, sub, args);
        }
        "config" => set_config(eval, shell, args),
        "bisect" => {
            if let Some(at) = args.iter().position(|a| a.text == "run") {
                eval.run(shell, args.get(at + 1..).unwrap_or_default(), &Flow::empty());
            }
        }
        "rebase" => {
            for (at, arg) in args.iter().enumerate() {
                let text = arg.text.strip_prefix("--exec=").map(str::to_owned).or_else(|| {
                    matches!(arg.text.as_str(), "-x" | "--exec")
                        .then(|| args.get(at + 1).map_or(String::new(), |a| a.text.clone()))
                });
                if let Some(text) = text {
                    eval.text(shell, &text, arg.span, &Flow::empty());
                }
            }
        }
        "commit" | "merge" if raw(args, &["--no-verify"]) => vcs(eval, "hooks-skip", "--no-verify"),
        "credential" | "credential-store" | "credential-cache" if raw(args, &["fill", "get"]) => {
            eval.push(EffectKind::CredentialRead, "store", "git credential");
        }
        "svn" | "lfs" | "annex"
            if raw(args, &["prune", "drop", "uninstall"]) && raw(args, &["--force"]) =>
        {
            vcs(eval, "discard", sub);
        }
        _ => {}
    }
}

fn clean(eval: &mut Eval<'_>, args: &[Arg]) {
    let opts = Opts::scan(args, &["-e", "--exclude"]);
    let forced = opts.has(&["-f", "--force"]);
    if forced && !opts.has(&["-n", "--dry-run", "-i", "--interactive"]) {
        vcs(eval, "discard", "git clean");
    }
}

const PROTECTED: &[&str] = &[
    "main",
    "master",
    "production",
    "prod",
    "release",
    "staging",
    "develop",
    "trunk",
    "stable",
    "live",
    "default",
    "mainline",
    "gh-pages",
];

/// Whether a branch is one that others build on.
fn is_protected(branch: &str) -> bool {
    let name = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    let name = name.strip_prefix("origin/").unwrap_or(name);
    PROTECTED.contains(&name)
        || name.starts_with("release/")
        || name.starts_with("release-")
        || name.starts_with("production-")
}

fn push(eval: &mut Eval<'_>, args: &[Arg]) {
    let opts = Opts::scan(args, &["-o", "--push-option", "--repo", "--receive-pack", "--exec"]);
    if let Some(url) = opts.words.first().filter(|w| is_address(&w.text)) {
        super::egress(eval, &url.text.clone(), "upload", url.span);
    }
    let remote = opts.word(0);
    if matches!(
        remote,
        "heroku"
            | "dokku"
            | "production"
            | "prod"
            | "live"
            | "azure"
            | "deploy"
            | "piku"
            | "scalingo"
    ) {
        eval.push(EffectKind::Deploy, "release", remote);
    }
    let deletes = opts.has(&["-d", "--delete", "--prune"]);
    let force = opts.flags.iter().any(|f| f == "-f" || f.starts_with("--force"));
    if opts.has(&["--mirror"]) {
        vcs(eval, "push-delete", "every branch");
        return;
    }
    let refs: Vec<&str> = opts.words.iter().skip(1).map(|w| w.text.as_str()).collect();
    for spec in &refs {
        let plus = spec.starts_with('+');
        let spec = spec.trim_start_matches('+');
        let (source, target) = spec.split_once(':').unwrap_or((spec, spec));
        let gone = deletes || spec.starts_with(':') && source.is_empty();
        let target = target.strip_prefix("refs/heads/").unwrap_or(target);
        let protected = is_protected(target);
        if gone && protected {
            vcs(eval, "push-delete", target);
        } else if gone {
            vcs(eval, "branch-delete", target);
        } else if protected {
            vcs(eval, "push-protected", target);
        } else if target.starts_with("refs/tags/") || looks_like_version(target) {
            eval.push(EffectKind::Publish, "package", target);
        } else if force || plus {
            vcs(eval, "push-force", target);
        }
    }
    if opts.has(&["--all"]) {
        vcs(eval, "push-protected", "every branch");
    }
    if opts.has(&["--tags", "--follow-tags"]) {
        eval.push(EffectKind::Publish, "package", "tags");
    }
    if refs.is_empty() && force {
        vcs(eval, "push-force", "the current branch");
    }
}

fn looks_like_version(tag: &str) -> bool {
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    tag.contains('.')
        && tag
            .split('.')
            .next()
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn branch(eval: &mut Eval<'_>, args: &[Arg]) {
    let opts = Opts::scan(args, &["-u", "--set-upstream-to"]);
    if !opts.has(&["-d", "-D", "--delete"]) {
        if opts.has(&["-f", "--force", "-M"])
            && opts.words.iter().any(|w| is_protected(&w.text))
            && !opts.has(&["-M"])
        {
            vcs(eval, "discard", opts.word(0));
        }
        return;
    }
    let force = opts.has(&["-D", "-f", "--force"]);
    for word in &opts.words {
        if is_protected(&word.text) {
            vcs(eval, "branch-delete", &word.text);
        } else if force {
            vcs(eval, "discard", &format!("branch {}", word.text));
        }
    }
}

fn submodule(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg]) {
    if let Some(at) = args.iter().position(|a| a.text == "foreach") {
        let words: Vec<&str> = args
            .iter()
            .skip(at + 1)
            .map(|a| a.text.as_str())
            .filter(|t| *t != "--recursive" && *t != "--quiet")
            .collect();
        eval.text(shell, &words.join(" "), super::opts::span_of(args), &Flow::empty());
    }
    if raw(args, &["deinit"]) && raw(args, &["-f", "--force"]) && raw(args, &["--all"]) {
        vcs(eval, "discard", "git submodule deinit");
    }
    remote(eval, "submodule", args);
}

fn remote(eval: &mut Eval<'_>, sub: &str, args: &[Arg]) {
    for arg in args.iter().skip(1) {
        if let Some(command) = arg.text.strip_prefix("ext::") {
            eval.push_at(EffectKind::ExecOpaque, "unknown-code", command, arg.span);
        } else if is_address(&arg.text)
            && !(sub == "remote" && args.get(1).is_some_and(|a| a.text == "remove"))
        {
            super::egress(eval, &arg.text.clone(), "connect", arg.span);
        }
    }
}

/// Whether a word is the address of a repository elsewhere.
fn is_address(text: &str) -> bool {
    text.contains("://") && !text.starts_with("file://")
        || text.split_once(':').is_some_and(|(host, path)| {
            host.contains('@') && !host.contains('/') && !path.is_empty()
        })
}

fn set_config(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg]) {
    let opts = Opts::scan(args, &["-f", "--file"]);
    let (key, value) = (opts.word(0).to_ascii_lowercase(), opts.word(1).to_owned());
    if let Some(command) = value.strip_prefix('!') {
        eval.text(shell, command, super::opts::span_of(args), &Flow::empty());
    }
    if key == "core.hookspath" && (value.starts_with("/tmp") || value == "/dev/null") {
        eval.push(EffectKind::System, "safety", "core.hooksPath");
    }
    if key == "http.sslverify" && value == "false" {
        eval.push(EffectKind::System, "safety", "http.sslVerify");
    }
    if key.starts_with("credential") && opts.has(&["--get", "--get-all"]) {
        eval.push(EffectKind::CredentialRead, "store", "git config");
    }
}
