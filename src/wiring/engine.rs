//! The engine from its parts.

use std::path::Path;
use std::sync::Arc;

use airlock_approval::Approvals;
use airlock_approval::webhook::Webhooks;
use airlock_audit::{Log, RedisOptions, Sink};
use airlock_budget::Ledger;
use airlock_engine::{Alerts, Engine, Parts};
use airlock_runs::Runs;
use airlock_store::Connection;

use crate::config::Config;
use crate::exit::Error;
use crate::wiring::secrets::{ProcessSecrets, own_secrets};

/// What an engine needs besides its configuration and its connection to Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs<'s> {
    /// Prefix of every key.
    pub(crate) prefix: &'s str,
    pub(crate) e2b: &'s airlock_e2b::Config,
    /// Audit records are written here too.
    pub(crate) audit_file: Option<&'s Path>,
}

/// Puts the engine together on one connection to Redis; refuses a store of a newer version.
pub(crate) async fn build(
    needs: Needs<'_>,
    config: Config,
    connection: Connection,
) -> Result<Engine, Error> {
    let prefix = needs.prefix;
    let runs = Runs::new(connection.clone(), prefix);
    runs.check_schema().await.map_err(Error::failed)?;
    let mut sinks = vec![Sink::redis(connection.clone(), prefix, RedisOptions::default())];
    if let Some(path) = needs.audit_file {
        let file = Sink::file(path, true).await;
        sinks.push(
            file.map_err(|error| Error::config(format_args!("AIRLOCK_AUDIT_FILE: {error}")))?,
        );
    }
    // The sandbox host's key of `airlock dev` is in no variable, and is a secret all the same.
    let keys = [("E2B_API_KEY".to_owned(), needs.e2b.api_key.clone())];
    let e2b = airlock_e2b::Client::new(needs.e2b.clone()).map_err(Error::config)?;
    airlock_engine::metrics::describe();
    let audit = Arc::new(Log::new(sinks));
    let webhooks = match config.alerts {
        Some(endpoint) => {
            let options = airlock_approval::webhook::Options::default();
            let to = Webhooks::new(connection.clone(), prefix, vec![endpoint], options);
            Some(to.map_err(Error::config)?)
        }
        None => None,
    };
    let alerts = Alerts::new(Arc::clone(&audit), webhooks);
    Ok(Engine::new(Parts {
        gate: config.gate,
        redactor: config.redactor.with_values(own_secrets().into_iter().chain(keys)),
        ledger: Ledger::new(connection.clone(), prefix).with_alerts(alerts.observer()),
        runs,
        audit,
        approvals: Approvals::new(connection, prefix, airlock_approval::Options::default()),
        e2b,
        prices: config.prices,
        secrets: Arc::new(ProcessSecrets),
        config: config.engine,
    }))
}
