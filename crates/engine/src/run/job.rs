//! The script that a command becomes, and the words that start the wrapper.
//!
//! Everything a caller wrote stands in single quotes, so nothing of it is read by a shell before
//! the shell that it was meant for. The script is a file that belongs to the sandbox's user: the
//! environment and its secrets are neither arguments nor the wrapper's own environment.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use airlock_contract::{CodeInput, ExecuteInput, ExecutionId, PackageInput, PackageManager};
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

/// The wrapper, sent whole as an argument.
const WRAPPER: &str = include_str!("../wrapper.sh");
/// Where locks and spools are if root is there; version 1 of the layout.
const ROOT_BASE: &str = "/var/lib/airlock/v1";
/// Where they are if it is not.
const USER_BASE: &str = "/var/tmp/.airlock/v1";
/// How much of the end of an over-long stream is kept.
pub(crate) const TAIL_BYTES: u64 = 64 * 1024;

/// Who takes the lock and owns the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Root: an ordinary command cannot touch them.
    Root,
    /// The command's own user: the sandbox has no root to offer.
    User,
}

/// One command as the wrapper runs it.
pub(crate) struct Job {
    /// Position of its lock: the command's index, or past [`Job::FIRST_SETUP`] for a set-up step.
    pub(crate) index: u32,
    /// The script; holds secrets.
    pub(crate) script: String,
    /// Its standard input, if it has any.
    pub(crate) stdin: Option<Bytes>,
    /// When it is stopped.
    pub(crate) timeout: Duration,
    /// Who runs it.
    pub(crate) user: String,
    /// Whether children that it leaves behind live on.
    pub(crate) keep_children: bool,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Where one job's files are, and the calls that concern them.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    owner: Owner,
    dir: String,
}

impl Place {
    pub(crate) fn new(owner: Owner, execution: &ExecutionId, index: u32) -> Self {
        let base = match owner {
            Owner::Root => ROOT_BASE,
            Owner::User => USER_BASE,
        };
        Self { owner, dir: format!("{base}/{execution}/{index}") }
    }

    /// All jobs of an execution together.
    pub(crate) fn all_of(owner: Owner, execution: &ExecutionId) -> Self {
        let base = match owner {
            Owner::Root => ROOT_BASE,
            Owner::User => USER_BASE,
        };
        Self { owner, dir: format!("{base}/{execution}") }
    }

    /// The user that acts, given the command's.
    pub(crate) fn acting<'a>(&self, user: &'a str) -> &'a str {
        match self.owner {
            Owner::Root => "root",
            Owner::User => user,
        }
    }

    /// A file of the spool.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// Where the script is put before the lock is taken. Each attempt has a file of its own, so
    /// that a late upload cannot change one that is being started.
    pub(crate) fn script(&self, fence: i64) -> String {
        format!("{}.job.{fence}", self.dir)
    }

    /// Where standard input is put.
    pub(crate) fn stdin(&self) -> String {
        format!("{}.in", self.dir)
    }

    /// Arguments of `/bin/sh` that start the job at most once and wait for its end.
    pub(crate) fn launch(&self, job: &Job, spool: u64) -> Vec<String> {
        let seconds = format!("{:.3}", job.timeout.as_secs_f64());
        let keep = if job.keep_children { "1" } else { "0" };
        let spool = spool.to_string();
        let tail = TAIL_BYTES.to_string();
        self.words("launch", &[&job.user, &seconds, &spool, &tail, keep])
    }

    /// Arguments of `/bin/sh` that kill the job's process tree.
    pub(crate) fn kill(&self) -> Vec<String> {
        self.words("kill", &[])
    }

    /// Arguments of `/bin/sh` that kill every job in it and keep those from starting that have not.
    pub(crate) fn end(&self) -> Vec<String> {
        self.words("end", &[])
    }

    fn words(&self, action: &str, rest: &[&str]) -> Vec<String> {
        let head = ["-c", "eval \"$1\"", "airlock", WRAPPER, action, &self.dir];
        head.iter().chain(rest).map(|&word| word.to_owned()).collect()
    }
}

