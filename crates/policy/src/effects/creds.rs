//! Files that hold credentials, and the commands that read files.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Shell};
use crate::paths;

/// Whether a path names a credential. `path` is absolute.
pub(crate) fn is_credential(path: &str, home: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let below_home = path
        .strip_prefix(home)
        .or_else(|| path.strip_prefix("/root"))
        .or_else(|| {
            let rest = path.strip_prefix("/home/").or_else(|| path.strip_prefix("/Users/"))?;
            rest.find('/').and_then(|at| rest.get(at..))
        })
        .unwrap_or_default();
    at_home(below_home) || in_system(path) || by_name(name, path)
}

fn at_home(rest: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "/.aws/credentials",
        "/.aws/sso/cache",
        "/.aws/cli/cache",
        "/.gnupg",
        "/.kube/config",
        "/.docker/config.json",
        "/.config/gh/hosts.yml",
        "/.config/gcloud",
        "/.azure",
        "/.netrc",
        "/.pgpass",
        "/.my.cnf",
        "/.npmrc",
        "/.pypirc",
        "/.git-credentials",
        "/.vault-token",
        "/.cargo/credentials",
        "/.gem/credentials",
        "/.terraform.d/credentials",
        "/.password-store",
        "/.config/op",
        "/.bash_history",
        "/.zsh_history",
        "/.mysql_history",
        "/.psql_history",
        "/.python_history",
        "/.local/share/keyrings",
        "/Library/Keychains",
        "/.config/hub",
        "/.s3cfg",
        "/.boto",
        "/.config/rclone",
        "/.oci/config",
        "/.databrickscfg",
        "/.snowflake",
        "/.config/doctl",
        "/.fly/config.yml",
        "/.config/heroku",
        "/.huggingface/token",
        "/.cache/huggingface/token",
        "/.config/google-chrome",
        "/.mozilla/firefox",
        "/.config/chromium",
        "/.kaggle/kaggle.json",
        "/.ethereum",
        "/.bitcoin",
        "/.config/solana/id.json",
        "/.rediscli_history",
        "/.history",
        "/.config/github-copilot",
        "/.claude/.credentials",
        "/.codex/auth.json",
        "/.docker/.token",
        "/.sqlite_history",
        "/.node_repl_history",
        "/.anthropic",
        "/.openai",
        "/.config/configstore",
        "/.jupyter/jupyter_server_config",
        "/.irbrc_history",
        "/.config/sops",
        "/.age",
        "/.1password",
    ];
    if PREFIXES.iter().any(|prefix| rest.starts_with(prefix)) {
        return true;
    }
    match rest.strip_prefix("/.ssh") {
        Some("" | "/") => true,
        Some(key) => {
            !key.ends_with(".pub")
                && !key.ends_with("/known_hosts")
                && !key.ends_with("/config")
                && !key.ends_with("/authorized_keys")
        }
        None => rest == "/.aws",
    }
}

fn in_system(path: &str) -> bool {
    const PATHS: &[&str] = &[
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/sudoers",
        "/etc/ssh/ssh_host_",
        "/var/run/secrets",
        "/run/secrets",
        "/etc/kubernetes/admin.conf",
        "/etc/kubernetes/pki",
        "/etc/ssl/private",
        "/etc/krb5.keytab",
        "/etc/security/opasswd",
        "/etc/docker/key.json",
        "/var/lib/kubelet/pki",
        "/var/run/docker.sock",
        "/etc/rancher/k3s/k3s.yaml",
        "/etc/master.passwd",
        "/var/db/dslocal",
        "/etc/openvpn",
        "/etc/wireguard",
        "/etc/letsencrypt/live",
        "/etc/letsencrypt/archive",
        "/etc/vault",
        "/etc/pki/tls/private",
        "/var/backups/shadow",
    ];
    if path == "/var/run/docker.sock" {
        return false;
    }
    PATHS.iter().any(|prefix| path.starts_with(prefix))
        || path.starts_with("/proc/") && path.ends_with("/environ")
        || path.starts_with("/proc/") && path.ends_with("/mem")
}

fn by_name(name: &str, path: &str) -> bool {
    if name.starts_with("id_") && !name.contains('.') {
        return ["id_rsa", "id_ed25519", "id_ecdsa", "id_dsa", "id_xmss"]
            .iter()
            .any(|k| name.starts_with(k));
    }
    let sample = ["example", "sample", "template", "dist", "test", "schema", "defaults", "md"]
        .iter()
        .any(|s| name.ends_with(s));
    if name == ".env" || name.starts_with(".env.") && !sample {
        return true;
    }
    matches!(
        name,
        ".netrc"
            | ".git-credentials"
            | ".pgpass"
            | ".npmrc"
            | ".pypirc"
            | "credentials.json"
            | "service-account.json"
            | "serviceAccount.json"
            | "secrets.yml"
            | "secrets.yaml"
            | "secrets.json"
            | "secrets.toml"
            | ".htpasswd"
            | "wallet.dat"
            | "kubeconfig"
            | "master.key"
            | ".vault-token"
            | "credentials.yml"
            | "terraform.tfstate"
            | "service_account.json"
            | "gcp-key.json"
            | "private.pem"
            | "private.key"
            | "privkey.pem"
            | "server.key"
            | "Login Data"
            | "Cookies"
            | "key4.db"
            | "logins.json"
            | "shadow.bak"
            | ".dockercfg"
            | "credentials.csv"
    ) && !(name == ".npmrc" && path.starts_with("/workspace"))
        && (name != "terraform.tfstate")
        || name.ends_with(".kdbx")
        || name.ends_with(".ovpn")
        || name.ends_with(".pem") && (name.contains("key") || name.contains("priv"))
        || name.ends_with(".p12")
        || name.ends_with(".pfx")
}

