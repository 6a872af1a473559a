//! What a call does: effects, and the value it gives.

use std::rc::Rc;

use super::apis::{Api, find};
use super::builtins;
use super::interp::{Interp, blank};
use super::scan::{Program, Token};
use super::sdk;
use super::value::{Args, Value};
use crate::effect::EffectKind;
use crate::effects;
use crate::eval::{Arg, Flow, Taint};
use crate::{hosts, paths};

/// A call of `name`, as a method of `on` if there is one; `next` is the place after it.
pub(super) fn call(
    interp: &mut Interp<'_, '_>,
    name: &str,
    on: Option<Value>,
    args: &Args,
    next: usize,
) -> Value {
    let (name, args) = by_callback(name, args);
    if let Some(on) = &on {
        if let Some(value) = on_list(interp, on, &name, &args) {
            return value;
        }
        if on.of == "Path" && act_on_path(interp, on, &name, &args) {
            return on.clone();
        }
        if let Some(value) = received(on, &name) {
            return value;
        }
        writes(interp, on, &name, &args);
    }
    let full = match &on {
        Some(on) if !on.of.is_empty() => on.member(&name),
        _ => interp.qualified(&name),
    };
    if interp.loud {
        sdk::call(interp, &full, on.as_ref(), &args);
    }
    if let Some(value) = module(&full, &args) {
        return value;
    }
    if interp.loud {
        moves(interp, &full, &args);
        unpacks(interp, &full, &args);
    }
    let api = find(interp.language, &full).or_else(|| find(interp.language, &name));
    let Some(api) = api.filter(|_| !is_local_database(&full)) else {
        let method = on.as_ref().and_then(|on| builtins::method(on, &name, &args));
        return method.unwrap_or_else(|| {
            let made = builtins::function(&full, &args);
            let taint = on.map(|on| on.taint).unwrap_or_default();
            Value { taint: made.taint.clone().worse(taint), ..made }
        });
    };
    let chained = chained_args(interp, next);
    if interp.loud {
        act(interp, &full, api, &args, chained);
    }
    result(interp, &full, api, &args)
}

// A database in a file or in memory is no host.
fn is_local_database(name: &str) -> bool {
    matches!(name, "sqlite3.connect" | "aiosqlite.connect" | "duckdb.connect")
}

// `__import__("os")`, `getattr(os, "system")`: a name spelled as text.
fn module(name: &str, args: &Args) -> Option<Value> {
    let last = name.rsplit('.').next().unwrap_or(name);
    match last {
        "__import__" | "import_module" | "require" | "import" if !blank(args.first()) => {
            let module = args.first().trim_start_matches("node:").replace('/', ".");
            Some(Value::named(&module))
        }
        "getattr" => {
            let (on, attribute) = (args.get(0)?, args.get(1)?.first());
            Some(Value::named(&format!("{}.{attribute}", on.of)))
        }
        // The C library by `ctypes`: its functions are the shell's of other languages.
        "CDLL" | "LoadLibrary" => Some(Value::named("os")),
        _ => None,
    }
}

// `os.chdir("/")`: what comes after is elsewhere.
fn moves(interp: &mut Interp<'_, '_>, name: &str, args: &Args) {
    let last = name.rsplit('.').next().unwrap_or(name);
    if matches!(last, "chdir" | "setwd" | "set_current_dir") && !blank(args.first()) {
        interp.shell.cwd = paths::normalize(args.first(), &interp.shell.cwd);
    }
}

// Objects that run code as they are unpacked: `pickle.loads(...)`, `yaml.load(...)`.
fn unpacks(interp: &mut Interp<'_, '_>, name: &str, args: &Args) {
    let unpacks = ["pickle.loads", "cPickle.loads", "yaml.load", "yaml.unsafe_load", "dill.loads"];
    if !unpacks.contains(&name) {
        return;
    }
    let text = args.first();
    let runs = ["system", "popen", "subprocess", "eval", "exec"].iter().any(|n| text.contains(n));
    if runs && !blank(text) {
        interp.eval.push(EffectKind::ExecOpaque, "decoded", name);
    } else if matches!(args.taint(), Taint::Remote(_)) && !name.starts_with("yaml") {
        opaque(interp, &args.taint());
    }
}

