//! `airlock worker`: the worker against existing servers; also the worker inside `airlock dev`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use airlock_activities::ConnectOptions;
use airlock_engine::Engine;
use airlock_http::{Door, Options as HttpOptions};
use metrics_exporter_prometheus::PrometheusBuilder;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::cli::{HttpArgs, RedisArgs, WorkerArgs};
use crate::config::{self, Config};
use crate::dev::ready::Ready;
use crate::drain::{Signals, Tasks};
use crate::exit::{Error, Exit};
use crate::wiring::redis::Patience;
use crate::wiring::{addresses, engine, reaper, redis, reload, secrets};
use crate::{output, telemetry};

/// Beyond the drain, tasks get this long to end before the process goes.
const AFTER_DRAIN: Duration = Duration::from_secs(5);

/// Everything that a worker is started with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) temporal: ConnectOptions,
    pub(crate) redis: RedisArgs,
    pub(crate) e2b: airlock_e2b::Config,
    pub(crate) task_queue: String,
    pub(crate) admin_task_queue: Option<String>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) token: Option<SecretString>,
    pub(crate) max_concurrent: usize,
    pub(crate) drain: Duration,
    pub(crate) audit_file: Option<PathBuf>,
    /// Whether task queues are polled; without, only HTTP is served.
    pub(crate) polls: bool,
}

impl Settings {
    fn from_args(args: &WorkerArgs) -> Result<Self, Error> {
        let ready = addresses::ready(&args.from)?;
        Ok(Self {
            temporal: addresses::temporal(&args.temporal, ready.as_ref()),
            redis: addresses::redis(&args.redis, ready.as_ref()),
            e2b: addresses::e2b(&args.e2b, ready.as_ref())?,
            task_queue: addresses::task_queue(&args.temporal, ready.as_ref()),
            admin_task_queue: args.admin_task_queue.clone(),
            listen: listen(&args.http, ready.as_ref())?,
            token: args.http.http_token.clone(),
            max_concurrent: args.max_concurrent_activities,
            drain: Duration::from_secs(args.grace_seconds),
            audit_file: args.audit_file.clone(),
            polls: true,
        })
    }

    /// The settings of a worker on the stack that `ready` describes.
    pub(crate) fn from_ready(ready: &Ready) -> Result<Self, Error> {
        use clap::Parser;
        // The command line's own defaults hold for all that the file does not say; what this
        // process's variables say of other servers does not.
        let cli = crate::cli::Cli::try_parse_from(["airlock", "worker"]).map_err(Error::config)?;
        let crate::cli::Command::Worker(args) = cli.command else {
            return Err(Error::failed("the worker's defaults cannot be read"));
        };
        Ok(Self {
            temporal: addresses::temporal(&args.temporal, Some(ready)),
            redis: addresses::redis(&args.redis, Some(ready)),
            e2b: addresses::e2b(&args.e2b, Some(ready))?,
            task_queue: ready.task_queue.clone(),
            admin_task_queue: args.admin_task_queue,
            listen: None,
            token: args.http.http_token,
            max_concurrent: args.max_concurrent_activities,
            drain: Duration::from_secs(args.grace_seconds),
            audit_file: args.audit_file,
            polls: true,
        })
    }
}

/// Where HTTP is served. Beside a stack that serves it already, a worker takes a free port.
fn listen(args: &HttpArgs, ready: Option<&Ready>) -> Result<Option<SocketAddr>, Error> {
    let text = args.http_listen.trim();
    match text {
        "off" | "" => return Ok(None),
        "127.0.0.1:8000" if ready.is_some() => {
            return Ok(Some(SocketAddr::from(([127, 0, 0, 1], 0))));
        }
        _ => {}
    }
    let address = text.replace("localhost", "127.0.0.1").parse::<SocketAddr>().map_err(|_| {
        Error::config(format_args!("AIRLOCK_HTTP_LISTEN: {text:?} is not ADDRESS:PORT or \"off\""))
    })?;
    let options = HttpOptions { listen: address, token: args.http_token.clone() };
    options.check().map_err(Error::config)?;
    Ok(Some(address))
}

