//! `airlock doctor`: looks at everything that the worker needs and says what to mend.

use std::time::Duration;

use airlock_e2b::{Client, ListQuery};
use airlock_sandbox_host::Probe;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::{DoctorArgs, RedisArgs};
use crate::exit::{Error, Exit};
use crate::wiring::addresses;
use crate::wiring::redis::{Patience, connect};
use crate::{config, output};

/// How a finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    Ok,
    Weak,
    Broken,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
}

impl Finding {
    fn new(what: &'static str, verdict: Verdict, detail: impl std::fmt::Display) -> Self {
        Self { what, verdict, detail: detail.to_string() }
    }

    fn of(what: &'static str, found: Result<String, Error>) -> Self {
        match found {
            Ok(detail) => Self::new(what, Verdict::Ok, detail),
            Err(error) => Self::new(what, Verdict::Broken, error.message),
        }
    }
}

/// Prints what was found; fails if anything is broken.
pub(crate) async fn run(args: &DoctorArgs, json: bool) -> Result<(), Error> {
    let mut findings = vec![Finding::of("configuration", configuration(args))];
    findings.push(Finding::of("Temporal", temporal(args).await));
    findings.extend(redis(args).await);
    findings.push(Finding::of("sandbox provider", sandboxes(args).await));
    findings.extend(isolation());
    let broken = findings.iter().any(|finding| finding.verdict == Verdict::Broken);
    if json {
        output::json(&findings)?;
    } else {
        for Finding { what, verdict, detail } in &findings {
            let mark = match verdict {
                Verdict::Ok => "ok    ",
                Verdict::Weak => "weak  ",
                Verdict::Broken => "broken",
            };
            output::line(format_args!("{mark}  {what:18} {detail}"))?;
        }
    }
    if broken { Err(Error::silent(Exit::Failed)) } else { Ok(()) }
}

fn configuration(args: &DoctorArgs) -> Result<String, Error> {
    let config = config::load(&args.config)?;
    let (env, rules) = (config.gate.env().to_owned(), config.gate.rules().count());
    let shown = config::shown(args.config.config.as_deref());
    Ok(format!("{shown}; policy environment {env}, {rules} rules"))
}

async fn temporal(args: &DoctorArgs) -> Result<String, Error> {
    let ready = addresses::ready(&args.from)?;
    let mut options = addresses::temporal(&args.temporal, ready.as_ref());
    options.give_up_after = Some(Duration::from_secs(5));
    let connection = airlock_activities::connect(options, CancellationToken::new())
        .await
        .map_err(Error::failed)?;
    Ok(format!("{} namespace {}", connection.address(), connection.namespace()))
}

async fn redis(args: &DoctorArgs) -> Vec<Finding> {
    let looked = async {
        let ready = addresses::ready(&args.from)?;
        look_at_redis(&addresses::redis(&args.redis, ready.as_ref())).await
    };
    match looked.await {
        Ok(findings) => findings,
        Err(error) => vec![Finding::new("Redis", Verdict::Broken, error.message)],
    }
}

async fn look_at_redis(args: &RedisArgs) -> Result<Vec<Finding>, Error> {
    let connection = connect(args, Patience::Once, &CancellationToken::new()).await?;
    let nodes = connection.info().await;
    let nodes = nodes.map_err(|_| Error::failed("INFO is refused; allow it for Airlock's user"))?;
    Ok(nodes.iter().flat_map(|info| read_info(info)).collect())
}

/// What `INFO` of one server says about budgets that must last.
fn read_info(info: &str) -> Vec<Finding> {
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("?")
    };
    let version = match field("valkey_version") {
        "?" => format!("Redis {}", field("redis_version")),
        version => format!("Valkey {version}"),
    };
    let mut findings = vec![Finding::new("Redis", Verdict::Ok, version)];
    // What the ledger acknowledged must survive a restart of the store.
    if field("aof_enabled") != "1" {
        let advice = "appendonly is off: a restart loses budgets; set appendonly yes";
        findings.push(Finding::new("Redis durability", Verdict::Weak, advice));
    }
    let policy = field("maxmemory_policy");
    if policy != "?" && policy != "noeviction" {
        let advice = format!("maxmemory-policy is {policy}: set noeviction, or budgets may vanish");
        findings.push(Finding::new("Redis memory", Verdict::Weak, advice));
    }
    findings
}

async fn sandboxes(args: &DoctorArgs) -> Result<String, Error> {
    let ready = addresses::ready(&args.from)?;
    let config = addresses::e2b(&args.e2b, ready.as_ref())?;
    let address = config.api_url.host_str().unwrap_or_default().to_owned();
    let client = Client::new(config).map_err(Error::failed)?;
    let running = client.list(&ListQuery::default()).await.map_err(Error::failed)?.len();
    Ok(format!("{address}, {running} sandboxes"))
}

/// What sandboxes on this machine would lack; none of it is needed with E2B's cloud.
fn isolation() -> Vec<Finding> {
    let probe = Probe::run();
    if probe.missing.is_empty() && probe.weaker.is_empty() {
        return vec![Finding::new("local sandboxes", Verdict::Ok, "all that is needed is here")];
    }
    // Not broken: E2B's cloud needs none of it.
    let weak = |detail| Finding::new("local sandboxes", Verdict::Weak, detail);
    probe.missing.into_iter().chain(probe.weaker).map(weak).collect()
}
