//! One verb lexicon for every command-line tool: what is destroyed, changed, created or read.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval};

use super::lexicon::{
    CHANGE, CLOUD, DESTROY, LOCAL, MILD, PAID_NOUNS, PAID_VERBS, READ, VALUED, Words,
};
use super::opts::raw;

/// Whether the tool's resources are live elsewhere.
pub(super) fn is_cloud(name: &str) -> bool {
    CLOUD.contains(name)
}

/// Whether the tool is on one of the lists.
pub(super) fn is_known(name: &str) -> bool {
    CLOUD.contains(name) || LOCAL.contains(name)
}

/// Looks for a verb among the words of a tool's command.
pub(super) fn run(eval: &mut Eval<'_>, name: &str, args: &[Arg]) {
    if args.len() < 2 || is_dry(name, args) {
        return;
    }
    let cloud = CLOUD.contains(name);
    if cloud {
        secrets(eval, name, args);
    } else if LOCAL.contains(name) || name.len() < 2 {
        return;
    }
    let words = words(args);
    let target = target(name, &words);
    if special(eval, name, &words, args, &target) {
        return;
    }
    if let Some(class) = destroys(name, &words, args, cloud) {
        eval.push(EffectKind::CloudMutate, class, &target);
        return;
    }
    if cloud {
        creates(eval, name, &words, &target);
    }
}

// The words of a command, options and their likely values left out.
fn words(args: &[Arg]) -> Vec<String> {
    let mut out = Vec::new();
    let mut skip = false;
    // For some tools a usual option means something else: `gsutil -m` takes no value.
    let flags_only = matches!(args.first().map(|a| a.text.as_str()), Some("gsutil"));
    for arg in args.iter().skip(1) {
        let text = arg.text.as_str();
        if std::mem::take(&mut skip) {
            continue;
        }
        if text.starts_with('-') {
            let long = text.starts_with("--") && !text.contains('=') && !is_switch(text);
            skip = (long || VALUED.contains(text)) && !flags_only;
            continue;
        }
        out.push(dashed(text));
    }
    out
}

// Long options without a value; others are taken to have one.
fn is_switch(text: &str) -> bool {
    text.starts_with("--no-")
        || matches!(
            text,
            "--all"
                | "--force"
                | "--recursive"
                | "--yes"
                | "--quiet"
                | "--debug"
                | "--verbose"
                | "--auto-approve"
                | "--help"
                | "--json"
                | "--wait"
                | "--now"
                | "--purge"
                | "--destroy"
                | "--dry-run"
                | "--dryrun"
                | "--prod"
                | "--production"
                | "--install"
                | "--atomic"
                | "--cascade"
                | "--interactive"
                | "--confirm"
                | "--delete"
                | "--all-namespaces"
                | "--ignore-not-found"
                | "--linked"
                | "--only-show-errors"
                | "--prune"
                | "--remote-only"
                | "--squash"
                | "--skip-preview"
                | "--non-interactive"
                | "--preview"
                | "--fast"
                | "--local"
                | "--follow"
        )
}

// `DeleteInstance` reads like `delete-instance`.
fn dashed(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    let mut before = ' ';
    for c in text.chars().take(200) {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
        before = c;
    }
    out
}

fn target(name: &str, words: &[String]) -> String {
    let mut out = name.to_owned();
    for word in words.iter().take(5) {
        out.push(' ');
        out.push_str(word);
    }
    out
}

