//! A door that is open on loopback.

use std::sync::{Arc, OnceLock};

use airlock_approval::Approvals;
use airlock_audit::{Log, Reader, RedisOptions, Sink};
use airlock_budget::{Ledger, PriceCard};
use airlock_engine::{Alerts, Config, Engine, NoSecrets, Parts};
use airlock_http::{Door, Options};
use airlock_policy::Gate;
use airlock_redaction::Redactor;
use airlock_runs::Runs;
use airlock_testing::{RedisServer, redis_servers};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

const PREFIX: &str = "test";

/// A worker's door; dropping it closes it.
pub(crate) struct House {
    pub(crate) ledger: Ledger,
    pub(crate) audit: Reader,
    base: String,
    client: Client,
    server: Option<RedisServer>,
    _open: DropGuard,
}

/// What the door answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) retry_after: Option<u64>,
}

impl House {
    pub(crate) async fn open(token: Option<&str>) -> Self {
        Self::with(token, |_| None).await
    }

    /// A house whose alerts go to what `webhooks` makes of the store's connection.
    pub(crate) async fn with(
        token: Option<&str>,
        webhooks: impl FnOnce(airlock_store::Connection) -> Option<airlock_approval::webhook::Webhooks>,
    ) -> Self {
        // The client of sandboxes wants a provider of TLS, and installs one.
        let server = RedisServer::start(redis_servers().remove(0));
        let connection = server.connect().await;
        let sink = Sink::redis(connection.clone(), PREFIX, RedisOptions::default());
        let audit = Arc::new(Log::new(vec![sink]));
        let alerts = Alerts::new(Arc::clone(&audit), webhooks(connection.clone().into()));
        let ledger = Ledger::new(connection.clone(), PREFIX).with_alerts(alerts.observer());
        let key = SecretString::from("unused-key-of-a-provider");
        let nowhere = "http://127.0.0.1:9".parse().unwrap();
        let engine = Engine::new(Parts {
            gate: Gate::builtin(),
            redactor: Redactor::builtin(),
            ledger: ledger.clone(),
            runs: Runs::new(connection.clone(), PREFIX),
            audit,
            approvals: Approvals::new(
                connection.clone(),
                PREFIX,
                airlock_approval::Options::default(),
            ),
            e2b: airlock_e2b::Client::new(airlock_e2b::Config::new(nowhere, key)).unwrap(),
            prices: PriceCard::e2b(),
            secrets: Arc::new(NoSecrets),
            config: Config::default(),
        });
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            token: token.map(SecretString::from),
        };
        let door = Door::open(&options).await.unwrap();
        let base = format!("http://{}", door.address().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(door.serve(engine, Some(metrics()), stop.clone()));
        Self {
            ledger,
            audit: Reader::redis(connection, PREFIX),
            base,
            client: Client::new(),
            server: Some(server),
            _open: stop.drop_guard(),
        }
    }

    /// The store goes away for good.
    pub(crate) fn lose_the_store(&mut self) {
        self.server = None;
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = self.request(method, path);
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        answer(request).await
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status();
    let header =
        |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (kind, retry_after) = (header("content-type"), header("retry-after"));
    let text = response.text().await.unwrap();
    if status.as_u16() >= 400 {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{status}: {text}");
    }
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, body, retry_after: retry_after.map(|seconds| seconds.parse().unwrap()) }
}

/// The process's metrics.
fn metrics() -> PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap()).clone()
}
