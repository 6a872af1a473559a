//! How to reach Temporal: the standard `TEMPORAL_*` variables and profiles, and patience.
//!
//! What is wrong with the settings is found before anything is tried and names its variable. A
//! server that is not there yet is waited for, with one log line a try.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use temporalio_client::errors::ClientConnectError;
use temporalio_client::tonic::{Code, Status};
use temporalio_client::{ConnectionOptions, jittered};
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::error::Error;
use crate::profile;

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How long one try may take: a black hole answers nothing.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that has just been set up may not have its namespaces yet.
const NAMESPACE_PATIENCE: Duration = Duration::from_secs(10);

/// How to reach Temporal.
#[derive(Clone, Default)]
pub struct ConnectOptions {
    /// The environment that `TEMPORAL_*` variables are read from.
    pub env: HashMap<String, String>,
    /// Instead of `TEMPORAL_CONFIG_FILE`.
    pub config_file: Option<PathBuf>,
    /// Instead of `TEMPORAL_PROFILE`.
    pub profile: Option<String>,
    /// Instead of `TEMPORAL_ADDRESS`.
    pub address: Option<String>,
    /// Instead of `TEMPORAL_NAMESPACE`.
    pub namespace: Option<String>,
    /// How this process shows itself to Temporal. Default `PID@HOST`.
    pub identity: Option<String>,
    /// How long to wait for a server that does not answer. Default: for ever.
    pub give_up_after: Option<Duration>,
}

impl ConnectOptions {
    /// With the settings of this process's environment.
    pub fn from_env() -> Self {
        let temporal = |(name, _): &(String, String)| {
            name.starts_with("TEMPORAL_")
                || matches!(name.as_str(), "HOME" | "XDG_CONFIG_HOME" | "APPDATA" | "USERPROFILE")
        };
        Self { env: std::env::vars().filter(temporal).collect(), ..Self::default() }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be keys.
        f.debug_struct("ConnectOptions")
            .field("env", &self.env.keys())
            .field("config_file", &self.config_file)
            .field("profile", &self.profile)
            .field("address", &self.address)
            .field("namespace", &self.namespace)
            .field("identity", &self.identity)
            .field("give_up_after", &self.give_up_after)
            .finish()
    }
}

/// Connects, and waits for a server that does not answer yet.
///
/// # Errors
///
/// [`Error::Config`], [`Error::Unauthorized`] and [`Error::NamespaceNotFound`] need another
/// setting; [`Error::Unreachable`] after [`ConnectOptions::give_up_after`]; [`Error::Stopped`] when
/// `stop` comes first.
pub fn connect(
    options: ConnectOptions,
    stop: CancellationToken,
) -> BoxFuture<'static, Result<Connection, Error>> {
    Box::pin(async move {
        let (mut target, namespace) = profile::load(&options)?;
        target.identity = options.identity.clone().unwrap_or_else(default_identity);
        target.connect_timeout = Some(TRY_TIMEOUT / 2);
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Error::Stopped),
            connected = patiently(target, namespace, options.give_up_after) => connected,
        }
    })
}

fn default_identity() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("{}@{}", std::process::id(), host.as_deref().unwrap_or("unknown"))
}

async fn patiently(
    target: ConnectionOptions,
    namespace: String,
    give_up_after: Option<Duration>,
) -> Result<Connection, Error> {
    let address = target.target.to_string().trim_end_matches('/').to_owned();
    let began = Instant::now();
    let mut wait = FIRST_WAIT;
    loop {
        let (problem, known) = match once(&target, &address, &namespace).await {
            Ok(connection) => {
                tracing::info!(address, namespace, "connected to Temporal");
                return Ok(connection);
            }
            Err(Setback::Fatal(error)) => return Err(error),
            Err(Setback::NoNamespace(error)) => {
                ("the namespace is not there yet".to_owned(), Some(error))
            }
            Err(Setback::Transient(problem)) => (problem, None),
        };
        let patience = known.as_ref().map(|_| NAMESPACE_PATIENCE);
        let limit = give_up_after.into_iter().chain(patience).min();
        if let Some(waited) = limit.filter(|limit| began.elapsed() + wait > *limit) {
            let unreachable = || Error::Unreachable { address, waited, problem };
            return Err(known.unwrap_or_else(unreachable));
        }
        tracing::warn!(address, problem, again_in = ?wait, "cannot use Temporal yet");
        tokio::time::sleep(jittered(wait, 0.2)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Why one try did not succeed.
enum Setback {
    Fatal(Error),
    NoNamespace(Error),
    Transient(String),
}

async fn once(
    target: &ConnectionOptions,
    address: &str,
    namespace: &str,
) -> Result<Connection, Setback> {
    let connecting = temporalio_client::Connection::connect(target.clone());
    let connected = tokio::time::timeout(TRY_TIMEOUT, connecting).await;
    let connection = connected
        .map_err(|_| Setback::Transient("no answer".to_owned()))?
        .map_err(|error| classify(&error, address))?;
    let connection = Connection::new(connection, address.to_owned(), namespace.to_owned())
        .map_err(Setback::Fatal)?;
    match connection.check_namespace().await {
        Ok(()) => Ok(connection),
        Err(status) if status.code() == Code::NotFound => {
            Err(Setback::NoNamespace(connection.namespace_not_found()))
        }
        Err(status) => Err(classify_status(&status, address)),
    }
}

fn classify(error: &ClientConnectError, address: &str) -> Setback {
    let config = |variable: &str, problem: String| {
        Setback::Fatal(Error::Config { variable: variable.to_owned(), problem })
    };
    match error {
        ClientConnectError::SystemInfoCallError(status) => classify_status(status, address),
        ClientConnectError::InvalidUri(_) => {
            config("TEMPORAL_ADDRESS", format!("{address:?} is not an address; write host:port"))
        }
        ClientConnectError::InvalidHeaders(_) => config(
            "TEMPORAL_API_KEY or TEMPORAL_GRPC_META_*",
            "holds characters that a header cannot carry".to_owned(),
        ),
        ClientConnectError::InvalidConfig(problem) => config("TEMPORAL_*", problem.clone()),
        other => Setback::Transient(chain(other)),
    }
}

fn classify_status(status: &Status, address: &str) -> Setback {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            Setback::Fatal(Error::Unauthorized { address: address.to_owned() })
        }
        Code::Unimplemented => {
            Setback::Transient("something answers there that is not Temporal".to_owned())
        }
        _ => Setback::Transient(chain(status)),
    }
}

/// The innermost cause: the outer ones only say "transport error". Where the other side speaks TLS
/// and we do not, or the other way round, it says so.
fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    if text.contains("InvalidContentType") || text.contains("corrupt message") {
        return "the server does not speak TLS; set TEMPORAL_TLS=false or use its TLS port"
            .to_owned();
    }
    text.chars().take(300).collect()
}
