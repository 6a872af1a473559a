//! The policy from outside: tried, compared, shown, and changed under a running worker.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::{Stack, airlock};

const POLICY: &str = "[limits]\noutput_bytes = 1000\n\n[env.base]\nextends = \"base\"\n\n\
    [env.strict]\nextends = \"base\"\n[[env.strict.rule]]\nid = \"no-pods\"\n\
    effect = \"cloud.mutate\"\ndecision = \"deny\"\nmatch = [\"kubectl delete pod x\"]\n\
    [env.strict.network]\nallow = [\"group:git-hosts\", \"db.example:5432\"]\n\
    otherwise = \"deny\"\n";

fn airlock_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(airlock());
    command.args(arguments).env_clear().current_dir(folder).stdin(Stdio::null());
    command.output().expect("airlock runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

#[test]
fn policy_test_finds_what_does_not_hold() {
    let cases = "{\"command\": \"rm -rf /\", \"expect\": \"deny\", \"category\": \"fs\"}\n\n\
        {\"actionType\": \"delete_files\", \"context\": {\"paths\": [\"/etc\"]}, \"expect\": \"deny\"}\n";
    let folder = folder(&[
        ("good.toml", POLICY),
        ("bad.toml", &POLICY.replace("delete pod x", "get pods")),
        ("right.jsonl", cases),
        ("wrong.jsonl", &format!("{cases}{{\"command\": \"ls\", \"expect\": \"deny\"}}\n")),
        ("tables.toml", "[[case]]\ncommand = \"git status\"\nexpect = \"allow\"\n"),
        ("label.jsonl", "{\"command\": \"ls\", \"expect\": \"maybe\"}\n"),
        ("text.jsonl", "{\"command\": \"ls\", \"expect\": \"allow\"}\nnonsense\n"),
    ]);
    let run =
        |arguments: &[&str]| airlock_in(folder.path(), &[&["policy", "test"], arguments].concat());
    for (arguments, code, says) in [
        (&[][..], 0, "hold"),
        (&["--config", "good.toml", "right.jsonl", "tables.toml"], 0, "3 of 3 as expected"),
        (&["--config", "good.toml", "wrong.jsonl"], 1, "wrong.jsonl:4  expected deny, got allow"),
        (&["--config", "good.toml", "wrong.jsonl", "--max-misses", "1"], 0, "2 of 3"),
        (&["--config", "bad.toml"], 1, "rule no-pods (env.strict, line 9"),
        (&["label.jsonl"], 2, "label.jsonl: line 1: `expect` is \"maybe\""),
        (&["text.jsonl"], 2, "text.jsonl: line 2: is no JSON"),
        (&["none.jsonl"], 2, "none.jsonl cannot be read"),
        (&["--config", "none.toml"], 64, "none.toml cannot be read"),
    ] {
        let output = run(arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let report = document(&run(&["--json", "--config", "good.toml", "wrong.jsonl"]));
    assert_eq!(report["passed"], json!(false));
    assert_eq!(report["cases"]["misses"][0]["line"], json!(4), "{report:#}");
    assert_eq!(report["cases"]["tried"], json!(3));
    let report = document(&run(&["--json", "--config", "bad.toml"]));
    assert_eq!(report["examples"]["broken"][0]["line"], json!(9), "{report:#}");
}

#[test]
fn policy_diff_says_what_changes_and_which_commands_notice() {
    let cases = "{\"command\": \"kubectl delete pod a\"}\n{\"command\": \"ls\"}\n";
    let folder = folder(&[("a.toml", POLICY), ("cases.jsonl", cases)]);
    let run =
        |arguments: &[&str]| airlock_in(folder.path(), &[&["policy", "diff"], arguments].concat());
    let output = run(&["built-in", "a.toml:strict", "--cases", "cases.jsonl", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let found = document(&output);
    assert_eq!(found["rules"]["added"][0]["id"], json!("no-pods"), "{found:#}");
    assert_eq!(found["network"]["removed"], json!(["group:package-registries"]));
    assert_eq!(found["settings"][0]["key"], json!("network.otherwise"));
    assert_eq!(found["decisions"]["compared"], json!(2));
    let moved = found["decisions"]["changed"].as_array().expect("a list");
    assert_eq!(moved.len(), 1, "{found:#}");
    assert_eq!(
        (&moved[0]["direction"], &moved[0]["old"]["outcome"], &moved[0]["new"]["outcome"]),
        (&json!("tighter"), &json!("require_approval"), &json!("deny"))
    );
    for (arguments, code, says) in [
        (&["base", "strict", "--config", "a.toml"][..], 0, "rule    + no-pods"),
        (&["base", "strict", "--config", "a.toml", "--exit-code"], 1, "tighter"),
        (&["strict", "strict", "--config", "a.toml", "--exit-code"], 0, "0 of"),
        (&["base", "strikt", "--config", "a.toml"], 64, "did you mean `strict`?"),
        (&["base", "b.toml"], 64, "b.toml"),
        (&["base"], 2, "NEW"),
    ] {
        let output = run(arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn policy_show_tells_origins_and_what_the_sandbox_cannot_hold() {
    let folder = folder(&[("a.toml", POLICY)]);
    let arguments = ["policy", "show", "--config", "a.toml", "--env", "strict"];
    let shown = airlock_in(folder.path(), &arguments);
    let said = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    for part in ["env.strict, line 9", "built-in floor", "github.com", "cannot hold: db.example"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let shown = document(&airlock_in(folder.path(), &[&arguments[..], &["--json"]].concat()));
    let decision = airlock_in(
        folder.path(),
        &[
            "check",
            "--json",
            "--config",
            "a.toml",
            "--env",
            "strict",
            "--",
            "curl http://db.example:5432",
        ],
    );
    let decision = document(&decision);
    assert_eq!(shown["policyDigest"], decision["policyDigest"]);
    let denied = shown["sandbox"]["egress"]["denyOut"].as_array().expect("a list");
    assert_eq!(denied, &[json!("0.0.0.0/0")]);
    let gap = decision["unenforced"][0].as_str().expect("a gap");
    assert!(gap.starts_with("db.example is allowed on port 5432"), "{gap}");
}

#[test]
fn bad_input_is_refused_at_its_place_and_nothing_is_allowed_by_it() {
    let long = "x".repeat(10 * 1024 * 1024);
    let policy = |text: &str| folder(&[("a.toml", text)]);
    for (wrong, says) in [
        ("[env.base\n", "a.toml: line 1:"),
        (
            "[env.base]\ndefalt = \"deny\"\n",
            "line 2: unknown key `env.base.defalt`; did you mean `default`?",
        ),
        (
            "[env.base.actions]\ndeplyo = \"off\"\n",
            "line 2: unknown key `env.base.actions.deplyo`; did you mean `deploy`?",
        ),
        (
            "[[floor.rule]]\nid = \"a\"\neffect = \"fs.delete\"\ndecision = \"deny\"\n\
             [[floor.rule]]\nid = \"a\"\neffect = \"deploy\"\ndecision = \"deny\"\n",
            "line 5: rule `a` contradicts the one at line 1",
        ),
        (
            "[[floor.rule]]\nid = \"a\"\neffect = \"deploy\"\ndecision = \"deny\"\nmatch = [\"ls\"]\n",
            "line 1: rule `a`: match example \"ls\"",
        ),
    ] {
        let folder = policy(wrong);
        let output = airlock_in(folder.path(), &["check", "--config", "a.toml", "--", "ls"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{wrong}: {said}");
        assert!(said.contains(says), "{wrong}: {said}");
    }
    let line = |object: Value| object.to_string();
    let asked: Vec<(String, &str)> = vec![
        (line(json!({"actionType": "delete-file", "context": {"paths": ["a"]}})), "delete_files"),
        (line(json!({"actionType": "execute_code"})), "context.command"),
        (line(json!({"actionType": "network_access", "context": {}})), "context.hosts"),
        (line(json!({"command": "a\0b"})), "context.command"),
        (line(json!({"command": long})), "context.command"),
        (line(json!({"command": 7})), "context.command"),
        (line(json!({"command": "ls", "context": {"kommand": "x"}})), "kommand"),
        ("{\"command\": \"\u{1}\"".to_owned(), "line 1"),
    ];
    for (asked, says) in asked {
        let mut child = Command::new(airlock())
            .args(["check", "--jsonl"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("airlock runs");
        let mut stdin = child.stdin.take().expect("stdin");
        std::io::Write::write_all(&mut stdin, asked.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let said = text(&output.stderr);
        let shown = asked.get(..60).unwrap_or(&asked);
        assert_eq!(output.status.code(), Some(1), "{shown}: {said}");
        assert!(said.contains("line 1: ") && said.contains(says), "{shown}: {said}");
        assert!(output.stdout.is_empty(), "{shown}: {}", text(&output.stdout));
    }
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes;
    let invalid = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"ls \xff");
    assert_eq!(bytes(invalid).len(), 4);
    let output = Command::new(airlock()).args(["check", "--"]).arg(invalid).output().expect("runs");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
}

/// A worker with a configuration file, and what it logs.
struct Worker {
    child: Child,
    log: std::sync::mpsc::Receiver<String>,
}

impl Worker {
    fn start(stack: &Stack, config: &Path) -> Self {
        let mut child = Command::new(airlock())
            .args(["worker", "--grace-seconds", "5", "--log-format", "json", "--config"])
            .arg(config)
            .arg("--from")
            .arg(stack.ready_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("airlock worker starts");
        let lines = BufReader::new(child.stderr.take().expect("its log"));
        let (tell, log) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, log }
    }

    /// Waits for a log line with this in it.
    fn says(&self, part: &str) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        let mut seen = Vec::new();
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let Ok(line) = self.log.recv_timeout(left) else { break };
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
        panic!("{part:?} was never logged: {}", seen.join("\n"));
    }

    fn hang_up(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, Signal::SIGHUP).expect("the worker lives");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_running_worker_takes_a_new_policy_and_keeps_the_old_one_when_it_is_bad() {
    let stack = Stack::with(&["--no-worker"], &[]);
    let folder = folder(&[("a.toml", "")]);
    let file = folder.path().join("a.toml");
    let write = |text: &str| {
        // As editors do: a new file in the old one's place.
        let new = folder.path().join("new.toml");
        std::fs::write(&new, text).expect("a file");
        std::fs::rename(&new, &file).expect("its place");
    };
    let worker = Worker::start(&stack, &file);
    let ask = || {
        let input = json!({"actionType": "execute_code", "context": {"command": "git log"}});
        stack.activity("checkPolicy", &input).ok()
    };
    let rule = "[env.base]\nextends = \"base\"\ndefault = \"deny\"\n";
    let before = ask();
    assert_eq!(before["outcome"], json!("allow"));

    write(rule);
    worker.says("the policy is reloaded");
    let after = ask();
    assert_eq!(after["outcome"], json!("deny"), "{after:#}");
    assert_ne!(after["policyDigest"], before["policyDigest"]);

    write("[env.base]\nextends = \"base\"\ndefalt = \"allow\"\n");
    let said = worker.says("the policy is not reloaded");
    assert!(said.contains("line 3: unknown key") && said.contains("did you mean"), "{said}");
    assert_eq!(ask(), after);

    write(rule);
    worker.says("the policy is the one in force");
    worker.hang_up();
    worker.says("the policy is the one in force");
    write("");
    worker.hang_up();
    worker.says("the policy is reloaded");
    assert_eq!(ask()["outcome"], json!("allow"));
}
