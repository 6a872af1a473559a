//! The control plane: what is sent, what answers mean, what is tried again.

use std::time::{Duration, Instant};

use airlock_e2b::{CreateSandbox, Error, ListQuery, Network, SandboxState};
use axum::http::Method;
use axum::response::Response;
use secrecy::ExposeSecret;

use crate::support::{SANDBOX, Server, cut, hang, reply};

fn spec() -> CreateSandbox {
    CreateSandbox::new("base", Duration::from_mins(2))
}

fn keyed() -> CreateSandbox {
    CreateSandbox { idempotency_key: Some("a1-b2".to_owned()), ..spec() }
}

fn listed(id: &str, label: &str) -> String {
    format!(
        r#"{{"sandboxID":"{id}","templateID":"base","clientID":"c","startedAt":"2026-01-01T00:00:00Z",
        "endAt":"2026-01-01T00:05:00.5Z","cpuCount":2,"memoryMB":512,"diskSizeMB":1024,
        "metadata":{{"run":"{label}"}},"state":"running","envdVersion":"0.6.13","new":[1]}}"#
    )
}

fn with_header(mut response: Response, name: &'static str, value: &'static str) -> Response {
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

#[tokio::test]
async fn creation_sends_the_key_and_gives_a_handle_with_the_token() {
    let mut server = Server::start(|_, _| reply(201, SANDBOX)).await;
    let sandbox = server.client().create(&keyed()).await.unwrap();
    assert_eq!((sandbox.id(), sandbox.template(), sandbox.domain()), ("i1", "base", None));
    assert_eq!(sandbox.access_token().expose_secret(), "t0ken");
    assert_eq!(sandbox.host(3000), "3000-i1.e2b.app");
    let asked = server.asked();
    assert_eq!((&asked[0].method, asked[0].target.as_str()), (&Method::POST, "/v2/sandboxes"));
    assert_eq!(asked[0].header("x-api-key"), Some("e2b_key"));
    assert_eq!(asked[0].header("idempotency-key"), Some("a1-b2"));
    assert_eq!(&asked[0].body[..], br#"{"templateID":"base","timeout":120}"#);
}

#[tokio::test]
async fn an_old_cluster_is_asked_by_v1_and_a_new_one_never_is() {
    for status in [404, 405] {
        let mut server = Server::start(move |_, asked| match asked.target.as_str() {
            "/sandboxes" => reply(201, SANDBOX),
            _ => reply(status, "page not found"),
        })
        .await;
        server.client().create(&spec()).await.unwrap();
        let asked = server.asked();
        assert_eq!(asked.len(), 2);
        assert!(asked[1].body.ends_with(br#""secure":true}"#), "{:?}", asked[1].body);
    }
    let body = r#"{"code":404,"message":"template 'base' not found"}"#;
    let mut server = Server::start(move |n, _| match n {
        0 => reply(201, SANDBOX),
        _ => reply(404, body),
    })
    .await;
    let client = server.client();
    client.create(&spec()).await.unwrap();
    let error = client.create(&spec()).await.unwrap_err();
    assert!(matches!(error, Error::TemplateNotFound { .. }), "{error:?}");
    assert!(!error.is_retryable());
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn each_refusal_of_creation_has_its_own_meaning() {
    type Check = fn(&Error) -> bool;
    let cases: [(u16, &str, Check, bool); 10] = [
        (
            400,
            r#"{"code":400,"message":"s3cret"}"#,
            |e| matches!(e, Error::InvalidArgument { .. }),
            false,
        ),
        (401, r#"{"code":401}"#, |e| matches!(e, Error::Auth { .. }), false),
        (403, "", |e| matches!(e, Error::Auth { .. }), false),
        (409, "{}", |e| matches!(e, Error::Conflict { .. }), false),
        (422, "{}", |e| matches!(e, Error::Conflict { .. }), false),
        (429, r#"{"message":"max sandboxes"}"#, |e| matches!(e, Error::Capacity { .. }), true),
        (
            503,
            r#"{"error_code":"sandbox_capacity_unavailable"}"#,
            |e| matches!(e, Error::Capacity { .. }),
            true,
        ),
        (500, "s3cret <html>", |e| matches!(e, Error::Unavailable { .. }), true),
        (302, "", |e| matches!(e, Error::Protocol { .. }), false),
        (
            201,
            r#"{"sandboxID":"../x","templateID":"t"}"#,
            |e| matches!(e, Error::Protocol { .. }),
            false,
        ),
    ];
    for (status, body, is_right, is_retryable) in cases {
        let server = Server::start(move |_, _| reply(status, body)).await;
        let mut config = server.config();
        config.timeouts.attempts = 1;
        let error = airlock_e2b::Client::new(config).unwrap().create(&keyed()).await.unwrap_err();
        assert!(is_right(&error), "{status}: {error:?}");
        assert_eq!(error.is_retryable(), is_retryable, "{status}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("127.0.0.1"), "{shown}");
        assert!(!shown.contains("e2b_key"), "{shown}");
    }
}

#[tokio::test]
async fn foreign_text_is_kept_for_the_log_and_capped() {
    let server = Server::start(|_, _| reply(400, "x".repeat(1 << 20))).await;
    let error = server.client().create(&spec()).await.unwrap_err();
    assert_eq!(error.detail().status(), Some(400));
    assert_eq!(error.detail().foreign_text().unwrap().len(), 1024);
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_as_long_as_it_says() {
    let mut server = Server::start(|n, _| match n {
        0 => with_header(reply(429, "{}"), "retry-after", "1"),
        _ => reply(201, SANDBOX),
    })
    .await;
    let started = Instant::now();
    server.client().create(&spec()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_the_callers() {
    let mut server =
        Server::start(|_, _| with_header(reply(429, "{}"), "retry-after", "120")).await;
    let error = server.client().create(&keyed()).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_mins(2)));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn creation_of_unknown_outcome_is_tried_again_only_under_a_key() {
    let mut server = Server::start(|n, _| match n {
        0 => reply(502, cut(vec![])),
        1 => reply(503, "{}"),
        _ => reply(201, SANDBOX),
    })
    .await;
    server.client().create(&keyed()).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|a| a.header("idempotency-key") == Some("a1-b2")));

    let mut server = Server::start(|_, _| reply(503, "{}")).await;
    let error = server.client().create(&spec()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }) && error.is_retryable(), "{error:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_key_means_nothing_to_v1_so_creation_there_is_not_repeated() {
    let mut server = Server::start(|_, asked| match asked.target.as_str() {
        "/sandboxes" => reply(503, "{}"),
        _ => reply(404, ""),
    })
    .await;
    let error = server.client().create(&keyed()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn the_providers_word_on_retrying_decides() {
    let mut server =
        Server::start(|_, _| with_header(reply(503, "{}"), "should-retry", "false")).await;
    let error = server.client().get("i1").await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_key_in_progress_is_waited_for() {
    let mut server = Server::start(|n, _| match n {
        0 => reply(409, r#"{"code":409,"message":"","error_code":"idempotency_in_progress"}"#),
        _ => reply(201, SANDBOX),
    })
    .await;
    server.client().create(&keyed()).await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_refused_connection_is_certainly_not_sent() {
    let server = Server::start(|_, _| reply(200, "")).await;
    let mut config = server.config();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.api_url = format!("http://{free}").parse().unwrap();
    config.timeouts.attempts = 2;
    let error = airlock_e2b::Client::new(config).unwrap().create(&spec()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }) && error.is_before_send(), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("127.0.0.1"));
}

#[tokio::test]
async fn a_creation_that_may_be_done_is_not_done_again_by_v1() {
    let mut server = Server::start(|n, asked| match (n, asked.target.as_str()) {
        (_, "/sandboxes") => reply(201, SANDBOX),
        (0, _) => reply(502, ""),
        _ => reply(404, ""),
    })
    .await;
    let error = server.client().create(&keyed()).await.unwrap_err();
    assert!(matches!(error, Error::TemplateNotFound { .. }), "{error:?}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn tls_has_a_provider_and_its_failure_is_before_anything_is_sent() {
    let server = Server::start(|_, _| reply(200, "")).await;
    let mut config = server.config();
    config.api_url = format!("https://{}", server.address).parse().unwrap();
    config.timeouts.attempts = 1;
    let error = airlock_e2b::Client::new(config).unwrap().create(&spec()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }) && error.is_before_send(), "{error:?}");
}

#[tokio::test]
async fn kill_tells_whether_there_was_something_to_kill() {
    let mut server = Server::start(|n, _| match n {
        0 => reply(204, ""),
        2 => reply(502, ""),
        _ => reply(404, r#"{"code":404,"message":""}"#),
    })
    .await;
    let client = server.client();
    assert!(client.kill("i1-c9").await.unwrap());
    assert!(!client.kill("i1").await.unwrap());
    // The 502 may have come after the deed.
    assert!(client.kill("i1").await.unwrap());
    let asked = server.asked();
    assert_eq!((&asked[0].method, asked[0].target.as_str()), (&Method::DELETE, "/sandboxes/i1"));
}

#[tokio::test]
async fn a_hostile_id_is_refused_before_anything_is_sent() {
    let mut server = Server::start(|_, _| reply(200, "{}")).await;
    let client = server.client();
    for id in ["../health", "i1/../i2", "i1?x", "i1#", "i1%2fx", ""] {
        let error = client.kill(id).await.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }) && error.is_before_send());
        client.get(id).await.unwrap_err();
        client.connect(id, None).await.unwrap_err();
        let attached = client.attach(id, "t".to_owned().into(), None);
        attached.stat(None, "/").await.unwrap_err();
        attached.is_running().await.unwrap_err();
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn times_are_sent_in_whole_seconds() {
    let mut server = Server::start(|_, _| reply(204, "")).await;
    let client = server.client();
    client.set_timeout("i1", Duration::from_millis(1500)).await.unwrap();
    client.refresh("i1", Duration::from_hours(2)).await.unwrap();
    client.pause("i1").await.unwrap();
    client.update_network("i1", &Network::none()).await.unwrap();
    let asked: Vec<_> = server
        .asked()
        .into_iter()
        .map(|a| format!("{} {} {}", a.method, a.target, String::from_utf8_lossy(&a.body)))
        .collect();
    assert_eq!(
        asked,
        [
            r#"POST /sandboxes/i1/timeout {"timeout":2}"#,
            r#"POST /sandboxes/i1/refreshes {"duration":3600}"#,
            "POST /sandboxes/i1/pause {}",
            r#"PUT /sandboxes/i1/network {"denyOut":["0.0.0.0/0"]}"#,
        ]
    );
}

#[tokio::test]
async fn connecting_must_answer_with_the_sandbox_asked_for() {
    let server = Server::start(|_, _| reply(200, SANDBOX)).await;
    server.client().connect("i1", Some(Duration::from_mins(1))).await.unwrap();
    let error = server.client().connect("i2", None).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_domain_that_is_no_host_name_gets_no_token() {
    let body = SANDBOX.replace(r#""domain":null"#, r#""domain":"evil.example/x?""#);
    let server = Server::start(move |_, _| reply(201, body.clone())).await;
    let error = server.client().create(&spec()).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_list_follows_the_pages_and_trusts_no_filter() {
    let mut server = Server::start(|_, asked| {
        if asked.target.contains("nextToken=p2") {
            reply(200, format!("[{}]", listed("i3", "a")))
        } else {
            let page = format!("[{},{}]", listed("i1", "a"), listed("i2", "somebody else's"));
            with_header(reply(200, page), "x-next-token", "p2")
        }
    })
    .await;
    let query = ListQuery {
        metadata: [("run".to_owned(), "a".to_owned())].into(),
        states: vec![SandboxState::Running, SandboxState::Paused],
        ..ListQuery::default()
    };
    let found = server.client().list(&query).await.unwrap();
    let ids: Vec<_> = found.iter().map(|info| info.id.as_str()).collect();
    assert_eq!(ids, ["i1", "i3"]);
    assert_eq!((found[0].cpu_count, found[0].memory_mb), (2, 512));
    assert_eq!(found[0].end_at.to_string(), "2026-01-01T00:05:00.5Z");
    let asked = server.asked();
    assert_eq!(asked[0].target, "/v2/sandboxes?metadata=run%3Da&state=running%2Cpaused&limit=100");
}

#[tokio::test]
async fn an_old_cluster_lists_what_runs() {
    let mut server = Server::start(|_, asked| match asked.target.as_str() {
        "/sandboxes?metadata=run%3Da" => {
            let all = format!("[{},{}]", listed("i1", "a"), listed("i2", "b"));
            reply(200, all.replace(r#","state":"running""#, ""))
        }
        _ => reply(405, ""),
    })
    .await;
    let query =
        ListQuery { metadata: [("run".to_owned(), "a".to_owned())].into(), ..ListQuery::default() };
    let found = server.client().list(&query).await.unwrap();
    assert_eq!((found.len(), found[0].state), (1, SandboxState::Running));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn pages_without_end_come_to_an_end() {
    let server = Server::start(|_, _| with_header(reply(200, "[]"), "x-next-token", "same")).await;
    let error = server.client().list(&ListQuery::default()).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_read() {
    let server = Server::start(|_, _| reply(200, "[1,".repeat(1000))).await;
    let mut config = server.config();
    config.limits.control_body = 1000;
    let error = airlock_e2b::Client::new(config).unwrap().get("i1").await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1000, .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_hangs_is_left_in_time() {
    let server = Server::start(|_, _| reply(200, hang(vec![b"{".to_vec()]))).await;
    let mut config = server.config();
    config.timeouts.request = Duration::from_millis(300);
    config.timeouts.attempts = 2;
    let started = Instant::now();
    let error = airlock_e2b::Client::new(config).unwrap().get("i1").await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_, _| reply(200, listed("i1", "a"))).await;
    let target: &'static str = format!("http://{}/", elsewhere.address).leak();
    let server = Server::start(move |_, _| with_header(reply(307, ""), "location", target)).await;
    let error = server.client().get("i1").await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    let mut elsewhere = elsewhere;
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn metrics_are_read_and_their_window_sent() {
    let body = r#"[{"timestamp":"2026-01-01T00:00:00Z","timestampUnix":1767225600,"cpuCount":2,
        "cpuUsedPct":1.5,"memUsed":1,"memTotal":2,"memCache":0,"diskUsed":3,"diskTotal":4}]"#;
    let mut server = Server::start(move |_, _| reply(200, body)).await;
    let start = jiff::Timestamp::from_second(1_767_225_600).unwrap();
    let metrics = server.client().metrics("i1", Some(start), None).await.unwrap();
    assert_eq!((metrics[0].timestamp_unix, metrics[0].disk_total), (1_767_225_600, 4));
    assert_eq!(server.asked()[0].target, "/sandboxes/i1/metrics?start=1767225600");
}