// Lists that grow: `cmd.append("/usr")`, `cmd.push(...)`.
fn on_list(interp: &mut Interp<'_, '_>, on: &Value, name: &str, args: &Args) -> Option<Value> {
    if !on.list || !matches!(name, "append" | "push" | "extend" | "add" | "insert" | "concat") {
        return None;
    }
    let grown = on.clone().then(Value { taint: args.taint(), ..Value::list(args.texts()) });
    if let Some(holder) = interp.holder(on) {
        interp.set(&holder, grown.clone());
    }
    Some(grown)
}

// What comes in over a socket or as an answer.
fn received(on: &Value, name: &str) -> Option<Value> {
    let receives = matches!(
        name,
        "recv" | "recvfrom" | "recv_into" | "makefile" | "recv_string" | "readline" | "gets"
    );
    let socket = on.of.to_ascii_lowercase().contains("socket") || on.of.contains("connection");
    (receives && socket).then(|| {
        let host = on.at.clone().unwrap_or_else(|| "a host".to_owned());
        Value { taint: Taint::Remote(Rc::from(host)), ..Value::unknown() }
    })
}

// `f.write(text)` on an opened file: what is written there.
fn writes(interp: &mut Interp<'_, '_>, on: &Value, name: &str, args: &Args) {
    let (true, Some(path)) = (matches!(name, "write" | "writelines" | "puts"), &on.at) else {
        return;
    };
    let opened = on.of.ends_with("open") || on.of.ends_with("File.new");
    if interp.loud && opened && !path.contains("://") {
        let taint = args.taint();
        let text = args.get(0).filter(|value| !value.is_blank()).map(|v| Rc::from(v.first()));
        let flow = Flow { text, taint, ..Flow::default() };
        let content = Some((&flow, true));
        effects::write_path(interp.eval, interp.shell, path, (0, 0), content);
    }
}

// `array_map('unlink', ...)` calls `unlink`.
fn by_callback(name: &str, args: &Args) -> (String, Args) {
    let calls = matches!(
        name,
        "array_map" | "array_walk" | "call_user_func" | "call_user_func_array" | "array_filter"
    );
    let mut args = args.clone();
    let callback = args.first().to_owned();
    if calls && !blank(&callback) {
        args.plain.remove(0);
        return (callback, args);
    }
    (name.to_owned(), args)
}

// Methods on a path: `p.unlink()`, `p.write_text(...)`; whether it is one.
fn act_on_path(interp: &mut Interp<'_, '_>, on: &Value, name: &str, args: &Args) -> bool {
    let api = match name {
        "unlink" | "rmdir" | "delete" => Api::Delete,
        "deleteRecursively" | "rmtree" => Api::DeleteTree,
        "write_text" | "write_bytes" | "touch" | "mkdir" | "writeText" => Api::Write,
        "read_text" | "read_bytes" | "readText" => Api::Read,
        "open" => Api::Open,
        "chmod" => Api::Chmod,
        "rename" | "replace" | "move" => Api::Move,
        _ => return false,
    };
    if interp.loud {
        let mut with = args.clone();
        with.plain.insert(0, on.clone());
        act(interp, name, api, &with, Vec::new());
    }
    !matches!(api, Api::Read | Api::Open)
}

