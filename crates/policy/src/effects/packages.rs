//! Package managers: where packages come from, and what removing them breaks.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Shell};

use super::opts::{Opts, raw};

pub(super) fn run(eval: &mut Eval<'_>, shell: &Shell, name: &str, args: &[Arg]) -> bool {
    let dry = raw(args, &["--dry-run", "-s", "--simulate", "--just-print", "--assumeno"]);
    match name {
        "pip" | "pip3" | "uv" | "pipx" | "poetry" | "pdm" | "conda" | "mamba" | "npm" | "yarn"
        | "pnpm" | "bun" | "gem" | "cargo" | "go" | "composer" | "bundle" | "nuget" | "dotnet"
        | "cpan" | "cpanm" | "luarocks" | "easy_install" | "rye" | "hatch" => {
            sources(eval, name, args);
            if name == "npm" && raw(args, &["unpublish"]) && !dry {
                eval.push(EffectKind::Publish, "unpublish", args.last().map_or("", |a| &a.text));
            }
            // Their words are names of packages and scripts, not of cloud resources.
            true
        }
        "apt" | "apt-get" | "aptitude" | "yum" | "dnf" | "pacman" | "zypper" | "apk" | "rpm"
        | "dpkg" | "snap" | "brew" | "emerge" | "pkg" => {
            if !dry && removes(name, args) {
                let vital = args.iter().find(|a| is_vital(&a.text));
                if let Some(vital) = vital {
                    eval.push_at(EffectKind::System, "packages", &vital.text, vital.span);
                }
            }
            for arg in args.iter().skip(1).filter(|a| a.text.contains("://")) {
                super::egress(eval, &arg.text.clone(), "connect", arg.span);
            }
            installs_download(eval, shell, args);
            true
        }
        "add-apt-repository" | "apt-add-repository" | "apt-key" | "rpm-import" => {
            for arg in args.iter().skip(1).filter(|a| a.text.contains("://")) {
                super::egress(eval, &arg.text.clone(), "connect", arg.span);
            }
            true
        }
        _ => false,
    }
}

fn sources(eval: &mut Eval<'_>, name: &str, args: &[Arg]) {
    let takes = [
        "-i",
        "--index-url",
        "--extra-index-url",
        "-f",
        "--find-links",
        "--registry",
        "--source",
        "-s",
        "--index",
        "--git",
        "--repository",
        "--default-index",
        "--trusted-host",
        "-c",
        "--channel",
        "--proxy",
        "-t",
        "--path",
    ];
    let opts = Opts::scan(args, &takes);
    let named = [
        "-i",
        "--index-url",
        "--extra-index-url",
        "-f",
        "--find-links",
        "--registry",
        "--source",
        "--index",
        "--git",
        "--default-index",
    ];
    let mut addresses: Vec<Arg> =
        opts.all(&named).filter(|v| v.text.contains("://")).cloned().collect();
    addresses.extend(opts.words.iter().filter(|w| w.text.contains("://")).map(|w| (*w).clone()));
    for address in addresses {
        let text = address.text.rsplit_once(" @ ").map_or(address.text.as_str(), |(_, url)| url);
        super::egress(eval, text.trim_start_matches("git+"), "connect", address.span);
    }
    // `go install host/path@version` fetches from that host.
    if name == "go" && matches!(opts.word(0), "install" | "get" | "run") {
        for word in
            opts.words.iter().skip(1).filter(|w| w.text.contains('@') && w.text.contains('.'))
        {
            super::egress(
                eval,
                word.text.clone().split('@').next().unwrap_or_default(),
                "connect",
                word.span,
            );
        }
    }
}

// A package file this command downloaded.
fn installs_download(eval: &mut Eval<'_>, shell: &Shell, args: &[Arg]) {
    for arg in args.iter().skip(1) {
        let normal = crate::paths::normalize(&arg.text, &shell.cwd);
        if let Some(flow) = eval.files.get(&normal)
            && let crate::eval::Taint::Remote(host) = &flow.taint
        {
            let host = host.clone();
            eval.push_at(EffectKind::ExecRemote, "package", &host, arg.span);
        }
    }
}

fn removes(name: &str, args: &[Arg]) -> bool {
    raw(
        args,
        &[
            "remove",
            "purge",
            "autoremove",
            "erase",
            "del",
            "--purge",
            "-e",
            "--erase",
            "uninstall",
            "rm",
            "--remove",
            "-P",
            "--force-depends",
        ],
    ) || name == "pacman" && args.iter().any(|a| a.text.starts_with("-R"))
        || name == "dpkg" && args.iter().any(|a| a.text == "-r")
}

fn is_vital(text: &str) -> bool {
    matches!(
        text,
        "libc6"
            | "glibc"
            | "bash"
            | "coreutils"
            | "systemd"
            | "openssh-server"
            | "sudo"
            | "linux-image"
            | "kernel"
            | "apt"
            | "dpkg"
            | "python3"
            | "python3-minimal"
            | "init"
            | "grub"
            | "grub2"
            | "login"
            | "util-linux"
            | "musl"
            | "libssl"
            | "openssl"
            | "ubuntu-minimal"
            | "essential"
            | "network-manager"
            | "--allow-remove-essential"
            | "*"
            | "'*'"
            | "base"
            | "rpm"
            | "filesystem"
            | "auditd"
            | "ufw"
            | "fail2ban"
            | "apparmor"
    ) || text.starts_with("linux-image")
        || text.starts_with("libc6")
}
