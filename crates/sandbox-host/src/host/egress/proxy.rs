//! The forward proxy of one sandbox: tunnels by CONNECT, plain HTTP by absolute address.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Version, header, uri};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Egress;
use super::addresses::is_blocked;
use super::hello::{Hello, server_name};
use super::rules::{ByName, Rules, normal};

/// Connections of one sandbox at a time; more wait.
const MAX_CONNECTIONS: usize = 256;

/// Longest time for a look-up and for each try to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest time that the first message of a tunnel may take.
const HELLO_TIMEOUT: Duration = Duration::from_secs(15);

/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// Addresses of one name that are tried.
const MAX_TRIES: usize = 4;

/// Headers that are about one connection, or for the proxy.
const HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
];

/// What the proxy of one sandbox goes by.
#[derive(Debug)]
pub(crate) struct Gate {
    egress: Mutex<Egress>,
    /// See [`crate::Config::allow_private_addresses`].
    allow_private: bool,
}

impl Gate {
    pub(crate) fn new(egress: Egress, allow_private: bool) -> Self {
        Self { egress: Mutex::new(egress), allow_private }
    }

    pub(crate) fn egress(&self) -> Egress {
        self.egress.lock().clone()
    }

    pub(crate) fn set(&self, egress: Egress) {
        *self.egress.lock() = egress;
    }

    /// Whether the rules of this moment allow a host by its name.
    fn allows_name(&self, host: &str, port: u16) -> bool {
        let Egress::Rules(rules) = self.egress() else { return false };
        normal(host).is_some_and(|host| rules.by_name(&host, port) == ByName::Allowed)
    }

    /// Opens a connection if the rules of this moment allow it.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Denied> {
        let Egress::Rules(rules) = self.egress() else { return Err(Denied::Rules) };
        let host = normal(host).ok_or(Denied::BadHost)?;
        let addresses = addresses(&rules, &host, port).await?;
        let count = addresses.len();
        let allowed = addresses.into_iter().filter(|at| !is_blocked(at.ip(), self.allow_private));
        let allowed: Vec<_> = allowed.take(MAX_TRIES).collect();
        if count > 0 && allowed.is_empty() {
            return Err(Denied::Address);
        }
        for address in allowed {
            let connecting = TcpStream::connect(address);
            if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                let _best_effort = stream.set_nodelay(true);
                return Ok(stream);
            }
        }
        Err(Denied::Unreachable)
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    BadHost,
    Rules,
    /// All addresses are out of bounds for every sandbox.
    Address,
    Unreachable,
}

impl Denied {
    fn answer(self, host: &str, port: u16) -> Response {
        let (status, why) = match self {
            Self::BadHost => (StatusCode::BAD_REQUEST, "is no host name"),
            Self::Rules => {
                (StatusCode::FORBIDDEN, "is not allowed by this sandbox's network rules")
            }
            Self::Address => {
                (StatusCode::FORBIDDEN, "has a private address, which no sandbox may reach")
            }
            Self::Unreachable => (StatusCode::BAD_GATEWAY, "cannot be reached"),
        };
        (status, format!("{host}:{port} {why}\n")).into_response()
    }
}

/// The addresses of a host that the rules allow.
async fn addresses(rules: &Rules, host: &str, port: u16) -> Result<Vec<SocketAddr>, Denied> {
    if let Ok(address) = host.parse::<IpAddr>() {
        let allowed = rules.by_address(address);
        return if allowed { Ok(vec![(address, port).into()]) } else { Err(Denied::Rules) };
    }
    let by_name = rules.by_name(host, port);
    if by_name == ByName::Denied {
        return Err(Denied::Rules);
    }
    let found = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((host, port))).await;
    let Ok(Ok(found)) = found else { return Err(Denied::Unreachable) };
    let mut found: Vec<_> = found.collect();
    if by_name == ByName::ByAddress {
        found.retain(|at| rules.by_address(at.ip()));
        if found.is_empty() {
            return Err(Denied::Rules);
        }
    }
    Ok(found)
}

