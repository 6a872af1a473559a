//! A stack for one test, and the ways to use it that a user has.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Long enough for a slow machine; a test that waits this long has failed.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Waits until something holds; a test that waits a minute has failed.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// The program under test, built by `make test` beside this test.
pub(crate) fn airlock() -> PathBuf {
    let test = std::env::current_exe().expect("this test's path");
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let program = profile.join("airlock");
    assert!(program.is_file(), "{} is missing: run `make test`", program.display());
    program
}

/// The `temporal` command.
pub(crate) fn temporal_cli() -> PathBuf {
    let ours = workspace().join(".dev/bin/temporal");
    assert!(ours.exists(), "{} is missing: run `make tools`", ours.display());
    ours
}

/// A running stack. Dropping it stops everything.
pub(crate) struct Stack {
    child: Child,
    /// The ready file's content.
    pub(crate) ready: Value,
    folder: tempfile::TempDir,
}

impl Stack {
    /// The stack that most tests want.
    pub(crate) fn start() -> Self {
        Self::with(&[], &[])
    }

    /// With more arguments and variables.
    pub(crate) fn with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ready_file = folder.path().join("ready.json");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(airlock());
        command
            .args(["dev", "--ports", "auto", "--headless", "--ready-file"])
            .arg(&ready_file)
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(arguments)
            .env("PATH", format!("{}:{path}", workspace().join(".dev/bin").display()))
            .envs(variables.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().expect("airlock dev starts");
        let mut stack = Self { child, ready: Value::Null, folder };
        stack.wait(&ready_file);
        stack
    }

    fn wait(&mut self, ready_file: &Path) {
        // The pipes are read all the time: a full one would stop the stack.
        let log = self.folder.path().join("dev.log");
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(self.child.stdout.take().expect("stdout")),
            Box::new(self.child.stderr.take().expect("stderr")),
        ];
        for stream in streams {
            let log = log.clone();
            std::thread::spawn(move || copy_lines(stream, &log));
        }
        let until = Instant::now() + START_LIMIT;
        while !ready_file.exists() {
            let ended = self.child.try_wait().expect("the stack can be waited for");
            assert!(ended.is_none(), "airlock dev ended: {ended:?}\n{}", self.log());
            assert!(Instant::now() < until, "airlock dev is not ready:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        let text = std::fs::read_to_string(ready_file).expect("the ready file");
        self.ready = serde_json::from_str(&text).expect("the ready file is JSON");
    }

    /// What the stack has printed.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("dev.log")).unwrap_or_default()
    }

    /// The ready file's path.
    pub(crate) fn ready_file(&self) -> PathBuf {
        self.folder.path().join("ready.json")
    }

    /// A string of the ready file, by JSON pointer.
    pub(crate) fn get(&self, pointer: &str) -> &str {
        self.ready.pointer(pointer).and_then(Value::as_str).expect(pointer)
    }

    /// Temporal's address.
    pub(crate) fn address(&self) -> &str {
        self.get("/temporal/address")
    }

    /// Runs `airlock` on this stack.
    pub(crate) fn airlock(&self, arguments: &[&str]) -> Output {
        Command::new(airlock())
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("airlock runs")
    }

    /// Runs `temporal` on this stack.
    pub(crate) fn temporal(&self, arguments: &[&str]) -> Output {
        Command::new(temporal_cli())
            .args(arguments)
            .args(["--address", self.address()])
            .output()
            .expect("temporal runs")
    }

    /// Executes an activity as the README does: standalone, from the `temporal` command.
    pub(crate) fn activity(&self, kind: &str, input: &Value) -> Answer {
        self.activity_on("airlock", kind, input)
    }

    /// The same on another task queue.
    pub(crate) fn activity_on(&self, queue: &str, kind: &str, input: &Value) -> Answer {
        let id = format!("{kind}-{:016x}", rand::random::<u64>());
        self.start_activity_on(queue, kind, &id, input);
        self.activity_answer(&id)
    }

    /// Starts an activity and does not wait.
    pub(crate) fn start_activity(&self, kind: &str, id: &str, input: &Value) {
        self.start_activity_on("airlock", kind, id, input);
    }

