//! The HTTP door: the six safety endpoints, health, readiness, metrics.
//!
//! It translates and nothing else: a body in `snake_case` becomes the engine's input, the engine's
//! answer becomes `snake_case` again, and a [`Failure`](airlock_contract::Failure) becomes RFC 9457
//! problem details. Paths and names are those of the earlier HTTP API, so its clients keep working.
//!
//! Invariants:
//! - on an address that is not loopback there is a token ([`Options::check`]), and every path but
//!   `/healthz` and `/readyz` asks for it;
//! - a body is at most [`MAX_BODY_BYTES`], and a bad one names every bad field.
#![forbid(unsafe_code)]

mod auth;
mod names;
mod problem;
mod routes;

use std::net::SocketAddr;

use airlock_engine::Engine;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Largest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// How the door is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The bearer token that callers must send; none only on loopback.
    pub token: Option<SecretString>,
}

/// What keeps the door from opening.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Anybody could spend the budgets.
    #[error("AIRLOCK_HTTP_LISTEN is {0}, which is not loopback; set AIRLOCK_HTTP_TOKEN as well")]
    TokenNeeded(SocketAddr),
    /// The address cannot be listened on.
    #[error("AIRLOCK_HTTP_LISTEN: cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The server ended.
    #[error("the HTTP server ended")]
    Serve(#[source] std::io::Error),
}

impl Options {
    /// Refuses what would be open to the network without a token.
    pub fn check(&self) -> Result<(), Error> {
        if self.listen.ip().is_loopback() || self.token.is_some() {
            Ok(())
        } else {
            Err(Error::TokenNeeded(self.listen))
        }
    }
}

/// A door that listens and is not served yet.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    token: Option<SecretString>,
}

impl Door {
    /// Begins to listen.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        options.check()?;
        let listener = TcpListener::bind(options.listen)
            .await
            .map_err(|error| Error::Listen(options.listen, error))?;
        Ok(Self { listener, token: options.token.clone() })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`; requests under way are finished.
    pub async fn serve(
        self,
        engine: Engine,
        metrics: Option<PrometheusHandle>,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        let router = routes::router(engine, metrics, self.token);
        axum::serve(self.listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
            .map_err(Error::Serve)
    }
}