/// Serves the proxy until `ending`; all its connections end then, too.
pub(crate) async fn serve(listener: TcpListener, gate: Arc<Gate>, ending: CancellationToken) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
            Some((permit, listener.accept().await))
        };
        let accepted = tokio::select! {
            biased;
            () = ending.cancelled() => return,
            accepted = accept => accepted,
        };
        let Some((permit, accepted)) = accepted else { return };
        let Ok((stream, _from)) = accepted else {
            // Out of descriptors, perhaps: not a reason to spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (gate, ending) = (Arc::clone(&gate), ending.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let tunnel = Arc::new(Mutex::new(None));
            let asked = (Arc::clone(&gate), Arc::clone(&tunnel));
            let service = hyper::service::service_fn(move |request| {
                let (gate, tunnel) = asked.clone();
                async move { Ok::<_, Infallible>(answer(&gate, request, &tunnel).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let all = async {
                let _client_gone = connection.await;
                let opened = tunnel.lock().take();
                if let Some(opened) = opened {
                    opened.join(&gate).await;
                }
            };
            tokio::select! {
                biased;
                () = ending.cancelled() => {}
                () = all => {}
            }
        });
    }
}

/// A tunnel that was granted, for when the answer has been written.
type Tunnel = Mutex<Option<Opened>>;

#[derive(Debug)]
struct Opened {
    upgrade: hyper::upgrade::OnUpgrade,
    stream: TcpStream,
    port: u16,
    /// It was granted for a name's sake, so it is for TLS and for allowed names alone.
    is_by_name: bool,
}

impl Opened {
    async fn join(mut self, gate: &Gate) {
        let Ok(upgraded) = self.upgrade.await else { return };
        let mut client = TokioIo::new(upgraded);
        if self.is_by_name {
            let first = tokio::time::timeout(HELLO_TIMEOUT, hello(&mut client)).await;
            let Ok(Some((name, bytes))) = first else { return };
            if !gate.allows_name(&name, self.port) {
                tracing::debug!(name, "a sandbox's tunnel asked for another host");
                return;
            }
            if self.stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _either_side_gone = tokio::io::copy_bidirectional(&mut client, &mut self.stream).await;
    }
}

/// Reads until the name of a TLS client is there: it, and all that was read.
async fn hello(client: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        match server_name(&bytes) {
            Hello::Name(name) => return Some((name, bytes)),
            Hello::Nameless => return None,
            Hello::More => {}
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn answer(gate: &Gate, mut request: Request<Incoming>, tunnel: &Tunnel) -> Response {
    let Some(authority) = request.uri().authority().cloned() else {
        let message = "this is a proxy: ask for a whole address or CONNECT\n";
        return (StatusCode::BAD_REQUEST, message).into_response();
    };
    let connect = request.method() == Method::CONNECT;
    let default = match request.uri().scheme_str() {
        Some("http") => Some(80),
        _ => None,
    };
    let (host, Some(port)) = (authority.host(), authority.port_u16().or(default)) else {
        return (StatusCode::BAD_REQUEST, "name a port\n").into_response();
    };
    if !connect && default.is_none() {
        return (StatusCode::BAD_REQUEST, "use CONNECT for all but http\n").into_response();
    }
    let stream = match gate.connect(host, port).await {
        Ok(stream) => stream,
        Err(denied) => {
            tracing::debug!(host, port, ?denied, "a sandbox's request was not let out");
            return denied.answer(host, port);
        }
    };
    if connect {
        let upgrade = hyper::upgrade::on(&mut request);
        let is_by_name = gate.allows_name(host, port);
        *tunnel.lock() = Some(Opened { upgrade, stream, port, is_by_name });
        return StatusCode::OK.into_response();
    }
    forward(stream, request, &authority)
        .await
        .unwrap_or_else(|| Denied::Unreachable.answer(host, port))
}

/// Sends a plain request on, under the name that was checked.
async fn forward(
    stream: TcpStream,
    mut request: Request<Incoming>,
    authority: &uri::Authority,
) -> Option<Response> {
    let path = request.uri().path_and_query().map_or("/", uri::PathAndQuery::as_str);
    *request.uri_mut() = path.parse().ok()?;
    *request.version_mut() = Version::HTTP_11;
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let headers = request.headers_mut();
    for name in HOP {
        headers.remove(name);
    }
    headers.insert(header::HOST, HeaderValue::from_str(host).ok()?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let mut answer = sender.send_request(request).await.ok()?;
    for name in HOP {
        answer.headers_mut().remove(name);
    }
    Some(answer.map(Body::new))
}
