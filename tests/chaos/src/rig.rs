//! The processes of one run, and what all runs share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use airlock_activities::client::{ExecClient, Execution, Mode, Start};
use airlock_activities::{ConnectOptions, Connection, connect};
use airlock_contract::names;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::process::{Process, Programs};
use crate::proxy::Proxy;
use crate::servers::{API_KEY, Kind, Server, faults_file};
use crate::starts::Starts;
use crate::template::{self, Work};
use crate::{Result, Trouble};

/// How the workers are configured: times are short, so that what must end by itself does so soon.
const CONFIG: &str = r#"
[sandbox]
template = "chaos"
setup_seconds = 45
cleanup_seconds = 45
retry_backoff_seconds = 8
lease_slack_seconds = SLACK
[budget]
late_settle_seconds = 5
[budget.auto_create]
limit = "5"
"#;

/// What all runs share: programs, template, FIFO, a Temporal server that lives.
#[derive(Debug)]
pub struct House {
    /// Where the programs are.
    pub programs: Programs,
    /// What commands say of themselves.
    pub starts: Starts,
    temporal: Server,
    folder: tempfile::TempDir,
}

impl House {
    /// Builds the template and starts what is shared.
    pub async fn open() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        // A process that aborts must not leave its memory in a file.
        let none = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
        none.map_err(|error| Trouble::new("no core files", error))?;
        drop(rustls::crypto::ring::default_provider().install_default());
        let programs = Programs::find()?;
        let folder = tempfile::Builder::new().prefix("airlock-chaos-").tempdir()?;
        // Sandboxes are other users.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let template = folder.path().join("template");
        template::build(&template)?;
        let starts = Starts::listen(&template.join(template::FIFO))?;
        let shared = folder.path().join("temporal");
        let temporal = Server::start(Kind::Temporal, &programs, &shared, &template).await?;
        Ok(Self { programs, starts, temporal, folder })
    }

    fn template(&self) -> PathBuf {
        self.folder.path().join("template")
    }

    /// Keeps all commands from ending, or lets them end.
    pub fn hold(&self, hold: bool) -> Result<()> {
        let file = self.template().join(template::HOLD);
        if hold {
            std::fs::write(file, "")?;
        } else {
            std::fs::remove_file(file)?;
        }
        Ok(())
    }

    /// Keeps what runs left on disk; where it is.
    pub fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A test that fails is to be looked into.
            self.folder.disable_cleanup(true);
        }
    }
}

/// What a rig is to be like.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name, unique in the house; also its task queue and its account.
    pub name: String,
    /// Whether Temporal is its own.
    pub own_temporal: bool,
    /// Rules that the sandbox host begins with.
    pub host_rules: Value,
    /// Seconds that a lease is longer than heartbeat timeout and backoff. A busy machine may lose
    /// an attempt or two to its heartbeat timeout before the one that takes the sandbox over.
    pub lease_slack: u64,
    /// Seconds that a worker gets after SIGTERM.
    pub grace: u64,
}

/// One activity, as a caller starts it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id; the command says it when it begins and ends.
    pub id: String,
    /// What it runs.
    pub work: Work,
    /// Its heartbeat timeout.
    pub heartbeat: Duration,
    /// Attempts, at most; 0 is without a limit.
    pub attempts: u32,
    /// It may take this much longer than its pauses.
    pub slack: Duration,
}

/// The servers of one run, and the networks before them.
#[derive(Debug)]
pub struct Rig {
    /// Its name.
    pub name: String,
    /// Its Temporal, if it has one of its own.
    pub temporal: Option<Server>,
    /// Its Redis.
    pub redis: Server,
    /// Its sandbox host.
    pub host: Server,
    /// Starts activities on its queue, past all proxies.
    pub client: ExecClient,
    /// The connection of [`Rig::client`].
    pub connection: Connection,
    temporal_address: std::net::SocketAddr,
    programs: Programs,
    folder: PathBuf,
    grace: u64,
}

impl Rig {
    /// Starts the servers.
    pub async fn build(house: &House, wanted: Wanted) -> Result<Self> {
        let folder = house.folder.path().join(&wanted.name);
        let (programs, template) = (&house.programs, house.template());
        let place = |name: &str| folder.join(name);
        std::fs::create_dir_all(place("host"))?;
        std::fs::write(faults_file(&place("host")), wanted.host_rules.to_string())?;
        let config = CONFIG.replace("SLACK", &wanted.lease_slack.to_string());
        std::fs::write(place("config.toml"), config)?;
        let own_temporal = async {
            if !wanted.own_temporal {
                return Ok(None);
            }
            Server::start(Kind::Temporal, programs, &place("temporal"), &template).await.map(Some)
        };
        let (redis_folder, host_folder) = (place("redis"), place("host"));
        let (temporal, redis, host) = tokio::try_join!(
            own_temporal,
            Server::start(Kind::Redis, programs, &redis_folder, &template),
            Server::start(Kind::Host, programs, &host_folder, &template),
        )?;
        let temporal_address = temporal.as_ref().unwrap_or(&house.temporal).address();
        let options = ConnectOptions {
            address: Some(temporal_address.to_string()),
            namespace: Some("default".to_owned()),
            give_up_after: Some(Duration::from_mins(1)),
            ..ConnectOptions::default()
        };
        let connection = connect(options, CancellationToken::new()).await;
        let connection = connection.map_err(|error| Trouble::new("Temporal", error))?;
        Ok(Self {
            client: ExecClient::new(connection.clone(), &wanted.name),
            connection,
            temporal_address,
            temporal,
            redis,
            host,
            programs: programs.clone(),
            folder,
            grace: wanted.grace,
            name: wanted.name,
        })
    }