impl Job {
    /// Locks of set-up steps begin here, 1,000 for each sandbox slot.
    pub(crate) const FIRST_SETUP: u32 = 1_000_000;

    /// The lock of set-up step `step` of command `command` in the sandbox of `slot`. Unique, since
    /// a command has at most 20 entries of packages and a batch at most 100 commands by default.
    pub(crate) const fn setup_index(slot: u32, command: u32, step: u32) -> u32 {
        let place = slot.wrapping_mul(100_000).wrapping_add(command.wrapping_mul(100));
        Self::FIRST_SETUP.saturating_add(place.wrapping_add(step) % (u32::MAX - Self::FIRST_SETUP))
    }

    /// The command or program of `input`.
    pub(crate) fn of(
        input: &ExecuteInput,
        index: u32,
        execution: &ExecutionId,
        secrets: &BTreeMap<String, SecretString>,
        user: &str,
    ) -> Self {
        let line = match (&input.code, &input.command) {
            (Some(code), _) => run_line(code, execution, index),
            (None, Some(command)) => command.clone(),
            (None, None) => String::new(),
        };
        let last = format!("exec /bin/bash -l -c {}", quote(&line));
        Self {
            index,
            script: script(input, secrets, &last),
            stdin: input.stdin.as_ref().map(|text| Bytes::copy_from_slice(text.as_bytes())),
            timeout: Duration::from_millis(input.timeout_ms),
            user: user.to_owned(),
            keep_children: false,
        }
    }

    /// The installation of one entry of `packages`.
    pub(crate) fn install(
        input: &ExecuteInput,
        index: u32,
        packages: &PackageInput,
        timeout: Duration,
        user: &str,
    ) -> Self {
        let quoted: Vec<String> = packages.names.iter().map(|name| quote(name)).collect();
        let names = format!(" {}", quoted.join(" "));
        let (line, user) = match packages.manager {
            PackageManager::Pip => (
                format!("python3 -m pip install --no-input --disable-pip-version-check --{names}"),
                user,
            ),
            PackageManager::Npm => (format!("npm install --no-audit --no-fund --{names}"), user),
            PackageManager::Apt => (
                format!(
                    "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && \
                     apt-get install -y --no-install-recommends --{names}"
                ),
                "root",
            ),
            PackageManager::Cargo => (format!("cargo install --{names}"), user),
        };
        let last = format!("exec /bin/bash -l -c {}", quote(&line));
        let bare = ExecuteInput { env: BTreeMap::new(), ..input.clone() };
        Self {
            index,
            script: script(&bare, &BTreeMap::new(), &last),
            stdin: None,
            timeout,
            user: user.to_owned(),
            keep_children: true,
        }
    }
}

/// Directory, environment, then `last`; the last line says that the file is whole.
fn script(input: &ExecuteInput, secrets: &BTreeMap<String, SecretString>, last: &str) -> String {
    let mut script = String::from("main() {\n");
    match &input.cwd {
        None => script.push_str("cd \"$HOME\" 2>/dev/null || cd /\n"),
        Some(cwd) => {
            let cwd = quote(&absolute(cwd));
            let _ = writeln!(
                script,
                "cd \"$HOME\" 2>/dev/null || cd /\ncd -- {cwd} 2>/dev/null || {{ echo \"airlock: \
                 the working directory does not exist or cannot be entered\" >&2; exit 126; }}"
            );
        }
    }
    // `command`: a name that a shell keeps for itself must not end the script.
    for (name, value) in &input.env {
        let _ = writeln!(script, "command export {name}={}", quote(value));
    }
    for (name, value) in secrets {
        let _ = writeln!(script, "command export {name}={}", quote(value.expose_secret()));
    }
    script.push_str(last);
    script.push_str("\n}\nmain\n");
    script
}

