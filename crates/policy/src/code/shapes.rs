//! Programs that are known by their shape as a whole: a socket that becomes a shell, an answer
//! handed to `eval`, processes without end.

use super::scan::{Program, Token};
use crate::effect::EffectKind;
use crate::eval::Eval;

/// Names that connect or listen.
const SOCKETS: &[&str] = &[
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
];
const SHELLS: &[&str] = &["/bin/sh", "/bin/bash", "sh -i", "bash -i", "cmd.exe"];
/// Names that tie a shell's streams to something else.
const JOINS: &[&str] =
    &["dup2", "pipe", "pty.spawn", "popen", "exec", "spawn", "proc_open", "call", "Popen", "execv"];
/// Processes in an endless loop, without white space.
const BOMBS: &[(&str, &[&str])] = &[
    ("python", &["whileTrue:os.fork()", "while1:os.fork()", "whileTrue:fork()"]),
    ("perl", &["forkwhilefork", "fork()while1", "while(1){fork", "fork;redo"]),
    ("ruby", &["loop{fork}", "fork{loop", "loop{fork{"]),
];

/// Records what the shape of a program says.
pub(super) fn judge(eval: &mut Eval<'_>, language: &str, text: &str, program: &Program) {
    reverse_shell(eval, program);
    answer_to_eval(eval, program);
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).take(4096).collect();
    let bombs = BOMBS.iter().filter(|(name, _)| *name == language);
    if bombs.flat_map(|(_, shapes)| shapes.iter()).any(|shape| plain.contains(shape)) {
        eval.push(EffectKind::Process, "bomb", language);
    }
}

/// A socket whose descriptors become a shell's.
fn reverse_shell(eval: &mut Eval<'_>, program: &Program) {
    let named = |names: &[&str]| {
        program.tokens.iter().any(|token| match token {
            Token::Name(name) => {
                names.iter().any(|n| name.ends_with(n) || name.contains(&format!("{n}.")))
            }
            _ => false,
        })
    };
    let shell =
        program.tokens.iter().any(
            |token| matches!(token, Token::Text(text) if SHELLS.iter().any(|s| text.contains(s))),
        ) || named(&["pty.spawn"]);
    if !(shell && named(SOCKETS) && named(JOINS)) {
        return;
    }
    let host = program.tokens.iter().find_map(|token| match token {
        Token::Text(text)
            if crate::hosts::address(text).is_some()
                || text.contains('.') && !text.contains(['/', ' ']) =>
        {
            Some(text.as_str())
        }
        _ => None,
    });
    eval.push(EffectKind::NetEgress, "shell", host.unwrap_or("a host"));
}

/// `fetch(url).then(r => r.text()).then(eval)`: a host's answer is code.
fn answer_to_eval(eval: &mut Eval<'_>, program: &Program) {
    let passed = program.tokens.windows(2).any(|pair| {
        matches!(pair, [Token::Name(name), Token::Sign(')')]
            if matches!(name.as_str(), "eval" | "exec" | "execSync" | "os.system" | "Function"))
    });
    let url = program.tokens.iter().find_map(|token| match token {
        Token::Text(text) if text.contains("://") => crate::hosts::of_url(text),
        _ => None,
    });
    let far = |url: &String| !crate::hosts::is_local(url.split(':').next().unwrap_or_default());
    if let (true, Some(host)) = (passed, url.filter(far)) {
        eval.push(EffectKind::ExecRemote, "pipe", &host);
    }
}
