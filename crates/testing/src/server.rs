//! One server of a test.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tempfile::TempDir;

/// How long a server may take to answer on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(20);

/// Starts the server, then waits for the end of standard input, which comes when the test lets go
/// of the pipe or dies in any way; then ends the server and removes its directory.
const WATCH: &str = r#"
dir=$1; shift
"$@" </dev/null >"$dir/log" 2>&1 &
server=$!
read -r _
kill -KILL "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf -- "$dir"
"#;

/// A running server; dropping it ends the server and removes its directory.
#[derive(Debug)]
pub struct RedisServer {
    watch: Child,
    dir: TempDir,
    binary: PathBuf,
    port: u16,
}

impl RedisServer {
    /// Starts `binary` with nothing kept on disk and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not answer within 20 seconds; the message ends with the server's log.
    pub fn start(binary: impl AsRef<Path>) -> Self {
        Self::start_with(binary, &[])
    }

    /// Like [`start`](Self::start), with more arguments of `redis-server`, such as
    /// `["--requirepass", "x"]`. The password itself is not used by [`connect`](Self::connect).
    pub fn start_with(binary: impl AsRef<Path>, args: &[&str]) -> Self {
        let binary = binary.as_ref();
        let deadline = Instant::now() + START_WITHIN;
        loop {
            // Another process may take the port in between; then the next one is tried.
            let mut server = Self::launch(binary, args);
            match server.wait_until_ready(deadline) {
                Ok(()) => return server,
                Err(log) => {
                    assert!(
                        Instant::now() < deadline,
                        "{} did not start; its log: {log}",
                        binary.display()
                    );
                }
            }
        }
    }

    fn launch(binary: &Path, args: &[&str]) -> Self {
        let dir = TempDir::with_prefix("airlock-redis-").expect("a directory for the server");
        let port = free_port();
        let watch = Command::new("/bin/sh")
            .args(["-c", WATCH, "watch"])
            .arg(dir.path())
            .arg(binary)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--daemonize", "no"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(dir.path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt of the test goes to its group; the watch outlives it to clean up.
            .process_group(0)
            .spawn()
            .expect("/bin/sh starts");
        Self { watch, dir, binary: binary.to_owned(), port }
    }

    /// The log if the server is not ours, has ended, or does not answer in time.
    fn wait_until_ready(&mut self, deadline: Instant) -> Result<(), String> {
        let log = self.dir.path().join("log");
        loop {
            let mut text = String::new();
            if let Ok(mut file) = std::fs::File::open(&log) {
                let _ = file.read_to_string(&mut text);
            }
            // The log is this server's own, so another server on the port cannot be mistaken for it.
            if text.contains("eady to accept connections") {
                return Ok(());
            }
            let failed = ["ddress already in use", "FATAL CONFIG", "not found", "xec format"];
            if failed.iter().any(|sign| text.contains(sign)) || Instant::now() >= deadline {
                return Err(text);
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// `redis://127.0.0.1:<port>/`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The program that runs.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// A new connection that reconnects by itself.
    pub async fn connect(&self) -> ConnectionManager {
        connect(&self.url()).await
    }

    /// Cuts every client's connection, as a network does; answers how many were cut.
    pub async fn cut_connections(&self) -> i64 {
        let mut own = self.connect().await;
        redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
            .query_async(&mut own)
            .await
            .expect("CLIENT KILL")
    }
}

/// A connection to `url` that reconnects by itself and is patient on a busy machine.
///
/// # Panics
///
/// If nothing answers there.
pub async fn connect(url: &str) -> ConnectionManager {
    let client = redis::Client::open(url).expect("a valid address");
    let config = ConnectionManagerConfig::new()
        .set_min_delay(Duration::from_millis(5))
        .set_connection_timeout(Some(Duration::from_secs(10)))
        .set_response_timeout(Some(Duration::from_secs(30)));
    ConnectionManager::new_with_config(client, config).await.expect("the server answers")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        let _ = self.watch.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port on loopback")
        .port()
}
