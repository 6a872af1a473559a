//! The daemon inside a sandbox: what E2B's SDKs know as `envd`, version 0.6.13.
//!
//! Serves one unix socket that only the host can reach. It runs as pid 1, in the sandbox's
//! namespaces and with the sandbox's few capabilities, so whatever a request makes it do stays
//! within the sandbox; each request acts with the credentials of the user that it names.

mod auth;
mod credentials;
pub(crate) mod files;
mod filesystem;
mod form;
mod metrics;
mod output;
pub(crate) mod path;
mod ports;
mod process;
mod reaper;
mod service;
pub(crate) mod signature;
mod terminal;
pub(crate) mod users;
mod watch;
mod watchers;
mod workers;
pub(crate) mod xattr;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};
use connectrpc::{CompressionRegistry, ConnectRpcService, GzipProvider, Limits};
use http::StatusCode;
use secrecy::SecretString;

use crate::boot::BootSpec;
use crate::drain::drained;
use crate::generated::filesystem::FilesystemExt as _;
use crate::generated::process::ProcessExt as _;
use crate::init::{Error, Step as _};
use crate::wire;

/// Largest message of a remote procedure call, in bytes. Files travel by `/files`.
const MAX_MESSAGE: usize = 16 << 20;

/// What every request handler shares.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) token: SecretString,
    pub(crate) envs: BTreeMap<String, String>,
    pub(crate) cpu_count: u32,
    pub(crate) memory_bytes: u64,
    pub(crate) address_space: Option<u64>,
    pub(crate) workers: workers::Workers,
    pub(crate) table: process::Table,
}

impl Daemon {
    pub(crate) fn new(spec: &BootSpec) -> io::Result<Self> {
        let mut envs = spec.envs.clone();
        envs.insert("E2B_SANDBOX".into(), "true".into());
        envs.insert("E2B_SANDBOX_ID".into(), spec.sandbox_id.clone());
        envs.insert("E2B_TEMPLATE_ID".into(), spec.template_id.clone());
        Ok(Self {
            token: SecretString::from(spec.access_token.clone()),
            envs,
            cpu_count: spec.cpu_count,
            memory_bytes: spec.memory_bytes,
            address_space: spec.address_space,
            workers: workers::Workers::start()?,
            table: process::Table::start()?,
        })
    }
}

/// Serves until the process is killed. `ready` is called once connections are accepted.
pub(crate) fn serve(
    spec: &BootSpec,
    listener: UnixListener,
    ready: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let daemon = Arc::new(Daemon::new(spec).step("start the daemon's threads")?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()
        .step("start the runtime")?;
    runtime.block_on(async {
        listener.set_nonblocking(true).step("prepare the listener")?;
        let listener = tokio::net::UnixListener::from_std(listener).step("take the listener")?;
        ready()?;
        axum::serve(listener, router(&daemon)).await.step("serve")
    })
}

/// The remote procedure calls.
pub(crate) fn calls(daemon: &Arc<Daemon>) -> ConnectRpcService {
    let calls = connectrpc::Router::new();
    let calls = Arc::new(service::Processes::new(Arc::clone(daemon))).register(calls);
    let calls = Arc::new(filesystem::Files::new(Arc::clone(daemon))).register(calls);
    let limits = Limits::default()
        .with_max_request_body_size(MAX_MESSAGE)
        .with_max_message_size(MAX_MESSAGE);
    let compression = CompressionRegistry::new().register(GzipProvider::default());
    ConnectRpcService::new(calls).with_limits(limits).with_compression(compression)
}

fn router(daemon: &Arc<Daemon>) -> Router {
    let calls =
        Router::new().fallback_service(calls(daemon)).layer(axum::middleware::from_fn(form::check));
    let compose = post(files::compose).layer(DefaultBodyLimit::max(files::MAX_COMPOSE_BODY));
    let guarded = Router::new()
        .route("/files/compose", compose)
        .route("/metrics", get(metrics::metrics))
        .route("/envs", get(metrics::envs))
        .fallback_service(calls)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(daemon), forget_exits))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(daemon), auth::require_token));
    // A file is downloaded by GET alone.
    let files =
        get(files::download).post(files::upload).head(|| async { StatusCode::METHOD_NOT_ALLOWED });
    Router::new()
        .route("/health", get(|| async { StatusCode::NO_CONTENT }))
        .route("/files", files)
        .merge(guarded)
        .layer(DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn(ports::forward))
        .layer(axum::middleware::map_request(|request| async { drained(request) }))
        .with_state(Arc::clone(daemon))
}

/// The edge asks for it where a rule says so; it lets the header through from no client.
async fn forget_exits(State(daemon): State<Arc<Daemon>>, request: Request, next: Next) -> Response {
    if request.headers().contains_key(wire::FORGET_EXITS_HEADER) {
        daemon.table.forget_ended();
    }
    next.run(request).await
}

/// How long the end of a process can still be asked for.
pub(crate) const EXIT_RETENTION: Duration = Duration::from_secs(30);
