//! A host on a free port, and a raw client that knows nothing of the host's own types.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::time::Duration;

use airlock_sandbox_host::{Config, Host, Limits};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf as _, BytesMut};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};

pub const KEY: &str = "e2b_0123456789abcdef0123456789abcdef01234567";

/// A host of its own, with a directory of its own.
pub struct Rig {
    pub host: Host,
    pub client: Client,
    pub url: String,
    _data: tempfile::TempDir,
}

pub async fn rig() -> Rig {
    rig_with(|_| {}).await
}

pub async fn rig_with(change: impl FnOnce(&mut Config)) -> Rig {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let data = tempfile::tempdir().unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let mut config = Config::new(listen, SecretString::from(KEY), data.path().join("data"));
    config.init = Some(env!("CARGO_BIN_EXE_airlock-sandbox-init").into());
    config.limits = Limits { sandboxes: 150, ..Limits::default() };
    change(&mut config);
    let host = Host::start(config).await.unwrap();
    let url = format!("http://{}", host.local_addr());
    Rig { host, client: Client::new(), url, _data: data }
}

/// One sandbox as a client sees it.
#[derive(Clone)]
pub struct Sandbox {
    pub id: String,
    pub token: String,
    pub url: String,
    pub client: Client,
}

/// What a command left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub pid: u64,
    pub stdout: String,
    pub stderr: String,
    pub exit: Option<i64>,
    pub end: Value,
    /// The error of the end of the stream, or `cut`.
    pub error: Option<String>,
}

impl Rig {
    pub fn api(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.url)).header("X-API-Key", KEY)
    }

    pub async fn create(&self, body: Value) -> Sandbox {
        let mut all = json!({"templateID": "base"});
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let reply = self.api("POST", "/v2/sandboxes").json(&all).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::CREATED);
        let reply: Value = reply.json().await.unwrap();
        Sandbox {
            id: reply["sandboxID"].as_str().unwrap().to_owned(),
            token: reply["envdAccessToken"].as_str().unwrap().to_owned(),
            url: self.url.clone(),
            client: self.client.clone(),
        }
    }

    pub async fn status(&self, method: &str, path: &str, body: Value) -> StatusCode {
        self.api(method, path).json(&body).send().await.unwrap().status()
    }

    pub async fn end(self) {
        self.host.shutdown().await;
    }
}

impl Sandbox {
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client
            .request(method.parse().unwrap(), format!("{}{path}", self.url))
            .header("E2b-Sandbox-Id", &self.id)
            .header("E2b-Sandbox-Port", "49983")
            .header("X-Access-Token", &self.token)
    }

    pub async fn unary(&self, user: &str, method: &str, body: Value) -> (StatusCode, Value) {
        let credentials = BASE64_STANDARD.encode(format!("{user}:"));
        let reply = self
            .request("POST", method)
            .header("Authorization", format!("Basic {credentials}"))
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = reply.status();
        (status, reply.json().await.unwrap_or_default())
    }

    pub async fn open(
        &self,
        user: &str,
        method: &str,
        body: Value,
        timeout: Option<u64>,
    ) -> Stream {
        let credentials = BASE64_STANDARD.encode(format!("{user}:"));
        let message = serde_json::to_vec(&body).unwrap();
        let mut envelope = vec![0];
        envelope.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        envelope.extend(message);
        let mut request = self
            .request("POST", method)
            .header("Authorization", format!("Basic {credentials}"))
            .header("Content-Type", "application/connect+json")
            .header("Connect-Protocol-Version", "1");
        if let Some(timeout) = timeout {
            request = request.header("Connect-Timeout-Ms", timeout.to_string());
        }
        let response = request.body(envelope).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Stream { response, buffer: BytesMut::new() }
    }

    pub async fn start(&self, user: &str, command: &str) -> Stream {
        let process = json!({"cmd": "/bin/bash", "args": ["-c", command]});
        let body = json!({"process": process, "stdin": false});
        self.open(user, "/process.Process/Start", body, None).await
    }

    pub async fn run(&self, user: &str, command: &str) -> Output {
        self.start(user, command).await.collect().await
    }

    pub async fn sh(&self, command: &str) -> Output {
        self.run("user", command).await
    }

    pub async fn write(&self, path: &str, data: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let reply = self
            .request("POST", "/files")
            .query(&[("path", path), ("username", "user")])
            .header("Content-Type", "application/octet-stream")
            .body(data)
            .send()
            .await
            .unwrap();
        (reply.status(), reply.json().await.unwrap_or_default())
    }

    pub async fn read(&self, path: &str) -> (StatusCode, Vec<u8>) {
        let query = [("path", path), ("username", "user")];
        let reply = self.request("GET", "/files").query(&query).send().await.unwrap();
        (reply.status(), reply.bytes().await.unwrap().to_vec())
    }

    pub async fn health(&self) -> StatusCode {
        self.request("GET", "/health").send().await.unwrap().status()
    }
}

pub struct Stream {
    response: Response,
    buffer: BytesMut,
}

impl Stream {
    /// The next envelope: its flags and its message; `None` when the stream was cut.
    pub async fn next(&mut self) -> Option<(u8, Value)> {
        loop {
            if self.buffer.len() >= 5 {
                let size = u32::from_be_bytes(self.buffer[1..5].try_into().unwrap()) as usize;
                if self.buffer.len() >= 5 + size {
                    let flags = self.buffer.get_u8();
                    self.buffer.advance(4);
                    let message = self.buffer.split_to(size);
                    return Some((flags, serde_json::from_slice(&message).unwrap()));
                }
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Reads the start event.
    pub async fn pid(&mut self) -> u64 {
        let (_, message) = self.next().await.unwrap();
        message["event"]["start"]["pid"].as_u64().unwrap_or_else(|| panic!("no start: {message}"))
    }

    pub async fn collect(self) -> Output {
        let limit = Duration::from_mins(1);
        tokio::time::timeout(limit, self.collect_all()).await.expect("the stream did not end")
    }

    async fn collect_all(mut self) -> Output {
        let mut output = Output::default();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            let Some((flags, message)) = self.next().await else {
                output.error = Some("cut".into());
                break;
            };
            if flags & 2 != 0 {
                output.error = message["error"]["code"].as_str().map(str::to_owned);
                break;
            }
            let event = &message["event"];
            if let Some(pid) = event["start"]["pid"].as_u64() {
                output.pid = pid;
            }
            for (name, to) in
                [("stdout", &mut stdout), ("stderr", &mut stderr), ("pty", &mut Vec::new())]
            {
                if let Some(data) = event["data"][name].as_str() {
                    to.extend(BASE64_STANDARD.decode(data).unwrap());
                }
            }
            if !event["end"].is_null() {
                output.exit = Some(event["end"]["exitCode"].as_i64().unwrap_or(0));
                output.end = event["end"].clone();
            }
        }
        output.stdout = String::from_utf8_lossy(&stdout).into_owned();
        output.stderr = String::from_utf8_lossy(&stderr).into_owned();
        output
    }
}

/// Metadata as a JSON object.
pub fn metadata(pairs: &[(&str, &str)]) -> Value {
    let map: BTreeMap<_, _> = pairs.iter().copied().collect();
    json!({"metadata": map})
}
