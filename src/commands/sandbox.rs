//! `airlock sandbox`: serve sandboxes on this machine, list, kill and reap them.

use std::time::{Duration, Instant};

use airlock_contract::Failure;
use airlock_e2b::{Client, ListQuery};
use airlock_engine::{Engine, ReapReport};
use airlock_sandbox_host::{Host, HostArgs, new_api_key, serve_cli};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cli::{SandboxClientArgs, SandboxCommand, SandboxReapArgs};
use crate::config;
use crate::drain::Signals;
use crate::exit::Error;
use crate::output;
use crate::wiring::reaper::{self, Temporal};
use crate::wiring::redis::{self, Patience};
use crate::wiring::{addresses, engine};

/// How long a person waits for Temporal, and for another reaper.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs one of the sandbox commands.
pub(crate) async fn run(command: &SandboxCommand, json: bool) -> Result<(), Error> {
    match command {
        SandboxCommand::Host(args) => host(args, json).await,
        SandboxCommand::List(args) => list(args, json).await,
        SandboxCommand::Kill(args) => {
            let killed = client(&args.client)?.kill(&args.id).await.map_err(Error::failed)?;
            if !killed {
                return Err(Error::failed(format_args!("there is no sandbox {}", args.id)));
            }
            output::line(format_args!("{} is killed", args.id))
        }
        SandboxCommand::Reap(args) => reap(args, json).await,
    }
}

async fn host(args: &HostArgs, json: bool) -> Result<(), Error> {
    let mut args = args.clone();
    // A key that the caller gave is not repeated.
    let made = args.api_key.is_none().then(new_api_key);
    args.api_key = args.api_key.or_else(|| made.clone());
    let mut signals = Signals::listen()?;
    let mut told = Ok(());
    let started = |host: &Host| told = tell(host, made.as_ref(), json);
    let stop = async {
        signals.next().await;
    };
    serve_cli(args, started, stop).await.map_err(Error::failed)?;
    told
}

/// What a client needs to know, as variables or as JSON.
fn tell(host: &Host, made: Option<&SecretString>, json: bool) -> Result<(), Error> {
    for warning in host.warnings() {
        output::note(format_args!("weaker: {warning}"));
    }
    let url = format!("http://{}", host.local_addr());
    let made = made.map(ExposeSecret::expose_secret);
    if json {
        return output::json_as_it_is(&json!({"apiUrl": url, "sandboxUrl": url, "apiKey": made}));
    }
    output::line(format_args!("export E2B_API_URL={url}\nexport E2B_SANDBOX_URL={url}"))?;
    made.map_or(Ok(()), |key| output::line_as_it_is(format_args!("export E2B_API_KEY={key}")))
}

fn client(args: &SandboxClientArgs) -> Result<Client, Error> {
    let ready = addresses::ready(&args.from)?;
    Client::new(addresses::e2b(&args.e2b, ready.as_ref())?).map_err(Error::failed)
}

async fn list(args: &SandboxClientArgs, json: bool) -> Result<(), Error> {
    let found = client(args)?.list(&ListQuery::default()).await.map_err(Error::failed)?;
    if json {
        let documents: Vec<_> = found
            .iter()
            .map(|s| {
                json!({"sandboxId": s.id, "template": s.template, "state": format!("{:?}", s.state).to_lowercase(),
                    "startedAt": s.started_at.to_string(), "endAt": s.end_at.to_string(),
                    "metadata": s.metadata})
            })
            .collect();
        return output::json(&documents);
    }
    if found.is_empty() {
        return output::line("no sandboxes");
    }
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["sandbox", "template", "started", "ends", "account"]);
    for sandbox in found {
        let account = sandbox.metadata.get("runId").cloned().unwrap_or_default();
        let times = (sandbox.started_at.to_string(), sandbox.end_at.to_string());
        table.add_row([sandbox.id, sandbox.template, times.0, times.1, account]);
    }
    output::line(table)
}

/// One pass of the reaper.
async fn reap(args: &SandboxReapArgs, json: bool) -> Result<(), Error> {
    let config = config::load(&args.config)?;
    let ready = addresses::ready(&args.from)?;
    let (stop, patience) = (CancellationToken::new(), Patience::Once);
    let servers = addresses::redis(&args.redis, ready.as_ref());
    let e2b = addresses::e2b(&args.e2b, ready.as_ref())?;
    let mut options = addresses::temporal(&args.temporal, ready.as_ref());
    options.give_up_after = Some(PATIENCE);
    let temporal = airlock_activities::connect(options, stop.clone()).await.map_err(|error| {
        if error.is_config() { Error::config(error) } else { Error::failed(error) }
    })?;
    let store = redis::connect(&servers, patience, &stop).await?;
    let needs = engine::Needs { prefix: &servers.redis_prefix, e2b: &e2b, audit_file: None };
    let engine = engine::build(needs, config, store).await?;
    let temporal = reaper::Temporal(temporal);
    let report = if args.dry_run {
        engine.reap_dry_run(&temporal).await
    } else {
        reap_in_turn(&engine, &temporal).await
    };
    engine.drain().await;
    told(&report.map_err(|failure| Error::failed(failure.message))?, args.dry_run, json)
}

/// A worker may be at it: then wait for the end of its pass.
async fn reap_in_turn(engine: &Engine, temporal: &Temporal) -> Result<ReapReport, Failure> {
    let began = Instant::now();
    loop {
        let report = engine.reap(temporal).await?;
        if report.led || began.elapsed() > PATIENCE {
            return Ok(report);
        }
        sleep(Duration::from_millis(250)).await;
    }
}

fn told(report: &ReapReport, dry_run: bool, json: bool) -> Result<(), Error> {
    if !report.led {
        return Err(Error::failed("another process is reaping; try again in a minute"));
    }
    if json {
        output::json(report)?;
    } else {
        let word = if dry_run { "would be ended" } else { "ended" };
        for one in &report.ended {
            output::line(format_args!("{} of {} {word}", one.sandbox_id, one.run_id))?;
        }
        output::line(format_args!(
            "{} expired leases: {} {word}, {} kept, {} failed; {} shared sandboxes: {} {word}; {} \
             holds returned",
            report.looked,
            report.killed,
            report.kept,
            report.failed,
            report.shared_looked,
            report.shared_closed,
            report.swept
        ))?;
    }
    match report.failed {
        0 => Ok(()),
        failed => Err(Error::failed(format_args!("{failed} sandboxes could not be ended yet"))),
    }
}