/// `~` is the home that the script is in already.
fn absolute(path: &str) -> String {
    match path {
        "" | "~" => ".".to_owned(),
        _ => path.strip_prefix("~/").map_or_else(|| path.to_owned(), |rest| format!("./{rest}")),
    }
}

/// A word that a POSIX shell reads as exactly `text`, which holds no NUL.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The file that a program is put into.
pub(crate) fn program_file(code: &CodeInput, execution: &ExecutionId, index: u32) -> String {
    let extension = match code.language.as_str() {
        "python" => "py",
        "javascript" => "js",
        "typescript" => "ts",
        "r" => "R",
        "ruby" => "rb",
        "go" => "go",
        "perl" => "pl",
        _ => "sh",
    };
    format!("airlock-{}-{index}.{extension}", execution.short())
}

/// The command line that runs the program, in the directory that it was put into.
fn run_line(code: &CodeInput, execution: &ExecutionId, index: u32) -> String {
    let file = program_file(code, execution, index);
    match code.language.as_str() {
        "python" => format!("exec python3 {file}"),
        "javascript" => format!("exec node {file}"),
        "typescript" => format!(
            "if command -v tsx >/dev/null; then exec tsx {file}; \
             elif command -v deno >/dev/null; then exec deno run -A {file}; \
             elif command -v bun >/dev/null; then exec bun {file}; \
             else exec node --experimental-strip-types {file}; fi"
        ),
        "bash" => format!("exec bash {file}"),
        "r" => format!("exec Rscript {file}"),
        "ruby" => format!("exec ruby {file}"),
        "go" => format!("exec go run {file}"),
        "perl" => format!("exec perl {file}"),
        _ => format!("exec sh {file}"),
    }
}

/// The path to put a program at: beside what the command's directory holds.
pub(crate) fn program_path(input: &ExecuteInput, file: &str) -> String {
    match input.cwd.as_deref() {
        None | Some("" | "~") => file.to_owned(),
        Some(cwd) => {
            let cwd = cwd.strip_prefix("~/").unwrap_or(cwd);
            format!("{}/{file}", cwd.trim_end_matches('/'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn run(script: &str) -> String {
        let output = Command::new("/bin/sh").args(["-c", script]).output().expect("a shell");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    #[test]
    fn quoted_words_reach_the_shell_as_they_are() {
        for text in ["", "a b", "it's", "$HOME `id` \\ \" ;&|", "-n\n\ttwo lines", "''", "ä*?"] {
            assert_eq!(run(&format!("printf %s {}", quote(text))), text, "{text:?}");
        }
    }

    #[test]
    fn directory_environment_and_secrets_reach_the_command_and_nothing_else_runs() {
        let mut input = ExecuteInput::of_command("printf '%s|%s|%s' \"$PWD\" \"$A\" \"$S\"");
        input.cwd = Some("/tmp".into());
        input.env.insert("A".into(), "x'; echo pwned; '".into());
        let secrets = BTreeMap::from([("S".to_owned(), SecretString::from("$(id)"))]);
        let identity = airlock_contract::RunIdentity {
            namespace: "n".into(),
            workflow_id: String::new(),
            run_id: "r".into(),
            activity_id: "a".into(),
            scheduled_at_us: 1,
        };
        let job = Job::of(&input, 0, &ExecutionId::of(&identity), &secrets, "user");
        assert_eq!(run(&job.script), "/tmp|x'; echo pwned; '|$(id)");
        assert!(job.script.ends_with("\nmain\n"));
    }

    #[test]
    fn a_directory_that_is_not_there_is_said_and_nothing_runs() {
        let mut input = ExecuteInput::of_command("echo ran");
        input.cwd = Some("/no/such/dir".into());
        assert_eq!(run(&script(&input, &BTreeMap::new(), "echo ran")), "");
    }
}
