//! From simple commands to effects: one family of commands a module, data tables where the
//! knowledge is a list.

mod cloud;
mod container;
mod creds;
mod db;
mod device;
mod find;
mod fs;
mod git;
mod interp;
mod lexicon;
mod live;
mod net;
mod opts;
mod packages;
mod sql;
mod system;
mod wrappers;

pub(crate) use creds::is_credential;
pub(crate) use fs::{delete_path, write_path};
pub(crate) use net::egress;
pub(crate) use sql::statements;

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Flow, Shell, Taint, UNKNOWN, fold, is_filter, is_unknown};
use crate::shell::Span;

impl Eval<'_> {
    /// Runs a simple command: what it does becomes effects, what it prints is returned.
    pub(crate) fn run(&mut self, shell: &mut Shell, args: &[Arg], stdin: &Flow) -> Flow {
        let Some(first) = args.first() else { return Flow::empty() };
        self.enter(|eval| {
            let span = opts::span_of(args);
            if eval.has_span() {
                eval.command(shell, args, first, stdin)
            } else {
                eval.at(span, |eval| eval.command(shell, args, first, stdin))
            }
        })
        .unwrap_or_default()
    }

    fn command(&mut self, shell: &mut Shell, args: &[Arg], first: &Arg, stdin: &Flow) -> Flow {
        if let Some(flow) = self.unknown_command(shell, args, first, stdin) {
            return flow;
        }
        if let Some(alias) = shell.aliases.get(&first.text).cloned() {
            let line = fs::requote(&alias, args.get(1..).unwrap_or_default());
            shell.aliases.remove(&first.text);
            let flow = self.text(shell, &line, first.span, stdin);
            shell.aliases.insert(first.text.clone(), alias);
            return flow;
        }
        if let Some(body) = shell.functions.get(&first.text).cloned() {
            let rest = args.get(1..).unwrap_or_default();
            return self.call(shell, &first.text.clone(), &body, rest, stdin);
        }
        let Some(name) = self.command_name(shell, first) else {
            // `./gradlew publish` is known by its name, whatever else the script does.
            let name = first.text.rsplit('/').next().unwrap_or_default().to_owned();
            live::run(self, &name, args);
            db::run(self, shell, &name, args, stdin);
            return interp::local_script(self, shell, args, stdin);
        };
        if asks_for_help(&name, args) {
            return Flow::program(&name);
        }
        self.dispatch(shell, &name, args, stdin)
    }

    fn dispatch(&mut self, shell: &mut Shell, name: &str, args: &[Arg], stdin: &Flow) -> Flow {
        if let Some(flow) = interp::builtin(self, shell, name, args, stdin) {
            return flow;
        }
        if let Some(flow) = wrappers::run(self, shell, name, args, stdin) {
            return flow;
        }
        creds::arguments(self, shell, name, args);
        let handled = fs::run(self, shell, name, args, stdin)
            || device::run(self, shell, name, args)
            || system::run(self, shell, name, args, stdin)
            || git::run(self, shell, name, args)
            || db::run(self, shell, name, args, stdin)
            || container::run(self, shell, name, args, stdin)
            || packages::run(self, shell, name, args);
        if let Some(flow) = interp::run(self, shell, name, args, stdin)
            .or_else(|| net::run(self, shell, name, args, stdin))
            .or_else(|| find::run(self, shell, name, args))
        {
            return flow;
        }
        live::run(self, name, args);
        if !handled || cloud::is_cloud(name) {
            cloud::run(self, name, args);
        }
        if !handled && !cloud::is_known(name) {
            net::urls(self, args);
        }
        output(self, shell, name, args, stdin)
    }

    // The command itself depends on the run, or comes from somewhere bad.
    fn unknown_command(
        &mut self,
        shell: &mut Shell,
        args: &[Arg],
        first: &Arg,
        stdin: &Flow,
    ) -> Option<Flow> {
        match &first.taint {
            Taint::Remote(host) => self.push(EffectKind::ExecRemote, "pipe", &host.clone()),
            Taint::Decoded => self.push(EffectKind::ExecOpaque, "decoded", &first.text),
            _ => {}
        }
        if !is_unknown(&first.text) {
            return None;
        }
        let text = first.text.as_str();
        // `$JAVA_HOME/bin/java` is known by its name.
        if text.rsplit_once('/').is_some_and(|(_, name)| !name.is_empty() && !is_unknown(name)) {
            return None;
        }
        if text.starts_with("./") || text.starts_with(&format!("{}/", self.root)) {
            self.unseen(&format!("script {text}"));
        } else if first.taint != Taint::Decoded {
            self.push(EffectKind::ExecOpaque, "unknown-command", text);
        }
        // What is run may be a shell: look at the arguments as one would.
        if text.starts_with(UNKNOWN) && args.iter().any(|a| a.text == "-c") {
            interp::run(self, shell, "bash", args, stdin);
        }
        Some(Flow::program("unknown"))
    }

    // A tool that this very command put into a directory of tools.
    fn installed(&mut self, name: &str) {
        let home = format!("{}/.local/bin", self.home);
        for dir in ["/usr/local/bin", "/usr/bin", "/opt/bin", home.as_str()] {
            if let Some(flow) = self.files.get(&format!("{dir}/{name}"))
                && let Taint::Remote(host) = &flow.taint
            {
                let host = host.clone();
                self.push(EffectKind::ExecRemote, "download", &host);
            }
        }
    }

    // The name a command is known by; `None` for a script of the project.
    fn command_name(&mut self, shell: &Shell, first: &Arg) -> Option<String> {
        let text = first.text.as_str();
        let Some((dir, base)) = text.rsplit_once('/') else {
            self.installed(text);
            return Some(globbed(text).unwrap_or(text).to_owned());
        };
        let normal = crate::paths::normalize(text, &shell.cwd);
        if self.files.contains_key(&normal) {
            return None;
        }
        let known = ["/bin", "/sbin", "/usr", "/opt", "/snap", "/nix", "/home/linuxbrew"];
        let tool_dir = known.iter().any(|k| normal.starts_with(k))
            || dir.contains("node_modules/.bin")
            || dir.ends_with("/bin")
            || dir == "bin"
            || crate::glob::is_glob(dir);
        (tool_dir || dir.is_empty()).then(|| globbed(base).unwrap_or(base).to_owned())
    }
}

