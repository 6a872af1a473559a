//! Functions of other languages that do what the gate judges.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a function does with its first arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// Deletes a file.
    Delete,
    /// Deletes a directory with all that is in it.
    DeleteTree,
    /// Runs its first argument as shell text.
    Shell,
    /// Runs a program with arguments, or shell text if it is one string.
    Program,
    /// Runs a program with its arguments apart.
    Spawn,
    /// Writes a file if the mode says so, else reads it.
    Open,
    /// Reads a file.
    Read,
    /// Writes a file.
    Write,
    /// Moves a file.
    Move,
    /// Changes permissions: path, mode.
    Chmod,
    /// Reaches a URL.
    Fetch,
    /// Reaches a URL and sends something.
    Send,
    /// Connects a socket: (host, port).
    Connect,
    /// Runs its argument as code of the same language.
    Eval,
    /// Sends a statement to a database.
    Sql,
    /// Kills a process: pid.
    Kill,
}

static APIS: LazyLock<HashMap<&'static str, Api>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    let mut api = Api::Delete;
    for line in include_str!("apis.txt").lines().filter(|line| !line.starts_with('#')) {
        for word in line.split_ascii_whitespace() {
            match word {
                "[DeleteTree]" => api = Api::DeleteTree,
                "[Delete]" => api = Api::Delete,
                "[Shell]" => api = Api::Shell,
                "[Program]" => api = Api::Program,
                "[Spawn]" => api = Api::Spawn,
                "[Open]" => api = Api::Open,
                "[Read]" => api = Api::Read,
                "[Move]" => api = Api::Move,
                "[Chmod]" => api = Api::Chmod,
                "[Write]" => api = Api::Write,
                "[Fetch]" => api = Api::Fetch,
                "[Send]" => api = Api::Send,
                "[Connect]" => api = Api::Connect,
                "[Eval]" => api = Api::Eval,
                "[Kill]" => api = Api::Kill,
                "[Sql]" => api = Api::Sql,
                name => {
                    table.insert(name, api);
                }
            }
        }
    }
    table
});

/// The most parts of a dotted name that are looked at, from its end.
const MAX_PARTS: usize = 5;

/// What a name does, by its longest known ending.
pub(super) fn find(language: &str, name: &str) -> Option<Api> {
    // A name of thousands of parts is nobody's function.
    let from = name.rmatch_indices('.').nth(MAX_PARTS - 1).map_or(0, |(at, _)| at + 1);
    let mut rest = name.get(from..)?;
    loop {
        let hit = match rest {
            "exec" if matches!(language, "perl" | "php" | "ruby") => Some(Api::Shell),
            _ => APIS.get(rest).copied(),
        };
        if let Some(api) = hit
            && fits(language, name, rest, api)
        {
            return Some(api);
        }
        rest = rest.split_once('.')?.1;
    }
}

// Short names mean different things in different languages.
fn fits(language: &str, name: &str, known: &str, api: Api) -> bool {
    let whole = name == known;
    match known {
        "open" => matches!(language, "python" | "ruby" | "perl") && whole,
        "exec" if api == Api::Shell => whole,
        "exec" => language == "python" && whole,
        "eval" | "assert" => whole && (known == "eval" || language == "php"),
        "connect" | "execute" => !whole,
        "system" => {
            whole && matches!(language, "ruby" | "perl" | "php" | "r" | "c" | "lua" | "julia")
        }
        "rm" => whole && language == "julia",
        "remove" => whole && matches!(language, "c"),
        "file" | "include" | "rename" | "kill" | "chmod" | "readfile" | "url" | "shell"
        | "unlink" | "rmdir" | "popen" | "rmtree" => {
            whole
                && matches!(language, "php" | "perl" | "r" | "c" | "python" | "julia")
                && (language != "python" || matches!(known, "unlink" | "rmtree"))
        }
        "request" | "got" | "needle" | "axios" | "fetch" => {
            whole && matches!(language, "javascript" | "typescript")
        }
        "spawn" => whole && matches!(language, "javascript" | "typescript" | "ruby"),
        "Function" => whole,
        "source" => whole && language == "r",
        "get" | "getprint" | "getstore" => whole && language == "perl",
        "run" => language == "julia" && whole,
        "Path" | "pathlib.Path" => language == "python",
        "URL" | "Socket" => matches!(language, "java" | "kotlin" | "csharp" | "groovy"),
        _ => true,
    }
}
