//! Little languages with a way out to the shell: awk, sed, editors, makefiles.

use crate::eval::{Arg, Eval, Flow, Shell};
use crate::shell::Span;

use super::scan::{Token, scan};

/// awk: `system("...")`, `"cmd" | getline`, `print | "cmd"`, `print > "file"`.
pub(crate) fn awk(eval: &mut Eval<'_>, shell: &mut Shell, program: &Arg, stdin: &Flow) {
    if !program.text.contains(['"', '|']) {
        return;
    }
    let tokens = scan("awk", &program.text).tokens;
    for (at, token) in tokens.iter().enumerate() {
        let Token::Text(text) = token else { continue };
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let two_before = at.checked_sub(2).and_then(|at| tokens.get(at));
        let piped = matches!(before, Some(Token::Sign('|' | '&')))
            || matches!(tokens.get(at + 1), Some(Token::Sign('|')));
        let system = matches!(before, Some(Token::Sign('(')))
            && matches!(two_before, Some(Token::Name(n)) if n == "system");
        if piped || system {
            // What follows in the same call depends on the input.
            let more = !matches!(
                tokens.get(at + 1),
                Some(Token::Sign(')' | '|' | '}' | ';' | '\n')) | None
            );
            let text = if more { format!("{text}{}", crate::eval::SOME) } else { text.clone() };
            // `print | "sh"` hands its input on as a script.
            eval.text(shell, &text, program.span, stdin);
        } else if matches!(before, Some(Token::Sign('>'))) {
            crate::effects::write_path(eval, shell, text, program.span, None);
        }
    }
}

/// sed: the `e` command and the `e` flag of `s`, and files written by `w`.
pub(crate) fn sed(eval: &mut Eval<'_>, shell: &mut Shell, script: &Arg) {
    for line in script.text.split(['\n', ';']) {
        let line = line.trim();
        let body = line
            .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ',' | '$' | '!' | ' '));
        if let Some(command) = body.strip_prefix("e ") {
            eval.text(shell, command, script.span, &Flow::empty());
        } else if let Some(rest) = body.strip_prefix('s') {
            let Some(delimiter) = rest.chars().next().filter(|c| !c.is_alphanumeric()) else {
                continue;
            };
            // An escaped delimiter is none.
            let escaped = format!("\\{delimiter}");
            let rest =
                rest.get(delimiter.len_utf8()..).unwrap_or_default().replace(&escaped, "\u{1}");
            let mut parts = rest.split(delimiter);
            let (_, with, flags) =
                (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            if flags.contains('e') && flags.len() < 6 {
                let with = with.replace('\u{1}', &delimiter.to_string());
                eval.text(shell, &with, script.span, &Flow::empty());
            }
        } else if let Some(path) = body.strip_prefix("w ") {
            crate::effects::write_path(eval, shell, path, script.span, None);
        }
    }
}

/// Editors and debuggers: `:!cmd`, `!cmd`, `:call system('cmd')`, `.shell cmd`, `(shell-command "cmd")`.
pub(crate) fn editor(eval: &mut Eval<'_>, shell: &mut Shell, text: &str, span: Span) {
    let text = text.trim().trim_start_matches(':');
    let text = text.strip_prefix("silent").map_or(text, |t| t.trim_start_matches('!').trim());
    for prefix in ["!", "%!", "r !", "r!", "shell ", ".shell ", ".system ", "w !", "1!", "term "] {
        if let Some(command) = text.strip_prefix(prefix) {
            eval.text(shell, command.trim_matches('"'), span, &Flow::empty());
            return;
        }
    }
    if text.contains("system(")
        || text.contains("shell-command")
        || text.contains("call-process")
        || text.contains("python")
    {
        quoted_commands(eval, shell, text, span);
    }
    if let Some(path) = text.strip_prefix("w! ").or_else(|| text.strip_prefix("w ")) {
        crate::effects::write_path(eval, shell, path, span, None);
    }
}

/// Every quoted text with a space in it, as a command.
pub(crate) fn quoted_commands(eval: &mut Eval<'_>, shell: &mut Shell, text: &str, span: Span) {
    for token in scan("awk", text).tokens {
        if let Token::Text(command) = token
            && command.contains(' ')
        {
            eval.text(shell, &command, span, &Flow::empty());
        }
    }
}

/// A makefile given with the command: its recipes and `$(shell ...)`.
pub(crate) fn makefile(eval: &mut Eval<'_>, shell: &mut Shell, text: &str, span: Span) {
    for line in text.lines().take(256) {
        let recipe = line
            .strip_prefix('\t')
            .or_else(|| line.split_once(":;").map(|(_, r)| r))
            .or_else(|| line.split_once("; ").map(|(_, r)| r));
        if let Some(recipe) = recipe {
            let recipe = recipe.trim_start_matches(['@', '-', '+', ' ']).replace("$$", "$");
            eval.text(shell, &recipe, span, &Flow::empty());
        }
        if let Some((_, rest)) = line.split_once("$(shell ") {
            let command = rest.rsplit_once(')').map_or(rest, |(c, _)| c);
            eval.text(shell, command, span, &Flow::empty());
        }
    }
}
