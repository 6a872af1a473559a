//! Commands that run another command: their option grammars as a table.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Flow, Shell, items};

use super::opts::{Opts, command_start};

/// How a wrapper finds the command it runs.
struct Wrapper {
    name: &'static str,
    /// The word that must follow, or nothing.
    sub: &'static str,
    /// Options with a value.
    takes: &'static [&'static str],
    /// Words between the options and the command.
    skip: usize,
}

const fn w(
    name: &'static str,
    sub: &'static str,
    takes: &'static [&'static str],
    skip: usize,
) -> Wrapper {
    Wrapper { name, sub, takes, skip }
}

const SUDO: &[&str] = &[
    "-u", "--user", "-g", "--group", "-h", "--host", "-p", "--prompt", "-C", "-T", "-r", "-t",
    "-D", "--chdir", "-R", "--chroot", "-U", "-A-",
];

const WRAPPERS: &[Wrapper] = &[
    w("sudo", "", SUDO, 0),
    w("doas", "", &["-u", "-C"], 0),
    w("pkexec", "", &["--user"], 0),
    w("env", "", &["-u", "--unset", "-C", "--chdir"], 0),
    w("cross-env", "", &[], 0),
    w("dotenv", "", &["-e", "-f", "-c", "-v"], 0),
    w("nohup", "", &[], 0),
    w("setsid", "", &[], 0),
    w("nice", "", &["-n", "--adjustment"], 0),
    w("ionice", "", &["-c", "-n", "-p", "-P", "-u"], 0),
    w("chrt", "", &["-T", "-P", "-D"], 1),
    w("taskset", "", &[], 1),
    w("timeout", "", &["-s", "--signal", "-k", "--kill-after"], 1),
    w("gtimeout", "", &["-s", "--signal", "-k", "--kill-after"], 1),
    w("stdbuf", "", &["-i", "-o", "-e", "--input", "--output", "--error"], 0),
    w("time", "", &["-f", "--format", "-o", "--output"], 0),
    w("gtime", "", &["-f", "--format", "-o", "--output"], 0),
    w("command", "", &[], 0),
    w("builtin", "", &[], 0),
    w("exec", "", &["-a"], 0),
    w("noglob", "", &[], 0),
    w("nocorrect", "", &[], 0),
    w(
        "strace",
        "",
        &["-e", "-o", "-p", "-s", "-P", "-u", "-E", "-a", "-b", "-I", "-O", "-S", "-X"],
        0,
    ),
    w("ltrace", "", &["-e", "-o", "-p", "-s", "-u", "-a", "-l", "-n", "-x"], 0),
    w("unshare", "", &["--map-user", "--map-group", "-R", "--root", "-w", "--wd", "-S", "-G"], 0),
    w("nsenter", "", &["-t", "--target", "-S", "-G", "-W"], 0),
    w("chroot", "", &["--userspec", "--groups"], 1),
    w("proot", "", &["-r", "-b", "-w", "-q", "-R", "-S"], 0),
    w(
        "systemd-run",
        "",
        &[
            "-p",
            "--property",
            "-u",
            "--unit",
            "-E",
            "--setenv",
            "--uid",
            "--gid",
            "--nice",
            "-M",
            "-H",
            "--working-directory",
            "--slice",
            "--description",
            "--on-active",
            "--on-calendar",
            "--machine",
            "--host",
            "--service-type",
            "--on-boot",
        ],
        0,
    ),
    w("systemd-inhibit", "", &["--what", "--who", "--why", "--mode"], 0),
    w("xvfb-run", "", &["-n", "-s", "-e", "-f", "-p", "-w", "--server-args", "--server-num"], 0),
    w("fakeroot", "", &["-s", "-i", "-l"], 0),
    w("firejail", "", &[], 0),
    w("bwrap", "", &[], 0),
    w("dbus-run-session", "", &[], 0),
    w("dbus-launch", "", &[], 0),
    w("unbuffer", "", &[], 0),
    w("rlwrap", "", &["-a", "-f", "-H"], 0),
    w("catchsegv", "", &[], 0),
    w("valgrind", "", &[], 0),
    w("caffeinate", "", &["-t", "-w"], 0),
    w("setarch", "", &[], 1),
    w("linux32", "", &[], 0),
    w("linux64", "", &[], 0),
    w("numactl", "", &["-N", "-m", "-C", "-i"], 0),
    w("cgexec", "", &["-g"], 0),
    w("prlimit", "", &["-p"], 0),
    w("cpulimit", "", &["-l", "-p", "-e"], 0),
    w("runuser", "", &["-u", "--user", "-g", "-G", "-s", "--shell"], 0),
    w("setpriv", "", &["--reuid", "--regid", "--groups", "--inh-caps"], 0),
    w("gosu", "", &[], 1),
    w("su-exec", "", &[], 1),
    w(
        "chpst",
        "",
        &["-u", "-U", "-e", "-n", "-l", "-L", "-m", "-d", "-o", "-p", "-f", "-c", "-b", "-/"],
        0,
    ),
    w("envdir", "", &[], 1),
    w("setuidgid", "", &[], 1),
    w("softlimit", "", &["-m", "-d", "-s", "-l", "-a", "-o", "-p", "-f", "-c", "-r", "-t"], 0),
    w("tini", "", &["-p", "-e"], 0),
    w("dumb-init", "", &["-r"], 0),
    w("busybox", "", &[], 0),
    w("toybox", "", &[], 0),
    w("torsocks", "", &["-a", "-P", "-u", "-p"], 0),
    w("torify", "", &[], 0),
    w("tsocks", "", &[], 0),
    w("proxychains", "", &["-f"], 0),
    w("proxychains4", "", &["-f"], 0),
    w("eatmydata", "", &[], 0),
    w("chronic", "", &[], 0),
    w("retry", "", &["-t", "--times", "-d", "--delay", "-m", "-n"], 0),
    w("entr", "", &[], 0),
    w("capsh", "", &[], 0),
    w("daemonize", "", &["-p", "-l", "-u", "-o", "-e", "-c", "-E"], 0),
    w("run-one", "", &[], 0),
    w("winpty", "", &[], 0),
    w("arch", "", &[], 0),
    w("faketime", "", &["-f"], 1),
    w(
        "hyperfine",
        "",
        &["-w", "--warmup", "-r", "--runs", "-n", "--export-json", "--export-markdown"],
        0,
    ),
    w("perf", "stat", &["-e", "-o", "-r", "-p"], 0),
    w("perf", "record", &["-e", "-o", "-F", "-p", "-c"], 0),
    w("gdb", "--args", &[], 0),
    w("direnv", "exec", &[], 1),
    w("doppler", "run", &["-p", "-c", "--project", "--config", "-t"], 0),
    w("op", "run", &["--env-file", "--account"], 0),
    w("aws-vault", "exec", &["-d", "--duration"], 1),
    w("chamber", "exec", &[], 1),
    w("infisical", "run", &["--env", "--path"], 0),
    w("poetry", "run", &[], 0),
    w("pipenv", "run", &[], 0),
    w("pdm", "run", &[], 0),
    w(
        "uv",
        "run",
        &[
            "--with",
            "--python",
            "-p",
            "--project",
            "--extra",
            "--group",
            "--directory",
            "--env-file",
        ],
        0,
    ),
    w("rye", "run", &[], 0),
    w("hatch", "run", &["-e"], 0),
    w("conda", "run", &["-n", "--name", "-p", "--prefix", "--cwd"], 0),
    w("mamba", "run", &["-n", "--name", "-p", "--prefix"], 0),
    w("micromamba", "run", &["-n", "--name", "-p", "--prefix"], 0),
    w("pixi", "run", &["-e"], 0),
    w("bundle", "exec", &[], 0),
    w("rbenv", "exec", &[], 0),
    w("pyenv", "exec", &[], 0),
    w("nodenv", "exec", &[], 0),
    w("asdf", "exec", &[], 0),
    w("mise", "exec", &[], 0),
    w("mise", "x", &[], 0),
    w("rtx", "exec", &[], 0),
    w("npm", "exec", &["-w", "--workspace", "-p", "--package"], 0),
    w("npm", "x", &["-w", "--workspace", "-p", "--package"], 0),
    w("pnpm", "exec", &["-F", "--filter", "-C"], 0),
    w("pnpm", "dlx", &["--package"], 0),
    w("yarn", "exec", &[], 0),
    w("yarn", "dlx", &["-p", "--package"], 0),
    w("npx", "", &["-p", "--package", "-w"], 0),
    w("bunx", "", &["-p"], 0),
    w("bun", "x", &[], 0),
    w("uvx", "", &["--from", "--with", "-p", "--python"], 0),
    w("pipx", "run", &["--spec", "--python"], 0),
    w("sops", "exec-env", &[], 1),
    w("wsl", "", &["-d", "-u"], 0),
    w("lxc", "exec", &[], 1),
    w("machinectl", "shell", &[], 1),
    w("ddev", "exec", &["-s"], 0),
    w("lando", "ssh", &["-s"], 0),
    w("singularity", "exec", &["-B", "--bind"], 1),
    w("apptainer", "exec", &["-B", "--bind"], 1),
    w("toolbox", "run", &["-c"], 0),
    w("distrobox", "enter", &["-n"], 0),
    w("flatpak-spawn", "", &[], 0),
    w("coproc", "", &[], 0),
    w("ssh-agent", "", &["-t", "-a", "-E"], 0),
    w("kargo", "exec", &[], 0),
    w("rails", "runner", &["-e"], 0),
];

