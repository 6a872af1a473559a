//! `airlock doctor`: looks at everything that the worker needs and says what to mend.

use std::collections::BTreeMap;
use std::time::Duration;

use airlock_budget::{HoldKey, Ledger, NewBudget};
use airlock_contract::{AccountId, Usd};
use airlock_e2b::{Client, ListQuery};
use airlock_sandbox_host::Probe;
use airlock_store::Connection;
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
    let settings = settings(&connection).await;
    let mut findings: Vec<_> = nodes.iter().flat_map(|info| read_info(info, &settings)).collect();
    findings.push(try_the_ledger(connection, &args.redis_prefix).await);
    Ok(findings)
}

/// Settings that decide what a restart, a full memory or a failover loses. `CONFIG` may be forbidden, as
/// it is by most who offer Redis as a service; then nothing is said of them.
const SETTINGS: [&str; 3] = ["appendfsync", "min-replicas-to-write", "min-replicas-max-lag"];

type Settings = BTreeMap<String, String>;

async fn settings(connection: &Connection) -> Settings {
    let mut found = Settings::new();
    // One node speaks for a Cluster: whoever sets them sets them everywhere.
    for name in SETTINGS {
        let mut ask = redis::cmd("CONFIG");
        ask.arg("GET").arg(name);
        if let Ok(answer) = ask.query_async::<Settings>(&mut connection.clone()).await {
            found.extend(answer);
        }
    }
    found
}

/// What one server says about budgets that must last.
fn read_info(info: &str, settings: &Settings) -> Vec<Finding> {
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("?")
    };
    let version = match field("valkey_version") {
        "?" => format!("Redis {}", field("redis_version")),
        version => format!("Valkey {version}"),
    };
    let mut findings = vec![Finding::new("Redis", Verdict::Ok, version)];
    let mut weak = |what, advice: String| findings.push(Finding::new(what, Verdict::Weak, advice));
    let setting = |name: &str| settings.get(name).map(String::as_str);
    // What the ledger acknowledged must survive a restart of the store.
    if field("aof_enabled") != "1" {
        let advice = "appendonly is off: a restart loses budgets; set appendonly yes";
        weak("Redis durability", advice.to_owned());
    } else if setting("appendfsync") == Some("no") {
        let advice = "appendfsync is no: a crash of the machine loses what the system had not written, \
                      half a minute or so; set appendfsync everysec, or always to lose nothing";
        weak("Redis durability", advice.to_owned());
    }
    let policy = field("maxmemory_policy");
    if policy != "?" && policy != "noeviction" {
        let advice = format!("maxmemory-policy is {policy}: set noeviction, or budgets may vanish");
        weak("Redis memory", advice);
    }
    if field("role") != "master" && field("role") != "?" {
        let advice =
            "this is a replica, so every reservation is refused: give the primary's address";
        findings.push(Finding::new("Redis role", Verdict::Broken, advice));
        return findings;
    }
    let replicas: u32 = field("connected_slaves").parse().unwrap_or_default();
    if replicas > 0 && setting("min-replicas-to-write") == Some("0") {
        let advice = format!(
            "min-replicas-to-write is 0 with {replicas} connected: a primary that is cut off goes on \
             granting what the failover then forgets; set min-replicas-to-write 1 and \
             min-replicas-max-lag 10, which bounds that to 10 s"
        );
        findings.push(Finding::new("Redis failover", Verdict::Weak, advice));
    }
    findings
}

/// Makes an account for a minute, holds, settles and removes it: scripts, writes and this user's rights.
async fn try_the_ledger(connection: Connection, prefix: &str) -> Finding {
    const WHAT: &str = "budget ledger";
    let ledger = Ledger::new(connection, prefix);
    let tried = async {
        let account: AccountId = format!("airlock-doctor-{}", std::process::id()).parse().ok()?;
        let minute = Duration::from_mins(1);
        let new =
            NewBudget { ttl: Some(minute), ..NewBudget::new(account.clone(), Usd::from_nanos(2)) };
        let hold = HoldKey::new(account.clone(), "doctor");
        let steps = async {
            ledger.create(&new).await?;
            ledger.reserve(&hold, Usd::from_nanos(2), minute).await?;
            ledger.settle(&hold, Usd::from_nanos(1), "").await?;
            ledger.delete(&account).await
        };
        Some(steps.await)
    };
    match tried.await {
        Some(Ok(())) => Finding::new(WHAT, Verdict::Ok, "reserves, settles and forgets"),
        Some(Err(airlock_budget::Error::Unavailable(error))) => {
            let advice = format!(
                "a reservation is refused ({}): {}",
                error.code().unwrap_or("no answer"),
                remedy(error.code(), error.detail().unwrap_or_default())
            );
            Finding::new(WHAT, Verdict::Broken, advice)
        }
        Some(Err(error)) => Finding::new(WHAT, Verdict::Broken, error),
        None => Finding::new(WHAT, Verdict::Broken, "the probe's account has no valid name"),
    }
}

/// What to do about a server's refusal. Redis before 7 has the word in the text of another error.
fn remedy(code: Option<&str>, detail: &str) -> &'static str {
    const KNOWN: [(&str, &str); 7] = [
        ("READONLY", "give the primary's address"),
        ("OOM", "its memory is full; raise maxmemory"),
        ("NOREPLICAS", "fewer replicas are there than min-replicas-to-write asks for; mend them"),
        ("MISCONF", "it cannot save to its disk; look into its log"),
        ("NOPERM", "give Airlock's user +@all on its own keys, scripts included (ACL SETUSER)"),
        ("BUSY", "a script of somebody's holds it up; SCRIPT KILL ends it"),
        ("LOADING", "it is still loading its data; wait"),
    ];
    let is_named = |word: &str| code == Some(word) || detail.contains(word);
    KNOWN.iter().find(|(word, _)| is_named(word)).map_or("look into its log", |(_, what)| what)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn weak(info: &str, settings: &[(&str, &str)]) -> Vec<&'static str> {
        let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let findings = read_info(info, &settings.collect());
        let bad = findings.into_iter().filter(|finding| finding.verdict != Verdict::Ok);
        bad.map(|finding| finding.what).collect()
    }

    #[test]
    fn what_would_lose_budgets_is_named() {
        let good = "redis_version:7.2.0\nrole:master\nconnected_slaves:1\naof_enabled:1\n\
                    maxmemory_policy:noeviction\n";
        let safe = [("appendfsync", "everysec"), ("min-replicas-to-write", "1")];
        assert!(weak(good, &safe).is_empty());
        assert!(weak(good, &[]).is_empty(), "what cannot be asked is not guessed");
        let bare = "redis_version:7.2.0\nrole:master\nconnected_slaves:0\naof_enabled:0\n\
                    maxmemory_policy:allkeys-lru\n";
        assert_eq!(weak(bare, &[]), ["Redis durability", "Redis memory"]);
        let lax = [("appendfsync", "no"), ("min-replicas-to-write", "0")];
        assert_eq!(weak(good, &lax), ["Redis durability", "Redis failover"]);
        assert_eq!(weak(&good.replace("master", "slave"), &safe), ["Redis role"]);
    }

    #[test]
    fn a_refusal_has_a_remedy_whichever_server_words_it() {
        assert!(remedy(Some("READONLY"), "You can't write").contains("primary"));
        let wrapped = "Error running script: @user_script:305: -READONLY You can't write";
        assert!(remedy(Some("ERR"), wrapped).contains("primary"));
        assert!(remedy(Some("OOM"), "").contains("maxmemory"));
    }
}