/// Runs until a signal; the second one ends at once.
pub(crate) async fn run(args: &WorkerArgs) -> Result<(), Error> {
    let config = config::load(&args.config)?;
    let settings = Settings::from_args(args)?;
    let redactor = config.redactor.with_values(secrets::own_secrets());
    telemetry::init(args.log_format, &redactor, false);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        configuration = config::shown(args.config.config.as_deref()),
        policy = config.gate.digest(),
        environment = config.gate.env(),
        "airlock worker"
    );
    for warning in config.gate.warnings() {
        tracing::warn!(%warning, "the policy says something in vain");
    }
    #[cfg(debug_assertions)]
    if let Ok(faults) = std::env::var("AIRLOCK_FAULTS") {
        let armed = airlock_engine::faultpoint::arm(&faults);
        armed.map_err(|error| Error::config(format_args!("AIRLOCK_FAULTS: {error}")))?;
    }
    let mut signals = Signals::without_hangup()?;
    let tasks = Tasks::default();
    let stop = tasks.stop_token();
    let limit = settings.drain + AFTER_DRAIN;
    let lived = async {
        start(settings, config, &tasks).await?;
        stop.cancelled().await;
        Err(Error::failed("the worker ended by itself; the log above says why"))
    };
    let ended = tokio::select! {
        ended = lived => ended,
        signal = signals.next() => {
            tracing::info!(signal, "stopping: running commands are handed over");
            Ok(())
        }
    };
    tokio::select! {
        left = tasks.drain(limit) => match left {
            0 => ended,
            left => Err(Error::failed(format_args!("{left} tasks did not end in time"))),
        },
        signal = signals.next() => {
            Err(Error::new(Exit::Failed, format_args!("stopped at once, at the second {signal}")))
        }
    }
}

/// Connects everything and starts serving; returns once the worker is up.
pub(crate) async fn start(settings: Settings, config: Config, tasks: &Tasks) -> Result<(), Error> {
    let stop = tasks.stop_token();
    // Two processes cannot share an address: find that out before anything else.
    let door = match settings.listen {
        None => None,
        Some(listen) => {
            let options = HttpOptions { listen, token: settings.token.clone() };
            Some(Door::open(&options).await.map_err(Error::config)?)
        }
    };
    let metrics = PrometheusBuilder::new().install_recorder().ok();
    let connection = redis::connect(&settings.redis, Patience::Forever, &stop).await?;
    let needs = engine::Needs {
        prefix: &settings.redis.redis_prefix,
        e2b: &settings.e2b,
        audit_file: settings.audit_file.as_deref(),
    };
    let source = config.source.clone();
    let engine = engine::build(needs, config, connection).await?;
    let watched = engine.clone();
    tasks.spawn(|stop| reload::run(watched, source, stop));
    if let Some(door) = door {
        let address = door.address()?;
        let engine = engine.clone();
        tasks.spawn(|stop| async move {
            if let Err(error) = door.serve(engine, metrics, stop.clone()).await {
                tracing::error!(%error, "the HTTP API ended");
            }
        });
        tracing::info!(%address, "HTTP API");
    }
    if settings.polls {
        poll(&settings, engine, tasks).await?;
    }
    Ok(())
}

/// Starts polling Temporal.
async fn poll(settings: &Settings, engine: Engine, tasks: &Tasks) -> Result<(), Error> {
    let stop = tasks.stop_token();
    let connection =
        airlock_activities::connect(settings.temporal.clone(), stop.clone()).await.map_err(
            |error| if error.is_config() { Error::config(error) } else { Error::failed(error) },
        )?;
    let options = airlock_activities::Options {
        task_queue: settings.task_queue.clone(),
        admin_task_queue: settings.admin_task_queue.clone(),
        max_concurrent: settings.max_concurrent,
        drain: settings.drain,
        ..airlock_activities::Options::default()
    };
    let workflows = airlock_activities::WorkflowOptions {
        task_queue: settings.task_queue.clone(),
        build_id: options.build_id.clone(),
        ..airlock_activities::WorkflowOptions::default()
    };
    let (reaping, asked) = (engine.clone(), reaper::Temporal(connection.clone()));
    tasks.spawn(|child| reaper::run(reaping, asked, child));
    let hosted = connection.clone();
    let ended = stop.clone();
    tasks.spawn(|child| async move {
        let served = airlock_activities::run_workflows(hosted, workflows, host_workflows, child);
        end_with(served.await, &ended);
    });
    tasks.spawn(|child| async move {
        let served = airlock_activities::run(&options, &engine, connection, child);
        let served = served.await;
        engine.drain().await;
        end_with(served, &stop);
    });
    Ok(())
}

fn host_workflows(workflows: &mut airlock_activities::WorkflowSet) {
    workflows
        .add::<airlock_workflows::SafeExecution>()
        .add::<airlock_workflows::SafeExecutionBatch>()
        .add::<airlock_workflows::SandboxSession>();
}

/// Whatever ended the serving ends the process: an orchestrator starts a new one.
fn end_with(served: Result<(), airlock_activities::Error>, stop: &CancellationToken) {
    if let Err(error) = served {
        tracing::error!(%error, "the worker ended");
        output::note(format_args!("airlock: {error}"));
    }
    stop.cancel();
}
