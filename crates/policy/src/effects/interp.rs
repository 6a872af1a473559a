//! Shell builtins that carry state, shells, and interpreters: what code do they run?

use crate::code;
use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Flow, SOME, Shell, Taint, UNKNOWN, Var, is_unknown};
use crate::paths;

use super::opts::Opts;
use super::read_file;

/// Builtins of the shell itself.
#[expect(clippy::too_many_lines, reason = "one arm for each builtin")]
pub(super) fn builtin(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> Option<Flow> {
    let arg = |at: usize| args.get(at);
    match name {
        "cd" | "pushd" => {
            let target = args.iter().skip(1).find(|a| !a.text.starts_with('-') || a.text == "-");
            shell.cwd = match target {
                None => eval.home.clone(),
                Some(a) if a.text == "-" => UNKNOWN.to_string(),
                Some(a) => paths::normalize(&a.text, &shell.cwd),
            };
        }
        "popd" => shell.cwd = eval.root.clone(),
        "eval" => {
            let rest = args.get(1..).unwrap_or_default();
            let text: Vec<&str> = rest.iter().map(|a| a.text.as_str()).collect();
            let taint = rest.iter().fold(Taint::None, |t, a| t.worse(a.taint.clone()));
            let whole = Arg { text: text.join(" "), span: super::opts::span_of(rest), taint };
            return Some(run_text(eval, shell, &whole, &Flow::empty()));
        }
        "source" | "." => {
            let file = arg(1)?.clone();
            let outer = std::mem::replace(&mut eval.stdin, stdin.clone());
            let flow = source(eval, shell, &file);
            eval.stdin = outer;
            return Some(flow);
        }
        "alias" => {
            for a in args.iter().skip(1) {
                if let Some((name, value)) = a.text.split_once('=') {
                    shell.aliases.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        "unalias" => shell.aliases.clear(),
        "unset" => {
            for a in args.iter().skip(1) {
                hides_history(eval, &a.text);
                shell.vars.remove(&a.text);
                shell.functions.remove(&a.text);
            }
        }
        "read" | "mapfile" | "readarray" => {
            let text = stdin.known().map(|t| t.lines().next().unwrap_or_default().to_owned());
            let path = stdin.paths.first().cloned();
            let value = text.or(path).unwrap_or_else(|| UNKNOWN.to_string());
            for a in args.iter().skip(1).filter(|a| !a.text.starts_with('-')) {
                shell.vars.insert(a.text.clone(), Var::scalar(value.as_str(), stdin.taint.clone()));
            }
        }
        "printf" if arg(1).is_some_and(|a| a.text == "-v") => {
            let (name, rest) = (arg(2)?.text.clone(), args.get(3..).unwrap_or_default());
            let mut line = vec![Arg::new("printf", (0, 0))];
            line.extend_from_slice(rest);
            let flow = crate::eval::fold("printf", &line, &Flow::empty())?;
            let text = flow.text.as_deref().unwrap_or("").to_owned();
            shell.vars.insert(name, Var::scalar(text, flow.taint));
        }
        "set" => {
            if let Some(at) = args.iter().position(|a| a.text == "--") {
                shell.params = args.get(at + 1..).unwrap_or_default().to_vec();
            } else if arg(1).is_some_and(|a| !a.text.starts_with(['-', '+'])) {
                shell.params = args.get(1..).unwrap_or_default().to_vec();
            } else if args.len() == 1 {
                return Some(Flow::tainted(Taint::Secret("environment".into())));
            }
        }
        "shift" => {
            if !shell.params.is_empty() {
                shell.params.remove(0);
            }
        }
        "export" | "declare" | "typeset" | "local" | "readonly" => {
            // Assignments hidden in an expanded word.
            for a in args.iter().skip(1) {
                if let Some((name, value)) = a.text.split_once('=') {
                    if value.is_empty() || value == "/dev/null" || value == "0" {
                        hides_history(eval, name);
                    }
                    shell.vars.insert(name.to_owned(), Var::scalar(value, a.taint.clone()));
                }
            }
        }
        "printenv" => {
            let one = args.get(1).map_or("", |a| a.text.as_str());
            let secret = one.is_empty() || crate::eval::is_secret_name(one);
            return Some(if secret {
                Flow::tainted(Taint::Secret("environment".into()))
            } else {
                Flow::program("printenv")
            });
        }
        "shopt" | "test" | "[" | "wait" | "jobs" | "exit" | "return" | "break" | "continue"
        | "let" | "ulimit" | "umask" | "getopts" | "bg" | "fg" | "disown" | "sleep" => {}
        _ => return None,
    }
    Some(Flow::empty())
}

// Commands that keep themselves out of the shell's history.
fn hides_history(eval: &mut Eval<'_>, name: &str) {
    if matches!(name, "HISTFILE" | "HISTSIZE" | "HISTFILESIZE") {
        eval.push(EffectKind::System, "history", name);
    }
}

/// `source FILE`.
pub(super) fn source(eval: &mut Eval<'_>, shell: &mut Shell, file: &Arg) -> Flow {
    if is_opaque(file) {
        eval.push_at(EffectKind::ExecOpaque, "unknown-code", &file.text, file.span);
        return Flow::default();
    }
    let flow = read_file(eval, shell, file);
    run_flow(eval, shell, &flow, file)
}

// Programs that print settings for `eval`.
fn prints_settings(text: &Taint) -> bool {
    let Taint::Program(name) = text else { return false };
    matches!(
        &**name,
        "ssh-agent"
            | "direnv"
            | "brew"
            | "pyenv"
            | "rbenv"
            | "nodenv"
            | "goenv"
            | "jenv"
            | "conda"
            | "opam"
            | "fnm"
            | "starship"
            | "zoxide"
            | "docker-machine"
            | "minikube"
            | "dircolors"
            | "mise"
            | "asdf"
            | "kubectl"
            | "helm"
            | "gh"
            | "npm"
            | "pip"
            | "rustup"
            | "poetry"
            | "luarocks"
            | "register-python-argcomplete"
            | "thefuck"
            | "gpg-agent"
            | "keychain"
            | "lesspipe"
            | "resize"
            | "tput"
            | "stty"
            | "locale"
            | "podman"
            | "colima"
            | "volta"
            | "atuin"
            | "fzf"
            | "just"
            | "uv"
            | "hatch"
            | "rtx"
            | "nvm"
            | "aws_completer"
            | "flux"
            | "kind"
            | "k3d"
            | "docker"
            | "guix"
            | "perl"
            | "sed"
            | "git"
            | "pkg-config"
            | "terraform"
            | "shopt"
            | "getopt"
    )
}

/// Runs a word as shell text: `eval`, `bash -c`.
pub(super) fn run_text(eval: &mut Eval<'_>, shell: &mut Shell, arg: &Arg, stdin: &Flow) -> Flow {
    let whole = arg.text.trim();
    if whole.chars().all(|c| c == UNKNOWN || c == SOME || c.is_whitespace()) && !whole.is_empty() {
        match &arg.taint {
            Taint::Remote(_) | Taint::Decoded | Taint::Secret(_) => {
                tainted_code(eval, arg);
            }
            taint if prints_settings(taint) => eval.unseen("settings printed by a program"),
            Taint::File(path) => {
                let path = path.clone();
                eval.unseen(&format!("script {path}"));
            }
            _ => eval.push_at(EffectKind::ExecOpaque, "unknown-code", whole, arg.span),
        }
        return Flow::program("eval");
    }
    tainted_code(eval, arg);
    eval.text(shell, &arg.text, arg.span, stdin)
}

/// Code that comes from a host or out of a decoder.
pub(super) fn tainted_code(eval: &mut Eval<'_>, arg: &Arg) {
    taint_effect(eval, &arg.taint, arg.span, &arg.text);
}

fn taint_effect(eval: &mut Eval<'_>, taint: &Taint, span: crate::shell::Span, text: &str) {
    match taint {
        Taint::Remote(host) => eval.push_at(EffectKind::ExecRemote, "pipe", host, span),
        Taint::Decoded => eval.push_at(EffectKind::ExecOpaque, "decoded", "", span),
        Taint::Secret(_) | Taint::None | Taint::File(_) | Taint::Program(_) => {
            let _ = text;
        }
    }
}

// Data that a shell reads as its script.
fn run_flow(eval: &mut Eval<'_>, shell: &mut Shell, flow: &Flow, from: &Arg) -> Flow {
    taint_effect(eval, &flow.taint, from.span, &from.text);
    if let Some(text) = flow.known() {
        let text = text.to_owned();
        return eval.text(shell, &text, from.span, &Flow::empty());
    }
    match &flow.taint {
        Taint::Program(name) if flow.text.is_none() => {
            if prints_settings(&flow.taint) {
                eval.unseen(&format!("settings printed by {name}"));
            } else {
                let name = name.clone();
                eval.push_at(EffectKind::ExecOpaque, "unknown-code", &name, from.span);
            }
        }
        Taint::File(path) => {
            let path = path.clone();
            eval.unseen(&format!("script {path}"));
        }
        Taint::None if flow.text.is_none() => {
            eval.push_at(EffectKind::ExecOpaque, "unknown-code", &from.text, from.span);
        }
        _ => {}
    }
    Flow::program("script")
}

/// A command given by its path in the project: a script the gate cannot look into, unless this
/// command wrote it.
pub(super) fn local_script(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    args: &[Arg],
    _stdin: &Flow,
) -> Flow {
    let Some(first) = args.first() else { return Flow::empty() };
    let normal = paths::normalize(&first.text, &shell.cwd);
    if let Some(flow) = eval.files.get(&normal).cloned() {
        let outer =
            std::mem::replace(&mut shell.params, args.get(1..).unwrap_or_default().to_vec());
        let python = flow.known().is_some_and(|t| {
            t.starts_with("#!") && t.lines().next().is_some_and(|l| l.contains("python"))
        });
        let out = if python {
            let text = flow.known().unwrap_or_default().to_owned();
            code::source(eval, shell, "python", &text);
            Flow::program("script")
        } else {
            run_flow(eval, shell, &flow, first)
        };
        shell.params = outer;
        out
    } else {
        eval.unseen(&format!("script {}", first.text));
        Flow::program("script")
    }
}

const SHELLS: &[&str] = &[
    "bash",
    "sh",
    "dash",
    "zsh",
    "ksh",
    "ash",
    "fish",
    "csh",
    "tcsh",
    "rbash",
    "mksh",
    "pwsh",
    "powershell",
    "cmd",
];

/// Whether the name is a shell or an interpreter of a language.
pub(super) fn is_interpreter(name: &str) -> bool {
    SHELLS.contains(&name) || code::language(name).is_some()
}

/// Shells and interpreters.
pub(super) fn run(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> Option<Flow> {
    if SHELLS.contains(&name) {
        return Some(shell_command(eval, shell, name, args, stdin));
    }
    if matches!(
        name,
        "awk"
            | "gawk"
            | "mawk"
            | "nawk"
            | "sed"
            | "gsed"
            | "vim"
            | "vi"
            | "ex"
            | "nvim"
            | "emacs"
            | "expect"
            | "osascript"
            | "m4"
            | "ed"
            | "man"
            | "less"
            | "dc"
            | "gdb"
            | "sqlite3"
            | "zip"
            | "make"
            | "gmake"
            | "ansible"
            | "salt"
            | "crontab"
    ) {
        return escapes(eval, shell, name, args, stdin);
    }
    let language = code::language(name)?;
    Some(interpreter(eval, shell, language, args, stdin))
}

fn shell_command(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> Flow {
    let mut at = 1;
    let mut reads_stdin = false;
    let mut command = false;
    while let Some(arg) = args.get(at) {
        let text = arg.text.as_str();
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "-o" | "+o" | "-o-" | "--rcfile" | "--init-file" => {
                if lower.starts_with("--")
                    && let Some(file) = args.get(at + 1).cloned()
                {
                    source(eval, shell, &file);
                }
                at += 2;
                continue;
            }
            "/c" | "/k" | "-command" if matches!(name, "cmd" | "pwsh" | "powershell") => {
                command = true;
            }
            "-encodedcommand" | "-enc" | "-e" | "-ec" if matches!(name, "pwsh" | "powershell") => {
                eval.push(EffectKind::ExecOpaque, "decoded", name);
            }
            "--" => {
                at += 1;
                break;
            }
            _ if text.starts_with("--") || text == "-" => {}
            _ if text.starts_with(['-', '+']) => {
                command |= text.contains('c') && !text.starts_with('+');
                reads_stdin |= text.contains('s') && !text.contains('c');
            }
            _ => break,
        }
        at += 1;
        if command && matches!(name, "cmd" | "pwsh" | "powershell") {
            break;
        }
    }
    let mut inner = shell.clone();
    inner.aliases.clear();
    let given = if command { at + 2 } else { at + 1 };
    inner.params = args.get(given..).unwrap_or_default().to_vec();
    if let Some(zero) = args.get(at + 1).filter(|_| command) {
        inner.vars.insert("0".to_owned(), Var::scalar(zero.text.as_str(), zero.taint.clone()));
    }
    match args.get(at) {
        Some(text) if command => {
            let text = if matches!(name, "cmd" | "pwsh" | "powershell") {
                let words: Vec<&str> =
                    args.get(at..).unwrap_or_default().iter().map(|a| a.text.as_str()).collect();
                Arg { text: words.join(" "), span: text.span, taint: text.taint.clone() }
            } else {
                text.clone()
            };
            run_text(eval, &mut inner, &text, stdin)
        }
        Some(file) if !reads_stdin && file.text != "/dev/stdin" && file.text != "-" => {
            taint_effect(eval, &file.taint, file.span, &file.text);
            let flow = read_file(eval, shell, file);
            run_flow(eval, &mut inner, &flow, file)
        }
        _ => {
            let from = args.first().cloned().unwrap_or_default();
            run_flow(eval, &mut inner, stdin, &from)
        }
    }
}

// `python3 -c`, `node -e`, a script, or code from standard input.
fn interpreter(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    language: &'static str,
    args: &[Arg],
    stdin: &Flow,
) -> Flow {
    let span = super::opts::span_of(args);
    let mut at = 1;
    while let Some(arg) = args.get(at) {
        let text = arg.text.as_str();
        if let Some(inline) = code::inline_option(language, text) {
            let mut source = match inline {
                code::Inline::Next => args.get(at + 1).cloned().unwrap_or_default(),
                code::Inline::Joined(text) => {
                    Arg { text, span: arg.span, taint: arg.taint.clone() }
                }
            };
            // Several -e make one program.
            let more = args.iter().enumerate().skip(at + 2).filter(|(i, _)| {
                language == "perl" && args.get(i - 1).is_some_and(|a| a.text == "-e")
            });
            for (_, next) in more {
                source.text.push('\n');
                source.text.push_str(&next.text);
            }
            inline_code(eval, shell, language, &source);
            return Flow::program(language);
        }
        if language == "python" && text == "-m" {
            return python_module(eval, shell, args.get(at + 1..).unwrap_or_default(), stdin);
        }
        if text == "-" {
            break;
        }
        if matches!(language, "javascript" | "typescript")
            && matches!(text, "run" | "eval" | "test" | "x")
        {
            if text == "eval" {
                let source = args.get(at + 1).cloned().unwrap_or_default();
                inline_code(eval, shell, language, &source);
                return Flow::program(language);
            }
            if args.get(at + 1).is_some_and(|a| a.text.contains("://")) {
                remote_script(eval, args.get(at + 1));
            }
            return Flow::program(language);
        }
        if text.starts_with('-') {
            at += if code::option_takes(language, text) { 2 } else { 1 };
            continue;
        }
        // `deno run script`, `bun run script`.
        let runner = matches!(args.first().map(|a| a.text.as_str()), Some("deno" | "bun"));
        if runner && matches!(text, "run" | "serve" | "test" | "x") {
            at += 1;
            continue;
        }
        if text.contains("://") {
            remote_script(eval, Some(arg));
            return Flow::program(language);
        }
        // `php artisan db:wipe`, `python manage.py flush`: the script names the tool.
        let tool = text.rsplit('/').next().unwrap_or_default().to_owned();
        let rest = args.get(at..).unwrap_or_default();
        super::live::run(eval, &tool, rest);
        super::db::run(eval, shell, &tool, rest, stdin);
        taint_effect(eval, &arg.taint, arg.span, text);
        let flow = read_file(eval, shell, arg);
        taint_effect(eval, &flow.taint, arg.span, text);
        match flow.known() {
            Some(known) => {
                let known = known.to_owned();
                eval.at(arg.span, |eval| code::source(eval, shell, language, &known));
            }
            None => eval.unseen(&format!("script {text}")),
        }
        return Flow::program(language);
    }
    from_stdin(eval, shell, language, stdin, span)
}

// The program comes on standard input.
fn from_stdin(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    language: &'static str,
    stdin: &Flow,
    span: crate::shell::Span,
) -> Flow {
    taint_effect(eval, &stdin.taint, span, language);
    match stdin.known() {
        Some(known) => {
            let known = known.to_owned();
            eval.at(span, |eval| code::source(eval, shell, language, &known));
        }
        None if stdin.text.is_none()
            && !matches!(stdin.taint, Taint::Remote(_) | Taint::Decoded | Taint::File(_)) =>
        {
            eval.push_at(EffectKind::ExecOpaque, "unknown-code", language, span);
        }
        None => {}
    }
    Flow::program(language)
}

fn remote_script(eval: &mut Eval<'_>, arg: Option<&Arg>) {
    let Some(arg) = arg else { return };
    let host = crate::hosts::of_url(&arg.text).unwrap_or_default();
    if !crate::hosts::is_local(&host) {
        eval.push_at(EffectKind::ExecRemote, "download", &host, arg.span);
    }
}

fn inline_code(eval: &mut Eval<'_>, shell: &mut Shell, language: &'static str, source: &Arg) {
    taint_effect(eval, &source.taint, source.span, &source.text);
    if source.text.starts_with(UNKNOWN) && source.text.chars().count() == 1 {
        if matches!(source.taint, Taint::None | Taint::Program(_)) {
            eval.push_at(EffectKind::ExecOpaque, "unknown-code", language, source.span);
        }
        return;
    }
    eval.at(source.span, |eval| code::source(eval, shell, language, &source.text));
}

fn python_module(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg], stdin: &Flow) -> Flow {
    let Some(module) = args.first() else { return Flow::program("python") };
    match module.text.as_str() {
        "pip" | "twine" | "pytest" | "poetry" | "build" | "awscli" | "ansible" | "flit"
        | "hatch" => eval.run(shell, args, stdin),
        "timeit" | "trace" | "pdb" | "cProfile" | "coverage" | "debugpy" => {
            let mut line = vec![Arg::new("python3", module.span)];
            let rest = args.get(1..).unwrap_or_default();
            let code = rest.iter().find(|a| !a.text.starts_with('-'));
            if module.text == "timeit" {
                if let Some(code) = code {
                    inline_code(eval, shell, "python", &code.clone());
                }
                return Flow::program("python");
            }
            line.extend(
                rest.iter()
                    .filter(|a| !matches!(a.text.as_str(), "run" | "-m" | "report" | "html"))
                    .cloned(),
            );
            if line.len() == 1 {
                return Flow::program("python");
            }
            eval.run(shell, &line, stdin)
        }
        "base64" => {
            let mut line = vec![Arg::new("base64", module.span)];
            line.extend(args.iter().skip(1).cloned());
            super::output(eval, shell, "base64", &line, stdin)
        }
        _ => Flow::program("python"),
    }
}

// Tools with a way to run a command from inside their own language.
#[expect(clippy::too_many_lines, reason = "one arm for each tool")]
fn escapes(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> Option<Flow> {
    match name {
        "awk" | "gawk" | "mawk" | "nawk" => {
            let opts =
                Opts::scan(args, &["-F", "-v", "-f", "--assign", "--field-separator", "--file"]);
            if opts.value(&["-f", "--file"]).is_none() {
                let program = (*opts.words.first()?).clone();
                code::awk(eval, shell, &program, stdin);
            }
            None
        }
        "sed" | "gsed" => {
            let opts = Opts::scan(args, &["-e", "-f", "--expression", "--file"]);
            let mut scripts: Vec<Arg> = opts.all(&["-e", "--expression"]).cloned().collect();
            if scripts.is_empty() {
                scripts.extend(opts.words.first().map(|a| (*a).clone()));
            }
            for script in scripts {
                code::sed(eval, shell, &script);
            }
            None
        }
        "vim" | "vi" | "ex" | "nvim" | "ed" | "emacs" | "gdb" | "less" | "man" | "sqlite3"
        | "dc" | "m4" => {
            for (at, arg) in args.iter().enumerate().skip(1) {
                let before = args.get(at - 1).map_or("", |a| a.text.as_str());
                let body = if matches!(before, "-c" | "--cmd" | "-ex" | "--eval" | "-cmd") {
                    arg.text.as_str()
                } else {
                    arg.text.strip_prefix('+').unwrap_or("")
                };
                code::editor(eval, shell, body, arg.span);
            }
            if let Some(text) = stdin.known().map(str::to_owned)
                && matches!(name, "ed" | "ex" | "vim" | "gdb")
            {
                for line in text.lines() {
                    code::editor(eval, shell, line, super::opts::span_of(args));
                }
            }
            None
        }
        "zip" => {
            let at = args.iter().position(|a| a.text == "-TT" || a.text == "--unzip-command");
            if let Some(command) = at.and_then(|at| args.get(at + 1)).cloned() {
                eval.text(shell, &command.text, command.span, &Flow::empty());
            }
            None
        }
        "make" | "gmake" => {
            for arg in args.iter().skip(1) {
                if let Some((name, value)) = arg.text.split_once('=')
                    && matches!(name, "SHELL" | ".SHELLFLAGS")
                    && value.contains(' ')
                {
                    eval.text(shell, value, arg.span, &Flow::empty());
                }
                if let Some(text) = arg.text.strip_prefix("--eval=") {
                    code::makefile(eval, shell, text, arg.span);
                }
            }
            let given = args.iter().any(|a| matches!(a.text.as_str(), "-f-" | "/dev/stdin"))
                || args
                    .windows(2)
                    .any(|p| matches!(p, [f, dash] if f.text == "-f" && dash.text == "-"));
            if given {
                let text = stdin.known().unwrap_or_default().to_owned();
                code::makefile(eval, shell, &text, super::opts::span_of(args));
            }
            eval.unseen("make targets");
            None
        }
        "expect" => {
            for arg in args.iter().skip(1) {
                for line in arg.text.split(['\n', ';']) {
                    let line = line.trim();
                    let command =
                        ["spawn ", "exec ", "system "].iter().find_map(|p| line.strip_prefix(p));
                    if let Some(command) = command {
                        eval.text(shell, command, arg.span, &Flow::empty());
                    }
                }
            }
            None
        }
        "osascript" => {
            for arg in args.iter().skip(1).filter(|a| a.text.contains(' ')) {
                code::quoted_commands(eval, shell, &arg.text, arg.span);
            }
            None
        }
        "ansible" | "salt" => {
            let opts =
                Opts::scan(args, &["-m", "-a", "-i", "-u", "-e", "-f", "--args", "--module-name"]);
            if let Some(text) = opts.value(&["-a", "--args"]).cloned() {
                eval.text(shell, &text.text, text.span, &Flow::empty());
            } else if name == "salt"
                && let Some(text) = args.last().cloned()
            {
                eval.text(shell, &text.text, text.span, &Flow::empty());
            }
            None
        }
        _ => None,
    }
}

/// Whether a word could be code that depends on the run entirely.
pub(super) fn is_opaque(arg: &Arg) -> bool {
    is_unknown(&arg.text) && arg.text.chars().count() == 1
}
