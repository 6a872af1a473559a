//! Two daemons and the comparison of their answers.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response};
use serde_json::{Map, Value, json};

use crate::differences::DIFFERENCES;
use crate::support::{self, Rig, Sandbox};

/// Where upstream's daemon listens in the sandbox.
const PORT: u16 = 50_000;

/// Headers that are compared; the others are about the connection, or tell browsers what may ask.
const HEADERS: [&str; 8] = [
    "accept-ranges",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "www-authenticate",
];

/// Replaces a header, where `RequestBuilder::header` would add one.
pub(crate) fn with(request: RequestBuilder, name: &'static str, value: &str) -> RequestBuilder {
    let header = (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    request.headers([header].into_iter().collect())
}

/// One of the two daemons, with a directory of its own.
#[derive(Clone)]
pub(crate) struct Side {
    sandbox: Sandbox,
    port: u16,
    /// As long as the other's, so that lengths compare.
    pub(crate) dir: &'static str,
}

impl Side {
    /// A request with the token.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, path).header("X-Access-Token", &self.sandbox.token)
    }

    /// A request without the token.
    pub(crate) fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        self.sandbox
            .client
            .request(method.parse().unwrap(), format!("{}{path}", self.sandbox.url))
            .timeout(Duration::from_secs(10))
            .header("E2b-Sandbox-Id", &self.sandbox.id)
            .header("E2b-Sandbox-Port", self.port.to_string())
    }

    pub(crate) fn token(&self) -> &str {
        &self.sandbox.token
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// A request for a file of this side's directory, as `user`.
    pub(crate) fn file(&self, method: &str, name: &str) -> RequestBuilder {
        let query = [("path", self.path(name).as_str()), ("username", "user")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()));
        self.request(method, "/files").query(&query)
    }

    /// A unary call in JSON as `user`.
    pub(crate) fn call(&self, method: &str, body: &Value) -> RequestBuilder {
        self.request("POST", method)
            .header("Authorization", format!("Basic {}", BASE64_STANDARD.encode("user:")))
            .header("Content-Type", "application/json")
            .body(body.to_string())
    }

    /// A stream in JSON as `user`, with one message.
    pub(crate) fn stream(&self, method: &str, body: &Value) -> RequestBuilder {
        let message = envelope(0, body.to_string().as_bytes());
        with(self.call(method, body).body(message), "content-type", "application/connect+json")
    }

    /// Text without what must differ between the sides.
    fn normal(&self, text: &str) -> String {
        text.replace(self.dir, "DIR").replace(&format!("127.0.0.1:{}", self.port), "HOST")
    }

    fn normal_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if self.dir.ends_with(&format!("/{text}")) => json!("DIR"),
            Value::String(text) => json!(self.normal(text)),
            Value::Array(list) => list.iter().map(|item| self.normal_json(item)).collect(),
            Value::Object(map) => {
                let masked = |(key, value): (&String, &Value)| {
                    let value = match key.as_str() {
                        // The words of an error are for people.
                        "pid" | "modifiedTime" | "watcherId" | "message" => json!("..."),
                        _ => self.normal_json(value),
                    };
                    (key.clone(), value)
                };
                map.iter().map(masked).collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }

    /// Everything that is compared of an answer.
    pub(crate) async fn answer(&self, response: Response) -> Value {
        let status = response.status().as_u16();
        let mut headers = Map::new();
        for name in HEADERS {
            if let Some(value) = response.headers().get(name) {
                headers.insert(
                    name.to_owned(),
                    json!(self.normal(&String::from_utf8_lossy(value.as_bytes()))),
                );
            }
        }
        let kind = headers.remove("content-type").unwrap_or_default();
        let kind =
            kind.as_str().unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
        let is_stream = kind.contains("connect+");
        if is_stream || kind == "application/proto" {
            headers.insert("content-type".to_owned(), json!(kind));
        }
        let is_packed = headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip");
        let body = match response.bytes().await {
            Err(_) => json!("(cut)"),
            Ok(body) if is_packed => {
                headers.remove("content-length");
                json!(std::io::read_to_string(flate2::read::GzDecoder::new(&body[..])).unwrap())
            }
            Ok(body) if is_stream => {
                events(&body).iter().map(|event| self.normal_json(event)).collect()
            }
            // Upstream forgets to say that some of its JSON is JSON.
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(value @ (Value::Object(_) | Value::Array(_))) => self.normal_json(&value),
                _ if status == 400 || status == 404 => json!("(text)"),
                _ => json!(self.normal(&String::from_utf8_lossy(&body))),
            },
        };
        // How long JSON is depends on its words, and nothing is nothing however it is said.
        if !(body.is_string() && body != "" && body != "(text)") || kind == "application/proto" {
            headers.remove("content-length");
        }
        json!({"status": status, "headers": headers, "body": body})
    }
}

/// One message of a stream.
pub(crate) fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
    let mut all = vec![flags];
    all.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    all.extend(message);
    all
}