/// Whether a command runs another one.
pub(super) fn is_wrapper(name: &str) -> bool {
    WRAPPERS.iter().any(|wrapper| wrapper.name == name && wrapper.sub.is_empty())
        || matches!(
            name,
            "xargs"
                | "parallel"
                | "watch"
                | "su"
                | "script"
                | "flock"
                | "ssh"
                | "docker"
                | "kubectl"
        )
}

pub(super) fn run(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> Option<Flow> {
    match name {
        "xargs" | "gxargs" => return Some(xargs(eval, shell, args, stdin)),
        "parallel" => return Some(parallel(eval, shell, args, stdin)),
        "watch" | "viddy" => {
            return Some(joined(eval, shell, args, &["-n", "--interval", "-q"], 0));
        }
        "nodemon" | "watchexec" | "chokidar" | "concurrently" | "npm-run-all" | "reflex" => {
            return Some(quoted_commands(eval, shell, args));
        }
        "su" | "runuser" | "flock" | "script" | "sg" | "lxc-attach" | "tsp" => {
            if let Some(flow) = command_option(eval, shell, name, args, stdin) {
                return Some(flow);
            }
        }
        "env" => return Some(env(eval, shell, args, stdin)),
        "command" | "type" | "which" | "whereis" | "hash" if looks_up(name, args) => return None,
        "tmux" | "screen" | "byobu" => return terminal(eval, shell, name, args),
        "at" | "batch" => {
            let text = stdin.known().map(str::to_owned);
            if let Some(text) = text {
                eval.text(shell, &text, args.first().map_or((0, 0), |a| a.span), &Flow::empty());
            }
            return Some(Flow::empty());
        }
        "trap" | "PROMPT_COMMAND" => {
            let text = args.get(1)?.clone();
            if args.len() > 2 && !text.text.starts_with('-') {
                eval.text(shell, &text.text, text.span, &Flow::empty());
            }
            return Some(Flow::empty());
        }
        "nix-shell" | "nix" => {
            let opts = Opts::scan(args, &["--run", "--command", "-p", "-I"]);
            let text = opts.value(&["--run", "--command"]).cloned();
            if let Some(text) = text
                && name == "nix-shell"
            {
                return Some(eval.text(shell, &text.text, text.span, stdin));
            }
            let at = args.iter().position(|a| a.text == "-c" || a.text == "--command")?;
            return Some(eval.run(shell, args.get(at + 1..).unwrap_or_default(), stdin));
        }
        "start-stop-daemon" => {
            let opts = Opts::scan(
                args,
                &["-n", "-p", "-u", "-g", "-d", "-x", "-a", "--exec", "--startas", "--pidfile"],
            );
            let mut line: Vec<Arg> =
                opts.all(&["-x", "-a", "--exec", "--startas"]).take(1).cloned().collect();
            line.extend(opts.words.iter().map(|word| (*word).clone()));
            return Some(eval.run(shell, &line, stdin));
        }
        "sudoedit" => {
            let last = args.last()?;
            super::write_path(eval, shell, &last.text, last.span, None);
            return Some(Flow::empty());
        }
        _ => {}
    }
    table(eval, shell, name, args, stdin)
}

fn looks_up(name: &str, args: &[Arg]) -> bool {
    name != "command"
        || args.get(1).is_some_and(|a| a.text.starts_with("-v") || a.text.starts_with("-V"))
}

fn table(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> Option<Flow> {
    let wrapper = WRAPPERS.iter().find(|wrapper| {
        wrapper.name == name
            && (wrapper.sub.is_empty() || args.get(1).is_some_and(|a| a.text == wrapper.sub))
    })?;
    let inner = if wrapper.sub.is_empty() { args } else { args.get(1..).unwrap_or_default() };
    let mut at = command_start(inner, wrapper.takes, wrapper.skip);
    while inner.get(at).is_some_and(|a| is_assignment(&a.text))
        && matches!(name, "sudo" | "cross-env" | "doas")
    {
        at += 1;
    }
    let command = inner.get(at..).unwrap_or_default();
    match name {
        "sudo" | "doas" | "pkexec" => eval.push(EffectKind::Privilege, "sudo", ""),
        "nsenter" if super::opts::raw(args, &["-t", "--target", "1"]) => {
            eval.push(EffectKind::Privilege, "container", "namespaces of another process");
        }
        _ => {}
    }
    if command.is_empty() {
        // `sudo -s`, `env`, `exec 2>&1`: a shell that reads its input, or nothing.
        if matches!(name, "sudo" | "su" | "doas" | "chroot" | "unshare" | "nsenter")
            && stdin.text.as_deref() != Some("")
        {
            return super::interp::run(eval, shell, "bash", &[Arg::new("bash", (0, 0))], stdin);
        }
        return Some(Flow::program(name));
    }
    // One quoted word is a command line to these.
    let line = command.first().filter(|_| command.len() == 1).map(|a| a.text.as_str());
    if let Some(line) = line
        && line.contains(' ')
        && matches!(
            name,
            "sops" | "hyperfine" | "npx" | "npm" | "pnpm" | "lando" | "ddev" | "rails" | "retry"
        )
    {
        return Some(eval.text(shell, line, command.first().map_or((0, 0), |a| a.span), stdin));
    }
    if matches!(name, "npx" | "bunx" | "pnpm" | "yarn" | "bun" | "npm" | "uvx" | "pipx") {
        return Some(package_command(eval, shell, command, stdin));
    }
    Some(eval.run(shell, command, stdin))
}

// `npx pkg@1.2 args` runs `pkg args`.
fn package_command(eval: &mut Eval<'_>, shell: &mut Shell, command: &[Arg], stdin: &Flow) -> Flow {
    let mut command = command.to_vec();
    if let Some(first) = command.first_mut() {
        if first.text.contains("://") {
            let host = first.text.clone();
            super::egress(eval, &host, "connect", first.span);
        }
        let bare = first.text.rsplit_once('@').filter(|(head, _)| !head.is_empty());
        if let Some((head, _)) = bare {
            first.text = head.to_owned();
        }
        if let Some((_, tail)) = first.text.rsplit_once('/') {
            first.text = tail.to_owned();
        }
    }
    eval.run(shell, &command, stdin)
}

fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

fn env(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg], stdin: &Flow) -> Flow {
    // -S splits its value into words of its own.
    for (at, arg) in args.iter().enumerate().skip(1) {
        let split = arg
            .text
            .strip_prefix("--split-string=")
            .or_else(|| arg.text.strip_prefix("-S"))
            .or_else(|| (arg.text == "--split-string").then_some(""))
            .or_else(|| arg.text.strip_prefix("-vS"));
        if let Some(text) = split {
            let (text, next) = if text.is_empty() {
                (args.get(at + 1).map_or("", |a| a.text.as_str()), at + 2)
            } else {
                (text, at + 1)
            };
            let rest = args.get(next..).unwrap_or_default();
            let line = super::fs::requote(&format!("env {text}"), rest);
            return eval.text(shell, &line, arg.span, stdin);
        }
        if !arg.text.starts_with('-') {
            break;
        }
    }
    let mut at = command_start(args, &["-u", "--unset", "-C", "--chdir"], 0);
    let mut saved = Vec::new();
    while let Some(arg) = args.get(at).filter(|a| is_assignment(&a.text)) {
        if let Some((name, value)) = arg.text.split_once('=') {
            saved.push((name.to_owned(), shell.vars.get(name).cloned()));
            shell.vars.insert(name.to_owned(), crate::eval::Var::scalar(value, arg.taint.clone()));
            super::environment(eval, shell, name, arg.span);
        }
        at += 1;
    }
    let command = args.get(at..).unwrap_or_default();
    let opts = Opts::scan(args, &["-u", "--unset", "-C", "--chdir"]);
    let cwd = shell.cwd.clone();
    if let Some(dir) = opts.value(&["-C", "--chdir"]) {
        shell.cwd = crate::paths::normalize(&dir.text, &shell.cwd);
    }
    let flow = if command.is_empty() {
        Flow::tainted(crate::eval::Taint::Secret("environment".into()))
    } else {
        eval.run(shell, command, stdin)
    };
    shell.cwd = cwd;
    for (name, value) in saved {
        match value {
            Some(value) => shell.vars.insert(name, value),
            None => shell.vars.remove(&name),
        };
    }
    flow
}

fn xargs(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg], stdin: &Flow) -> Flow {
    let takes = [
        "-I",
        "-n",
        "-P",
        "-L",
        "-d",
        "-a",
        "-s",
        "-E",
        "--replace",
        "--max-args",
        "--max-procs",
        "--delimiter",
        "--arg-file",
        "--max-lines",
        "--max-chars",
        "-J",
        "-R",
        "--process-slot-var",
    ];
    let at = command_start(args, &takes, 0);
    let head = args.get(..at).unwrap_or_default();
    let opts = Opts::scan(head, &takes);
    let replace = opts
        .value(&["-I", "--replace", "-J"])
        .map(|a| a.text.clone())
        .or_else(|| opts.has(&["-i", "--replace"]).then(|| "{}".to_owned()));
    let delimiter = if opts.has(&["-0", "--null"]) {
        stdin.text.as_deref().map(|t| if t.contains('\0') { '\0' } else { '\n' })
    } else {
        opts.value(&["-d", "--delimiter"])
            .and_then(|a| crate::eval::unescape(&a.text).chars().next())
    };
    let delimiter = delimiter.or_else(|| replace.is_some().then_some('\n'));
    let file = opts.value(&["-a", "--arg-file"]).cloned();
    let from_file = file.map(|file| super::read_file(eval, shell, &file));
    let given = items(from_file.as_ref().unwrap_or(stdin), delimiter);
    let mut command = args.get(at..).unwrap_or_default().to_vec();
    if command.is_empty() {
        command.push(Arg::new("echo", (0, 0)));
    }
    match replace {
        Some(mark) if !mark.is_empty() => {
            let mut out = Flow::empty();
            for item in given.iter().take(16) {
                let line: Vec<Arg> = command
                    .iter()
                    .map(|arg| Arg {
                        text: arg.text.replace(&mark, &item.text),
                        span: arg.span,
                        taint: if arg.text.contains(&mark) {
                            item.taint.clone()
                        } else {
                            arg.taint.clone()
                        },
                    })
                    .collect();
                out = out.then(eval.run(shell, &line, &Flow::empty()));
            }
            out
        }
        _ => {
            command.extend(given);
            eval.run(shell, &command, &Flow::empty())
        }
    }
}

