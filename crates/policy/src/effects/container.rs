//! Containers and clusters: what is mounted, run inside, removed.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Flow, Shell};

use super::opts::{Opts, command_start, raw};

pub(super) fn run(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> bool {
    match name {
        "docker" | "podman" | "nerdctl" | "docker-compose" | "podman-compose" => {
            docker(eval, shell, name, args, stdin);
        }
        "kubectl" | "oc" | "k" | "k3s" | "microk8s" | "minikube" => {
            kubernetes(eval, shell, name, args, stdin);
        }
        "buildah" | "crictl" | "ctr" => {
            if raw(args, &["rmp", "rmi", "rm", "prune"]) && raw(args, &["-a", "--all"]) {
                eval.push(EffectKind::CloudMutate, "prune", name);
            }
        }
        "kind" | "k3d" => {
            if raw(args, &["delete"]) {
                eval.push(EffectKind::CloudMutate, "local", name);
            }
        }
        "vagrant" => {
            if raw(args, &["destroy"]) {
                eval.push(EffectKind::CloudMutate, "prune", name);
            }
            if let Some(at) = args.iter().position(|a| a.text == "-c" || a.text == "--command")
                && let Some(text) = args.get(at + 1).cloned()
            {
                eval.text(shell, &text.text, text.span, &Flow::empty());
            }
        }
        "virsh" | "VBoxManage" | "qm" | "pct" | "lxc" | "incus" | "multipass" | "xe" | "govc"
        | "prlctl" | "vmrun" => {
            if raw(
                args,
                &[
                    "undefine",
                    "destroy",
                    "delete",
                    "unregistervm",
                    "purge",
                    "vm.destroy",
                    "vm-destroy",
                    "deleteVM",
                    "vol-delete",
                    "pool-destroy",
                    "storage",
                ],
            ) && !raw(args, &["list", "info"])
            {
                eval.push(EffectKind::CloudMutate, "destroy", name);
            }
        }
        _ => return false,
    }
    true
}

const GLOBAL: &[&str] = &[
    "-H",
    "--host",
    "--context",
    "-c",
    "--config",
    "-l",
    "--log-level",
    "-f",
    "--file",
    "-p",
    "--project-name",
    "--env-file",
    "--profile",
];

fn docker(eval: &mut Eval<'_>, shell: &mut Shell, name: &str, args: &[Arg], stdin: &Flow) {
    let mut at = command_start(args, GLOBAL, 0);
    let mut sub = args.get(at).map_or("", |a| a.text.as_str());
    let compose = name.ends_with("compose") || sub == "compose";
    if sub == "compose" {
        let rest = args.get(at..).unwrap_or_default();
        at += command_start(rest, GLOBAL, 0);
        sub = args.get(at).map_or("", |a| a.text.as_str());
    }
    if matches!(sub, "container" | "image" | "buildx" | "builder") {
        at += 1;
        sub = args.get(at).map_or("", |a| a.text.as_str());
    }
    let rest = args.get(at..).unwrap_or_default();
    let push = |eval: &mut Eval<'_>, class: &'static str| {
        eval.push(EffectKind::CloudMutate, class, &format!("{name} {sub}"));
    };
    match sub {
        "run" | "create" => run_container(eval, shell, rest, compose),
        "exec" => {
            let takes = [
                "-u",
                "--user",
                "-w",
                "--workdir",
                "-e",
                "--env",
                "--env-file",
                "--index",
                "--detach-keys",
            ];
            let start = command_start(rest, &takes, 1);
            let command = rest.get(start..).unwrap_or_default();
            eval.run(shell, command, stdin);
        }
        "system" | "volume" => {
            let verb = rest.get(1).map_or("", |a| a.text.as_str());
            let volumes = raw(rest, &["--volumes", "--all", "-a", "-af", "-fa"]);
            match (sub, verb) {
                ("system", "prune") => push(eval, if volumes { "prune" } else { "local" }),
                ("volume", "prune" | "rm" | "remove") | ("system", "reset") => push(eval, "prune"),
                _ => {}
            }
        }
        "prune" => push(eval, "local"),
        "down" if compose && raw(rest, &["-v", "--volumes"]) => push(eval, "prune"),
        "rm" if raw(rest, &["-v", "--volumes", "-fv", "-vf", "-fsv"]) => push(eval, "prune"),
        "swarm" if raw(rest, &["leave"]) => push(eval, "destroy"),
        "service" | "stack" | "secret" | "config" | "node" if raw(rest, &["rm", "remove"]) => {
            push(eval, "destroy");
        }
        "pull" | "login" => {
            if let Some(image) = rest.iter().skip(1).find(|a| !a.text.starts_with('-')) {
                registry(eval, image);
            }
        }
        "build" => {
            if let Some(url) = rest.iter().find(|a| a.text.contains("://") && !a.text.contains('='))
            {
                super::egress(eval, &url.text.clone(), "connect", url.span);
            }
        }
        "cp" => {
            // Into a container or out of it; credentials are looked at with the arguments.
        }
        _ => {}
    }
}

fn registry(eval: &mut Eval<'_>, image: &Arg) {
    let host = image.text.split('/').next().unwrap_or_default();
    if image.text.contains('/') && (host.contains('.') || host.contains(':')) {
        super::egress(eval, host, "connect", image.span);
    }
}

const RUN_TAKES: &[&str] = &[
    "-v",
    "--volume",
    "--mount",
    "-p",
    "--publish",
    "-e",
    "--env",
    "--env-file",
    "--name",
    "-w",
    "--workdir",
    "-u",
    "--user",
    "--network",
    "--net",
    "--entrypoint",
    "-m",
    "--memory",
    "--cpus",
    "--pid",
    "--ipc",
    "--uts",
    "--cap-add",
    "--cap-drop",
    "--device",
    "--security-opt",
    "--restart",
    "-h",
    "--hostname",
    "-l",
    "--label",
    "--platform",
    "--add-host",
    "--dns",
    "--tmpfs",
    "--shm-size",
    "--ulimit",
    "--gpus",
    "--log-driver",
    "--link",
    "--volumes-from",
    "--userns",
    "--cgroupns",
    "--runtime",
    "--pull",
    "--health-cmd",
    "-c",
    "--expose",
];

fn run_container(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg], compose: bool) {
    let start = command_start(args, RUN_TAKES, 0);
    let opts = Opts::scan(args.get(..start).unwrap_or_default(), RUN_TAKES);
    let mut escape =
        |target: &str, span| eval.push_at(EffectKind::Privilege, "container", target, span);
    let whole = super::opts::span_of(args);
    if opts.has(&["--privileged"]) {
        escape("--privileged", whole);
    }
    for value in opts
        .all(&["--pid", "--userns", "--ipc", "--uts", "--cgroupns"])
        .filter(|v| v.text == "host")
    {
        escape("a namespace of the host", value.span);
    }
    for value in opts.all(&["--cap-add"]) {
        let cap = value.text.to_ascii_uppercase();
        if [
            "ALL",
            "SYS_ADMIN",
            "SYS_PTRACE",
            "SYS_MODULE",
            "DAC_READ_SEARCH",
            "SYS_RAWIO",
            "CAP_SYS_ADMIN",
            "NET_ADMIN",
        ]
        .contains(&cap.as_str())
        {
            escape(&cap, value.span);
        }
    }
    for value in opts.all(&["--device"]).filter(|v| super::fs::is_device(&v.text)) {
        escape(&value.text, value.span);
    }
    for value in opts
        .all(&["--security-opt"])
        .filter(|v| v.text.contains("unconfined") || v.text.contains("disable"))
    {
        escape(&value.text, value.span);
    }
    let mounts: Vec<(String, crate::shell::Span)> = opts
        .all(&["-v", "--volume", "--mount"])
        .filter_map(|v| {
            let source = if v.text.contains("source=") || v.text.contains("src=") {
                v.text
                    .split(',')
                    .find_map(|p| p.strip_prefix("source=").or_else(|| p.strip_prefix("src=")))?
                    .to_owned()
            } else {
                v.text.split(':').next()?.to_owned()
            };
            Some((source, v.span))
        })
        .collect();
    for (source, span) in mounts {
        mount(eval, shell, &source, span);
    }
    let rest = args.get(start..).unwrap_or_default();
    if let Some(image) = rest.first().filter(|_| !compose) {
        registry(eval, image);
    }
    let mut command = rest.get(1..).unwrap_or_default().to_vec();
    if let Some(entry) = opts.value(&["--entrypoint"]).filter(|e| !e.text.is_empty()) {
        command.insert(0, entry.clone());
    }
    // An image whose entry point is a tool: the words are its arguments.
    if command.first().is_some_and(|a| a.text.starts_with('-')) {
        return;
    }
    let cwd = std::mem::replace(&mut shell.cwd, eval.root.clone());
    eval.run(shell, &command, &Flow::empty());
    shell.cwd = cwd;
}