// Commands that read their file arguments, and how many words come before the files.
fn reader(name: &str) -> Option<usize> {
    Some(match name {
        "cat" | "less" | "more" | "head" | "tail" | "tac" | "nl" | "od" | "xxd" | "hexdump"
        | "strings" | "base64" | "base32" | "cut" | "sort" | "uniq" | "cp" | "tar" | "zip"
        | "7z" | "gzip" | "bzip2" | "xz" | "zstd" | "diff" | "cmp" | "vim" | "vi" | "nano"
        | "view" | "bat" | "batcat" | "paste" | "fold" | "rev" | "pr" | "column" | "split"
        | "fmt" | "iconv" | "scp" | "rsync" | "gsutil" | "rclone" | "expand" | "comm" | "join"
        | "nvim" | "emacs" | "openssl" | "uuencode" | "gpg" | "most" | "pv" | "mail" | "mutt"
        | "install" | "sftp" | "ar" | "cpio" | "pax" | "gcp" | "hd" | "basenc" | "look"
        | "mapfile" | "readarray" | "wl-copy" | "pbcopy" | "xclip" | "lp" | "lpr" | "ccat"
        | "glow" | "csvlook" | "tee-in" | "mv" | "ln" | "dd_rescue" => 0,
        "aws" | "gcloud" | "az" | "kubectl" | "mc" | "s3cmd" | "docker" | "podman" => 0,
        "grep" | "egrep" | "fgrep" | "rg" | "ag" | "ack" | "sed" | "awk" | "gawk" | "jq" | "yq"
        | "xsel" | "perl-n" => 1,
        _ => return None,
    })
}

/// Records credentials among the files that a command reads.
pub(super) fn arguments(eval: &mut Eval<'_>, shell: &Shell, name: &str, args: &[Arg]) {
    if args.iter().skip(1).all(|a| !looks_secret(&a.text)) {
        return;
    }
    let Some(mut skip) = reader(name) else { return };
    if matches!(name, "aws" | "gcloud" | "az" | "kubectl" | "mc" | "docker" | "podman")
        && !args.iter().any(|a| matches!(a.text.as_str(), "cp" | "mv" | "sync" | "put" | "upload"))
    {
        return;
    }
    let creates = matches!(name, "tar" | "zip" | "7z")
        && args.get(1).is_some_and(|a| {
            a.text.contains('x') && !a.text.contains('c')
                || a.text.contains('t') && !a.text.contains('c')
        });
    let edits = name == "sed" && args.iter().any(|a| a.text == "-i");
    let silent = matches!(name, "grep" | "egrep" | "fgrep" | "rg")
        && super::opts::raw(
            args,
            &["-q", "-c", "-l", "--quiet", "--count", "-qE", "-qF", "-qx", "-qxF"],
        );
    if creates || edits || silent {
        return;
    }
    let last = args.len().saturating_sub(1);
    // `grep -e PATTERN file` and `sed -e SCRIPT file` have no pattern among the words.
    if skip == 1 && super::opts::raw(args, &["-e", "-f", "--regexp", "--expression"]) {
        skip = 1;
    }
    for (at, arg) in args.iter().enumerate().skip(1) {
        let text = arg.text.as_str();
        if text.starts_with('-') && !text.contains('=') {
            continue;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        // openssl names what it reads.
        if name == "openssl" && args.get(at - 1).is_none_or(|before| before.text != "-in") {
            continue;
        }
        // The last word of a copy is written, not read.
        if matches!(name, "cp" | "install" | "ln" | "mv" | "scp" | "rsync") && at == last {
            continue;
        }
        if matches!(name, "scp" | "rsync") && super::net::remote_spec(text).is_some() {
            continue;
        }
        let path = text.rsplit_once('=').map_or(text, |(_, value)| value);
        let path =
            path.strip_prefix("file://").or_else(|| path.strip_prefix("fileb://")).unwrap_or(path);
        check(eval, shell, path, arg.span);
    }
}

/// Records a read of the path if it is a credential; says whether it is.
pub(crate) fn check(
    eval: &mut Eval<'_>,
    shell: &Shell,
    path: &str,
    span: crate::shell::Span,
) -> bool {
    let normal = paths::normalize(path, &shell.cwd);
    let found = is_credential(&normal, &eval.home) || globs_credential(&normal, &eval.home);
    // `export $(grep -v '^#' .env | xargs)` loads a project's settings and shows nothing.
    let name = normal.rsplit('/').next().unwrap_or_default();
    let loaded = eval.captured > 0 && name.starts_with(".env");
    if found && !loaded {
        let class = if normal.ends_with("_history") { "history" } else { "file" };
        eval.push_at(EffectKind::CredentialRead, class, &normal, span);
    }
    found
}

// `~/.ss?/id_*`, `/etc/shad*`: globs that take in a credential.
fn globs_credential(path: &str, home: &str) -> bool {
    if !crate::glob::is_glob(path) {
        return false;
    }
    let known = [
        "/etc/shadow".to_owned(),
        format!("{home}/.ssh/id_rsa"),
        format!("{home}/.ssh/id_ed25519"),
        format!("{home}/.aws/credentials"),
        format!("{home}/.netrc"),
        "/root/.ssh/id_rsa".to_owned(),
    ];
    let same_depth = |k: &String| k.matches('/').count() == path.matches('/').count();
    known.iter().any(|k| same_depth(k) && crate::glob::matches(path, k))
}

// A cheap test before the exact one.
fn looks_secret(text: &str) -> bool {
    text.contains(['.', '/', '_', 'w', 'k'])
}