// `/bin/r?` is whatever it matches; a dangerous match counts.
fn globbed(name: &str) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "rm", "dd", "bash", "sh", "curl", "wget", "mkfs", "shred", "python3", "python", "perl",
        "nc", "cat", "chmod", "chown", "find", "kill", "reboot", "shutdown", "halt", "sudo",
    ];
    if !crate::glob::is_glob(name) || name == "[" {
        return None;
    }
    NAMES.iter().find(|known| crate::glob::matches(name, known)).copied()
}

// Help and version ask for text and do nothing.
fn asks_for_help(name: &str, args: &[Arg]) -> bool {
    let Some(last) = args.get(1..).and_then(|rest| rest.last()) else { return false };
    let wraps = matches!(name, "bash" | "sh" | "zsh" | "ssh" | "env" | "eval" | "xargs" | "exec")
        || interp::is_interpreter(name)
        || wrappers::is_wrapper(name);
    match last.text.as_str() {
        "--help" | "--usage" => !wraps || args.len() == 2,
        "--version" => args.len() == 2,
        "-h" => {
            args.len() <= 4
                && !matches!(
                    name,
                    "shutdown" | "poweroff" | "halt" | "chown" | "chgrp" | "rm" | "touch"
                )
                && !wraps
        }
        "help" => args.len() == 2,
        _ => args.get(1).is_some_and(|a| a.text == "help") && args.len() <= 5 && !wraps,
    }
}

// What the command prints.
fn output(eval: &mut Eval<'_>, shell: &Shell, name: &str, args: &[Arg], stdin: &Flow) -> Flow {
    if let Some(flow) = known_output(eval, shell, name, args) {
        return flow;
    }
    let file = file_output(eval, shell, name, args);
    let stdin = file.as_ref().unwrap_or(stdin);
    if let Some(flow) = fold(name, args, stdin) {
        return flow;
    }
    if let Some(flow) = file {
        return flow;
    }
    if stdin.taint != Taint::None && is_filter(name) {
        return Flow { text: None, ..stdin.clone() };
    }
    Flow::program(name)
}

