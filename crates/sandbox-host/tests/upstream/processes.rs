//! Processes: what they run as, how they end, and what cannot be done to them.

use serde_json::{Value, json};

use crate::pair::{Pair, Side, with};

const START: &str = "/process.Process/Start";

fn shell(s: &Side, line: &str) -> Value {
    json!({"process": {"cmd": "/bin/bash", "args": ["-c", line], "cwd": s.dir}, "stdin": false})
}

pub(crate) async fn compare(pair: &mut Pair) {
    commands(pair).await;
    surroundings(pair).await;
    refusals(pair).await;
    unknown(pair).await;
}

async fn commands(pair: &mut Pair) {
    for (name, line) in [
        ("true", "true"),
        ("an exit code", "exit 3"),
        ("the highest exit code", "exit 255"),
        ("output", "echo out; echo err >&2"),
        ("much output", "seq 1 20000"),
        ("bytes that are no text", "printf '\\xff\\xfe'"),
        ("SIGKILL", "kill -9 $$"),
        ("SIGTERM", "kill -15 $$"),
        ("SIGSEGV", "kill -11 $$"),
        ("SIGUSR1", "kill -USR1 $$"),
        ("a real-time signal", "kill -40 $$"),
        ("a background child that ends later", "(sleep 0.3; echo late) & echo early"),
        ("no input", "cat; echo done"),
        ("what is open", "ls /proc/self/fd | wc -l"),
        ("ignored signals", "grep -E 'Sig(Ign|Blk)' /proc/self/status"),
        ("the session", "ps -o pgid= -p $$ | tr -d ' ' | grep -qx $$ && echo own || echo shared"),
        ("the niceness", "nice"),
        ("the score when memory runs out", "cat /proc/self/oom_score_adj"),
        ("the umask", "umask"),
        ("the limits", "ulimit -c -s"),
    ] {
        pair.same(&format!("command: {name}"), async |s| s.stream(START, &shell(s, line))).await;
    }
    for (name, process) in [
        ("a program that is missing", json!({"cmd": "/no/such"})),
        ("a name that is missing", json!({"cmd": "no-such-program"})),
        ("a name", json!({"cmd": "echo", "args": ["hi"]})),
        ("a directory as a program", json!({"cmd": "/tmp"})),
        ("a file that is no program", json!({"cmd": "/etc/passwd"})),
        ("no program", json!({"cmd": ""})),
        (
            "arguments with spaces",
            json!({"cmd": "printf", "args": ["%s|", "a b", "", "$HOME", "*"]}),
        ),
        ("a NUL in an argument", json!({"cmd": "echo", "args": ["a\0b"]})),
        ("a NUL in the environment", json!({"cmd": "env", "envs": {"A": "a\0b"}})),
        (
            "an odd name in the environment",
            json!({"cmd": "/bin/sh", "args": ["-c", "env | grep -c odd"], "envs": {"A=B": "odd", "": "odd"}}),
        ),
    ] {
        pair.same(&format!("start {name}"), async |s| {
            s.stream(START, &json!({"process": process, "stdin": false}))
        })
        .await;
    }
    pair.same("start without a process", async |s| s.stream(START, &json!({}))).await;
    pair.same("a tag", async |s| {
        let mut start = shell(s, "true");
        start["tag"] = json!("a tag");
        s.stream(START, &start)
    })
    .await;
    pair.same("a deadline", async |s| {
        s.stream(START, &shell(s, "echo begun; sleep 5")).header("connect-timeout-ms", "300")
    })
    .await;
    pair.same("keepalives", async |s| {
        s.stream(START, &shell(s, "sleep 1.5")).header("keepalive-ping-interval", "1")
    })
    .await;
    pair.same("a terminal", async |s| {
        s.stream(START, &json!({"process": {"cmd": "/bin/sh", "args": ["-c", "tty | cut -c1-8; stty size; echo $TERM; exit 4"], "envs": {"TERM": "xterm"}}, "pty": {"size": {"cols": 91, "rows": 17}}}))
    })
    .await;
    pair.same("a terminal without a size", async |s| {
        s.stream(
            START,
            &json!({"process": {"cmd": "/bin/sh", "args": ["-c", "stty size"]}, "pty": {}}),
        )
    })
    .await;
    pair.same("snake case", async |s| {
        s.stream(
            START,
            &json!({"process": {"cmd": "echo", "args": ["x"]}, "stdin": false, "unknown_field": 1}),
        )
    })
    .await;
}

async fn surroundings(pair: &mut Pair) {
    for (name, cwd) in [
        ("none", None),
        ("empty", Some("")),
        ("home", Some("~")),
        ("relative", Some("relative")),
        ("missing", Some("/no/such")),
        ("a file", Some("/etc/passwd")),
        ("another's", Some("~root")),
        ("root's", Some("/root")),
    ] {
        pair.same(&format!("working directory: {name}"), async |s| {
            let mut start = json!({"process": {"cmd": "pwd"}, "stdin": false});
            if let Some(cwd) = cwd {
                start["process"]["cwd"] = json!(cwd);
            }
            s.stream(START, &start)
        })
        .await;
    }
    pair.same("environment", async |s| {
        let line = "env | grep -vE '^(_|SHLVL|OLDPWD|E2B_.*)=' | sort";
        let mut start = shell(s, line);
        start["process"]["envs"] = json!({"A": "a b", "HOME": "/elsewhere", "EMPTY": ""});
        s.stream(START, &start)
    })
    .await;
    for (name, user) in
        [("user", "dXNlcjo="), ("root", "cm9vdDo="), ("nobody-here", "bm9ib2R5LWhlcmU6")]
    {
        pair.same(&format!("as {name}"), async |s| {
            let line = "id; echo $HOME $USER $LOGNAME; pwd";
            let start =
                json!({"process": {"cmd": "/bin/sh", "args": ["-c", line]}, "stdin": false});
            with(s.stream(START, &start), "authorization", &format!("Basic {user}"))
        })
        .await;
    }
}

async fn refusals(pair: &mut Pair) {
    let none = json!({"pid": 4_000_000});
    let no_tag = json!({"tag": "never"});
    for (method, body) in [
        ("SendSignal", json!({"signal": "SIGNAL_SIGKILL"})),
        ("SendInput", json!({"input": {"stdin": "eA=="}})),
        ("CloseStdin", json!({})),
        ("Update", json!({"pty": {"size": {"cols": 1, "rows": 1}}})),
    ] {
        for (name, selector) in
            [("an unknown pid", Some(&none)), ("an unknown tag", Some(&no_tag)), ("nobody", None)]
        {
            pair.same(&format!("{method} to {name}"), async |s| {
                let mut body = body.clone();
                if let Some(selector) = selector {
                    body["process"] = selector.clone();
                }
                s.call(&format!("/process.Process/{method}"), &body)
            })
            .await;
        }
    }
    for (name, body) in [
        ("an unknown pid", json!({"process": none})),
        ("an unknown tag", json!({"process": no_tag})),
        ("nobody", json!({})),
    ] {
        pair.same(&format!("Connect to {name}"), async |s| {
            s.stream("/process.Process/Connect", &body)
        })
        .await;
    }
}

async fn unknown(pair: &mut Pair) {
    pair.same("the list when nothing runs", async |s| s.call("/process.Process/List", &json!({})))
        .await;
    pair.same("the environment variables", async |s| {
        s.request("GET", "/envs").header("accept", "application/json")
    })
    .await;
}
