//! A crossed threshold reaches the audit log, the metrics and a signed webhook, once each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use airlock_approval::webhook::{Endpoint, Options, Webhooks};
use airlock_audit::Filter;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::support::House;

const SECRET: &str = "a-secret-that-both-sides-know";

/// One message as it came in.
#[derive(Clone)]
struct Message {
    id: String,
    is_signed: bool,
    body: Value,
    status: u16,
}

/// Refuses the first few messages, as a receiver does that is being restarted.
#[derive(Clone, Default)]
struct Inbox {
    messages: Arc<Mutex<Vec<Message>>>,
    count: Arc<AtomicU32>,
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: String) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    let is_first = inbox.count.fetch_add(1, Ordering::SeqCst) < 3;
    let status = if is_first { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT };
    inbox.messages.lock().push(Message {
        id,
        is_signed: header("webhook-signature") == expected,
        body: serde_json::from_str(&body).unwrap(),
        status: status.as_u16(),
    });
    status
}

#[tokio::test]
async fn each_threshold_is_told_once_everywhere_though_the_receiver_fails_at_first() {
    let inbox = Inbox::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = Router::new().route("/hook", post(receive)).with_state(inbox.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let house = House::with(None, |connection| {
        let endpoint = Endpoint::new(url.parse().unwrap(), &SECRET.into()).unwrap();
        let options = Options {
            attempts: 20,
            first_wait: Duration::from_millis(20),
            longest_wait: Duration::from_millis(200),
            timeout: Duration::from_secs(5),
        };
        Some(Webhooks::new(connection, "test", vec![endpoint], options).unwrap())
    })
    .await;

    let create = json!({"run_id": "run-1", "limit": 1, "alert_thresholds": [50, 80, 100]});
    house.ask("POST", "/api/v1/safety/budget/create", &create).await;
    let spend = async |n: u32| {
        let body = json!({"run_id": "run-1", "amount": "0.05", "idempotency_key": n.to_string()});
        let answer = house.ask("POST", "/api/v1/safety/budget/spend", &body).await;
        assert_eq!(answer.status.as_u16(), 200, "{n}: {:#}", answer.body);
    };
    // Twenty spendings that use it up, each asked for twice at the same time.
    for n in 0..20 {
        tokio::join!(spend(n), spend(n));
    }

    let delivered = || {
        let mut by_threshold = BTreeMap::new();
        for message in inbox.messages.lock().iter().filter(|message| message.status == 204) {
            let threshold = message.body["data"]["threshold"].as_u64().unwrap();
            by_threshold.entry(threshold).or_insert_with(Vec::new).push(message.id.clone());
        }
        by_threshold
    };
    for _ in 0..400 {
        if delivered().len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    // Time for what should not come.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let delivered = delivered();
    assert_eq!(delivered.keys().collect::<Vec<_>>(), [&50, &80, &100]);
    assert!(delivered.values().all(|ids| ids.len() == 1), "{delivered:?}");
    let messages = inbox.messages.lock().clone();
    assert!(messages.len() >= 6, "the three refused ones were sent again");
    for message in &messages {
        assert!(message.is_signed, "{}", message.body);
        assert_eq!(message.body["type"], "budget.alert");
        assert_eq!(message.body["data"]["budget"]["runId"], "run-1");
    }

    let kind = Some("budget.alert".to_owned());
    let records = house.audit.tail(20, &Filter { kind, ..Filter::default() }).await.unwrap();
    let mut recorded: Vec<u64> = records
        .iter()
        .map(|sealed| {
            serde_json::to_value(&sealed.record).unwrap()["data"]["threshold"].as_u64().unwrap()
        })
        .collect();
    recorded.sort_unstable();
    assert_eq!(recorded, [50, 80, 100]);
    let metrics = house.ask("GET", "/metrics", &Value::Null).await.body;
    let metrics = metrics.as_str().unwrap();
    for threshold in ["50", "80", "100"] {
        let line = format!("airlock_budget_alerts_total{{threshold=\"{threshold}\"}} 1");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}