/// Whether the command only says what it would do.
pub(super) fn is_dry(name: &str, args: &[Arg]) -> bool {
    args.iter().skip(1).any(|a| {
        let text = a.text.as_str();
        let value = text.split_once('=').map(|(_, v)| v);
        match text.split('=').next().unwrap_or_default() {
            "--dry-run" | "--dryrun" | "--dry_run" | "-dry-run" => {
                value.is_none_or(|v| !matches!(v, "none" | "false" | "no"))
            }
            "--help"
            | "--what-if"
            | "--whatif"
            | "-WhatIf"
            | "-what-if"
            | "--plan"
            | "--simulate"
            | "--no-execute-changeset"
            | "--validate-only"
            | "--generate-cli-skeleton"
            | "--preview"
            | "--check-only"
            | "--noop"
            | "--no-act" => true,
            "-help" => true,
            "--check" | "--diff-only" => matches!(name, "ansible-playbook" | "ansible"),
            _ => false,
        }
    }) && !(name == "kubectl" && raw(args, &["--dry-run=none"]))
}

// `spec/user_spec.rb:42` and `delete.py` name files; no part of them is a verb.
fn is_path(word: &str) -> bool {
    let name = word.split(':').next().unwrap_or(word);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    word.contains('/')
        || (1..=5).contains(&extension.len())
            && extension.bytes().all(|b| b.is_ascii_alphanumeric())
}

// A verb in a word such as `terminate-instances`, `batch-delete-image` or `volumes:destroy`.
fn verb_in(word: &str, verbs: &Words) -> bool {
    if verbs.contains(word) {
        return true;
    }
    if is_path(word) {
        return false;
    }
    let strong = |v: &str| verbs.contains(v) && !MILD.contains(v);
    let mut parts = word.split(['-', '_', ':', '.']);
    let first = parts.next().unwrap_or_default();
    // What begins with a look only looks, whatever it looks at.
    if READ.contains(first) && first != "config" {
        return false;
    }
    verbs.contains(first)
        && word.starts_with(&format!("{first}-"))
        && !matches!(first, "down" | "format")
        || word.split_once(':').is_some_and(|(_, tail)| verbs.contains(tail))
        || strong(first)
        || word.len() < 40 && parts.any(strong)
}

fn destroys(name: &str, words: &[String], args: &[Arg], cloud: bool) -> Option<&'static str> {
    let flag = raw(args, &["-destroy", "--destroy"])
        && matches!(name, "terraform" | "tofu" | "terragrunt");
    let planned =
        words.iter().take(2).any(|w| matches!(w.as_str(), "plan" | "show" | "diff" | "preview"));
    if planned {
        return None;
    }
    if flag {
        return Some("destroy");
    }
    let reads = words.iter().take(4).position(|w| {
        READ.contains(w.as_str())
            && !matches!(
                w.as_str(),
                "config"
                    | "auth"
                    | "repo"
                    | "repos"
                    | "local"
                    | "test"
                    | "log"
                    | "logs"
                    | "export"
                    | "events"
                    | "output"
                    | "history"
                    | "top"
                    | "dev"
                    | "use"
                    | "link"
                    | "cat"
            )
    });
    let at = words.iter().take(5).position(|w| verb_in(w, &DESTROY))?;
    if reads.is_some_and(|read| read < at) {
        return None;
    }
    let verb = words.get(at).map_or("", String::as_str);
    let head = verb.split(['-', ':', '_', '.']).find(|p| DESTROY.contains(p)).unwrap_or(verb);
    let mild = MILD.contains(head);
    if cloud {
        return Some(severity_for(name, words, args, at, head));
    }
    if mild || name.contains('.') {
        return None;
    }
    // A tool we do not know: a verb is a hint, a verb with a resource is more.
    let noun = words.iter().any(|w| {
        w != verb
            && (PAID_NOUNS.contains(&w.trim_end_matches('s'))
                || PAID_NOUNS.contains(w.as_str())
                || [
                    "user",
                    "users",
                    "key",
                    "secret",
                    "table",
                    "keyspace",
                    "queue",
                    "index",
                    "repo",
                    "zone",
                    "team",
                    "account",
                    "org",
                    "tenant",
                    "vault",
                    "backup",
                    "backups",
                    "network",
                    "production",
                    "prod",
                    "staging",
                ]
                .contains(&w.as_str()))
    }) || verb.contains(['-', ':']);
    (at <= 2).then_some(if noun { "destroy" } else { "remove" })
}