// `cat file` and the like: the content of a file, known if this command wrote it.
fn file_output(eval: &mut Eval<'_>, shell: &Shell, name: &str, args: &[Arg]) -> Option<Flow> {
    let reads = matches!(
        name,
        "cat"
            | "tac"
            | "rev"
            | "base64"
            | "base32"
            | "xxd"
            | "head"
            | "tail"
            | "sed"
            | "grep"
            | "gunzip"
            | "zcat"
            | "openssl"
            | "tr"
            | "bzcat"
            | "xzcat"
            | "bat"
            | "less"
            | "more"
    );
    if !reads {
        return None;
    }
    let words = args.iter().skip(1).filter(|a| !a.text.starts_with('-') && !a.text.is_empty());
    let skip = usize::from(matches!(name, "sed" | "grep"));
    let mut out: Option<Flow> = None;
    for word in words.skip(skip).take(8) {
        if name == "openssl" && !word.text.contains(['/', '.']) || name == "tr" {
            continue;
        }
        let flow = read_file(eval, shell, word);
        out = Some(match out {
            Some(before) => before.then(flow),
            None => flow,
        });
    }
    out
}

/// What reading a file gives.
pub(crate) fn read_file(eval: &mut Eval<'_>, shell: &Shell, path: &Arg) -> Flow {
    let normal = crate::paths::normalize(&path.text, &shell.cwd);
    if let Some(flow) = eval.files.get(&normal) {
        return flow.clone();
    }
    if matches!(normal.as_str(), "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0") {
        return eval.stdin.clone();
    }
    if matches!(normal.as_str(), "/dev/null" | "/dev/zero") {
        return Flow::empty();
    }
    if is_credential(&normal, &eval.home) {
        return Flow::tainted(Taint::Secret(normal.as_str().into()));
    }
    if let Some(rest) = normal.strip_prefix("/dev/tcp/") {
        let host = rest.replacen('/', ":", 1);
        egress(eval, &host, "connect", path.span);
        return Flow::tainted(Taint::Remote(host.as_str().into()));
    }
    Flow::tainted(Taint::File(normal.as_str().into()))
}

fn known_output(eval: &mut Eval<'_>, shell: &Shell, name: &str, args: &[Arg]) -> Option<Flow> {
    let arg = |at: usize| args.get(at).map_or("", |a| a.text.as_str());
    let text = match name {
        "pwd" => shell.cwd.clone(),
        "whoami" | "logname" => "user".to_owned(),
        "mktemp" => mktemp(args),
        "which" | "command" if args.len() > 1 => arg(args.len() - 1).to_owned(),
        "git" if arg(1) == "rev-parse" && arg(2) == "--show-toplevel" => eval.root.clone(),
        "git" if arg(1) == "rev-parse" && arg(2) == "--git-dir" => ".git".to_owned(),
        "realpath" | "readlink" if args.len() > 1 => {
            crate::paths::normalize(arg(args.len() - 1), &shell.cwd)
        }
        "git" | "rg" | "ag" | "fd" | "grep" | "ls" => return local_paths(name, args, shell),
        _ => return None,
    };
    Some(Flow::text(format!("{text}\n")))
}

fn mktemp(args: &[Arg]) -> String {
    let template = args.iter().skip(1).find(|a| !a.text.starts_with('-'));
    match template {
        Some(template) if template.text.contains('/') => template.text.clone(),
        _ => "/tmp/tmp.mktemp".to_owned(),
    }
}