// A part of the host inside the container.
fn mount(eval: &mut Eval<'_>, shell: &Shell, source: &str, span: crate::shell::Span) {
    if !source.starts_with(['/', '.', '~']) {
        return;
    }
    let normal = crate::paths::normalize(source, &shell.cwd);
    let grave = normal == "/"
        || [
            "/etc",
            "/root",
            "/var/run/docker.sock",
            "/run/docker.sock",
            "/proc",
            "/sys",
            "/boot",
            "/home",
            "/dev",
            "/var/lib/docker",
            "/usr",
            "/var/run",
            "/run/containerd",
        ]
        .iter()
        .any(|p| {
            normal == *p
                || normal.starts_with(&format!("{p}/"))
                    && !normal.starts_with("/home/")
                    && !normal.contains("localtime")
                    && !normal.contains("/ssl/certs")
        })
        || normal == eval.home
        || super::is_credential(&normal, &eval.home);
    if grave {
        eval.push_at(EffectKind::Privilege, "container", &format!("mounts {normal}"), span);
    }
}

fn kubernetes(eval: &mut Eval<'_>, shell: &mut Shell, name: &str, args: &[Arg], stdin: &Flow) {
    if name == "minikube" {
        if raw(args, &["delete"]) {
            eval.push(EffectKind::CloudMutate, "local", name);
        }
        if !raw(args, &["kubectl", "ssh"]) {
            return;
        }
    }
    let at = args.iter().position(|a| a.text == "exec" || a.text == "run" || a.text == "debug");
    let Some(at) = at else {
        super::cloud::run(eval, name, args);
        return;
    };
    if args.iter().take(at).any(|a| {
        matches!(a.text.as_str(), "get" | "delete" | "describe" | "logs" | "apply" | "create")
    }) {
        super::cloud::run(eval, name, args);
        return;
    }
    let verb = args.get(at).map_or("", |a| a.text.as_str());
    let dashes = args.iter().position(|a| a.text == "--");
    if let Some(dashes) = dashes {
        eval.run(shell, args.get(dashes + 1..).unwrap_or_default(), stdin);
    } else if verb == "exec" {
        let rest = args.get(at..).unwrap_or_default();
        let start = command_start(rest, &["-n", "--namespace", "-c", "--container"], 1);
        eval.run(shell, rest.get(start..).unwrap_or_default(), stdin);
    }
    let overrides = args.iter().any(|a| {
        a.text.contains("privileged") || a.text.contains("hostPath") || a.text.contains("hostPID")
    });
    if verb == "debug" && args.iter().any(|a| a.text.starts_with("node/")) || overrides {
        eval.push(EffectKind::Privilege, "container", "a privileged pod");
    } else if verb == "run" && !raw(args, &["--dry-run", "--dry-run=client", "--dry-run=server"]) {
        eval.push(EffectKind::Deploy, "apply", "kubectl run");
    }
}