// How bad a destructive verb is for this tool.
#[expect(clippy::too_many_lines, reason = "one arm for each tool")]
fn severity_for(name: &str, words: &[String], args: &[Arg], at: usize, head: &str) -> &'static str {
    let first = words.first().map_or("", String::as_str);
    let noun = words.get(at + 1).map_or("", String::as_str);
    let local = match name {
        "kubectl" | "oc" => first == "config" && at > 0,
        "terraform" | "tofu" | "terragrunt" => {
            matches!(first, "workspace" | "providers") && head != "delete"
        }
        "helm" => first == "repo" || first == "plugin",
        "gh" | "glab" => matches!(
            first,
            "alias"
                | "extension"
                | "config"
                | "auth"
                | "cache"
                | "run"
                | "label"
                | "codespace"
                | "pr"
                | "issue"
                | "gist"
                | "variable"
        ),
        "aws" | "gcloud" | "az" => {
            matches!(
                first,
                "configure"
                    | "config"
                    | "components"
                    | "extension"
                    | "auth"
                    | "account"
                    | "cache"
                    | "logout"
            ) && !matches!(words.get(1).map(String::as_str), Some("delete-"))
        }
        "argocd" | "vault" | "consul" => first == "logout" || first == "context",
        "doctl" | "hcloud" | "flyctl" | "fly" => matches!(first, "auth" | "context" | "config"),
        "stripe" | "wandb" | "temporal" | "airflow" => matches!(head, "cancel" | "reset" | "clear"),
        _ => false,
    };
    if local {
        return "local";
    }
    if matches!(name, "kubectl" | "oc" | "k" | "k3s" | "microk8s") {
        let all = raw(args, &["--all", "-A", "--all-namespaces"]);
        let small = matches!(
            noun.split('/').next().unwrap_or_default(),
            "pod"
                | "pods"
                | "po"
                | "job"
                | "jobs"
                | "cronjob"
                | "event"
                | "events"
                | "replicaset"
                | "rs"
        );
        return if head == "drain" || head == "evict" {
            "change"
        } else if small && !all {
            "remove"
        } else {
            "destroy"
        };
    }
    if matches!(name, "gh" | "glab") {
        return if matches!(first, "repo" | "project" | "org") { "destroy" } else { "remove" };
    }
    if matches!(name, "aws" | "gsutil" | "s3cmd" | "mc" | "gcloud" | "az" | "b2" | "azcopy")
        && head == "rm"
    {
        let recursive = raw(args, &["--recursive", "-r", "-R", "--force", "-rf", "-a"]);
        return if recursive || args.iter().any(|a| a.text.ends_with('*') || a.text.ends_with("://"))
        {
            "destroy"
        } else {
            "remove"
        };
    }
    if matches!(
        head,
        "reset"
            | "empty"
            | "cancel"
            | "revoke"
            | "clear"
            | "deactivate"
            | "kill"
            | "drain"
            | "flush"
            | "prune"
    ) && !matches!(name, "supabase" | "pscale" | "neonctl" | "kubeadm" | "talosctl")
    {
        return "remove";
    }
    "destroy"
}

