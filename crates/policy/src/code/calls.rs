//! Calls with constant arguments, and what they do.

use std::collections::HashMap;

use super::apis::{Api, find};
use super::scan::{Program, Token};
use crate::effect::EffectKind;
use crate::effects;
use crate::eval::{Arg, Eval, Flow, Shell, Taint, UNKNOWN, decode_base64, unhex};
use crate::paths;

/// Nesting of expressions that is followed.
const MAX_NESTING: usize = 12;

/// The value of the expression at `at`: its alternatives or elements, and where it ends.
pub(super) fn value(
    program: &Program,
    known: &HashMap<String, Vec<String>>,
    at: usize,
    depth: usize,
) -> (Vec<String>, usize) {
    let mut at = at;
    let mut out: Vec<String> = Vec::new();
    if depth > MAX_NESTING {
        return (vec![UNKNOWN.to_string()], at + 1);
    }
    loop {
        let (mut piece, next) = operand(program, known, at, depth);
        at = next;
        // Concatenation: element by element for lists of one.
        match (out.as_mut_slice(), piece.as_slice()) {
            ([], _) => out = piece,
            ([only], [more]) => only.push_str(more),
            _ => out.append(&mut piece),
        }
        let joins = match program.tokens.get(at) {
            Some(Token::Sign('+')) => true,
            Some(Token::Sign('.')) => true,
            Some(Token::Sign('/')) => {
                // `Path('a') / 'b'`.
                if let Some(last) = out.last_mut() {
                    last.push('/');
                }
                true
            }
            Some(Token::Text(_)) => {
                continue;
            }
            _ => false,
        };
        if !joins || out.len() > 64 {
            return (out, at);
        }
        at += 1;
    }
}

fn operand(
    program: &Program,
    known: &HashMap<String, Vec<String>>,
    at: usize,
    depth: usize,
) -> (Vec<String>, usize) {
    let unknown = || vec![UNKNOWN.to_string()];
    match program.tokens.get(at) {
        Some(Token::Text(text)) => (vec![fill(text, known)], at + 1),
        Some(Token::Number(number)) => (vec![number.clone()], at + 1),
        Some(Token::Sign('[' | '(' | '{')) => {
            let (items, end) = list(program, known, at, depth + 1);
            (items.into_iter().flatten().collect(), end)
        }
        Some(Token::Sign('&' | '*' | '!' | '\\')) => {
            operand(program, known, at + 1, (depth + 1).min(MAX_NESTING + 1))
        }
        Some(Token::Name(name)) => {
            if program.tokens.get(at + 1) == Some(&Token::Sign('(')) {
                let (args, mut end) = list(program, known, at + 1, depth + 1);
                let result = call_value(name, &args);
                // A method on the result: `.decode()`, `.text`.
                while let Some(Token::Sign('.')) = program.tokens.get(end) {
                    match (program.tokens.get(end + 1), program.tokens.get(end + 2)) {
                        (Some(Token::Name(_)), Some(Token::Sign('('))) => {
                            end = list(program, known, end + 2, depth + 1).1;
                        }
                        (Some(Token::Name(_)), _) => end += 2,
                        _ => break,
                    }
                }
                return (result, end);
            }
            if matches!(name.as_str(), "new" | "await" | "return" | "const" | "let" | "var" | "my")
            {
                return operand(program, known, at + 1, (depth + 1).min(MAX_NESTING + 1));
            }
            if program.tokens.get(at + 1) == Some(&Token::Sign('[')) {
                let (args, end) = list(program, known, at + 1, depth + 1);
                let key = args.into_iter().flatten().next().unwrap_or_default();
                let home = name.to_ascii_lowercase().contains("env") && key == "HOME";
                return (if home { vec!["/home/user".into()] } else { unknown() }, end);
            }
            match (known.get(name), name.as_str()) {
                (Some(values), _) => (values.clone(), at + 1),
                (None, "process.env.HOME" | "HOME") => (vec!["/home/user".into()], at + 1),
                _ => (unknown(), at + 1),
            }
        }
        Some(_) | None => (unknown(), at + 1),
    }
}