    fn start_activity_on(&self, queue: &str, kind: &str, id: &str, input: &Value) {
        let input = input.to_string();
        let output = self.temporal(&[
            "activity",
            "start",
            "--type",
            kind,
            "--activity-id",
            id,
            "--task-queue",
            queue,
            "--start-to-close-timeout",
            "2m",
            "--heartbeat-timeout",
            "5s",
            "--input",
            &input,
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Waits for a started activity.
    pub(crate) fn activity_answer(&self, id: &str) -> Answer {
        let until = Instant::now() + START_LIMIT;
        loop {
            let output = self.temporal(&["activity", "result", "--activity-id", id, "-o", "json"]);
            // The dev server says so under load; the question is as good the next time.
            let busy = String::from_utf8_lossy(&output.stderr).contains("is busy");
            if !busy || Instant::now() > until {
                return Answer::read(&output);
            }
        }
    }

    /// `temporal activity describe`, as JSON.
    pub(crate) fn describe(&self, id: &str) -> Value {
        let output = self.temporal(&["activity", "describe", "--activity-id", id, "-o", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// The latest heartbeat's details, as text.
    pub(crate) fn heartbeat(&self, id: &str) -> String {
        self.describe(id)["info"]["heartbeatDetails"].to_string()
    }

    /// Makes an account and returns its name.
    pub(crate) fn budget(&self, limit: &str) -> String {
        let account = format!("e2e-{:012x}", rand::random::<u64>() >> 16);
        let answer = self.activity("createBudget", &json!({"runId": account, "limit": limit}));
        assert_eq!(answer.ok()["runId"], json!(account));
        account
    }

    /// The sandboxes that live now.
    pub(crate) fn sandboxes(&self) -> Vec<Value> {
        let ready = self.ready_file();
        let ready = ready.to_str().expect("a UTF-8 path");
        let output = self.airlock(&["sandbox", "list", "--json", "--from", ready]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a JSON list")
    }

    /// After a run: no sandbox is left, and of the account nothing is held.
    pub(crate) fn assert_clean(&self, account: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.sandboxes().is_empty() {
            assert!(Instant::now() < until, "sandboxes are left: {:?}", self.sandboxes());
            std::thread::sleep(Duration::from_millis(100));
        }
        let status = self.activity("getBudget", &json!({"runId": account})).ok();
        assert_eq!(status["reserved"], json!(0), "held: {status}");
        let number = |name: &str| status[name].as_f64().expect("an amount");
        let sum = number("spent") + number("remaining");
        assert!((sum - number("limit")).abs() < 1e-9, "the ledger does not balance: {status}");
    }

    /// Asks the stack to end and waits; its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).ok();
        self.child.wait().expect("the stack ends").code()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- airlock dev ---\n{}", self.log());
        }
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.stop();
        }
    }
}

fn copy_lines(stream: impl Read, log: &Path) {
    use std::io::Write;
    let mut file =
        std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log file");
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        drop(file.write_all(&[line.as_slice(), b"\n"].concat()));
    }
}

/// Calls the HTTP API; status and body.
pub(crate) fn call(stack: &Stack, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}{path}", stack.get("/httpUrl"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut request = client.request(method.parse().expect("a method"), url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("the HTTP API answers");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    })
}

/// How an activity ended.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Its result.
    Completed(Value),
    /// Its failure, as `temporal` prints it.
    Failed(Value),
}

impl Answer {
    /// Reads what `temporal activity result -o json` printed.
    pub(crate) fn read(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("no JSON ({error}): {text}{}", String::from_utf8_lossy(&output.stderr))
        });
        if value["status"] == json!("COMPLETED") {
            Self::Completed(value["result"].clone())
        } else {
            Self::Failed(value)
        }
    }

    /// The result; a failure fails the test.
    pub(crate) fn ok(self) -> Value {
        match self {
            Self::Completed(value) => value,
            Self::Failed(failure) => panic!("failed: {failure:#}"),
        }
    }

    /// The failure: its type and the whole of it as text.
    pub(crate) fn failure(self) -> (String, Value) {
        match self {
            Self::Completed(value) => panic!("completed: {value:#}"),
            Self::Failed(failure) => {
                let info = &failure["failure"]["applicationFailureInfo"];
                let kind = info["type"].as_str().unwrap_or_default().to_owned();
                (kind, failure)
            }
        }
    }
}
