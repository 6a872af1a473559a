//! Where the worker writes, and how that is read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use crate::harness::{Stack, airlock};

/// Everything that was written, by place.
#[derive(Default)]
pub(crate) struct Places(Vec<(String, Vec<u8>)>);

impl Places {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), bytes.into()));
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &(String, Vec<u8>)> {
        self.0.iter()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// An answer of the HTTP API, with its headers.
    pub(crate) fn http(&mut self, stack: &Stack, method: &str, path: &str, body: Option<String>) {
        let address = stack.get("/httpUrl").trim_start_matches("http://").to_owned();
        let body = body.unwrap_or_default();
        let mut stream = TcpStream::connect(&address).expect("the HTTP API");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        assert!(answer.starts_with(b"HTTP/1.1 "), "{method} {path}");
        let route = path.split(['?', '/']).take(6).collect::<Vec<_>>().join("/");
        self.add(&format!("HTTP {method} {}", &route[..route.len().min(30)]), answer);
    }

    /// Every key, and every value with what is compressed in it.
    pub(crate) fn redis(&mut self, url: &str) {
        let address = url.trim_start_matches("redis://").split('/').next().expect("an address");
        let mut redis = Redis(BufReader::new(TcpStream::connect(address).expect("Redis")));
        let mut keys = redis.call(&[b"KEYS", b"*"]);
        keys.sort();
        assert!(keys.len() > 5, "Redis is empty");
        for key in keys {
            let kind = redis.call(&[b"TYPE", &key]).concat();
            let command: &[&[u8]] = match kind.as_slice() {
                b"string" => &[b"GET", &key],
                b"hash" => &[b"HGETALL", &key],
                b"list" => &[b"LRANGE", &key, b"0", b"-1"],
                b"set" => &[b"SMEMBERS", &key],
                b"zset" => &[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"],
                b"stream" => &[b"XRANGE", &key, b"-", b"+"],
                b"none" => continue,
                other => panic!("a type that nobody reads: {}", String::from_utf8_lossy(other)),
            };
            let name = format!("Redis {}", String::from_utf8_lossy(&key));
            for value in redis.call(command) {
                if let Some(inflated) = inflate(&value) {
                    self.add(&name, inflated);
                }
                self.add(&name, value);
            }
            self.add(&name, key);
        }
    }

    /// All that Temporal keeps of `queue`'s activities and workflows but what callers sent.
    pub(crate) fn history(&mut self, stack: &Stack, queue: &str) {
        let ids = |kind: &str, key: &str| -> Vec<String> {
            let query = format!("TaskQueue = '{queue}'");
            let listed =
                stack.temporal(&[kind, "list", "--query", &query, "-o", "json", "--limit", "5000"]);
            let listed: Value = serde_json::from_slice(&listed.stdout)
                .unwrap_or_else(|_| panic!("no list: {}", String::from_utf8_lossy(&listed.stderr)));
            let rows = listed.as_array().cloned().unwrap_or_default();
            let id = |row: &Value| row.pointer(key).and_then(Value::as_str).map(str::to_owned);
            rows.iter().filter_map(id).collect()
        };
        let activities = ids("activity", "/activityId");
        assert!(!activities.is_empty(), "no activities on {queue}");
        for id in activities {
            let mut told = stack.describe(&id);
            forget_inputs(&mut told);
            let kind = told.pointer("/info/activityType").map(ToString::to_string);
            self.add(&format!("history of {}", kind.unwrap_or_default()), decoded(&told));
        }
        for id in ids("workflow", "/execution/workflowId") {
            let shown = stack.temporal(&["workflow", "show", "--workflow-id", &id, "-o", "json"]);
            let mut told: Value = serde_json::from_slice(&shown.stdout).expect("a history");
            forget_inputs(&mut told);
            self.add(&format!("history of {id}"), decoded(&told));
            let described =
                stack.temporal(&["workflow", "describe", "--workflow-id", &id, "-o", "json"]);
            let mut told: Value = serde_json::from_slice(&described.stdout).expect("a description");
            forget_inputs(&mut told);
            self.add(&format!("description of {id}"), decoded(&told));
        }
    }
}

/// Removes what callers sent. A workflow hands its own input on to its activities.
fn forget_inputs(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("input");
            // A type that does not exist is the caller's word too.
            fields.remove("activityType");
            fields.values_mut().for_each(forget_inputs);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_inputs),
        _ => {}
    }
}

/// The text with every base64 payload in it decoded as well.
fn decoded(value: &Value) -> String {
    let mut text = value.to_string();
    payloads(value, &mut text);
    text
}

fn payloads(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            if let Some(data) = fields.get("data").and_then(Value::as_str) {
                text.push('\n');
                text.push_str(&String::from_utf8_lossy(&unbase64(data)));
            }
            fields.values().for_each(|value| payloads(value, text));
        }
        Value::Array(items) => items.iter().for_each(|value| payloads(value, text)),
        _ => {}
    }
}

fn unbase64(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .bytes()
        .filter_map(|b| {
            Some(u32::from(match b {
                b'A'..=b'Z' => b - b'A',
                b'a'..=b'z' => b - b'a' + 26,
                b'0'..=b'9' => b - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => return None,
            }))
        })
        .collect();
    let group = |digits: &[u32]| {
        let bits =
            digits.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - digits.len()));
        let [_, a, b, c] = bits.to_be_bytes();
        [a, b, c][..digits.len().saturating_sub(1)].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

/// The stores mark a compressed value with a `z`.
fn inflate(value: &[u8]) -> Option<Vec<u8>> {
    let zlib = value.strip_prefix(b"z")?;
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(zlib).take(8 << 20).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Just enough of Redis's protocol to read everything.
struct Redis(BufReader<TcpStream>);

impl Redis {
    fn call(&mut self, words: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).bytes());
            request.extend([word, &b"\r\n"[..]].concat());
        }
        self.0.get_mut().write_all(&request).expect("Redis takes it");
        let mut values = Vec::new();
        self.value(&mut values);
        values
    }

    fn value(&mut self, values: &mut Vec<Vec<u8>>) {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("Redis answers");
        let (kind, rest) = line.trim_end().split_at(1);
        let length = || rest.parse::<i64>().expect("a length");
        match kind {
            "*" => (0..length()).for_each(|_| self.value(values)),
            "$" if length() < 0 => {}
            "$" => {
                let mut bytes = vec![0; usize::try_from(length()).expect("a length") + 2];
                self.0.read_exact(&mut bytes).expect("Redis answers");
                bytes.truncate(bytes.len() - 2);
                values.push(bytes);
            }
            "-" => panic!("Redis: {rest}"),
            _ => values.push(rest.into()),
        }
    }
}

/// Runs `airlock` with an input; what it printed to both streams.
pub(crate) fn piped(arguments: &[&str], input: &str) -> Vec<u8> {
    let mut child = Command::new(airlock())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("airlock runs");
    child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    [output.stdout, output.stderr].concat()
}

/// Takes webhooks and keeps them.
pub(crate) struct Listener {
    port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Listener {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let request = read_request(&stream);
                kept.lock().extend(request);
                let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                (&stream).write_all(answer).ok();
            }
        });
        Self { port, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// All that came; something must have.
    pub(crate) fn bodies(&self) -> Vec<u8> {
        let seen = self.seen.lock().clone();
        assert!(!seen.is_empty(), "no webhook came");
        seen
    }
}

fn read_request(stream: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut request = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return request;
        }
        request.extend(line.bytes());
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok();
    request.extend(body);
    request
}