/// What a call gives back.
fn result(interp: &Interp<'_, '_>, name: &str, api: Api, args: &Args) -> Value {
    let first = args.first();
    let of = if name.ends_with("Path") { "Path".to_owned() } else { name.to_owned() };
    match api {
        Api::Fetch | Api::Send => {
            let host = url_of(args).and_then(|url| hosts::of_url(&url));
            let local =
                host.as_deref().is_some_and(|h| hosts::is_local(h.split(':').next().unwrap_or(h)));
            let taint = if local {
                Taint::None
            } else {
                Taint::Remote(Rc::from(host.as_deref().unwrap_or("a host")))
            };
            Value { taint, of, ..Value::unknown() }
        }
        Api::Read | Api::Open => {
            let taint = if first.contains("://") {
                Taint::Remote(Rc::from(hosts::of_url(first).unwrap_or_default()))
            } else {
                let path = paths::normalize(first, &interp.shell.cwd);
                if effects::is_credential(&path, &interp.eval.home) {
                    Taint::Secret(Rc::from(path))
                } else {
                    Taint::None
                }
            };
            // A path object is its path; an opened file is its content.
            let texts = if of == "Path" { args.texts() } else { Value::unknown().texts };
            let texts = if texts.is_empty() { vec![".".to_owned()] } else { texts };
            Value { texts, taint, of, at: Some(first.to_owned()), ..Value::default() }
        }
        Api::Connect => Value { at: host_of(args), of: "socket".into(), ..Value::unknown() },
        Api::Eval => Value { taint: args.taint(), of, ..args.get(0).cloned().unwrap_or_default() },
        _ => {
            let made = builtins::function(name, args);
            Value { of, ..made }
        }
    }
}

fn act(interp: &mut Interp<'_, '_>, name: &str, api: Api, args: &Args, chained: Vec<String>) {
    match api {
        Api::Delete | Api::DeleteTree => delete(interp, args, api == Api::DeleteTree),
        Api::Shell | Api::Program => {
            let first = args.get(0).or_else(|| args.keyword(&["args", "command", "cmd"]));
            let first = first.cloned().unwrap_or_default();
            let apart = first.list && first.texts.len() > 1;
            let several = args.plain.len() > 1 && interp.language != "python";
            match api {
                Api::Program if apart => spawn(interp, &first.texts, &first.taint),
                Api::Program if several => spawn(interp, &args.texts(), &first.taint),
                Api::Shell if several && matches!(interp.language, "ruby" | "perl") => {
                    spawn(interp, &args.texts(), &first.taint);
                }
                _ => run_text(interp, &first),
            }
        }
        Api::Spawn => {
            let mut words = args.texts();
            // `execvp("rm", ["rm", "-rf"])` names the program twice.
            let base = |word: Option<&String>| {
                word.map(|word| word.rsplit('/').next().unwrap_or(word).to_owned())
            };
            if name.contains("exec") && words.len() > 2 && base(words.first()) == base(words.get(1))
            {
                words.remove(0);
            }
            words.extend(chained);
            spawn(interp, &words, &args.taint());
        }
        Api::Open => open(interp, args),
        Api::Read => {
            for path in args.get(0).map(|v| v.texts.clone()).unwrap_or_default() {
                if path.contains("://") {
                    effects::egress(interp.eval, &path, "connect", (0, 0));
                } else {
                    read(interp, &path);
                }
            }
        }
        Api::Write => {
            for path in args.get(0).map(|v| v.texts.clone()).unwrap_or_default() {
                write(interp, &path, &args.taint());
            }
        }
        Api::Move => {
            if let [from, .., to] = args.texts().as_slice() {
                let copies = name.contains("copy") || name.contains("cp");
                line(interp, &[if copies { "cp" } else { "mv" }, from, to]);
            }
        }
        Api::Chmod => {
            if let [path, mode, ..] = args.texts().as_slice() {
                let first = path.starts_with("0o") || path.parse::<u32>().is_ok();
                let (path, mode) = if first { (mode, path) } else { (path, mode) };
                line(interp, &["chmod", mode.trim_start_matches("0o"), path]);
            }
        }
        Api::Fetch | Api::Send => fetch(interp, name, api, args),
        Api::Connect => {
            if let Some(target) = host_of(args) {
                effects::egress(interp.eval, &target, "connect", (0, 0));
            }
        }
        Api::Eval => evaluate(interp, args),
        Api::Sql => {
            for text in args.get(0).map(|v| v.texts.clone()).unwrap_or_default() {
                if text.contains(' ') {
                    effects::statements(interp.eval, &text);
                }
            }
        }
        Api::Kill => {
            if matches!(args.first(), "-1" | "1") {
                interp.eval.push(EffectKind::Process, "kill-all", "every process");
            }
        }
    }
}