// What the lexicon alone would get wrong.
fn special(eval: &mut Eval<'_>, name: &str, words: &[String], args: &[Arg], target: &str) -> bool {
    let w = |at: usize| words.get(at).map_or("", String::as_str);
    let destroy = |eval: &mut Eval<'_>| eval.push(EffectKind::CloudMutate, "destroy", target);
    match (name, w(0)) {
        ("kubectl" | "oc" | "k", "rollout") if matches!(w(1), "status" | "history") => {}
        ("kubectl" | "oc" | "k", "auth" | "explain" | "wait" | "config") => {}
        ("helm", "dependency" | "dep" | "repo" | "plugin" | "env" | "search" | "package") => {}
        ("gh", "release") if w(1) == "upload" => {
            eval.push(EffectKind::Publish, "package", target);
        }
        ("terraform" | "tofu" | "terragrunt", "state") if matches!(w(1), "rm" | "push" | "replace-provider") => destroy(eval),
        ("terraform" | "tofu" | "terragrunt", "state" | "force-unlock" | "workspace") if w(1) != "delete" => {}
        ("aws", "s3") if w(1) == "sync" && raw(args, &["--delete"]) => destroy(eval),
        ("aws", "s3") if matches!(w(1), "sync" | "cp" | "mv") => {
            let to_bucket = args.last().is_some_and(|a| a.text.starts_with("s3://")) || args.iter().filter(|a| !a.text.starts_with('-')).nth(4).is_some_and(|a| a.text.starts_with("s3://"));
            if to_bucket {
                eval.push(EffectKind::Deploy, "remote", target);
            }
        }
        ("gsutil", _) if words.iter().any(|w| w == "rsync") && raw(args, &["-d"]) => destroy(eval),
        ("gsutil" | "azcopy" | "mc" | "s3cmd", "cp" | "rsync" | "sync" | "put" | "mirror") | ("gsutil", _) if words.iter().any(|w| matches!(w.as_str(), "cp" | "rsync" | "sync" | "put" | "mirror")) => {
            if args.last().is_some_and(|a| a.text.contains("://")) {
                eval.push(EffectKind::Deploy, "remote", target);
            }
        }
        ("aws", "kms") if w(1) == "schedule-key-deletion" => destroy(eval),
        ("aws", "ec2") if w(1) == "stop-instances" => eval.push(EffectKind::CloudMutate, "change", target),
        ("aws", "cloudtrail") if matches!(w(1), "stop-logging" | "delete-trail") => destroy(eval),
        ("aws", "guardduty" | "config" | "securityhub") if w(1).starts_with("delete") || w(1).starts_with("stop") || w(1).starts_with("disable") => destroy(eval),
        ("aws" | "gcloud" | "az", _) if grants_access(args) => eval.push(EffectKind::CloudMutate, "access", target),
        ("kubectl" | "oc" | "k", "create") if w(1) == "clusterrolebinding" && args.iter().any(|a| a.text.contains("cluster-admin")) => eval.push(EffectKind::CloudMutate, "access", target),
        ("kubectl" | "oc" | "k", "replace") if raw(args, &["--force"]) => destroy(eval),
        ("kubectl" | "oc" | "k", "scale") if args.iter().any(|a| a.text == "--replicas=0") => eval.push(EffectKind::CloudMutate, "change", target),
        ("gh", "api") if args.windows(2).any(|p| matches!(p, [x, m] if matches!(x.text.as_str(), "-X" | "--method") && m.text.eq_ignore_ascii_case("delete"))) => destroy(eval),
        ("gh", "repo") if w(1) == "edit" && args.iter().any(|a| a.text.contains("public")) => eval.push(EffectKind::CloudMutate, "access", target),
        ("vault", "operator") if matches!(w(1), "seal" | "step-down" | "rekey") => destroy(eval),
        ("vault", "lease") if w(1) == "revoke" => destroy(eval),
        ("vault", "secrets" | "auth" | "audit") if w(1) == "disable" => destroy(eval),
        ("vault", "kv") if matches!(w(1), "delete" | "destroy") || w(1) == "metadata" && w(2) == "delete" => destroy(eval),
        ("nomad", "job" | "stop" | "system") if words.iter().any(|w| w == "stop") => eval.push(EffectKind::CloudMutate, if raw(args, &["-purge", "--purge"]) { "destroy" } else { "change" }, target),
        ("heroku", "pg:reset" | "apps:destroy" | "addons:destroy" | "pg:killall" | "redis:reset") => destroy(eval),
        ("bq", _) if words.iter().any(|w| w == "rm") => destroy(eval),
        ("kubeadm" | "talosctl", "reset") => destroy(eval),
        ("eksctl" | "kops", "delete") => destroy(eval),
        ("supabase", "db") if w(1) == "reset" => eval.push(EffectKind::CloudMutate, if raw(args, &["--linked", "--db-url"]) { "destroy" } else { "prune" }, target),
        ("stripe", "listen" | "login" | "logs" | "trigger" | "fixtures" | "samples") => {}
        ("temporal" | "tctl", "server" | "env") => {}
        ("firebase", verb) if verb.contains(":delete") => destroy(eval),
        ("git", _) => {}
        _ => return false,
    }
    true
}