fn fill(text: &str, known: &HashMap<String, Vec<String>>) -> String {
    if !text.contains('\u{1}') {
        return text.to_owned();
    }
    text.split('\u{1}')
        .enumerate()
        .map(|(at, piece)| {
            if at % 2 == 0 {
                return piece.to_owned();
            }
            known.get(piece).and_then(|v| v.first()).cloned().unwrap_or_else(|| UNKNOWN.to_string())
        })
        .collect()
}

/// The arguments of the list that opens at `at`, and the place after it.
fn list(
    program: &Program,
    known: &HashMap<String, Vec<String>>,
    at: usize,
    depth: usize,
) -> (Vec<Vec<String>>, usize) {
    let mut out = Vec::new();
    let mut at = at + 1;
    let mut guard = 0;
    while let Some(token) = program.tokens.get(at) {
        guard += 1;
        if guard > 512 {
            break;
        }
        match token {
            Token::Sign(')' | ']' | '}') => return (out, at + 1),
            Token::Sign(',' | '\n' | ';' | ':' | '=' | '>' | '<' | '|' | '%' | '?') => at += 1,
            // Keyword arguments keep their name as a mark.
            Token::Name(name)
                if matches!(program.tokens.get(at + 1), Some(Token::Sign('=' | ':')))
                    && program.tokens.get(at + 2) != Some(&Token::Sign('=')) =>
            {
                let (values, next) = value(program, known, at + 2, depth);
                let first = values.first().cloned().unwrap_or_default();
                out.push(vec![format!("\u{2}{name}={first}")]);
                at = next.max(at + 2);
            }
            _ => {
                let (values, next) = value(program, known, at, depth);
                out.push(values);
                at = next.max(at + 1);
            }
        }
    }
    (out, at)
}

// Functions whose result is known.
fn call_value(name: &str, args: &[Vec<String>]) -> Vec<String> {
    let flat: Vec<&String> = args.iter().flatten().filter(|a| !a.starts_with('\u{2}')).collect();
    let first = flat.first().map_or("", |s| s.as_str());
    let last = name.rsplit('.').next().unwrap_or(name);
    let text = match last {
        "expanduser" | "expand_path" | "expandvars" => {
            Some(first.replacen('~', "/home/user", 1).replacen("$HOME", "/home/user", 1))
        }
        "homedir" | "home" | "UserHomeDir" => Some("/home/user".to_owned()),
        "getcwd" | "cwd" | "pwd" => Some(".".to_owned()),
        "getenv" if first == "HOME" => Some("/home/user".to_owned()),
        "get" if first == "HOME" => Some("/home/user".to_owned()),
        "gettempdir" | "tmpdir" | "mkdtemp" | "mkdtempSync" => Some("/tmp/code".to_owned()),
        "join" | "resolve" | "joinpath" if flat.len() > 1 && !name.contains("''") => {
            let parts: Vec<&str> = flat.iter().map(|s| s.as_str()).collect();
            let from = parts.iter().rposition(|p| p.starts_with('/')).unwrap_or(0);
            Some(parts.get(from..).unwrap_or_default().join("/"))
        }
        "Path" | "PurePath" | "abspath" | "realpath" | "normpath" | "String" | "str" | "b"
        | "resolve" | "URL" | "Request" | "text" | "glob" | "quote" | "split" | "bytes"
        | "encode" => Some(first.to_owned()),
        "b64decode" | "atob" | "decode64" | "base64_decode" | "urlsafe_b64decode" => {
            decode_base64(first)
        }
        "fromhex" | "unhexlify" | "hex2bin" => unhex(first),
        "chr" | "fromCharCode" => {
            let chars: Option<String> =
                flat.iter().map(|n| n.parse().ok().and_then(char::from_u32)).collect();
            chars
        }
        "from" if flat.get(1).is_some_and(|e| *e == "base64") => decode_base64(first),
        "from" if flat.get(1).is_some_and(|e| *e == "hex") => unhex(first),
        _ => None,
    };
    vec![text.unwrap_or_else(|| UNKNOWN.to_string())]
}

