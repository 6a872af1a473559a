//! Calls that belong together: a process and its input, watching, connecting later.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::pair::{Pair, Side, envelope};

/// A running stream, read message by message.
struct Open {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Open {
    async fn start(s: &Side, method: &str, body: &Value) -> Self {
        Self { response: s.stream(method, body).send().await.unwrap(), buffer: Vec::new() }
    }

    /// The next message, or the end.
    async fn next(&mut self) -> Value {
        loop {
            if let [flags, a, b, c, d, rest @ ..] = &self.buffer[..] {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                if rest.len() >= length {
                    let message: Value = serde_json::from_slice(&rest[..length]).unwrap();
                    let message =
                        if *flags == 0 { message } else { json!({"flags": flags, "end": message}) };
                    self.buffer.drain(..5 + length);
                    return message;
                }
            }
            match tokio::time::timeout(Duration::from_secs(10), self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(Ok(None)) => return json!("(closed)"),
                Ok(Err(_)) => return json!("(cut)"),
                Err(_) => return json!("(silence)"),
            }
        }
    }

    async fn pid(&mut self) -> Value {
        self.next().await["event"]["start"]["pid"].clone()
    }

    /// All that is left.
    async fn rest(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let message = self.next().await;
            let is_last = message.is_string() || message["flags"].is_number();
            all.push(message);
            if is_last {
                return all;
            }
        }
    }
}

async fn call(s: &Side, method: &str, body: Value) -> Value {
    let answer = s.call(&format!("/process.Process/{method}"), &body).send().await.unwrap();
    let answer = s.answer(answer).await;
    json!([answer["status"], answer["body"]])
}

fn process(s: &Side, line: &str, more: &Value) -> Value {
    let mut start = json!({"process": {"cmd": "/bin/bash", "args": ["-c", line], "cwd": s.dir}});
    start.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    start
}

/// An event whose entry was described at a moment that nobody chose.
fn without_size(mut message: Value) -> Value {
    let entry = message.pointer_mut("/filesystem/entry").and_then(Value::as_object_mut);
    if let Some(entry) = entry {
        entry.remove("size");
    }
    message
}

pub(crate) async fn compare(pair: &mut Pair) {
    input(pair).await;
    later(pair).await;
    watching(pair).await;
}

async fn input(pair: &mut Pair) {
    pair.alike("input and its end", async |s| {
        let mut open = Open::start(
            s,
            "/process.Process/Start",
            &process(s, "echo ready; cat; exit 5", &json!({"tag": "in"})),
        )
        .await;
        let who = json!({"pid": open.pid().await});
        let mut seen = vec![open.next().await];
        seen.push(
            call(s, "SendInput", json!({"process": who, "input": {"stdin": "b25lCg=="}})).await,
        );
        seen.push(open.next().await);
        seen.push(call(s, "SendInput", json!({"process": who, "input": {"pty": "eA=="}})).await);
        seen.push(call(s, "SendInput", json!({"process": who, "input": {}})).await);
        seen.push(call(s, "SendInput", json!({"process": who})).await);
        seen.push(
            call(s, "Update", json!({"process": who, "pty": {"size": {"cols": 1, "rows": 1}}}))
                .await,
        );
        seen.push(call(s, "Update", json!({"process": who})).await);
        seen.push(call(s, "SendSignal", json!({"process": who})).await);
        seen.push(call(s, "SendSignal", json!({"process": who, "signal": 2})).await);
        seen.push(call(s, "CloseStdin", json!({"process": {"tag": "in"}})).await);
        seen.push(call(s, "CloseStdin", json!({"process": who})).await);
        seen.push(call(s, "SendInput", json!({"process": who, "input": {"stdin": "eA=="}})).await);
        seen.extend(open.rest().await);
        json!(seen)
    })
    .await;
    pair.alike("input to one that has none", async |s| {
        let mut open = Open::start(
            s,
            "/process.Process/Start",
            &process(s, "sleep 5", &json!({"stdin": false})),
        )
        .await;
        let who = json!({"pid": open.pid().await});
        let mut seen =
            vec![call(s, "SendInput", json!({"process": who, "input": {"stdin": "eA=="}})).await];
        seen.push(call(s, "CloseStdin", json!({"process": who})).await);
        seen.push(call(s, "SendSignal", json!({"process": who, "signal": "SIGNAL_SIGTERM"})).await);
        seen.extend(open.rest().await);
        json!(seen)
    })
    .await;
    pair.alike("a terminal's input", async |s| {
        let start = json!({"process": {"cmd": "/bin/sh", "args": ["-c", "stty -echo; echo ready; read a; echo got $a; stty size"]}, "pty": {"size": {"cols": 80, "rows": 24}}});
        let mut open = Open::start(s, "/process.Process/Start", &start).await;
        let who = json!({"pid": open.pid().await});
        let mut seen = vec![open.next().await];
        seen.push(call(s, "CloseStdin", json!({"process": who})).await);
        seen.push(call(s, "SendInput", json!({"process": who, "input": {"stdin": "eA=="}})).await);
        seen.push(call(s, "Update", json!({"process": who, "pty": {"size": {"cols": 33, "rows": 44}}})).await);
        seen.push(call(s, "Update", json!({"process": who, "pty": {}})).await);
        seen.push(call(s, "Update", json!({"process": who})).await);
        seen.push(call(s, "SendInput", json!({"process": who, "input": {"pty": "aGkK"}})).await);
        let mut output = Vec::new();
        for message in open.rest().await {
            match message["event"]["data"]["pty"].as_str() {
                Some(data) => output.extend(BASE64_STANDARD.decode(data).unwrap()),
                None => seen.push(message),
            }
        }
        json!([seen, String::from_utf8_lossy(&output)])
    })
    .await;
    pair.alike("input as a stream", async |s| {
        let mut open =
            Open::start(s, "/process.Process/Start", &process(s, "cat", &json!({}))).await;
        let pid = open.pid().await;
        let messages = [
            json!({"start": {"process": {"pid": pid}}}),
            json!({"data": {"input": {"stdin": "b25l"}}}),
            json!({"keepalive": {}}),
            json!({"data": {"input": {"stdin": "dHdv"}}}),
        ];
        let body: Vec<u8> = messages
            .iter()
            .flat_map(|message| envelope(0, message.to_string().as_bytes()))
            .collect();
        let answer =
            s.stream("/process.Process/StreamInput", &json!({})).body(body).send().await.unwrap();
        let mut seen = vec![s.answer(answer).await];
        seen.push(call(s, "CloseStdin", json!({"process": {"pid": pid}})).await);
        let mut output = Vec::new();
        for message in open.rest().await {
            match message["event"]["data"]["stdout"].as_str() {
                Some(data) => output.extend(BASE64_STANDARD.decode(data).unwrap()),
                None => seen.push(message),
            }
        }
        json!([seen, String::from_utf8_lossy(&output)])
    })
    .await;
    for (name, messages) in [
        ("without a start", vec![json!({"data": {"input": {"stdin": "eA=="}}})]),
        ("for nobody", vec![json!({"start": {"process": {"pid": 4_000_000}}})]),
        ("of nothing", vec![]),
        ("of an empty message", vec![json!({})]),
        ("of a keepalive", vec![json!({"keepalive": {}})]),
    ] {
        pair.same(&format!("a stream of input {name}"), async |s| {
            let body: Vec<u8> = messages
                .iter()
                .flat_map(|message| envelope(0, message.to_string().as_bytes()))
                .collect();
            s.stream("/process.Process/StreamInput", &json!({})).body(body)
        })
        .await;
    }
}

