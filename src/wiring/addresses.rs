//! Where the servers are: the command line and variables, or the ready file of `airlock dev`.

use std::path::Path;

use airlock_activities::ConnectOptions;
use secrecy::SecretString;

use crate::cli::{E2bArgs, FromArgs, RedisArgs, TemporalArgs};
use crate::dev::ready::Ready;
use crate::exit::Error;

/// What `--from` names, if it is given.
pub(crate) fn ready(from: &FromArgs) -> Result<Option<Ready>, Error> {
    from.from.as_deref().map(Path::new).map(Ready::read).transpose()
}

/// How to reach Temporal.
pub(crate) fn temporal(args: &TemporalArgs, ready: Option<&Ready>) -> ConnectOptions {
    let mut options = ConnectOptions::from_env();
    options.address.clone_from(&args.temporal_address);
    options.namespace.clone_from(&args.temporal_namespace);
    if let Some(ready) = ready {
        // The file speaks of one stack: a profile of another server must not mix in.
        options.env.clear();
        options.address = Some(ready.temporal.address.clone());
        options.namespace = Some(ready.temporal.namespace.clone());
    }
    options
}

/// The task queue.
pub(crate) fn task_queue(args: &TemporalArgs, ready: Option<&Ready>) -> String {
    ready.map_or_else(|| args.task_queue.clone(), |ready| ready.task_queue.clone())
}

/// Redis, with the ready file's address if there is one.
pub(crate) fn redis(args: &RedisArgs, ready: Option<&Ready>) -> RedisArgs {
    let mut args = args.clone();
    if let Some(ready) = ready {
        args.redis_url = Some(SecretString::from(ready.redis_url.clone()));
    }
    args
}

/// The sandbox host of the stack that `ready` describes.
pub(crate) fn e2b_of(ready: &Ready) -> Result<airlock_e2b::Config, Error> {
    let host = &ready.sandbox_host;
    let key = SecretString::from(host.api_key.clone());
    let mut config = airlock_e2b::Config::new(url("sandboxHost.apiUrl", &host.api_url)?, key);
    config.sandbox_url = Some(url("sandboxHost.sandboxUrl", &host.sandbox_url)?);
    Ok(config)
}

/// The sandbox provider.
pub(crate) fn e2b(args: &E2bArgs, ready: Option<&Ready>) -> Result<airlock_e2b::Config, Error> {
    if let Some(ready) = ready {
        return e2b_of(ready);
    }
    let key = args.e2b_api_key.clone().ok_or_else(|| {
        Error::config(
            "E2B_API_KEY is not set: give E2B's key, or run `airlock sandbox host` and set \
             E2B_API_URL, E2B_SANDBOX_URL and its key",
        )
    })?;
    let mut config = match &args.e2b_api_url {
        Some(address) => airlock_e2b::Config::new(url("E2B_API_URL", address)?, key),
        None => airlock_e2b::Config::for_domain(&args.e2b_domain, key)
            .map_err(|error| Error::config(format_args!("E2B_DOMAIN: {error}")))?,
    };
    if let Some(address) = &args.e2b_sandbox_url {
        config.sandbox_url = Some(url("E2B_SANDBOX_URL", address)?);
    }
    Ok(config)
}

/// An http or https address; the message shows no credentials that may be in a wrong one.
fn url(name: &str, text: &str) -> Result<reqwest::Url, Error> {
    let parsed = text.parse::<reqwest::Url>();
    match parsed {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(Error::config(format_args!("{name} is not an http:// or https:// address"))),
    }
}
