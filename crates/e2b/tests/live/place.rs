//! Where the tests run.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use airlock_e2b::{Client, Config, CreateSandbox, Sandbox};
use airlock_sandbox_host::Host;
use tempfile::TempDir;

/// The token of upstream's daemon.
const TOKEN: &str = "0123456789abcdef";

/// A sandbox to test with, and what it takes to get rid of it.
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) sandbox: Sandbox,
    /// The Linux user that works in it.
    pub(crate) user: &'static str,
    /// A directory of that user's for this place alone.
    pub(crate) dir: String,
    api_url: String,
    backend: Backend,
}

/// What runs behind the client.
enum Backend {
    /// Upstream's daemon as a child process, and its directory.
    Upstream { _daemon: Daemon, _dir: TempDir },
    /// Airlock's host in this process, and its directory.
    Host { host: Host, _dir: TempDir },
    /// A service that was running before.
    Remote,
}

/// Keeps a daemon running for as long as it is held.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Place {
    /// The service that the environment names, else a host of our own.
    pub(crate) async fn service() -> Self {
        let (client, api_url, backend) = match std::env::var("E2B_API_URL") {
            Ok(api_url) => (remote(&api_url), api_url, Backend::Remote),
            Err(_) => host().await,
        };
        let sandbox = client.create(&spec()).await.unwrap();
        let dir = "/home/user/test place".to_owned();
        sandbox.make_dir(Some("user"), &dir).await.unwrap();
        Self { client, sandbox, user: "user", dir, api_url, backend }
    }

    /// Upstream's own envd on this machine, as root.
    pub(crate) async fn upstream() -> Self {
        let binary = std::env::var_os("AIRLOCK_TEST_ENVD").expect("AIRLOCK_TEST_ENVD is set");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let daemon = Command::new(binary)
            .args(["-isnotfc", "-no-cgroups", "-port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Daemon(daemon);
        let base = format!("http://127.0.0.1:{port}");
        let client = client(&base, &base, "e2b_test");
        wait_until_ready(&client).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let init = http
            .post(format!("{base}/init"))
            .header("content-type", "application/json")
            .body(format!(r#"{{"accessToken":"{TOKEN}","defaultUser":"root"}}"#));
        assert_eq!(init.send().await.unwrap().status(), 204);
        let sandbox = client.attach("i1", TOKEN.to_owned().into(), None);
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().to_str().unwrap().to_owned();
        let backend = Backend::Upstream { _daemon: daemon, _dir: temporary };
        Self { client, sandbox, user: "root", dir, api_url: base, backend }
    }

    /// A client of the same service with a key that it does not know.
    pub(crate) fn stranger(&self) -> Client {
        let key = "e2b_ffffffffffffffffffffffffffffffffffffffff";
        client(&self.api_url, &self.api_url, key)
    }

    /// Leaves nothing behind.
    pub(crate) async fn finish(self) {
        if !matches!(self.backend, Backend::Upstream { .. }) {
            self.client.kill(self.sandbox.id()).await.unwrap();
        }
        if let Backend::Host { host, _dir } = self.backend {
            host.shutdown().await;
        }
    }
}

/// A sandbox that ends by itself if a test forgets it.
pub(crate) fn spec() -> CreateSandbox {
    let template = std::env::var("E2B_TEST_TEMPLATE").unwrap_or_else(|_| "base".to_owned());
    CreateSandbox::new(template, Duration::from_mins(2))
}

fn client(api_url: &str, sandbox_url: &str, key: &str) -> Client {
    let mut config = Config::new(api_url.parse().unwrap(), key.to_owned().into());
    config.sandbox_url = Some(sandbox_url.parse().unwrap());
    Client::new(config).unwrap()
}

fn remote(api_url: &str) -> Client {
    let key = std::env::var("E2B_API_KEY").expect("E2B_API_KEY goes with E2B_API_URL");
    let mut config = Config::new(api_url.parse().unwrap(), key.into());
    config.sandbox_url = std::env::var("E2B_SANDBOX_URL").ok().map(|url| url.parse().unwrap());
    Client::new(config).unwrap()
}

async fn host() -> (Client, String, Backend) {
    let dir = tempfile::tempdir().unwrap();
    let key = "e2b_0123456789abcdef0123456789abcdef01234567";
    let address = "127.0.0.1:0".parse().unwrap();
    let mut config =
        airlock_sandbox_host::Config::new(address, key.to_owned().into(), dir.path().into());
    config.init = Some(airlock_testing::sandbox_init());
    let host = Host::start(config).await.unwrap();
    let base = format!("http://{}", host.local_addr());
    (client(&base, &base, key), base, Backend::Host { host, _dir: dir })
}

async fn wait_until_ready(client: &Client) {
    for _ in 0..200 {
        if client.health().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the daemon did not become ready within 5 s");
}
