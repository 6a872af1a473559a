//! Inline code in other languages: calls with constant arguments to the functions that delete,
//! run commands, write files, read files and reach hosts.
//!
//! One small scanner reads all of them; what differs between languages - comment signs, the
//! names of functions - is in tables. Constants are followed through assignments, imports, loops,
//! methods and the program's own functions ([`interp`]); what is not understood is not judged.

mod act;
mod apis;
mod builtins;
mod interp;
mod little;
mod scan;
mod sdk;
mod shapes;
mod value;

pub(crate) use little::{awk, editor, makefile, quoted_commands, sed};

use crate::eval::{Eval, Shell, Unanalysed};

/// The language an interpreter's name stands for.
pub(crate) fn language(name: &str) -> Option<&'static str> {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    Some(match base {
        "python" | "pypy" | "ipython" | "uvpython" => "python",
        "node" | "nodejs" | "bun" | "deno" => "javascript",
        "ts-node" | "tsx" | "ts-node-esm" => "typescript",
        "perl" => "perl",
        "ruby" | "irb" | "jruby" => "ruby",
        "php" => "php",
        "lua" | "luajit" => "lua",
        "Rscript" | "R" => "r",
        "julia" => "julia",
        "groovy" => "groovy",
        "tclsh" => "tcl",
        "elixir" => "elixir",
        _ => return None,
    })
}

/// Where inline code stands.
#[derive(Debug)]
pub(crate) enum Inline {
    /// In the next argument.
    Next,
    /// Joined to the option.
    Joined(String),
}

/// Whether an argument introduces inline code, and where that stands.
pub(crate) fn inline_option(language: &str, text: &str) -> Option<Inline> {
    let names: &[&str] = match language {
        "python" => &["-c"],
        "php" => &["-r", "-B", "-R", "-E", "--run"],
        "javascript" | "typescript" => &["-e", "-p", "-pe", "--eval", "--print"],
        "perl" => &["-e", "-E"],
        "r" => &["-e"],
        _ => &["-e", "-E", "--eval"],
    };
    if names.contains(&text) {
        return Some(Inline::Next);
    }
    if let Some((name, value)) = text.split_once('=')
        && names.contains(&name)
    {
        return Some(Inline::Joined(value.to_owned()));
    }
    let cluster = text.strip_prefix('-').filter(|c| !c.starts_with('-') && !c.is_empty())?;
    match language {
        // `-uc`, `-Ic`, `-ne`, `-i.bak -pe`
        "python" => {
            let (before, after) = cluster.split_once('c')?;
            let flags = before.bytes().all(|b| b"bBdEhiIOPqsSuvx".contains(&b));
            flags.then(|| joined(after))
        }
        "perl" | "ruby" => {
            let (before, after) = cluster.split_once('e')?;
            let flags = before.bytes().all(|b| b"nplawi0Mstu".contains(&b) || b.is_ascii_digit());
            flags.then(|| joined(after))
        }
        _ => None,
    }
}

fn joined(after: &str) -> Inline {
    if after.is_empty() { Inline::Next } else { Inline::Joined(after.to_owned()) }
}

/// Whether an option of the interpreter takes a value.
pub(crate) fn option_takes(language: &str, text: &str) -> bool {
    match language {
        "python" => matches!(text, "-W" | "-X"),
        "javascript" | "typescript" => {
            matches!(text, "-r" | "--require" | "--import" | "--loader" | "-C")
        }
        "php" => matches!(text, "-d" | "-c"),
        "ruby" => matches!(text, "-r" | "-I"),
        "perl" => matches!(text, "-I"),
        _ => false,
    }
}

/// Analyses a piece of source code.
pub(crate) fn source(eval: &mut Eval<'_>, shell: &mut Shell, language: &str, text: &str) {
    if text.len() > crate::MAX_COMMAND_BYTES {
        eval.unanalysed(Unanalysed::Length);
        return;
    }
    let language = match language.to_ascii_lowercase().as_str() {
        "bash" | "sh" | "shell" | "zsh" => {
            eval.text(shell, text, (0, text.len()), &crate::eval::Flow::empty());
            return;
        }
        "python" | "python3" | "py" => "python",
        "javascript" | "js" | "node" | "nodejs" => "javascript",
        "typescript" | "ts" => "typescript",
        "ruby" | "rb" => "ruby",
        "perl" => "perl",
        "php" => "php",
        "r" => "r",
        "go" | "golang" => "go",
        "rust" => "rust",
        "java" => "java",
        "kotlin" => "kotlin",
        "lua" => "lua",
        "julia" => "julia",
        "groovy" => "groovy",
        "elixir" => "elixir",
        "tcl" => "tcl",
        "c" | "cpp" | "c++" => "c",
        "csharp" | "c#" | "cs" => "csharp",
        "sql" => {
            crate::effects::statements(eval, text);
            return;
        }
        _ => {
            eval.unanalysed(Unanalysed::Language);
            return;
        }
    };
    let program = scan::scan(language, text);
    interp::follow(eval, shell, language, &program);
    shapes::judge(eval, language, text, &program);
}