/// Turns the calls of a program into effects.
pub(super) fn judge(eval: &mut Eval<'_>, shell: &mut Shell, language: &str, program: &Program) {
    for at in 0..program.tokens.len() {
        let (name, args, next) = match program.tokens.get(at) {
            Some(Token::Command(text)) => {
                let text = text.clone();
                eval.text(shell, &text, (0, 0), &Flow::empty());
                continue;
            }
            Some(Token::Name(name)) => match program.tokens.get(at + 1) {
                Some(Token::Sign('(')) => {
                    let (args, next) = list(program, &program.constants, at + 1, 0);
                    (name, args, next)
                }
                // Ruby and Perl call without parentheses: `unlink 'x'`, `system "rm"`.
                Some(Token::Text(_))
                    if matches!(
                        language,
                        "ruby" | "perl" | "php" | "lua" | "elixir" | "groovy"
                    ) =>
                {
                    let (values, next) = value(program, &program.constants, at + 1, 0);
                    let mut args = vec![values];
                    let mut next = next;
                    while program.tokens.get(next) == Some(&Token::Sign(',')) {
                        let (more, after) = value(program, &program.constants, next + 1, 0);
                        args.push(more);
                        next = after;
                    }
                    (name, args, next)
                }
                _ => continue,
            },
            _ => continue,
        };
        let (name, args) = by_callback(name, args);
        let full = qualified(program, at, &name);
        let Some(api) = method(program, at, next, &args, &full).or_else(|| find(language, &full))
        else {
            continue;
        };
        call(eval, shell, language, program, &full, api, &args, next);
    }
    reverse_shell(eval, program);
    evaluates_answer(eval, program);
}

// `array_map('unlink', ...)` calls `unlink`.
fn by_callback(name: &str, mut args: Vec<Vec<String>>) -> (String, Vec<Vec<String>>) {
    let calls = matches!(
        name,
        "array_map" | "array_walk" | "call_user_func" | "call_user_func_array" | "array_filter"
    );
    match args.first().and_then(|first| first.first()).cloned() {
        Some(callback) if calls && !callback.contains(UNKNOWN) => {
            args.remove(0);
            (callback, args)
        }
        _ => (name.to_owned(), args),
    }
}

// `fetch(url).then(r => r.text()).then(eval)`: a host's answer is code.
fn evaluates_answer(eval: &mut Eval<'_>, program: &Program) {
    let passed = program.tokens.windows(2).any(|pair| {
        matches!(pair, [Token::Name(name), Token::Sign(')')]
            if matches!(name.as_str(), "eval" | "exec" | "execSync" | "os.system" | "Function"))
    });
    if passed && let Some(host) = host_of(program) {
        eval.push(EffectKind::ExecRemote, "pipe", &host);
    }
}

// The whole environment as a value: `dict(os.environ)`, `JSON.stringify(process.env)`.
fn sends_environment(program: &Program) -> bool {
    program.tokens.windows(2).any(|pair| {
        matches!(pair, [Token::Name(name), Token::Sign(')' | ',' | '}')]
            if matches!(name.as_str(), "os.environ" | "process.env" | "ENV" | "environ"))
    })
}

// `rmtree` imported from `shutil` is `shutil.rmtree`.
fn qualified(program: &Program, at: usize, name: &str) -> String {
    let (head, rest) = name.split_once('.').map_or((name, None), |(h, r)| (h, Some(r)));
    // `require('fs').rmSync(...)`: the module stands before.
    if at >= 4
        && let (Some(Token::Sign('.')), Some(Token::Sign(')')), Some(Token::Text(module))) =
            (program.tokens.get(at - 1), program.tokens.get(at - 2), program.tokens.get(at - 3))
    {
        let owner = match program.tokens.get(at.wrapping_sub(5)) {
            Some(Token::Name(owner)) => owner.as_str(),
            _ => "",
        };
        if matches!(owner, "require" | "__import__" | "import_module" | "importlib.import_module") {
            return format!("{}.{name}", module.trim_start_matches("node:").replace('/', "."));
        }
    }
    match (program.imports.get(head), rest) {
        (Some(full), Some(rest)) => format!("{full}.{rest}"),
        (Some(full), None) => full.clone(),
        (None, _) => name.to_owned(),
    }
}

