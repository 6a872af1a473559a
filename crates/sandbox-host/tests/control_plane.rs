//! The control plane and the edge, spoken to in raw HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test says what it found by failing"
)]

mod support;

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{metadata, rig, rig_with};

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_the_code_in_its_body() {
    let rig = rig().await;
    for (method, path, body, status) in [
        ("GET", "/sandboxes/inone", json!({}), 404),
        ("DELETE", "/sandboxes/inone", json!({}), 404),
        ("POST", "/sandboxes/inone/timeout", json!({"timeout": 1}), 404),
        ("POST", "/sandboxes/inone/timeout", json!({}), 400),
        ("POST", "/v2/sandboxes/inone/connect", json!({}), 404),
        ("POST", "/sandboxes/inone/connect", json!({}), 400),
        ("POST", "/v2/sandboxes", json!({}), 400),
        ("POST", "/v2/sandboxes", json!({"templateID": "none"}), 404),
        ("POST", "/v2/sandboxes", json!({"templateID": "base", "timeout": 0}), 400),
        ("POST", "/v2/sandboxes", json!({"templateID": "base", "timeout": 86_401}), 400),
        ("POST", "/v2/sandboxes", json!({"templateID": "base", "envVars": {"A=B": ""}}), 400),
        ("GET", "/v2/sandboxes?limit=101", json!({}), 400),
        ("GET", "/v2/sandboxes?state=gone", json!({}), 400),
        ("GET", "/v2/sandboxes?nextToken=%21", json!({}), 400),
        ("GET", "/templates", json!({}), 404),
    ] {
        let reply = rig.api(method, path).json(&body).send().await.unwrap();
        assert_eq!(reply.status().as_u16(), status, "{method} {path}");
        let text: Value = reply.json().await.unwrap();
        assert_eq!(text["code"], status, "{method} {path}: {text}");
        assert!(text["message"].is_string(), "{method} {path}: {text}");
    }
    let url = format!("{}/v2/sandboxes", rig.url);
    for request in [rig.client.get(&url), rig.client.get(&url).header("X-API-Key", "e2b_wrong")] {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(reply.json::<Value>().await.unwrap()["code"], 401);
    }
    assert_eq!(rig.client.get(format!("{}/health", rig.url)).send().await.unwrap().status(), 200);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_is_created_described_and_killed() {
    let rig = rig().await;
    let sandbox = rig.create(metadata(&[("run", "1")])).await;
    let path = format!("/sandboxes/{}", sandbox.id);
    let detail: Value = rig.api("GET", &path).send().await.unwrap().json().await.unwrap();
    for (key, want) in [
        ("templateID", json!("base")),
        ("sandboxID", json!(sandbox.id)),
        ("cpuCount", json!(2)),
        ("memoryMB", json!(512)),
        ("state", json!("running")),
        ("envdVersion", json!("0.6.13")),
        ("envdAccessToken", json!(sandbox.token)),
        ("metadata", json!({"run": "1"})),
        ("allowInternetAccess", Value::Null),
    ] {
        assert_eq!(detail[key], want, "{key}");
    }
    assert_eq!(rig.status("DELETE", &path, json!({})).await, 204);
    assert_eq!(rig.status("DELETE", &path, json!({})).await, 404);
    let reply = sandbox.request("GET", "/health").send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::BAD_GATEWAY);
    let want =
        json!({"sandboxId": sandbox.id, "message": "The sandbox was not found", "code": 502});
    assert_eq!(reply.json::<Value>().await.unwrap(), want);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_makes_one_sandbox() {
    let rig = rig().await;
    let create = |key: &'static str, body: Value| {
        let request = rig.api("POST", "/v2/sandboxes").header("Idempotency-Key", key).json(&body);
        async move {
            let reply = request.send().await.unwrap();
            (reply.status().as_u16(), reply.json::<Value>().await.unwrap())
        }
    };
    let body = json!({"templateID": "base"});
    // Two at once: one creates, the other hears that it is under way.
    let (one, two) = tokio::join!(create("k-1", body.clone()), create("k-1", body.clone()));
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    let (created, refused) = if one.0 == 201 { (one.1, two.1) } else { (two.1, one.1) };
    assert_eq!(refused["error_code"], "idempotency_in_progress");
    assert_eq!(create("k-1", body.clone()).await, (201, created));
    let (status, refused) = create("k-1", json!({"templateID": "base", "timeout": 9})).await;
    assert_eq!((status, &refused["error_code"]), (422, &json!("idempotency_request_mismatch")));
    assert_eq!(create("Not_Valid", body.clone()).await.0, 400);
    // A failed create leaves its key free.
    assert_eq!(create("k-2", json!({"templateID": "none"})).await.0, 404);
    assert_eq!(create("k-2", body).await.0, 201);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_ordered_and_paged() {
    let rig = rig().await;
    let mut ids = Vec::new();
    for index in ["0", "1", "2"] {
        ids.push(rig.create(metadata(&[("index", index), ("k k", "v&v")])).await.id);
    }
    let other = rig.create(json!({})).await;
    let get = |path: String| {
        let request = rig.api("GET", &path);
        async move {
            let reply = request.send().await.unwrap();
            assert_eq!(reply.status(), 200, "{path}");
            let next =
                reply.headers().get("x-next-token").map(|next| next.to_str().unwrap().to_owned());
            let total =
                reply.headers().get("x-total-running").map(|t| t.to_str().unwrap().to_owned());
            let list: Vec<Value> = reply.json().await.unwrap();
            let ids: Vec<_> =
                list.iter().map(|one| one["sandboxID"].as_str().unwrap().to_owned()).collect();
            (ids, next, total)
        }
    };
    let filter = "metadata=k%252520k%3Dv%252526v";
    let (all, next, total) = get(format!("/v2/sandboxes?{filter}&order=asc")).await;
    assert_eq!((all, next, total.as_deref()), (ids.clone(), None, Some("3")));
    let (first, next, _) = get(format!("/v2/sandboxes?{filter}&limit=2")).await;
    assert_eq!(first, [ids[2].clone(), ids[1].clone()]);
    let next = next.unwrap();
    let (rest, end, _) = get(format!("/v2/sandboxes?{filter}&limit=2&nextToken={next}")).await;
    assert_eq!((rest, end), (vec![ids[0].clone()], None));
    let path = format!("/v2/sandboxes?order=asc&nextToken={next}");
    assert_eq!(rig.status("GET", &path, json!({})).await, 400);
    assert_eq!(get("/v2/sandboxes?metadata=index%3D1".into()).await.0, [ids[1].clone()]);
    assert_eq!(get("/sandboxes?metadata=index%3D2".into()).await.0, [ids[2].clone()]);
    assert_eq!(get("/v2/sandboxes".into()).await.0.len(), 4);
    // A paused one is in no list of running ones.
    let pause = format!("/sandboxes/{}/pause", other.id);
    assert_eq!(rig.status("POST", &pause, json!({})).await, 204);
    assert_eq!(rig.status("POST", &pause, json!({})).await, 409);
    assert_eq!(get("/v2/sandboxes?state=paused".into()).await.0, std::slice::from_ref(&other.id));
    assert_eq!(get("/sandboxes".into()).await.0.len(), 3);
    assert_eq!(other.health().await, 502);
    let connect = format!("/v2/sandboxes/{}/connect", other.id);
    assert_eq!(rig.status("POST", &connect, json!({})).await, 201);
    assert_eq!(rig.status("POST", &connect, json!({})).await, 200);
    assert_eq!(other.health().await, 204);
    // The end reaches a paused one, too.
    assert_eq!(rig.status("POST", &pause, json!({})).await, 204);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_extended_by_connect_and_refresh_and_set_by_timeout() {
    let rig = rig().await;
    let sandbox = rig.create(json!({"timeout": 100})).await;
    let path = format!("/sandboxes/{}", sandbox.id);
    let left = || async {
        let detail: Value = rig.api("GET", &path).send().await.unwrap().json().await.unwrap();
        let end: jiff::Timestamp = detail["endAt"].as_str().unwrap().parse().unwrap();
        (end.duration_since(jiff::Timestamp::now()).as_secs_f64() / 10.0).round() * 10.0
    };
    assert!((left().await - 100.0).abs() < 0.1);
    for (call, body, want) in [
        (format!("/v2{path}/connect"), json!({"timeout": 50}), 100.0),
        (format!("/v2{path}/connect"), json!({"timeout": 200}), 200.0),
        (format!("{path}/refreshes"), json!({"duration": 0}), 200.0),
        (format!("{path}/refreshes"), json!({"duration": 300}), 300.0),
        (format!("{path}/timeout"), json!({"timeout": 40}), 40.0),
    ] {
        let status = rig.status("POST", &call, body.clone()).await;
        assert!(status.is_success(), "{call} {status}");
        let left = left().await;
        assert!((left - want).abs() < 0.1, "{call} {body}: {left}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_its_time_kills_a_sandbox_and_cuts_its_streams() {
    let rig = rig().await;
    let sandbox = rig.create(json!({"timeout": 1})).await;
    let began = Instant::now();
    let output = sandbox.sh("while true; do echo x; sleep 0.05; done").await;
    assert_eq!((output.error.as_deref(), output.exit), (Some("cut"), None));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(sandbox.health().await, 502);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_cuts_the_stream() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let mut stream = sandbox.start("user", "yes").await;
    stream.pid().await;
    let path = format!("/sandboxes/{}", sandbox.id);
    let (output, status) = tokio::join!(stream.collect(), rig.status("DELETE", &path, json!({})));
    assert_eq!((output.error.as_deref(), status.as_u16()), (Some("cut"), 204));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_sandboxes_than_allowed_are_refused_until_one_ends() {
    let rig = rig_with(|config| config.limits.sandboxes = 1).await;
    let first = rig.create(json!({})).await;
    let body = json!({"templateID": "base"});
    let reply = rig.api("POST", "/v2/sandboxes").json(&body).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(!reply.headers().contains_key("retry-after"));
    let path = format!("/sandboxes/{}", first.id);
    assert_eq!(rig.status("DELETE", &path, json!({})).await, 204);
    rig.create(json!({})).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_the_sandbox_is_reached_or_told_closed() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let get = |port: &'static str| {
        let url = format!("{}/hello", rig.url);
        let host = format!("{port}-{}.e2b.local", sandbox.id);
        let request = rig.client.get(url).header("Host", host);
        async move {
            let reply = request.send().await.unwrap();
            (reply.status().as_u16(), reply.text().await.unwrap())
        }
    };
    let (status, text) = get("8000").await;
    assert_eq!(status, 502);
    let text: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text["message"], "The sandbox is running but port is not open");
    assert_eq!(text["port"], 8000);
    let serve = "cd /tmp && echo there > hello && exec python3 -m http.server 8000";
    let _server = sandbox.start("user", serve).await;
    let began = Instant::now();
    while get("8000").await != (200, "there\n".to_owned()) {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", get("8000").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for path in ["/init", "/freeze"] {
        let reply = sandbox.request("POST", path).send().await.unwrap();
        assert_eq!(reply.status(), 404, "{path}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_of_the_asked_time_and_the_detail_repeats_what_was_said() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (query, count) in [
        (String::new(), 1),
        (format!("?start={}&end={now}", now - 60), 1),
        (format!("?start={}&end={}", now + 3600, now + 7200), 0),
        (format!("?start={}&end={}", now - 7200, now - 3600), 0),
    ] {
        let path = format!("/sandboxes/{}/metrics{query}", sandbox.id);
        let metrics: Value = rig.api("GET", &path).send().await.unwrap().json().await.unwrap();
        assert_eq!(metrics.as_array().unwrap().len(), count, "{query}: {metrics}");
    }
    let path = format!("/sandboxes/{}/metrics?start=2&end=1", sandbox.id);
    assert_eq!(rig.status("GET", &path, json!({})).await, 400);
    let detail = |id: String| {
        let request = rig.api("GET", &format!("/sandboxes/{id}"));
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    assert_eq!(detail(sandbox.id.clone()).await["allowInternetAccess"], Value::Null);
    let closed = rig.create(json!({"allow_internet_access": false})).await;
    assert_eq!(detail(closed.id).await["allowInternetAccess"], false);
    rig.end().await;
}
