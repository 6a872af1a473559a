//! A worker's stores, a sandbox host, and attempts to run on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use airlock_approval::Approvals;
use airlock_audit::Log;
use airlock_budget::{Ledger, NewBudget, PriceCard};
use airlock_contract::{BudgetStatus, Heartbeat, RunIdentity};
use airlock_e2b::{Client, ListQuery};
use airlock_engine::{
    Attempt, Config, Ending, Engine, Liveness, NoSecrets, Parts, RunContext, SecretSource,
    StopReason,
};
use airlock_policy::Gate;
use airlock_redaction::Redactor;
use airlock_runs::Runs;
use airlock_sandbox_host::{Fault, Host};
use airlock_testing::{RedisServer, connect};
use async_trait::async_trait;
use parking_lot::Mutex;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::proxy::Proxy;

/// The account that every test spends from.
pub(crate) const ACCOUNT: &str = "team/run-1";

/// Everything that workers share.
pub(crate) struct Rig {
    pub(crate) client: Client,
    pub(crate) ledger: Ledger,
    pub(crate) runs: Runs,
    pub(crate) approvals: Approvals,
    connection: ConnectionManager,
    config: Config,
    secrets: Arc<dyn SecretSource>,
    host: Host,
    redis: RedisServer,
    _dir: TempDir,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default(), Arc::new(NoSecrets)).await
    }

    /// An account with one dollar, a host without sandboxes.
    pub(crate) async fn with(config: Config, secrets: Arc<dyn SecretSource>) -> Self {
        let binary = airlock_testing::redis_servers().into_iter().next().unwrap();
        let redis = RedisServer::start(&binary);
        let connection = redis.connect().await;
        let (host, client, dir) = host().await;
        let ledger = Ledger::new(connection.clone(), "test");
        let rig = Self {
            client,
            ledger,
            runs: Runs::new(connection.clone(), "test"),
            approvals: Approvals::new(
                connection.clone(),
                "test",
                airlock_approval::Options::default(),
            ),
            connection,
            config,
            secrets,
            host,
            redis,
            _dir: dir,
        };
        rig.make_account().await;
        rig
    }

    /// The account that every test spends from.
    pub(crate) async fn make_account(&self) {
        let account = ACCOUNT.parse().unwrap();
        self.ledger.create(&NewBudget::new(account, "1".parse().unwrap())).await.unwrap();
    }

    /// A worker of its own on the shared stores.
    pub(crate) fn worker(&self) -> Engine {
        self.worker_with(self.client.clone())
    }

    /// A worker that reaches sandboxes in a way of its own.
    pub(crate) fn worker_with(&self, e2b: Client) -> Engine {
        let (config, secrets) = (self.config.clone(), self.secrets.clone());
        engine(self.connection.clone(), e2b, config, secrets)
    }

    /// A worker that reaches Redis and the sandboxes through these, and is not patient with Redis.
    pub(crate) async fn worker_behind(&self, redis: &Proxy, sandboxes: &Proxy) -> Engine {
        let client = redis::Client::open(format!("redis://{}/", redis.address())).unwrap();
        let patience = ConnectionManagerConfig::new()
            .set_response_timeout(Some(Duration::from_secs(1)))
            .set_connection_timeout(Some(Duration::from_secs(1)));
        let redis = ConnectionManager::new_with_config(client, patience).await.unwrap();
        let client = self::client(sandboxes.address());
        engine(redis, client, self.config.clone(), self.secrets.clone())
    }

    /// Two networks, one to Redis and one to the sandboxes.
    pub(crate) async fn networks(&self) -> (Proxy, Proxy) {
        let Address { redis, sandboxes } = self.address();
        (Proxy::to(redis).await, Proxy::to(sandboxes).await)
    }

    /// A worker with connections of its own, by whatever stands between.
    pub(crate) async fn worker_at(address: &Address, config: Config) -> Engine {
        let redis = connect(&format!("redis://{}/", address.redis)).await;
        engine(redis, client(address.sandboxes), config, Arc::new(NoSecrets))
    }

    /// What every worker is configured with.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// From now on the sandbox provider does this.
    pub(crate) fn fault(&self, fault: Fault) {
        self.host.faults().unwrap().add(vec![fault]).unwrap();
    }

    /// How often the requests that faults are about were made so far.
    pub(crate) fn asked(&self) -> u64 {
        self.host.faults().unwrap().report().iter().map(|report| report.seen).sum()
    }

    /// How often the requests that faults are about were made, and then no more of that.
    pub(crate) fn mend(&self) -> u64 {
        let seen = self.asked();
        self.host.faults().unwrap().clear();
        seen
    }

    /// Starts a first attempt of its own and leaves it running.
    pub(crate) fn begin(
        &self,
        activity: &str,
        input: Value,
    ) -> (Arc<TestContext>, JoinHandle<Result<Value, Ending>>) {
        let ctx = Arc::new(TestContext::first(activity));
        let begun = Self::begin_on(&self.worker(), &ctx, input);
        (ctx, begun)
    }

    /// Starts an attempt on `worker` and leaves it running.
    pub(crate) fn begin_on(
        worker: &Engine,
        ctx: &Arc<TestContext>,
        mut input: Value,
    ) -> JoinHandle<Result<Value, Ending>> {
        input["runId"] = json!(ACCOUNT);
        let (worker, ctx) = (worker.clone(), ctx.clone());
        tokio::spawn(async move { worker.execute(&*ctx, input).await })
    }

    /// Forgets everything that Redis holds.
    pub(crate) async fn lose_redis(&self) {
        let mut connection = self.connection.clone();
        let () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    }

    /// Where the servers are.
    pub(crate) fn address(&self) -> Address {
        let redis = SocketAddr::from(([127, 0, 0, 1], self.redis.port()));
        Address { redis, sandboxes: self.host.local_addr() }
    }

    /// A client whose control plane answers only once `released` is true; it is asked at once.
    pub(crate) async fn slow_client(&self, released: watch::Receiver<bool>) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = listener.local_addr().unwrap();
        let far = self.host.local_addr();
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let mut released = released.clone();
                tokio::spawn(async move {
                    let (mut hears, mut says) = caller.into_split();
                    let (mut answer, mut ask) = TcpStream::connect(far).await.unwrap().into_split();
                    let asking = tokio::io::copy(&mut hears, &mut ask);
                    let answering = async {
                        released.wait_for(|released| *released).await.unwrap();
                        tokio::io::copy(&mut answer, &mut says).await
                    };
                    let _ = tokio::join!(asking, answering);
                });
            }
        });
        let mut config = airlock_e2b::Config::new(format!("http://{near}").parse().unwrap(), key());
        config.sandbox_url = Some(format!("http://{far}").parse().unwrap());
        Client::new(config).unwrap()
    }

    /// Runs a command on a worker of its own, as the first attempt of a new activity.
    pub(crate) async fn run(&self, mut input: Value) -> Result<Value, Ending> {
        input["runId"] = json!(ACCOUNT);
        let ctx = TestContext::first("only");
        self.worker().execute(&ctx, input).await
    }

    /// One command of the store's own.
    pub(crate) async fn redis<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query_async(&mut self.connection.clone()).await.unwrap()
    }

    pub(crate) async fn balance(&self) -> BudgetStatus {
        self.ledger.get(&ACCOUNT.parse().unwrap()).await.unwrap()
    }

    pub(crate) async fn sandboxes(&self) -> Vec<String> {
        let found = self.client.list(&ListQuery::default()).await.unwrap();
        found.into_iter().map(|info| info.id).collect()
    }

    /// What must be true after every run: no sandbox, no lease, no hold, and the books in balance.
    pub(crate) async fn assert_clean(&self) {
        assert_eq!(self.sandboxes().await, Vec::<String>::new(), "sandboxes are left");
        assert_eq!(self.runs.lease_count().await.unwrap(), 0, "leases are left");
        let status = self.balance().await;
        assert_eq!(status.reserved, airlock_contract::Usd::ZERO, "a hold is left");
        assert_eq!(status.limit.saturating_sub(status.spent), status.remaining);
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until<F: AsyncFnMut() -> bool>(&self, what: &str, mut condition: F) {
        for _ in 0..400 {
            if condition().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited in vain: {what}");
    }

    pub(crate) async fn finish(self) {
        self.assert_clean().await;
        self.host.shutdown().await;
    }

    /// The same without asking for cleanliness.
    pub(crate) async fn shut_down(self) {
        self.host.shutdown().await;
    }
}

/// One attempt of one activity.
pub(crate) struct TestContext {
    identity: RunIdentity,
    attempt: Attempt,
    pub(crate) beats: Mutex<Vec<Heartbeat>>,
    /// When the last one came, and the longest time without one.
    silence: Mutex<(Instant, Duration)>,
    stop: watch::Sender<Option<StopReason>>,
    liveness: Mutex<Liveness>,
    /// What it hears of other activities.
    others: Mutex<Liveness>,
}

impl TestContext {
    pub(crate) fn first(activity: &str) -> Self {
        Self::attempt(activity, 1)
    }

    /// Attempt `number` of `activity`: the same identity, a later fence.
    pub(crate) fn attempt(activity: &str, number: u32) -> Self {
        let fence_us = 1_800_000_000_000_000 + i64::from(number) * 1_000_000;
        Self {
            identity: RunIdentity {
                namespace: "default".into(),
                workflow_id: "wf".into(),
                run_id: "wf-run".into(),
                activity_id: activity.into(),
                scheduled_at_us: 1_800_000_000_000_000,
            },
            attempt: Attempt {
                number,
                fence_us,
                heartbeat_timeout: Some(Duration::from_secs(20)),
                deadline: Some(SystemTime::now() + Duration::from_mins(5)),
                previous: None,
                workflow_type: Some("agent".into()),
                activity_type: "safeExecuteCode".into(),
                task_queue: "airlock".into(),
            },
            beats: Mutex::default(),
            silence: Mutex::new((Instant::now(), Duration::ZERO)),
            stop: watch::Sender::new(None),
            liveness: Mutex::new(Liveness::Open),
            others: Mutex::new(Liveness::Open),
        }
    }

    pub(crate) fn stop(&self, reason: StopReason) {
        self.stop.send_replace(Some(reason));
    }

    pub(crate) fn set_liveness(&self, liveness: Liveness) {
        *self.liveness.lock() = liveness;
    }

    /// The longest time without a heartbeat so far.
    pub(crate) fn longest_silence(&self) -> Duration {
        let (last, longest) = *self.silence.lock();
        longest.max(last.elapsed())
    }

    /// Says what an attempt before this one sent last.
    pub(crate) fn with_previous(mut self, beat: Heartbeat) -> Self {
        self.attempt.previous = Some(beat);
        self
    }

    pub(crate) fn set_others(&self, liveness: Liveness) {
        *self.others.lock() = liveness;
    }

    /// What the last heartbeat showed of the output.
    pub(crate) fn tail(&self) -> String {
        self.beats.lock().last().map(|beat| beat.tail.clone()).unwrap_or_default()
    }
}

#[async_trait]
impl RunContext for TestContext {
    fn identity(&self) -> &RunIdentity {
        &self.identity
    }

    fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    fn heartbeat(&self, beat: &Heartbeat) {
        assert!(beat.tail.len() <= Heartbeat::MAX_TAIL_BYTES);
        self.beats.lock().push(beat.clone());
        let mut silence = self.silence.lock();
        *silence = (Instant::now(), silence.1.max(silence.0.elapsed()));
    }

    async fn stopped(&self) -> StopReason {
        let mut receiver = self.stop.subscribe();
        let reason = receiver.wait_for(Option::is_some).await;
        match reason.map(|reason| *reason) {
            Ok(Some(reason)) => reason,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    async fn liveness(&self) -> Liveness {
        *self.liveness.lock()
    }

    async fn liveness_of(&self, _identity: &RunIdentity) -> Liveness {
        *self.others.lock()
    }
}

/// The failure of an attempt that failed.
pub(crate) fn failure(ending: Result<Value, Ending>) -> airlock_contract::Failure {
    match ending {
        Err(Ending::Failed(failure)) => failure,
        other => panic!("expected a failure, got {other:?}"),
    }
}

/// Where a worker finds its servers.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) redis: SocketAddr,
    pub(crate) sandboxes: SocketAddr,
}

impl Address {
    /// For another process.
    pub(crate) fn write(self, mut job: Value) -> Value {
        job["redis"] = json!(self.redis);
        job["sandboxes"] = json!(self.sandboxes);
        job
    }

    pub(crate) fn read(job: &Value) -> Self {
        let address = |name: &str| serde_json::from_value(job[name].clone()).unwrap();
        Self { redis: address("redis"), sandboxes: address("sandboxes") }
    }
}

fn engine(
    connection: ConnectionManager,
    e2b: Client,
    config: Config,
    secrets: Arc<dyn SecretSource>,
) -> Engine {
    let approvals = airlock_approval::Options::default();
    Engine::new(Parts {
        gate: Gate::builtin(),
        redactor: Redactor::builtin(),
        ledger: Ledger::new(connection.clone(), "test"),
        runs: Runs::new(connection.clone(), "test"),
        audit: Arc::new(Log::new(Vec::new())),
        approvals: Approvals::new(connection, "test", approvals),
        e2b,
        prices: PriceCard::e2b(),
        secrets,
        config,
    })
}

fn key() -> SecretString {
    "e2b_0123456789abcdef0123456789abcdef01234567".to_owned().into()
}

async fn host() -> (Host, Client, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let mut config = airlock_sandbox_host::Config::new(listen, key(), dir.path().join("data"));
    config.init = Some(airlock_testing::sandbox_init());
    config.faults = Some(Vec::new());
    let host = Host::start(config).await.unwrap();
    let client = client(host.local_addr());
    (host, client, dir)
}

/// A client of the host, or of what stands before it.
fn client(address: SocketAddr) -> Client {
    let base = format!("http://{address}");
    let mut config = airlock_e2b::Config::new(base.parse().unwrap(), key());
    config.sandbox_url = Some(base.parse().unwrap());
    // A test that wants several tries makes them.
    config.timeouts.attempts = 1;
    Client::new(config).unwrap()
}
