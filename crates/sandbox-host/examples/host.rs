//! A host for the official E2B clients: `cargo run --example host -- 127.0.0.1:3000 e2b_0123`.
//!
//! ```sh
//! E2B_API_URL=http://127.0.0.1:3000 E2B_SANDBOX_URL=http://127.0.0.1:3000 E2B_API_KEY=e2b_0123 python app.py
//! ```

use std::error::Error;
use std::io::Write as _;

use airlock_sandbox_host::{Config, Host};
use secrecy::SecretString;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".into()).parse()?;
    let key = arguments.next().unwrap_or_else(|| format!("e2b_{}", "0".repeat(40)));
    let data = tempfile::tempdir()?;
    let mut config = Config::new(listen, SecretString::from(key), data.path().to_owned());
    // An example stands one directory below the programs.
    let own = std::env::current_exe()?;
    config.init = own.ancestors().nth(2).map(|dir| dir.join("airlock-sandbox-init"));
    let host = Host::start(config).await?;
    let mut out = std::io::stdout();
    for warning in host.warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    writeln!(out, "listening on http://{}", host.local_addr())?;
    tokio::signal::ctrl_c().await?;
    host.shutdown().await;
    Ok(())
}