// Methods on a path: `Path('x').unlink()`, `Path('x').write_text(...)`.
fn method(
    program: &Program,
    _at: usize,
    next: usize,
    _args: &[Vec<String>],
    name: &str,
) -> Option<Api> {
    if !matches!(name.rsplit('.').next(), Some("Path" | "file" | "File")) {
        return None;
    }
    match (program.tokens.get(next), program.tokens.get(next + 1)) {
        (Some(Token::Sign('.')), Some(Token::Name(method))) => Some(match method.as_str() {
            "unlink" | "rmdir" | "delete" => Api::Delete,
            "deleteRecursively" => Api::DeleteTree,
            "write_text" | "write_bytes" | "touch" | "mkdir" | "writeText" => Api::Write,
            "read_text" | "read_bytes" | "open" | "readText" => Api::Read,
            "chmod" => Api::Chmod,
            "rename" | "replace" => Api::Move,
            "rglob" | "glob" | "iterdir" => return None,
            _ => return None,
        }),
        _ => None,
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each thing a function can do")]
#[expect(clippy::too_many_arguments, reason = "one call with all that is known about it")]
fn call(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    language: &str,
    program: &Program,
    name: &str,
    api: Api,
    args: &[Vec<String>],
    next: usize,
) {
    let plain: Vec<&Vec<String>> =
        args.iter().filter(|a| !a.first().is_some_and(|f| f.starts_with('\u{2}'))).collect();
    let keyword = |key: &str| {
        args.iter().flatten().find_map(|a| {
            a.strip_prefix('\u{2}')?.strip_prefix(key)?.strip_prefix('=').map(str::to_owned)
        })
    };
    let first = plain.first().map(|a| a.as_slice()).unwrap_or_default().to_vec();
    let texts: Vec<String> = plain.iter().flat_map(|a| a.iter().cloned()).collect();
    match api {
        Api::Delete | Api::DeleteTree => {
            for path in texts.iter().take(if language == "perl" || language == "ruby" {
                16
            } else {
                first.len()
            }) {
                if path.chars().count() == 1 && path.starts_with(UNKNOWN) {
                    continue;
                }
                effects::delete_path(eval, shell, path, api == Api::DeleteTree, (0, 0));
            }
        }
        Api::Shell => {
            if language == "ruby" && texts.len() > 1 || language == "perl" && texts.len() > 1 {
                spawn(eval, shell, &texts);
            } else {
                run_text(eval, shell, &first, program, next);
            }
        }
        Api::Program => {
            if texts.len() > 1 && first.len() > 1 {
                spawn(eval, shell, &first);
            } else if first.len() == 1 && plain.len() > 1 && !matches!(language, "python") {
                spawn(eval, shell, &texts);
            } else {
                run_text(eval, shell, &first, program, next);
            }
        }
        Api::Spawn => {
            let texts = if name.contains("exec")
                && language == "python"
                && texts.len() > 2
                && texts.first().map(|f| f.rsplit('/').next())
                    == texts.get(1).map(|s| s.rsplit('/').next())
            {
                texts.get(1..).unwrap_or_default().to_vec()
            } else {
                texts
            };
            let chained = chained_args(program, next);
            spawn(eval, shell, &texts.into_iter().chain(chained).collect::<Vec<_>>());
        }
        Api::Open => {
            let mode = plain
                .get(1)
                .and_then(|m| m.first())
                .cloned()
                .or_else(|| keyword("mode"))
                .unwrap_or_default();
            for path in &first {
                if mode.contains(['w', 'a', 'x', '+', '>']) {
                    effects::write_path(eval, shell, path, (0, 0), None);
                } else {
                    read(eval, shell, path);
                }
            }
        }
        Api::Read => first.iter().for_each(|path| {
            if path.contains("://") {
                effects::egress(eval, path, "connect", (0, 0));
            } else {
                read(eval, shell, path);
            }
        }),
        Api::Write => {
            for path in &first {
                effects::write_path(eval, shell, path, (0, 0), None);
            }
        }
        Api::Move => {
            let copies = name.contains("copy") || name.contains("cp");
            if let [from, .., to] = texts.as_slice() {
                let mut line = vec![Arg::new(if copies { "cp" } else { "mv" }, (0, 0))];
                line.extend([Arg::new(from.as_str(), (0, 0)), Arg::new(to.as_str(), (0, 0))]);
                eval.run(shell, &line, &Flow::empty());
            }
        }
        Api::Chmod => {
            if let [path, mode] = texts.as_slice() {
                let (path, mode) = if path.starts_with("0o") || path.parse::<u32>().is_ok() {
                    (mode, path)
                } else {
                    (path, mode)
                };
                let mode = mode.trim_start_matches("0o");
                let line = [
                    Arg::new("chmod", (0, 0)),
                    Arg::new(mode, (0, 0)),
                    Arg::new(path.as_str(), (0, 0)),
                ];
                eval.run(shell, &line, &Flow::empty());
            }
        }
        Api::Fetch | Api::Send => {
            fetch(eval, api, &texts, sends_environment(program), &keyword);
        }
        Api::Connect => connect(eval, &texts),
        Api::Eval => evaluate(eval, shell, language, program, &first, args, next),
        Api::Sql => first
            .iter()
            .filter(|t| t.contains(' '))
            .for_each(|text| effects::statements(eval, text)),
        Api::Kill => {
            if matches!(texts.first().map(String::as_str), Some("-1" | "1")) {
                eval.push(EffectKind::Process, "kill-all", "every process");
            }
        }
    }
}

fn read(eval: &mut Eval<'_>, shell: &Shell, path: &str) {
    let normal = paths::normalize(path, &shell.cwd);
    if effects::is_credential(&normal, &eval.home) {
        eval.push(EffectKind::CredentialRead, "file", &normal);
    }
}

fn spawn(eval: &mut Eval<'_>, shell: &mut Shell, words: &[String]) {
    let line: Vec<Arg> = words.iter().map(|w| Arg::new(w.as_str(), (0, 0))).collect();
    if line.first().is_some_and(|a| !a.is_unknown()) {
        eval.run(shell, &line, &Flow::empty());
    }
}

// `Command::new("rm").args(["-rf", "/"])`, `.arg("-rf")`.
fn chained_args(program: &Program, mut at: usize) -> Vec<String> {
    let mut out = Vec::new();
    while let (Some(Token::Sign('.')), Some(Token::Name(name)), Some(Token::Sign('('))) =
        (program.tokens.get(at), program.tokens.get(at + 1), program.tokens.get(at + 2))
    {
        let (args, next) = list(program, &program.constants, at + 2, 0);
        if matches!(name.as_str(), "arg" | "args") {
            out.extend(args.into_iter().flatten());
        }
        at = next;
        if out.len() > 64 {
            break;
        }
    }
    out
}

fn run_text(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    texts: &[String],
    program: &Program,
    _next: usize,
) {
    for text in texts {
        if text.chars().all(|c| c == UNKNOWN) {
            let remote = host_of(program);
            if let Some(host) = remote {
                eval.push(EffectKind::ExecRemote, "pipe", &host);
            } else if decodes(program) {
                eval.push(EffectKind::ExecOpaque, "decoded", "");
            }
            continue;
        }
        eval.text(shell, text, (0, 0), &Flow::empty());
    }
}

// A host that the program reads from, if it does.
fn host_of(program: &Program) -> Option<String> {
    let fetches = program.tokens.iter().any(|t| matches!(t, Token::Name(n)
        if n.contains("urlopen") || n.contains("requests.get") || n.contains("fetch") || n.ends_with("http.get") || n.ends_with("https.get") || n.contains("file_get_contents") || n.contains("httpx.get") || n.contains("URI.open") || n.contains("LWP") || n.contains("Net.HTTP")));
    let url = program.tokens.iter().find_map(|t| match t {
        Token::Text(text) if text.contains("://") => crate::hosts::of_url(text),
        _ => None,
    })?;
    (fetches && !crate::hosts::is_local(url.split(':').next().unwrap_or_default())).then_some(url)
}

fn decodes(program: &Program) -> bool {
    program.tokens.iter().any(|t| matches!(t, Token::Name(n)
        if n.contains("b64decode") || n.contains("base64_decode") || n.ends_with("atob") || n.contains("decode64")
            || n.contains("decompress") || n.contains("marshal.loads") || n.contains("fromhex") || n.contains("gzinflate") || n.contains("str_rot13") || n.contains("unhexlify")))
}

fn evaluate(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    language: &str,
    program: &Program,
    first: &[String],
    _args: &[Vec<String>],
    next: usize,
) {
    let Some(text) = first.first() else { return };
    if text.chars().all(|c| c == UNKNOWN) {
        run_text(eval, shell, first, program, next);
    } else if eval.calls.iter().filter(|c| *c == "\u{1}code").count() < 4 {
        eval.calls.push("\u{1}code".to_owned());
        super::source(eval, shell, language, text);
        eval.calls.pop();
    }
}

fn fetch(
    eval: &mut Eval<'_>,
    api: Api,
    texts: &[String],
    environment: bool,
    keyword: &dyn Fn(&str) -> Option<String>,
) {
    let url = texts.iter().find(|t| t.contains("://")).cloned().or_else(|| keyword("url"));
    let Some(url) = url else {
        if let Some(host) = texts.first().filter(|t| t.contains('.')) {
            effects::egress(eval, host, "connect", (0, 0));
        }
        return;
    };
    let secret =
        environment || eval.found.effects.iter().any(|e| e.kind == EffectKind::CredentialRead);
    let body = ["data", "json", "files", "body", "content"].iter().any(|k| keyword(k).is_some());
    let class = if secret {
        "secret"
    } else if api == Api::Send || body {
        "upload"
    } else {
        "connect"
    };
    effects::egress(eval, &url, class, (0, 0));
}

fn connect(eval: &mut Eval<'_>, texts: &[String]) {
    let looks_like_host =
        |t: &&String| t.contains('.') || t.contains(':') || t.as_str() == "localhost";
    if let Some(host) = texts.iter().find(looks_like_host) {
        let port = texts.iter().find(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()));
        let target = match port {
            Some(port) if !host.contains(':') => format!("{host}:{port}"),
            _ => host.clone(),
        };
        effects::egress(eval, &target, "connect", (0, 0));
    }
}

// A socket whose descriptors become a shell's.
fn reverse_shell(eval: &mut Eval<'_>, program: &Program) {
    let has = |names: &[&str]| {
        program.tokens.iter().any(|t| matches!(t, Token::Name(n) if names.iter().any(|x| n.ends_with(x) || n.contains(&format!("{x}.")))))
    };
    let text = |marks: &[&str]| {
        program
            .tokens
            .iter()
            .any(|t| matches!(t, Token::Text(x) if marks.iter().any(|m| x.contains(m))))
    };
    let connects = has(&[
        "connect",
        "TCPSocket.new",
        "TCPSocket.open",
        "fsockopen",
        "Socket",
        "net.connect",
        "create_connection",
        "createConnection",
        "TCPSocket",
        "INET",
        "net.Dial",
    ]);
    let shell =
        text(&["/bin/sh", "/bin/bash", "sh -i", "bash -i", "cmd.exe"]) || has(&["pty.spawn"]);
    let joins =
        has(&["dup2", "pipe", "pty.spawn", "popen", "exec", "spawn", "proc_open", "call", "Popen"]);
    if connects && shell && joins {
        let host = program.tokens.iter().find_map(|t| match t {
            Token::Text(x)
                if crate::hosts::address(x).is_some()
                    || x.contains('.') && !x.contains(['/', ' ']) =>
            {
                Some(x.clone())
            }
            _ => None,
        });
        eval.push(EffectKind::NetEgress, "shell", &host.unwrap_or_else(|| "a host".into()));
    }
    let _ = Taint::None;
}