fn grants_access(args: &[Arg]) -> bool {
    args.iter().any(|a| {
        let t = a.text.as_str();
        t.contains("AdministratorAccess")
            || t == "roles/owner"
            || t == "roles/editor"
            || t == "Owner"
            || t.contains("public-read")
            || t == "allUsers"
            || t == "allUsers:R"
            || t == "--acl=public-read"
            || t == "create-access-key"
            || t == "create-login-profile"
            || t == "delete-public-access-block"
            || t == "add-iam-policy-binding"
                && args.iter().any(|b| b.text.contains("owner") || b.text.contains("allUsers"))
    })
}

// Credentials that a tool prints.
fn secrets(eval: &mut Eval<'_>, name: &str, args: &[Arg]) {
    let words = words(args);
    let w = |at: usize| words.get(at).map_or("", String::as_str);
    let found = match name {
        "aws" => {
            matches!(
                (w(0), w(1)),
                ("secretsmanager", "get-secret-value" | "batch-get-secret-value")
                    | ("iam", "create-access-key")
                    | ("sts", "get-session-token" | "get-federation-token")
                    | ("ecr", "get-authorization-token")
                    | ("configure", "export-credentials")
            ) || w(0) == "ssm"
                && w(1).starts_with("get-parameter")
                && raw(args, &["--with-decryption"])
                || w(0) == "configure"
                    && w(1) == "get"
                    && (w(2).contains("secret") || w(2).contains("key") || w(2).contains("token"))
                || w(0) == "ec2" && w(1) == "get-password-data"
                || w(0) == "kms" && w(1) == "decrypt"
        }
        "gcloud" => {
            words.iter().any(|w| w == "access") && words.iter().any(|w| w == "secrets")
                || words.iter().any(|w| {
                    matches!(
                        w.as_str(),
                        "print-access-token" | "print-identity-token" | "print-refresh-token"
                    )
                })
                || words.windows(2).any(|p| matches!(p, [a, b] if a == "keys" && b == "create"))
        }
        "az" => {
            w(0) == "keyvault" && w(1) == "secret" && matches!(w(2), "show" | "download")
                || w(1) == "get-access-token"
                || words.windows(2).any(|p| matches!(p, [a, b] if a == "keys" && b == "list"))
        }
        "kubectl" | "oc" | "k" => {
            let secret = words.iter().any(|w| {
                w == "secret"
                    || w == "secrets"
                    || w.starts_with("secret/")
                    || w.starts_with("secrets/")
            });
            let shows = args.iter().any(|a| {
                a.text.starts_with("-o")
                    || a.text.starts_with("--output")
                    || a.text.starts_with("--template")
            });
            w(0) == "get" && secret && shows && !raw(args, &["-oname", "name", "wide"])
                || w(0) == "config" && w(1) == "view" && raw(args, &["--raw"])
                || w(0) == "create" && w(1) == "token"
        }
        "vault" => {
            matches!((w(0), w(1)), ("kv", "get") | ("read", _) | ("token", "create" | "lookup"))
                && w(0) != "status"
        }
        "gh" | "glab" => {
            w(0) == "auth"
                && (w(1) == "token" || w(1) == "status" && raw(args, &["-t", "--show-token"]))
        }
        "heroku" => w(0) == "config" || w(0) == "config:get" || w(0) == "auth:token",
        "doctl" => w(0) == "auth" && w(1) == "token",
        "fly" | "flyctl" => {
            w(0) == "auth" && w(1) == "token" || w(0) == "tokens" && w(1) == "create"
        }
        "terraform" | "tofu" => false,
        _ => false,
    };
    if found {
        eval.push(EffectKind::CredentialRead, "store", &target(name, &words));
    }
}