fn parallel(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg], stdin: &Flow) -> Flow {
    let takes = [
        "-j",
        "--jobs",
        "-a",
        "--arg-file",
        "--joblog",
        "-S",
        "--sshlogin",
        "-N",
        "-n",
        "-C",
        "--colsep",
        "--delay",
        "--timeout",
        "--retries",
        "-I",
        "--results",
    ];
    let at = command_start(args, &takes, 0);
    let rest = args.get(at..).unwrap_or_default();
    let cut = rest.iter().position(|a| a.text.starts_with(":::"));
    let (command, values) = match cut {
        Some(cut) => {
            (rest.get(..cut).unwrap_or_default(), rest.get(cut + 1..).unwrap_or_default().to_vec())
        }
        None => (rest, items(stdin, Some('\n'))),
    };
    let span = super::opts::span_of(args);
    let line: Vec<&str> = command.iter().map(|a| a.text.as_str()).collect();
    let line = line.join(" ");
    let mut out = Flow::empty();
    for value in values.iter().take(16) {
        let text = if line.is_empty() {
            value.text.clone()
        } else if line.contains("{}") {
            line.replace("{}", &value.text)
        } else {
            format!("{line} {}", value.text)
        };
        out = out.then(eval.text(shell, &text, span, &Flow::empty()));
    }
    out
}

