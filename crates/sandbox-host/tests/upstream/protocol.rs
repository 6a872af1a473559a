//! Who may call, and in what form.

use serde_json::json;

use crate::pair::{Pair, envelope, with};

const LIST: &str = "/process.Process/List";
const STAT: &str = "/filesystem.Filesystem/Stat";
const START: &str = "/process.Process/Start";

pub(crate) async fn compare(pair: &mut Pair) {
    access(pair).await;
    forms(pair).await;
    streams(pair).await;
}

async fn access(pair: &mut Pair) {
    pair.same("health without a token", async |s| s.bare("GET", "/health")).await;
    pair.same("health by POST", async |s| s.request("POST", "/health")).await;
    pair.same("envs without a token", async |s| s.bare("GET", "/envs")).await;
    pair.same("metrics without a token", async |s| s.bare("GET", "/metrics")).await;
    pair.same("a path that is none", async |s| s.request("GET", "/nothing")).await;
    pair.same("a path that is none, without a token", async |s| s.bare("GET", "/nothing")).await;
    pair.same("a call without a token", async |s| {
        s.bare("POST", LIST).header("content-type", "application/json").body("{}")
    })
    .await;
    pair.same("a call with a wrong token", async |s| {
        s.bare("POST", LIST)
            .header("x-access-token", "wrong")
            .header("content-type", "application/json")
            .body("{}")
    })
    .await;
    for (name, value) in [
        ("no user", None),
        ("an unknown user", Some("Basic bm9ib2R5LWhlcmU6")),
        ("an empty user", Some("Basic Og==")),
        ("credentials that are no base64", Some("Basic ???")),
        ("credentials without a colon", Some("Basic dXNlcg==")),
        ("credentials of another kind", Some("Bearer x")),
        ("root", Some("Basic cm9vdDo=")),
    ] {
        pair.same(&format!("a call with {name}"), async |s| {
            let request = s.request("POST", STAT).header("content-type", "application/json");
            let request = request.body(json!({"path": s.dir}).to_string());
            match value {
                Some(value) => request.header("authorization", value),
                None => request,
            }
        })
        .await;
    }
}

async fn forms(pair: &mut Pair) {
    for (name, kind, body) in [
        ("JSON", "application/json", r#"{"path": "/tmp/x y"}"#),
        ("JSON with a charset", "application/json; charset=utf-8", r#"{"path": "/tmp/x y"}"#),
        ("JSON with an unknown field", "application/json", r#"{"path": "/tmp/x y", "more": [1]}"#),
        ("JSON with null", "application/json", r#"{"path": null}"#),
        ("JSON that is cut", "application/json", r#"{"path": "/tm"#),
        ("JSON that is no object", "application/json", "[]"),
        ("JSON of a wrong type", "application/json", r#"{"path": 5}"#),
        ("JSON that is empty", "application/json", ""),
        ("binary", "application/proto", "\x0a\x08/tmp/x y"),
        ("binary that is cut", "application/proto", "\x0a\x09/tmp/x y"),
        ("binary that is empty", "application/proto", ""),
        ("text", "text/plain", "{}"),
        ("a stream's type", "application/connect+json", "{}"),
        ("no type", "", "{}"),
    ] {
        pair.same(&format!("a unary body: {name}"), async |s| {
            with(s.call(STAT, &json!({})).body(body), "content-type", kind)
        })
        .await;
    }
    pair.same("an unknown method", async |s| s.call("/process.Process/Nothing", &json!({}))).await;
    pair.same("an unknown service", async |s| s.call("/process.Nothing/List", &json!({}))).await;
    pair.same("a call by GET", async |s| s.request("GET", LIST)).await;
    pair.same("a call by PUT", async |s| {
        s.request("PUT", LIST).header("content-type", "application/json").body("{}")
    })
    .await;
    pair.same("a protocol of another version", async |s| {
        s.call(LIST, &json!({})).header("connect-protocol-version", "2")
    })
    .await;
    for (name, value) in [
        ("no number", "soon"),
        ("too long", "99999999999"),
        ("negative", "-1"),
        ("zero", "0"),
        ("plenty", "60000"),
    ] {
        pair.same(&format!("a timeout that is {name}"), async |s| {
            s.call(LIST, &json!({})).header("connect-timeout-ms", value)
        })
        .await;
    }
    pair.same("a compression that is unknown", async |s| {
        s.call(LIST, &json!({})).header("content-encoding", "br")
    })
    .await;
    pair.same("a body that is not compressed as said", async |s| {
        s.call(LIST, &json!({})).header("content-encoding", "gzip")
    })
    .await;
    pair.same("identity said", async |s| {
        s.call(LIST, &json!({})).header("content-encoding", "identity")
    })
    .await;
}

async fn streams(pair: &mut Pair) {
    let start = json!({"process": {"cmd": "/bin/true"}, "stdin": false}).to_string();
    for (name, body) in [
        ("as it should be", envelope(0, start.as_bytes())),
        ("none", vec![]),
        ("cut in its head", vec![0, 0, 0]),
        ("cut in its message", envelope(0, start.as_bytes())[..20].to_vec()),
        ("without an envelope", start.clone().into_bytes()),
        ("compressed without saying how", envelope(1, start.as_bytes())),
        ("with unknown flags", envelope(4, start.as_bytes())),
        ("that is an end", envelope(2, b"{}")),
        ("that is not JSON", envelope(0, b"{")),
        ("that is empty", envelope(0, b"")),
        ("twice", [envelope(0, start.as_bytes()), envelope(0, start.as_bytes())].concat()),
        ("of a huge length", vec![0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]),
    ] {
        pair.same(&format!("a stream's body: {name}"), async |s| {
            s.stream(START, &json!({})).body(body.clone())
        })
        .await;
    }
    pair.same("a stream with a unary type", async |s| {
        s.call(START, &json!({"process": {"cmd": "/bin/true"}}))
    })
    .await;
    pair.same("a stream with an unknown compression", async |s| {
        s.stream(START, &json!({"process": {"cmd": "/bin/true"}}))
            .header("connect-content-encoding", "br")
    })
    .await;
    pair.same("a stream without a token", async |s| {
        s.bare("POST", START)
            .header("content-type", "application/connect+json")
            .body(envelope(0, start.as_bytes()))
    })
    .await;
}