// What costs money, and what changes something live.
#[expect(clippy::too_many_lines, reason = "the order of the questions matters")]
fn creates(eval: &mut Eval<'_>, name: &str, words: &[String], target: &str) {
    let at = words.iter().take(5).position(|w| {
        verb_in(w, &PAID_VERBS)
            || verb_in(w, &CHANGE)
            || READ.contains(w.as_str())
            || w.split(['-', ':']).next().is_some_and(|h| {
                matches!(h, "describe" | "get" | "list" | "head" | "batch" | "view" | "show")
            })
    });
    let Some(at) = at else { return };
    let mut at = at;
    let mut verb = words.get(at).map_or("", String::as_str);
    // `gcloud config set`, `aws configure set`, `gh auth login`: settings of the tool.
    if READ.contains(verb)
        || verb
            .split(['-', ':'])
            .next()
            .is_some_and(|h| matches!(h, "describe" | "get" | "list" | "head" | "view" | "show"))
    {
        let group = matches!(verb, "repo" | "repos" | "test" | "events" | "link")
            && !matches!(name, "helm");
        let next = words
            .iter()
            .enumerate()
            .skip(at + 1)
            .take(2)
            .find(|(_, w)| verb_in(w, &PAID_VERBS) || verb_in(w, &CHANGE));
        match next {
            Some((next, word)) if group => {
                at = next;
                verb = word;
            }
            _ => return,
        }
    }
    if matches!(name, "gh" | "glab" | "hub" | "tea" | "jira") {
        let first = words.first().map_or("", String::as_str);
        match (first, verb) {
            ("release", "create" | "edit" | "upload") => {
                eval.push(EffectKind::Publish, "package", target);
            }
            ("workflow", "run")
            | ("pr" | "mr", "merge")
            | ("secret" | "variable", "set")
            | ("run", "rerun")
                if (first != "run") =>
            {
                eval.push(EffectKind::Deploy, "release", target);
            }
            ("codespace", "create") => eval.push(EffectKind::Billing, "machine", target),
            ("repo", "create" | "rename" | "archive" | "transfer") => {
                eval.push(EffectKind::Deploy, "release", target);
            }
            _ => {}
        }
        return;
    }
    let money = matches!(name, "stripe" | "twilio" | "braintree" | "paypal");
    let nouns = words.iter().any(|w| {
        PAID_NOUNS.contains(w.as_str()) || w.split(['-', ':']).any(|p| PAID_NOUNS.contains(p))
    });
    let infra = matches!(
        name,
        "kubectl"
            | "oc"
            | "k"
            | "helm"
            | "helmfile"
            | "terraform"
            | "tofu"
            | "terragrunt"
            | "pulumi"
            | "cdk"
            | "cdktf"
            | "argocd"
            | "flux"
            | "nomad"
            | "sls"
            | "serverless"
            | "sam"
            | "vault"
            | "consul"
            | "istioctl"
            | "kamal"
            | "firebase"
            | "supabase"
            | "wrangler"
            | "temporal"
            | "tctl"
            | "airflow"
    );
    if money {
        eval.push(EffectKind::Billing, "object", target);
    } else if verb_in(verb, &PAID_VERBS) && nouns && !infra
        || matches!(
            verb,
            "run-instances"
                | "purchase"
                | "buy"
                | "order"
                | "register-domain"
                | "request-spot-instances"
        )
        || verb.starts_with("purchase")
    {
        eval.push(EffectKind::Billing, "machine", target);
    } else if verb_in(verb, &CHANGE) && (name != "temporal") {
        eval.push(EffectKind::Deploy, "apply", target);
    }
    let _ = at;
}