fn delete(interp: &mut Interp<'_, '_>, args: &Args, tree: bool) {
    let several = matches!(interp.language, "perl" | "ruby" | "r");
    let values = args.plain.iter().take(if several { 16 } else { 1 });
    for path in values.flat_map(|value| value.texts.clone()).collect::<Vec<_>>() {
        if !blank(&path) && !path.is_empty() {
            effects::delete_path(interp.eval, interp.shell, &path, tree, (0, 0));
        }
    }
}

fn open(interp: &mut Interp<'_, '_>, args: &Args) {
    let mode = args.get(1).or_else(|| args.keyword(&["mode"])).map_or("", Value::first).to_owned();
    for path in args.get(0).map(|v| v.texts.clone()).unwrap_or_default() {
        if mode.contains(['w', 'a', 'x', '+', '>']) {
            write(interp, &path, &Taint::None);
        } else {
            read(interp, &path);
        }
    }
}

fn read(interp: &mut Interp<'_, '_>, path: &str) {
    let normal = paths::normalize(path, &interp.shell.cwd);
    if effects::is_credential(&normal, &interp.eval.home) {
        interp.eval.push(EffectKind::CredentialRead, "file", &normal);
    }
}

/// A file is written; what a host sent may be run from there later.
fn write(interp: &mut Interp<'_, '_>, path: &str, taint: &Taint) {
    effects::write_path(interp.eval, interp.shell, path, (0, 0), None);
    if *taint != Taint::None {
        let normal = paths::normalize(path, &interp.shell.cwd);
        interp.eval.files.insert(normal, Flow::tainted(taint.clone()));
    }
}

fn line(interp: &mut Interp<'_, '_>, words: &[&str]) {
    let line: Vec<Arg> = words.iter().map(|word| Arg::new(*word, (0, 0))).collect();
    interp.eval.run(interp.shell, &line, &Flow::empty());
}

fn spawn(interp: &mut Interp<'_, '_>, words: &[String], taint: &Taint) {
    let arg = |word: &String| Arg { taint: taint.clone(), ..Arg::new(word.as_str(), (0, 0)) };
    let line: Vec<Arg> = words.iter().map(arg).collect();
    if line.first().is_some_and(|first| !first.is_unknown()) {
        interp.eval.run(interp.shell, &line, &Flow::empty());
    } else {
        opaque(interp, taint);
    }
}

fn run_text(interp: &mut Interp<'_, '_>, value: &Value) {
    if value.is_blank() {
        opaque(interp, &value.taint);
        return;
    }
    for text in value.texts.clone() {
        interp.eval.text(interp.shell, &text, (0, 0), &Flow::empty());
    }
}

/// Code that cannot be seen is run; where it comes from decides.
fn opaque(interp: &mut Interp<'_, '_>, taint: &Taint) {
    match taint {
        Taint::Remote(host) => interp.eval.push(EffectKind::ExecRemote, "pipe", host),
        Taint::Decoded => interp.eval.push(EffectKind::ExecOpaque, "decoded", ""),
        Taint::None | Taint::Program(_) | Taint::File(_) | Taint::Secret(_) => {}
    }
}