/// The messages of a stream in JSON; what one process wrote to one file is put together.
fn events(mut body: &[u8]) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    let mut output = Map::new();
    while let [flags, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (message, rest) = rest.split_at(length.min(rest.len()));
        body = rest;
        let message: Value =
            serde_json::from_slice(message).unwrap_or_else(|_| json!("(not JSON)"));
        if let Some(data) = message["event"]["data"].as_object() {
            for (name, bytes) in data {
                let bytes = BASE64_STANDARD.decode(bytes.as_str().unwrap()).unwrap();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let earlier = output.get(name).and_then(Value::as_str).unwrap_or_default();
                output.insert(name.clone(), json!(format!("{earlier}{text}")));
            }
            continue;
        }
        if !output.is_empty() {
            events.push(json!({"output": std::mem::take(&mut output)}));
        }
        events.push(if *flags == 0 { message } else { json!({"flags": flags, "end": message}) });
    }
    events
}

/// Both daemons, and what was found.
pub(crate) struct Pair {
    rig: Rig,
    ours: Side,
    theirs: Side,
    count: usize,
    found: Vec<String>,
    expected: Vec<&'static str>,
}

impl Pair {
    /// Starts a host, a sandbox, and upstream's daemon in it.
    pub(crate) async fn start() -> Self {
        let binary = std::env::var_os("AIRLOCK_TEST_ENVD").expect("AIRLOCK_TEST_ENVD is set");
        let binary = std::fs::read(binary).unwrap();
        let rig = support::rig().await;
        let sandbox = rig.create(json!({"timeout": 600})).await;
        assert_eq!(sandbox.write("/tmp/envd", binary).await.0, 200);
        let start = format!(
            "chmod 755 /tmp/envd; setsid -f /tmp/envd -isnotfc -no-cgroups -port {PORT} >/tmp/envd.log 2>&1 </dev/null; \
             for n in $(seq 200); do curl -sf http://127.0.0.1:{PORT}/health && break; sleep 0.05; done; \
             mkdir -p /home/user/ours /home/user/them; chown user:user /home/user/ours /home/user/them"
        );
        let started = sandbox.run("root", &start).await;
        assert_eq!(started.exit, Some(0), "{started:?}");
        let side = |port, dir| Side { sandbox: sandbox.clone(), port, dir };
        let (ours, theirs) = (side(49_983, "/home/user/ours"), side(PORT, "/home/user/them"));
        let init = json!({"accessToken": sandbox.token, "defaultUser": "user"});
        let answer = theirs.bare("POST", "/init").json(&init).send().await.unwrap();
        assert_eq!(
            answer.status(),
            204,
            "{}",
            sandbox.run("root", "cat /tmp/envd.log").await.stdout
        );
        Self { rig, ours, theirs, count: 0, found: Vec::new(), expected: Vec::new() }
    }

    /// Asks both sides the same and compares the answers.
    pub(crate) async fn same(&mut self, name: &str, ask: impl AsyncFn(&Side) -> RequestBuilder) {
        let mut answers = Vec::new();
        for side in [&self.ours, &self.theirs] {
            let request = ask(side).await;
            answers.push(match request.send().await {
                Ok(response) => side.answer(response).await,
                Err(error) => json!(format!("no answer: {error:?}")),
            });
        }
        self.compare(name, &answers[0], &answers[1]);
    }

    /// Lets both sides do something whose result is compared.
    pub(crate) async fn alike(&mut self, name: &str, act: impl AsyncFn(&Side) -> Value) {
        let ours = act(&self.ours).await;
        let theirs = act(&self.theirs).await;
        let (ours, theirs) = (self.ours.normal_json(&ours), self.theirs.normal_json(&theirs));
        self.compare(name, &ours, &theirs);
    }

    /// Runs a command, once for each directory.
    pub(crate) async fn prepare(&self, command: &str) {
        for side in [&self.ours, &self.theirs] {
            let command = format!("cd {}; {command}", side.dir);
            let done = self.ours.sandbox.run("user", &command).await;
            assert_eq!(done.exit, Some(0), "{command}: {done:?}");
        }
    }

    fn compare(&mut self, name: &str, ours: &Value, theirs: &Value) {
        self.count += 1;
        if let Ok(wanted) = std::env::var("AIRLOCK_TEST_SHOW")
            && name.contains(&wanted)
        {
            println!("{name}\n  ours:     {ours}\n  upstream: {theirs}");
        }
        let known = DIFFERENCES.iter().find(|(known, _)| *known == name);
        match (ours == theirs, known) {
            (true, None) => {}
            (false, Some((known, _))) => self.expected.push(known),
            (true, Some((_, reason))) => {
                self.found.push(format!("{name}: no difference any more ({reason})"));
            }
            (false, None) => {
                let [ours, theirs] = [ours, theirs].map(|answer| shortened(&answer.to_string()));
                self.found.push(format!("{name}\n  ours:     {ours}\n  upstream: {theirs}"));
            }
        }
    }

    /// Tells what differs.
    pub(crate) async fn end(self) {
        self.rig.end().await;
        println!("{} comparisons, {} known differences", self.count, self.expected.len());
        for (name, reason) in DIFFERENCES {
            assert!(
                self.expected.contains(name)
                    || self.found.iter().any(|found| found.starts_with(name)),
                "{name}: listed as a difference ({reason}) and never compared"
            );
        }
        assert!(
            self.found.is_empty(),
            "{} of {} differ:\n{}",
            self.found.len(),
            self.count,
            self.found.join("\n")
        );
    }
}

fn shortened(text: &str) -> String {
    let middle = "\\n10\\n11\\n12";
    match (text.find(middle), text.find("\\n98\\n")) {
        (Some(from), Some(to)) if from < to => format!("{}...{}", &text[..from], &text[to..]),
        _ => text.chars().take(1500).collect(),
    }
}
