//! The one connection to Redis that all stores share.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use secrecy::ExposeSecret;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cli::RedisArgs;
use crate::exit::Error;

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
) -> Result<ConnectionManager, Error> {
    let client = client(args)?;
    let address = shown(&client);
    let mut wait = FIRST_WAIT;
    loop {
        let problem = match once(&client).await {
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

async fn once(client: &Client) -> redis::RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_number_of_retries(2)
        .set_max_delay(Duration::from_secs(1));
    let mut connection = client.get_connection_manager_with_config(config).await?;
    redis::cmd("PING").exec_async(&mut connection).await?;
    Ok(connection)
}

/// A wrong password does not become right by waiting.
fn is_final(error: &redis::RedisError) -> bool {
    error.kind() == redis::ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

fn client(args: &RedisArgs) -> Result<Client, Error> {
    // The driver's own message may quote the address, which may hold the password.
    let opened = if let Some(url) = &args.redis_url {
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
    };
    opened
}

/// The address without credentials.
fn shown(client: &Client) -> String {
    client.get_connection_info().addr().to_string()
}
