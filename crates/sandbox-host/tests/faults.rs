//! Faults on purpose, seen from a client: what it gets, and what was done behind its back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test says what it found by failing"
)]

mod support;

use std::time::{Duration, Instant};

use airlock_sandbox_host::{Fault, FaultAction};
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{Rig, Sandbox, rig, rig_with};

async fn faulty() -> Rig {
    rig_with(|config| config.faults = Some(Vec::new())).await
}

impl Rig {
    fn add(&self, path: &str, action: FaultAction) {
        self.host.faults().unwrap().add(vec![Fault::new(path, action)]).unwrap();
    }

    async fn listed(&self) -> Vec<String> {
        let list: Value =
            self.api("GET", "/v2/sandboxes").send().await.unwrap().json().await.unwrap();
        list.as_array().unwrap().iter().map(|s| s["sandboxID"].to_string()).collect()
    }
}

async fn read_file(sandbox: &Sandbox) -> reqwest::Result<Vec<u8>> {
    let query = [("path", "big"), ("username", "user")];
    let mut reply = sandbox.request("GET", "/files").query(&query).send().await?;
    assert_eq!(reply.status(), 200);
    let mut got = Vec::new();
    while let Ok(Some(piece)) = reply.chunk().await {
        got.extend_from_slice(&piece);
    }
    Ok(got)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_faults_in_the_configuration_nobody_can_add_one() {
    let rig = rig().await;
    assert!(rig.host.faults().is_none());
    for method in ["GET", "POST", "DELETE"] {
        let rule = json!({"action": "loseReply"});
        assert_eq!(rig.status(method, "/admin/faults", rule).await, 404, "{method}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_endpoint_needs_the_key_and_keeps_count() {
    let rig = faulty().await;
    let url = format!("{}/admin/faults", rig.url);
    assert_eq!(rig.client.get(&url).send().await.unwrap().status(), 401);
    let rule = json!({"path": "/v2/sandboxes", "method": "GET", "nth": 2,
        "action": {"refuse": {"status": 503, "retryAfter": 7, "message": "busy"}}});
    let all = json!({"path": "*", "times": null, "action": {"delay": {"ms": 0}}});
    let made = rig.api("POST", "/admin/faults").json(&json!([rule, all])).send().await.unwrap();
    assert_eq!(made.status(), 201);
    assert_eq!(made.json::<Value>().await.unwrap(), json!({"ids": [1, 2]}));
    for want in [200, 503, 200] {
        let reply = rig.api("GET", "/v2/sandboxes").send().await.unwrap();
        assert_eq!(reply.status(), want);
        if want == 503 {
            assert_eq!(reply.headers()["retry-after"], "7");
            let body: Value = reply.json().await.unwrap();
            assert_eq!(body, json!({"code": 503, "message": "busy"}));
        }
    }
    let report: Value = rig.api("GET", "/admin/faults").send().await.unwrap().json().await.unwrap();
    assert_eq!(report[0]["fault"]["nth"], 2);
    let counts = |at: usize| (report[at]["seen"].as_u64(), report[at]["fired"].as_u64());
    assert_eq!((counts(0), counts(1)), ((Some(3), Some(1)), (Some(3), Some(3))));
    for (wrong, named) in [
        (json!({"action": {"refuse": {"status": 200}}}), "action.refuse.status"),
        (json!({"action": "explode"}), "explode"),
        (json!([{"action": "loseReply"}, {"nth": 0, "action": "loseReply"}]), "nth"),
    ] {
        let reply = rig.api("POST", "/admin/faults").json(&wrong).send().await.unwrap();
        assert_eq!(reply.status(), 400);
        let text = reply.text().await.unwrap();
        assert!(text.contains(named), "{text}");
    }
    assert_eq!(rig.status("DELETE", "/admin/faults/1", json!({})).await, 204);
    assert_eq!(rig.status("DELETE", "/admin/faults/1", json!({})).await, 404);
    assert_eq!(rig.status("DELETE", "/admin/faults", json!({})).await, 204);
    assert!(rig.host.faults().unwrap().report().is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_cut_after_exactly_so_many_bytes() {
    let rig = faulty().await;
    let sandbox = rig.create(json!({})).await;
    let data: Vec<u8> = (0..300_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    assert_eq!(sandbox.write("big", data.clone()).await.0, 200);
    for at in [0, 1, 100_000] {
        rig.add("/files", FaultAction::Cut { at: at as u64 });
        let got = read_file(&sandbox).await.unwrap();
        assert!(got == data[..at], "{} bytes instead of {at}", got.len());
    }
    assert_eq!(read_file(&sandbox).await.unwrap().len(), data.len());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_ends_without_its_last_message_and_the_command_goes_on() {
    let rig = faulty().await;
    let sandbox = rig.create(json!({})).await;
    rig.add("/process.Process/Start", FaultAction::Cut { at: 40 });
    let output = sandbox.sh("echo one; sleep 0.3; echo two >done").await;
    assert_eq!(output.error.as_deref(), Some("cut"));
    assert_eq!(
        sandbox.sh("until [ -e done ]; do sleep 0.02; done; cat done").await.stdout,
        "two\n"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_without_a_reply_leaves_a_sandbox_that_the_list_shows() {
    let rig = faulty().await;
    rig.add("/v2/sandboxes", FaultAction::LoseReply);
    let create = || {
        let body = json!({"templateID": "base", "metadata": {"run": "7"}});
        rig.api("POST", "/v2/sandboxes").header("Idempotency-Key", "k-1").json(&body).send()
    };
    let lost = create().await;
    assert!(lost.is_err(), "an answer came: {:?}", lost.map(|reply| reply.status()));
    let listed = rig.listed().await;
    assert_eq!(listed.len(), 1);
    // The key finds the same one again.
    let again: Value = create().await.unwrap().json().await.unwrap();
    assert_eq!(again["sandboxID"].to_string(), listed[0]);
    assert_eq!(rig.listed().await.len(), 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_is_killed_in_the_middle_of_the_command_that_a_rule_names() {
    let rig = faulty().await;
    let sandbox = rig.create(json!({})).await;
    let rule = json!({"bodyContains": "make test", "sandbox": sandbox.id,
        "action": {"killSandbox": {"at": 20, "afterMs": 100}}});
    assert_eq!(rig.status("POST", "/admin/faults", rule).await, 201);
    assert_eq!(sandbox.sh("echo make build").await.stdout, "make build\n");
    let began = Instant::now();
    let output = sandbox.sh("echo make test; sleep 30").await;
    assert_eq!((output.stdout.as_str(), output.error.as_deref()), ("make test\n", Some("cut")));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(sandbox.health().await, StatusCode::BAD_GATEWAY);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_sandbox_is_not_found_by_the_request_that_it_happens_to() {
    let rig = faulty().await;
    let (one, other) = (rig.create(json!({})).await, rig.create(json!({})).await);
    rig.add("/sandboxes/*/timeout", FaultAction::ForgetSandbox);
    let path = format!("/sandboxes/{}/timeout", one.id);
    assert_eq!(rig.status("POST", &path, json!({"timeout": 60})).await, 404);
    assert_eq!(one.health().await, StatusCode::BAD_GATEWAY);
    assert_eq!(rig.listed().await, [format!("\"{}\"", other.id)]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_process_is_forgotten_where_a_rule_says_so() {
    let rig = faulty().await;
    let sandbox = rig.create(json!({})).await;
    let connect = |pid: u64| {
        let body = json!({"process": {"pid": pid}});
        let sandbox = &sandbox;
        async move {
            let stream = sandbox.open("user", "/process.Process/Connect", body, None).await;
            stream.collect().await
        }
    };
    let pid = sandbox.sh("exit 3").await.pid;
    assert_eq!(connect(pid).await.exit, Some(3));
    // A client's own header does nothing.
    let forged = sandbox.request("GET", "/metrics").header("x-airlock-forget-exits", "yes");
    assert_eq!(forged.send().await.unwrap().status(), 200);
    assert_eq!(connect(pid).await.exit, Some(3));
    rig.add("/process.Process/Connect", FaultAction::ForgetExits);
    assert_eq!(connect(pid).await.error.as_deref(), Some("not_found"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_streams_stall_and_a_bad_time_passes() {
    let rig = faulty().await;
    let sandbox = rig.create(json!({})).await;
    let took = |began: Instant| began.elapsed() >= Duration::from_millis(200);
    rig.add("/health", FaultAction::Delay { ms: 200 });
    let began = Instant::now();
    assert_eq!(sandbox.health().await, 204);
    assert!(took(began));

    rig.add("/process.Process/Start", FaultAction::Stall { at: 10, ms: 200 });
    let began = Instant::now();
    let output = sandbox.sh("echo x").await;
    assert_eq!((output.stdout.as_str(), output.exit), ("x\n", Some(0)));
    assert!(took(began));

    let refuse = FaultAction::Refuse {
        status: 502,
        retry_after: None,
        should_retry: Some(true),
        message: None,
    };
    let mut rule = Fault::new("/health", refuse);
    rule.for_ms = Some(300);
    rig.host.faults().unwrap().add(vec![rule]).unwrap();
    let reply = sandbox.request("GET", "/health").send().await.unwrap();
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["should-retry"]),
        (502, &"true".parse().unwrap())
    );
    let began = Instant::now();
    while sandbox.health().await != 204 {
        assert!(began.elapsed() < Duration::from_secs(5), "the bad time does not pass");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.end().await;
}
