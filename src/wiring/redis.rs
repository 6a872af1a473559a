//! The one connection to Redis that all stores share.

use std::time::Duration;

use airlock_store::Connection;
use redis::aio::ConnectionManagerConfig;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use secrecy::ExposeSecret;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cli::{RedisArgs, StoreArgs};
use crate::exit::Error;
use crate::wiring::addresses;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A call that takes longer is a failure of the store: what it was for fails closed.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long to wait for a Redis that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// One try: a person waits.
    Once,
    /// For ever, with a log line a try: a worker's way.
    Forever,
}

/// Checks the settings and connects.
pub(crate) async fn connect(
    args: &RedisArgs,
    patience: Patience,
    stop: &CancellationToken,
) -> Result<Connection, Error> {
    check_prefix(&args.redis_prefix)?;
    let (servers, address) = servers(args)?;
    let mut wait = FIRST_WAIT;
    loop {
        let problem = match once(&servers).await {
            Ok(connection) => {
                tracing::info!(address, "connected to Redis");
                return Ok(connection);
            }
            Err(error) if is_final(&error) => {
                let why = error.detail().unwrap_or("authentication failed");
                return Err(Error::config(format_args!(
                    "Redis at {address} refuses us ({why}); see REDIS_USERNAME and REDIS_PASSWORD"
                )));
            }
            Err(error) => error,
        };
        if patience == Patience::Once {
            return Err(Error::failed(format_args!(
                "Redis at {address} does not answer ({problem}); see REDIS_HOST and REDIS_PORT"
            )));
        }
        tracing::warn!(address, %problem, again_in = ?wait, "cannot use Redis yet");
        tokio::select! {
            () = stop.cancelled() => return Err(Error::silent(crate::exit::Exit::Code(0))),
            () = sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
        }
    }
}

/// A connection for one command, with the addresses of `--from` if it is given.
pub(crate) async fn store(args: &StoreArgs) -> Result<Connection, Error> {
    let ready = addresses::ready(&args.from)?;
    let servers = addresses::redis(&args.redis, ready.as_ref());
    connect(&servers, Patience::Once, &CancellationToken::new()).await
}

/// What is in braces decides the hash slot of a key, so only the stores may put braces there.
fn check_prefix(prefix: &str) -> Result<(), Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:/@-".contains(c);
    if (1..=100).contains(&prefix.len()) && prefix.chars().all(is_plain) {
        return Ok(());
    }
    Err(Error::config(format_args!(
        "AIRLOCK_REDIS_PREFIX is {prefix:?}; it must be 1 to 100 letters, digits or any of . _ : / @ -"
    )))
}

/// One server, or a Cluster.
enum Servers {
    One(Box<Client>),
    Cluster(Box<ClusterClient>),
}

async fn once(servers: &Servers) -> redis::RedisResult<Connection> {
    let mut connection = match servers {
        Servers::One(client) => one(client).await?,
        Servers::Cluster(client) => client.get_async_connection().await?.into(),
    };
    redis::cmd("PING").exec_async(&mut connection).await?;
    Ok(connection)
}

async fn one(client: &Client) -> redis::RedisResult<Connection> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_number_of_retries(2)
        .set_max_delay(Duration::from_secs(1));
    Ok(client.get_connection_manager_with_config(config).await?.into())
}

/// A wrong password does not become right by waiting.
fn is_final(error: &redis::RedisError) -> bool {
    error.kind() == redis::ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

/// What to connect to, and its address for messages, without credentials.
fn servers(args: &RedisArgs) -> Result<(Servers, String), Error> {
    if let Some(url) = &args.redis_url
        && url.expose_secret().contains(',')
    {
        return cluster(url.expose_secret());
    }
    let client = client(args)?;
    let address = client.get_connection_info().addr().to_string();
    Ok((Servers::One(Box::new(client)), address))
}

/// Several addresses are some of a Cluster's nodes; the others are found.
fn cluster(urls: &str) -> Result<(Servers, String), Error> {
    let wrong = || {
        Error::config(
            "REDIS_URL has commas, so each part must be the address of a Cluster's node, such as \
             redis://host:6379, all with the same user and password",
        )
    };
    let nodes = urls
        .split(',')
        .map(|url| url.trim().into_connection_info())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| wrong())?;
    let addresses: Vec<String> = nodes.iter().map(|node| node.addr().to_string()).collect();
    let client = ClusterClientBuilder::new(nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(RESPONSE_TIMEOUT)
        .retries(2)
        .build()
        .map_err(|_| wrong())?;
    Ok((Servers::Cluster(Box::new(client)), addresses.join(", ")))
}

fn client(args: &RedisArgs) -> Result<Client, Error> {
    // The driver's own message may quote the address, which may hold the password.
    if let Some(url) = &args.redis_url {
        Client::open(url.expose_secret().trim()).map_err(|_| {
            Error::config("REDIS_URL is not an address such as redis://host:6379/0 or rediss://...")
        })
    } else {
        let mut settings = RedisConnectionInfo::default().set_db(args.redis_db);
        if let Some(username) = &args.redis_username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &args.redis_password {
            settings = settings.set_password(password.expose_secret());
        }
        ConnectionAddr::Tcp(args.redis_host.clone(), args.redis_port)
            .into_connection_info()
            .map(|info| info.set_redis_settings(settings))
            .and_then(Client::open)
            .map_err(|_| Error::config("REDIS_HOST and REDIS_PORT are no address"))
    }
}