// Listings of files below the working directory.
fn local_paths(name: &str, args: &[Arg], shell: &Shell) -> Option<Flow> {
    let flag = |c: char| {
        args.iter()
            .any(|a| a.text.starts_with('-') && !a.text.starts_with("--") && a.text.contains(c))
    };
    let long = |f: &str| args.iter().any(|a| a.text.starts_with(f));
    let lists = match name {
        "git" => {
            matches!(args.get(1).map(|a| a.text.as_str()), Some("ls-files" | "ls-tree"))
                || long("--name-only")
        }
        "grep" | "rg" | "ag" => flag('l') || long("--files"),
        _ => true,
    };
    if !lists {
        return None;
    }
    let some = crate::eval::SOME;
    if name == "ls" {
        let words: Vec<String> = args
            .iter()
            .skip(1)
            .filter(|a| !a.text.starts_with('-'))
            .map(|a| if a.text.contains('*') { a.text.clone() } else { format!("./{some}") })
            .collect();
        return Some(Flow::paths(if words.is_empty() { vec![format!("./{some}")] } else { words }));
    }
    if matches!(name, "grep" | "rg" | "ag" | "fd") {
        let roots: Vec<String> = args
            .iter()
            .skip(2)
            .filter(|a| a.text.starts_with('/') || a.text.starts_with(".."))
            .map(|a| format!("{}/{some}", a.text.trim_end_matches('/')))
            .collect();
        if !roots.is_empty() {
            return Some(Flow::paths(roots));
        }
    }
    let _ = shell;
    Some(Flow::paths(vec![format!("./{some}")]))
}

/// `< file`.
pub(crate) fn read_redirect(eval: &mut Eval<'_>, shell: &Shell, target: &Arg) -> Flow {
    let normal = crate::paths::normalize(&target.text, &shell.cwd);
    if is_credential(&normal, &eval.home) {
        eval.push(EffectKind::CredentialRead, "file", &normal);
    }
    read_file(eval, shell, target)
}

/// `> file`, with what is written into it.
pub(crate) fn write_redirect(
    eval: &mut Eval<'_>,
    shell: &Shell,
    target: &Arg,
    append: bool,
    flow: &Flow,
    shellish: bool,
) {
    let normal = crate::paths::normalize(&target.text, &shell.cwd);
    let socket = normal.strip_prefix("/dev/tcp/").or_else(|| normal.strip_prefix("/dev/udp/"));
    if let Some(rest) = socket {
        let host = rest.replacen('/', ":", 1);
        let class = match &flow.taint {
            _ if shellish => "shell",
            Taint::Secret(_) => "secret",
            Taint::File(_) => "upload",
            _ => "connect",
        };
        egress(eval, &host, class, target.span);
        return;
    }
    write_path(eval, shell, &target.text, target.span, Some((flow, append)));
}

/// A variable set for one command that changes what the command runs.
pub(crate) fn environment(eval: &mut Eval<'_>, shell: &mut Shell, name: &str, span: Span) {
    let value = shell.vars.get(name).and_then(|v| v.values.first()).cloned().unwrap_or_default();
    match name {
        "GIT_SSH_COMMAND"
        | "GIT_PAGER"
        | "PAGER"
        | "GIT_EDITOR"
        | "EDITOR"
        | "VISUAL"
        | "GIT_EXTERNAL_DIFF"
        | "GIT_ASKPASS"
        | "SSH_ASKPASS"
        | "PROMPT_COMMAND"
        | "LESSOPEN"
        | "MANPAGER"
        | "GIT_SEQUENCE_EDITOR"
        | "GIT_PROXY_COMMAND"
        | "RSYNC_RSH" => {
            let text = value.strip_prefix('|').unwrap_or(&value).to_owned();
            if text.contains(' ') || text.starts_with('/') {
                eval.text(shell, &text, span, &Flow::empty());
            }
        }
        "LD_PRELOAD" | "LD_LIBRARY_PATH" | "DYLD_INSERT_LIBRARIES" | "LD_AUDIT"
            if name != "LD_LIBRARY_PATH" && value.starts_with("/tmp") =>
        {
            eval.push_at(EffectKind::Process, "inject", &value, span);
        }
        "BASH_ENV" | "ENV" if value.contains('/') => {
            let arg = Arg::new(value, span);
            interp::source(eval, shell, &arg);
        }
        _ => {}
    }
}
