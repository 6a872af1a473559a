//! Where the tests run.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use airlock_e2b::{Client, Config, Sandbox};

/// A sandbox to test with, and what it takes to get rid of it.
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) sandbox: Sandbox,
    /// The Linux user that works in it.
    pub(crate) user: &'static str,
    /// A directory of that user's for this place alone.
    pub(crate) dir: String,
    _daemon: Daemon,
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
        let http = client(&base);
        wait_until_ready(&http).await;
        let body = r#"{"accessToken":"0123456789abcdef","defaultUser":"root"}"#;
        let answer = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = answer
            .post(format!("{base}/init"))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 204);
        let sandbox = http.attach("i1", "0123456789abcdef".to_owned().into(), None);
        let dir = tempfile::tempdir().unwrap().keep().to_str().unwrap().to_owned();
        Self { client: http, sandbox, user: "root", dir, _daemon: daemon }
    }
}

fn client(base: &str) -> Client {
    let mut config = Config::new(base.parse().unwrap(), "e2b_test".to_owned().into());
    config.sandbox_url = Some(base.parse().unwrap());
    Client::new(config).unwrap()
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