async fn later(pair: &mut Pair) {
    pair.alike("connecting while it runs, and after", async |s| {
        let mut open = Open::start(
            s,
            "/process.Process/Start",
            &process(s, "echo lost; read x; echo seen; exit 6", &json!({"tag": "late"})),
        )
        .await;
        let pid = open.pid().await;
        open.next().await;
        let mut second =
            Open::start(s, "/process.Process/Connect", &json!({"process": {"pid": pid}})).await;
        let mut seen = vec![second.next().await];
        call(s, "SendInput", json!({"process": {"pid": pid}, "input": {"stdin": "Cg=="}})).await;
        seen.extend(second.rest().await);
        seen.extend(open.rest().await);
        let mut third =
            Open::start(s, "/process.Process/Connect", &json!({"process": {"pid": pid}})).await;
        seen.extend(third.rest().await);
        let mut fourth =
            Open::start(s, "/process.Process/Connect", &json!({"process": {"tag": "late"}})).await;
        seen.extend(fourth.rest().await);
        seen.push(
            call(s, "SendSignal", json!({"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"}))
                .await,
        );
        seen.push(call(s, "List", json!({})).await);
        json!(seen)
    })
    .await;
    pair.alike("the list", async |s| {
        let start = process(s, "sleep 5", &json!({"tag": "listed", "stdin": false}));
        let mut open = Open::start(s, "/process.Process/Start", &start).await;
        let pid = open.pid().await;
        let mut seen = vec![call(s, "List", json!({})).await];
        seen.push(
            call(s, "SendSignal", json!({"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"}))
                .await,
        );
        seen.extend(open.rest().await);
        json!(seen)
    })
    .await;
}

async fn watching(pair: &mut Pair) {
    pair.prepare("mkdir -p w/sub; echo x >w/old").await;
    for (name, path) in [("what is missing", "w/none"), ("a file", "w/old")] {
        pair.same(&format!("watching {name}"), async |s| {
            s.stream("/filesystem.Filesystem/WatchDir", &json!({"path": s.path(path)}))
        })
        .await;
    }
    for (name, recursive, include) in [
        ("a directory", false, false),
        ("a tree", true, false),
        ("a tree with entries", true, true),
    ] {
        pair.alike(&format!("watching {name}"), async |s| {
            let watch =
                json!({"path": s.path("w"), "recursive": recursive, "includeEntry": include});
            let mut open = Open::start(s, "/filesystem.Filesystem/WatchDir", &watch).await;
            let mut seen = vec![open.next().await];
            for line in [
                "echo a >new",
                "chmod 600 new",
                "mv new other",
                "mkdir made",
                "echo b >sub/inner",
                "rm other",
                "rmdir made",
                "rm sub/inner",
                "touch last",
            ] {
                let mut run = Open::start(
                    s,
                    "/process.Process/Start",
                    &process(s, &format!("cd w; {line}"), &json!({"stdin": false})),
                )
                .await;
                run.rest().await;
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            loop {
                let message = open.next().await;
                let name = message["filesystem"]["name"].clone();
                let kind = message["filesystem"]["type"].clone();
                let is_over = message.is_string()
                    || (name == "last" && kind == "EVENT_TYPE_CHMOD")
                    || (name == "last" && kind == "EVENT_TYPE_WRITE");
                seen.push(without_size(message));
                if is_over {
                    break;
                }
            }
            let mut run = Open::start(
                s,
                "/process.Process/Start",
                &process(s, "rm w/last", &json!({"stdin": false})),
            )
            .await;
            run.rest().await;
            json!(seen)
        })
        .await;
    }
}
