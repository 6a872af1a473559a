//! A development server for the tests of this binary.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use airlock_activities::{ConnectOptions, Connection, connect};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// A running server; killed with the last of its users.
pub(crate) struct Server {
    child: Mutex<Child>,
    address: String,
    binary: PathBuf,
}

static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    /// The server that tests of this process share while they run side by side.
    pub(crate) fn shared() -> Arc<Self> {
        let mut running = RUNNING.lock();
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *running = Arc::downgrade(&server);
            server
        })
    }

    /// One of its own, for a test that ends it.
    pub(crate) fn start() -> Self {
        let binary = binary();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The shell ends the server when its standard input closes, so also when the test is
        // killed.
        let script = r#""$0" "$@" & server=$!; read -r _; kill "$server"; wait "$server""#;
        let child = Command::new("sh")
            .args(["-c", script])
            .arg(&binary)
            .args(["server", "start-dev", "--headless", "--ip", "127.0.0.1"])
            .args(["--log-level", "never", "--port", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child: Mutex::new(child), address: format!("127.0.0.1:{port}"), binary }
    }

    /// Connects, waiting until it is up.
    pub(crate) async fn connect(&self) -> Connection {
        // Logs of one test: `RUST_LOG=debug cargo test ... -- --nocapture NAME`.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _set_already = tracing_subscriber::fmt().with_env_filter(filter).try_init();
        connect(options(&self.address), CancellationToken::new()).await.unwrap()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Runs the `temporal` command line against it; gives its output.
    pub(crate) async fn cli(&self, arguments: &[&str]) -> String {
        let output = tokio::process::Command::new(&self.binary)
            .args(arguments)
            .args(["--address", &self.address])
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "temporal {arguments:?}: {text}{errors}");
        text
    }
}

/// How to reach `address`, whatever the machine's own settings are.
pub(crate) fn options(address: &str) -> ConnectOptions {
    ConnectOptions {
        env: [("TEMPORAL_CONFIG_FILE".to_owned(), "/dev/null".to_owned())].into(),
        address: Some(address.to_owned()),
        give_up_after: Some(Duration::from_mins(1)),
        ..ConnectOptions::default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        drop(child.stdin.take());
        let _status = child.wait();
    }
}

/// `AIRLOCK_TEST_TEMPORAL`, the workspace's own tools, or PATH.
fn binary() -> PathBuf {
    let named = std::env::var_os("AIRLOCK_TEST_TEMPORAL").map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.dev/bin/temporal");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("temporal"));
    let found = named.into_iter().chain([own]).chain(on_path).find(|file| file.is_file());
    found.expect("the `temporal` command line is needed: run `make tools`")
}
