//! Webhooks over real HTTP, with a receiver that answers as it is told.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use airlock_approval::webhook::{Endpoint, Error, Occasion, Options, Webhooks};
use airlock_approval::{Approval, Approvals, NewRequest};
use airlock_contract::{ExecutionId, RunIdentity};
use airlock_testing::{RedisServer, redis_servers};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

const SECRET: &str = "a-secret-that-both-sides-know";

/// A request as the receiver saw it.
#[derive(Clone, Debug)]
struct Seen {
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value)
    }
}

struct Receiver {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers the first requests with `statuses` (0: hangs up without an answer), then 204.
async fn receiver(statuses: &[u16]) -> Receiver {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?token=in-the-url", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut statuses: VecDeque<u16> = statuses.iter().copied().collect();
    let log = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let status = statuses.pop_front().unwrap_or(204);
            log.lock().await.push(answer(stream, status).await);
        }
    });
    Receiver { url, seen, task }
}

async fn answer(stream: TcpStream, status: u16) -> Seen {
    let mut stream = BufReader::new(stream);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut seen = Seen { headers, body: String::new() };
    let mut body = vec![0; seen.header("content-length").parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    seen.body = String::from_utf8(body).unwrap();
    if status != 0 {
        let reply = format!(
            "HTTP/1.1 {status} Told\r\ncontent-length: 0\r\nconnection: close\r\n\
             location: http://127.0.0.1:9/\r\n\r\n"
        );
        stream.write_all(reply.as_bytes()).await.unwrap();
    }
    seen
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(url.parse().unwrap(), &SECRET.into()).unwrap()
}

fn quick(attempts: u32) -> Options {
    Options {
        attempts,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
        timeout: Duration::from_secs(5),
    }
}

async fn approval(server: &RedisServer) -> Approval {
    let identity = RunIdentity {
        namespace: "default".into(),
        workflow_id: "w".into(),
        run_id: "r".into(),
        activity_id: "1".into(),
        scheduled_at_us: 1,
    };
    let new = NewRequest {
        account: "team/a".parse().unwrap(),
        execution: ExecutionId::of(&identity),
        args_digest: "args".into(),
        policy_digest: "policy".into(),
        action_type: "deploy".into(),
        reason: "deploys to production".into(),
        preview: "kubectl apply".into(),
        details: serde_json::json!({}),
        ttl: Duration::from_hours(1),
    };
    let options = airlock_approval::Options::default();
    let approvals = Approvals::new(server.connect().await, "airlock", options);
    approvals.request(&new).await.unwrap()
}

async fn webhooks(server: &RedisServer, urls: &[&str], options: Options) -> Webhooks {
    let endpoints = urls.iter().map(|url| endpoint(url)).collect();
    Webhooks::new(server.connect().await, "airlock", endpoints, options).unwrap()
}

#[tokio::test]
async fn a_message_is_signed_and_sent_once_by_the_fleet() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let receiver = receiver(&[]).await;
        let approval = approval(&server).await;
        let fleet = [
            webhooks(&server, &[&receiver.url], Options::default()).await,
            webhooks(&server, &[&receiver.url], Options::default()).await,
        ];
        let (one, two) = tokio::join!(
            fleet[0].deliver(&approval, Occasion::Requested),
            fleet[1].deliver(&approval, Occasion::Requested),
        );
        assert_ne!(one[0].as_ref().unwrap(), two[0].as_ref().unwrap(), "one of both sends");
        assert!(!fleet[0].deliver(&approval, Occasion::Requested).await.remove(0).unwrap());
        assert!(fleet[0].deliver(&approval, Occasion::Granted).await.remove(0).unwrap());
        let seen = receiver.seen.lock().await.clone();
        assert_eq!(seen.len(), 2);
        let body: serde_json::Value = serde_json::from_str(&seen[0].body).unwrap();
        assert_eq!(body["type"], "approval.requested");
        assert_eq!(body["data"]["id"], approval.id.as_str());
        assert_eq!(seen[0].header("webhook-signature"), signature(&seen[0]));
        assert_ne!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    }
}

