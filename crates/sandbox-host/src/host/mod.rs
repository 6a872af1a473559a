//! The host: control plane, edge and the owner of all sandboxes.

mod admin;
mod cgroup;
pub(crate) mod control;
pub(crate) mod edge;
pub(crate) mod egress;
mod idempotency;
mod launch;
pub(crate) mod listing;
mod messages;
mod metrics;
mod probe;
mod sandboxes;
mod tamper;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use probe::Probe;

use crate::faults::Faults;
use crate::{Config, Error};
use cgroup::Groups;
use sandboxes::Sandboxes;

/// How long open connections may take to end at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// A running host. Dropping it without [`Host::shutdown`] leaves the end of the sandboxes to the
/// end of the process, which ends them too.
#[derive(Debug)]
pub struct Host {
    address: SocketAddr,
    warnings: Vec<String>,
    sandboxes: Arc<Sandboxes>,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
    _lock: Flock<fs::File>,
}

impl Host {
    /// Starts a host: checks what isolation this machine offers, by building one sandbox, and
    /// serves.
    ///
    /// # Errors
    /// Whatever is missing for isolation is an error here. What merely weakens it is in
    /// [`Host::warnings`].
    pub async fn start(config: Config) -> Result<Self, Error> {
        let probe = Probe::run();
        if let Some(reason) = probe.missing.first() {
            return Err(Error::NoIsolation { reason: reason.clone() });
        }
        let init = init_path(&config)?;
        let lock = prepare_data_dir(&config.data_dir)?;
        let address = config.listen;
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
        let mut warnings = probe.weaker;
        warnings.extend(config_warnings(&config));
        let groups = Groups::find();
        groups.prune();
        let faults = config.faults.clone().map(Faults::new).transpose().map_err(Error::Faults)?;
        let sandboxes = Sandboxes::new(config, init, groups, probe.uid_range, faults);
        let sandboxes = Arc::new(sandboxes);
        sandboxes.try_out().await?;
        let stop = CancellationToken::new();
        let router = edge::router(&sandboxes, control::router(&sandboxes));
        let server =
            axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let server = tokio::spawn(server.into_future());
        Ok(Self { address, warnings, sandboxes, stop, server, _lock: lock })
    }

    /// Where it listens; the port is the one taken if the configuration left it open.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What this machine or this configuration makes weaker than it could be.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The fault rules, if the configuration has them on.
    pub fn faults(&self) -> Option<&Faults> {
        self.sandboxes.faults()
    }

    /// Kills every sandbox, waits until nothing of them is left, and stops listening.
    pub async fn shutdown(self) {
        self.sandboxes.close().await;
        self.stop.cancel();
        let stop = self.server.abort_handle();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.server).await.is_err() {
            stop.abort();
        }
    }
}

fn init_path(config: &Config) -> Result<PathBuf, Error> {
    let path = config.init.clone().unwrap_or_else(|| {
        let own = std::env::current_exe().unwrap_or_default();
        own.with_file_name("airlock-sandbox-init")
    });
    if path.is_file() { Ok(path) } else { Err(Error::InitMissing { path }) }
}

/// The data directory is one host's alone for as long as the lock is held; what an earlier host left
/// in it is of no use.
fn prepare_data_dir(path: &Path) -> Result<Flock<fs::File>, Error> {
    let failed = |source| Error::DataDir { path: path.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let lock = fs::File::create(path.join("lock")).map_err(failed)?;
    let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
        .map_err(|(_file, error)| failed(error.into()))?;
    let sandboxes = path.join("sandboxes");
    if sandboxes.exists() {
        fs::remove_dir_all(&sandboxes).map_err(failed)?;
    }
    fs::DirBuilder::new().mode(0o700).create(&sandboxes).map_err(failed)?;
    Ok(lock)
}

fn config_warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.faults.is_some() {
        let warning = "fault injection is on: whoever has the API key can make requests fail";
        warnings.push(warning.to_owned());
    }
    if config.default_internet && !config.internet_by_proxy {
        warnings.push(
            "sandboxes share this machine's network unless created without internet: they reach \
             what this machine reaches, services on loopback included"
                .to_owned(),
        );
    }
    if config.allow_internet {
        warnings.push(
            "network rules are enforced for HTTP and HTTPS, by a proxy: under rules other \
             protocols, and programs that ignore HTTP_PROXY, have no network; a tunnel to a host \
             allowed by name must begin with TLS for an allowed name, and is not looked into after \
             that (nor is an encrypted ClientHello); rules with header transforms, proxies or DNS \
             servers of their own turn the network off"
                .to_owned(),
        );
    }
    if config.allow_private_addresses {
        warnings.push(
            "network rules may allow private addresses: sandboxes may reach services of this \
             machine and of those around it"
                .to_owned(),
        );
    }
    if !config.listen.ip().is_loopback() {
        warnings.push(format!(
            "{} is reachable from other machines without TLS; put a proxy in front",
            config.listen
        ));
    }
    warnings
}