fn evaluate(interp: &mut Interp<'_, '_>, args: &Args) {
    let value = args.get(0).cloned().unwrap_or_default();
    if value.is_blank() {
        opaque(interp, &value.taint);
        return;
    }
    let text = value.first();
    if text.contains("://") && !text.contains(char::is_whitespace) {
        let host = hosts::of_url(text).unwrap_or_default();
        interp.eval.push(EffectKind::ExecRemote, "pipe", &host);
        return;
    }
    if interp.language == "r" && interp.eval.calls.is_empty() && text.ends_with(".R") {
        interp.eval.unseen(&format!("script {text}"));
        return;
    }
    if interp.eval.calls.iter().filter(|call| *call == "\u{1}code").count() < 4 {
        interp.eval.calls.push("\u{1}code".to_owned());
        super::source(interp.eval, interp.shell, interp.language, value.first());
        interp.eval.calls.pop();
    }
}

fn url_of(args: &Args) -> Option<String> {
    let texts = args.texts();
    let named = args.keyword(&["url", "uri", "host", "hostname"]).map(|v| v.first().to_owned());
    texts.iter().find(|text| text.contains("://")).cloned().or(named)
}

fn fetch(interp: &mut Interp<'_, '_>, name: &str, api: Api, args: &Args) {
    // `urlretrieve(url, path)` leaves a file that may be run.
    if let ("urlretrieve" | "download" | "file", Some(path)) =
        (name.rsplit('.').next().unwrap_or_default(), args.get(1))
    {
        let host = url_of(args).and_then(|url| hosts::of_url(&url)).unwrap_or_default();
        write(interp, path.first(), &Taint::Remote(Rc::from(host)));
    }
    let Some(url) = url_of(args) else {
        if let Some(host) = args.texts().first().filter(|text| text.contains('.')) {
            effects::egress(interp.eval, host, "connect", (0, 0));
        }
        return;
    };
    let secret = matches!(args.taint(), Taint::Secret(_))
        || interp.hands_environment
        || interp.eval.found.effects.iter().any(|e| e.kind == EffectKind::CredentialRead);
    let body = args.keyword(&["data", "json", "files", "body", "content"]).is_some();
    let class = match api {
        _ if secret => "secret",
        Api::Send => "upload",
        _ if body => "upload",
        _ => "connect",
    };
    effects::egress(interp.eval, &url, class, (0, 0));
}

// The whole environment as a value: `dict(os.environ)`, `JSON.stringify(process.env)`.
pub(super) fn hands_environment(program: &Program) -> bool {
    program.tokens.windows(2).any(|pair| {
        matches!(pair, [Token::Name(name), Token::Sign(')' | ',' | '}')]
            if matches!(name.as_str(), "os.environ" | "process.env" | "ENV" | "environ"))
    })
}

fn host_of(args: &Args) -> Option<String> {
    let texts = args.texts();
    let is_host =
        |text: &&String| text.contains('.') || text.contains(':') || text.as_str() == "localhost";
    let host = texts.iter().find(is_host)?;
    let is_port = |text: &&String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match texts.iter().find(is_port) {
        Some(port) if !host.contains(':') => Some(format!("{host}:{port}")),
        _ => Some(host.clone()),
    }
}

// `Command::new("rm").args(["-rf", "/"])`, `.arg("-rf")`.
fn chained_args(interp: &mut Interp<'_, '_>, mut at: usize) -> Vec<String> {
    let mut out = Vec::new();
    loop {
        let (Some(Token::Sign('.')), Some(Token::Name(name)), Some(Token::Sign('('))) =
            (interp.token(at), interp.token(at + 1), interp.token(at + 2))
        else {
            return out;
        };
        let takes = matches!(name.as_str(), "arg" | "args");
        let loud = std::mem::replace(&mut interp.loud, false);
        let (args, next) = interp.list(at + 2, 0);
        interp.loud = loud;
        if takes {
            out.extend(args.texts());
        }
        if next <= at + 2 || out.len() > 64 {
            return out;
        }
        at = next;
    }
}