// All the words together are one command line.
fn joined(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    args: &[Arg],
    takes: &[&str],
    skip: usize,
) -> Flow {
    let at = command_start(args, takes, skip);
    let words: Vec<&str> =
        args.get(at..).unwrap_or_default().iter().map(|a| a.text.as_str()).collect();
    eval.text(shell, &words.join(" "), super::opts::span_of(args), &Flow::empty())
}

fn quoted_commands(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg]) -> Flow {
    let mut plain = Vec::new();
    for (at, arg) in args.iter().enumerate().skip(1) {
        if arg.text.contains(' ') {
            eval.text(shell, &arg.text.clone(), arg.span, &Flow::empty());
        } else if arg.text == "--" {
            plain = args.get(at + 1..).unwrap_or_default().to_vec();
            break;
        }
    }
    if !plain.is_empty() {
        eval.run(shell, &plain, &Flow::empty());
    }
    Flow::default()
}

// `su -c TEXT`, `flock FILE -c TEXT`, `script -c TEXT`, and the same without -c.
fn command_option(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> Option<Flow> {
    if matches!(name, "su" | "runuser") {
        eval.push(EffectKind::Privilege, "sudo", "");
    }
    let at = args.iter().position(|a| {
        a.text == "-c"
            || a.text == "--command"
            || a.text == "-qc"
            || a.text == "-lc"
            || name == "script"
                && a.text.starts_with('-')
                && a.text.ends_with('c')
                && a.text.len() < 6
    });
    if let Some(at) = at {
        let text = args.get(at + 1)?.clone();
        super::interp::tainted_code(eval, &text);
        return Some(eval.text(shell, &text.text, text.span, stdin));
    }
    if let Some(arg) = args.iter().find(|a| a.text.starts_with("--command=")) {
        let text = arg.text.get("--command=".len()..).unwrap_or_default().to_owned();
        return Some(eval.text(shell, &text, arg.span, stdin));
    }
    match name {
        "flock" => {
            let at = command_start(args, &["-w", "--timeout", "-E", "--conflict-exit-code"], 1);
            Some(eval.run(shell, args.get(at..).unwrap_or_default(), stdin))
        }
        "su" => super::interp::run(eval, shell, "bash", &[Arg::new("bash", (0, 0))], stdin),
        "script" | "sg" => Some(Flow::program(name)),
        "lxc-attach" | "tsp" => {
            let at = args.iter().position(|a| a.text == "--").map_or(1, |at| at + 1);
            Some(eval.run(shell, args.get(at..).unwrap_or_default(), stdin))
        }
        _ => None,
    }
}

fn terminal(eval: &mut Eval<'_>, shell: &mut Shell, name: &str, args: &[Arg]) -> Option<Flow> {
    let sub =
        args.iter().skip(1).find(|a| !a.text.starts_with('-')).map_or("", |a| a.text.as_str());
    let texts: Vec<&Arg> = match (name, sub) {
        ("tmux", "send-keys" | "send") => {
            let opts = Opts::scan(args, &["-t", "-N"]);
            let key = |a: &&Arg| matches!(a.text.as_str(), "Enter" | "C-m" | "C-c");
            opts.words.into_iter().skip(1).filter(|a| !key(a)).collect()
        }
        ("tmux", _) => {
            let opts = Opts::scan(
                args,
                &["-s", "-n", "-c", "-t", "-x", "-y", "-F", "-e", "-S", "-L", "-f"],
            );
            opts.words.into_iter().skip(1).collect()
        }
        _ => {
            let stuff = args.iter().position(|a| a.text == "stuff");
            if let Some(at) = stuff {
                args.get(at + 1..).unwrap_or_default().iter().collect()
            } else {
                let opts =
                    Opts::scan(args, &["-S", "-t", "-c", "-e", "-h", "-p", "-s", "-T", "-X"]);
                opts.words
            }
        }
    };
    if texts.is_empty() {
        return None;
    }
    let span = texts.first().map_or((0, 0), |a| a.span);
    let line: Vec<&str> = texts.iter().map(|a| a.text.as_str()).collect();
    let line = line.join(" ").replace("\\n", "\n").replace('^', "");
    // Names of sessions and windows are no commands.
    if line.contains(' ') || matches!(sub, "send-keys" | "send") {
        eval.text(shell, &line, span, &Flow::empty());
    }
    Some(Flow::empty())
}