    /// Starts an activity on the rig's queue, paid from the rig's account.
    pub async fn start(&self, job: &Job) -> Result<Execution> {
        let time = job.work.time() + job.slack;
        let command = job.work.command(&job.id);
        let start = Start {
            mode: Mode::Activity,
            type_name: names::SAFE_EXECUTE_CODE.to_owned(),
            id: job.id.clone(),
            input: json!({
                "runId": self.name,
                "command": command,
                "timeoutMs": u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            }),
            timeout: time + Duration::from_mins(2),
            heartbeat_timeout: job.heartbeat,
            max_attempts: job.attempts,
            summary: None,
        };
        let started = self.client.start(&start).await;
        started.map_err(|error| Trouble::new("starting the activity", error))
    }

    /// `redis://` of its Redis, past all proxies.
    pub fn redis_url(&self) -> String {
        format!("redis://{}/0", self.redis.address())
    }

    /// A client of its sandbox host, past all proxies.
    pub fn sandboxes(&self) -> Result<airlock_e2b::Client> {
        let wrong = |error: airlock_e2b::Error| Trouble::new("the sandbox host", error);
        let base = format!("http://{}", self.host.address());
        let mut config = airlock_e2b::Config::new(url(&base)?, API_KEY.to_owned().into());
        config.sandbox_url = Some(url(&base)?);
        airlock_e2b::Client::new(config).map_err(wrong)
    }

    /// A worker with networks of its own. `faults` as `AIRLOCK_FAULTS` takes them.
    pub async fn worker(&self, name: &str, faults: Option<&str>) -> Result<Worker> {
        let (temporal, redis, host) = tokio::try_join!(
            Proxy::to(self.temporal_address),
            Proxy::to(self.redis.address()),
            Proxy::to(self.host.address()),
        )?;
        let ready = self.folder.join(format!("{name}.ready.json"));
        let text = self.ready(&temporal, &redis, &host).to_string();
        std::fs::write(&ready, text)?;
        let config = self.folder.join("config.toml");
        let set = |command: &mut std::process::Command| {
            let grace = self.grace.to_string();
            command.args(["worker", "--http-listen", "off", "--grace-seconds", &grace]);
            command.arg("--from").arg(&ready).arg("--config").arg(&config);
            command.env_remove("AIRLOCK_FAULTS").env("RUST_LOG", "info,airlock=debug");
            command.envs(faults.map(|faults| ("AIRLOCK_FAULTS", faults)));
        };
        let log = self.folder.join(format!("{name}.log"));
        let process = Process::start(&self.programs, &self.programs.airlock, set, &log)?;
        Ok(Worker { process, temporal, redis, host, log })
    }

    fn ready(&self, temporal: &Proxy, redis: &Proxy, host: &Proxy) -> Value {
        let host = format!("http://{}", host.address());
        json!({
            "temporal": {
                "address": temporal.address().to_string(),
                "namespace": "default",
                "uiUrl": null,
            },
            "redisUrl": format!("redis://{}/0", redis.address()),
            "sandboxHost": { "apiUrl": host, "sandboxUrl": host, "apiKey": API_KEY },
            "httpUrl": "",
            "taskQueue": self.name,
            "temporalCli": self.programs.temporal,
        })
    }

    /// `airlock sandbox reap`, as a person would, on the rig's servers.
    pub async fn reap(&self) -> Result<()> {
        let ready = self.folder.join("first.ready.json");
        let direct = self.folder.join("direct.ready.json");
        let mut text: Value = serde_json::from_str(&std::fs::read_to_string(&ready)?)
            .map_err(|error| Trouble::new(ready.display(), error))?;
        text["temporal"]["address"] = json!(self.temporal_address.to_string());
        text["redisUrl"] = json!(self.redis_url());
        for field in ["apiUrl", "sandboxUrl"] {
            text["sandboxHost"][field] = json!(format!("http://{}", self.host.address()));
        }
        std::fs::write(&direct, text.to_string())?;
        let log = self.folder.join("reap.log");
        let set = |command: &mut std::process::Command| {
            command.args(["sandbox", "reap", "--from"]).arg(&direct);
            command.arg("--config").arg(self.folder.join("config.toml"));
        };
        let mut process = Process::start(&self.programs, &self.programs.airlock, set, &log)?;
        match process.wait(Duration::from_secs(30)).await {
            Some(status) if status.success() => Ok(()),
            other => Err(Trouble::new("airlock sandbox reap", format_args!("{other:?}"))),
        }
    }

    /// Where its logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Forgets what it left on disk.
    pub fn remove(self) {
        let folder = self.folder.clone();
        drop(self);
        std::fs::remove_dir_all(folder).ok();
    }
}

/// A worker and its networks.
#[derive(Debug)]
pub struct Worker {
    /// The process.
    pub process: Process,
    /// To Temporal.
    pub temporal: Proxy,
    /// To Redis.
    pub redis: Proxy,
    /// To the sandbox host.
    pub host: Proxy,
    /// What it printed.
    pub log: PathBuf,
}

fn url<U: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<U> {
    text.parse().map_err(|error| Trouble::new(text, error))
}
