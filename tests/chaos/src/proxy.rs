//! A TCP proxy that stands for a network: it can be cut, healed, and slow.
//!
//! A cut is silent, as a network's is: connections stay open and carry nothing, new ones are
//! accepted and carry nothing. Once healed, what was held back arrives, as TCP would send it again.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Result;

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    cut: bool,
    delay: Duration,
}

/// One link; dropping it ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    near: SocketAddr,
    state: watch::Sender<State>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// A link to `far`, whole and quick.
    pub async fn to(far: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let near = listener.local_addr()?;
        let (state, watched) = watch::channel(State { cut: false, delay: Duration::ZERO });
        let serving = tokio::spawn(async move {
            let mut links = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    Ok((caller, _)) = listener.accept() => {
                        links.spawn(link(caller, far, watched.clone()));
                    }
                    Some(_) = links.join_next() => {}
                }
            }
        });
        Ok(Self { near, state, serving })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.near
    }

    /// Nothing passes any more.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cut = true);
    }

    /// Everything passes again, also what was held back.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.cut = false);
    }

    /// Whatever passes takes this much longer.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn link(caller: TcpStream, far: SocketAddr, mut state: watch::Receiver<State>) {
    if state.wait_for(|state| !state.cut).await.is_err() {
        return;
    }
    // One that cannot be reached ends the caller's connection, as a reset would.
    let Ok(server) = TcpStream::connect(far).await else { return };
    drop((caller.set_nodelay(true), server.set_nodelay(true)));
    let (hears, says) = caller.into_split();
    let (answer, ask) = server.into_split();
    tokio::select! {
        () = carry(hears, ask, state.clone()) => {}
        () = carry(answer, says, state) => {}
    }
}

/// Carries bytes one way until either side ends.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let delay = state.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        // An end passes no cut either.
        if state.wait_for(|state| !state.cut).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    drop(state.wait_for(|state| !state.cut).await);
}
