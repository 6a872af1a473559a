//! A network that stalls when a test wants it: bytes wait, connections stay.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands between a worker and a server.
pub(crate) struct Proxy {
    near: SocketAddr,
    state: State,
}

#[derive(Clone)]
struct State {
    passes: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// One in front of `far`; everything passes.
    pub(crate) async fn to(far: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = listener.local_addr().unwrap();
        let passes = Arc::new(watch::Sender::new(true));
        let state = State { passes };
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(far).await else { continue };
                let (hears, says) = caller.into_split();
                let (answers, asks) = server.into_split();
                tokio::spawn(shared.clone().copy(hears, asks));
                tokio::spawn(shared.clone().copy(answers, says));
            }
        });
        Self { near, state }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.near
    }

    /// From now on nothing passes.
    pub(crate) fn stall(&self) {
        self.state.passes.send_replace(false);
    }

    /// What waited goes on.
    pub(crate) fn go_on(&self) {
        self.state.passes.send_replace(true);
    }
}

impl State {
    async fn copy(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut passes = self.passes.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let chunk = &buffer[..count];
            if passes.wait_for(|passes| *passes).await.is_err()
                || to.write_all(chunk).await.is_err()
            {
                break;
            }
        }
    }
}