fn signature(seen: &Seen) -> String {
    let id = seen.header("webhook-id");
    let text = format!("{id}.{}.{}", seen.header("webhook-timestamp"), seen.body);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn what_may_heal_is_tried_again_with_the_same_id() {
    let server = RedisServer::start(&redis_servers()[0]);
    let receiver = receiver(&[503, 0, 429]).await;
    let approval = approval(&server).await;
    let webhooks = webhooks(&server, &[&receiver.url], quick(6)).await;
    assert!(webhooks.deliver(&approval, Occasion::Requested).await.remove(0).unwrap());
    let seen = receiver.seen.lock().await.clone();
    let ids: Vec<&str> = seen.iter().map(|seen| seen.header("webhook-id")).collect();
    assert_eq!(ids, vec![ids[0]; 4]);
}

#[tokio::test]
async fn other_news_is_signed_tried_again_and_sent_once_for_its_id() {
    let server = RedisServer::start(&redis_servers()[0]);
    let receiver = receiver(&[503]).await;
    let fleet = [
        webhooks(&server, &[&receiver.url], quick(6)).await,
        webhooks(&server, &[&receiver.url], quick(6)).await,
    ];
    let data = serde_json::json!({"threshold": 80});
    let (one, two) = tokio::join!(
        fleet[0].announce("alert-1", "budget.alert", &data),
        fleet[1].announce("alert-1", "budget.alert", &data),
    );
    assert_ne!(one[0].as_ref().unwrap(), two[0].as_ref().unwrap(), "one of both sends");
    assert!(!fleet[1].announce("alert-1", "budget.alert", &data).await.remove(0).unwrap());
    assert!(fleet[1].announce("alert-2", "budget.alert", &data).await.remove(0).unwrap());
    let seen = receiver.seen.lock().await.clone();
    let ids: Vec<&str> = seen.iter().map(|seen| seen.header("webhook-id")).collect();
    assert_eq!(ids, ["alert-1", "alert-1", "alert-2"]);
    for one in &seen {
        assert_eq!(one.header("webhook-signature"), signature(one));
        let body: serde_json::Value = serde_json::from_str(&one.body).unwrap();
        assert_eq!((&body["type"], &body["data"]), (&"budget.alert".into(), &data));
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_a_redirect_is_not_followed() {
    let server = RedisServer::start(&redis_servers()[0]);
    for status in [400, 404, 410, 302, 307] {
        let receiver = receiver(&[status]).await;
        let approval = approval(&server).await;
        let webhooks = webhooks(&server, &[&receiver.url], quick(6)).await;
        let error = webhooks.deliver(&approval, Occasion::Rejected).await.remove(0).unwrap_err();
        assert!(matches!(error, Error::Refused { status: s, .. } if s == status), "{error:?}");
        assert!(!format!("{error} {error:?} {webhooks:?}").contains("in-the-url"));
        assert_eq!(receiver.seen.lock().await.len(), 1);
    }
}

#[tokio::test]
async fn what_failed_may_be_delivered_later_and_one_failure_stops_no_other() {
    let server = RedisServer::start(&redis_servers()[0]);
    let failing = receiver(&[500, 500]).await;
    let working = receiver(&[]).await;
    let approval = approval(&server).await;
    let webhooks = webhooks(&server, &[&failing.url, &working.url], quick(2)).await;
    let answers = webhooks.deliver(&approval, Occasion::Requested).await;
    assert!(matches!(answers[0], Err(Error::Unreachable { .. })), "{answers:?}");
    assert!(matches!(answers[1], Ok(true)), "{answers:?}");
    let answers = webhooks.deliver(&approval, Occasion::Requested).await;
    assert!(matches!(answers[..], [Ok(true), Ok(false)]), "{answers:?}");
    assert_eq!((failing.seen.lock().await.len(), working.seen.lock().await.len()), (3, 1));
}

#[test]
fn a_plain_url_is_for_this_machine_only() {
    let new = |url: &str| Endpoint::new(url.parse().unwrap(), &SECRET.into());
    for good in ["https://a.example/x", "http://localhost:1/", "http://127.0.0.1/", "http://[::1]/"]
    {
        assert!(new(good).is_ok(), "{good}");
    }
    for bad in ["http://a.example/", "http://localhost.a.example/", "http://10.0.0.1/", "file:///x"]
    {
        assert!(matches!(new(bad), Err(Error::Insecure)), "{bad}");
    }
    let shown = format!("{:?}", new("https://a.example/t?token=in-the-url").unwrap());
    assert!(!shown.contains(SECRET) && !shown.contains("in-the-url"), "{shown}");
}
