//! Temporal and Redis as child processes.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::exit::Error;

/// A server may take this long to answer; a slow disk is no reason to give up.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A server may take this long to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running server: stopped by [`Server::stop`], killed when dropped or when we die.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// Where a program is: PATH, then `.dev/bin` of this folder, then beside this program.
pub(crate) fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let dev = std::env::current_dir().ok().map(|folder| folder.join(".dev/bin"));
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(dev).chain(beside).collect();
    names.iter().find_map(|name| {
        folders.iter().map(|folder| folder.join(name)).find(|program| program.is_file())
    })
}

fn require(names: &[&str]) -> Result<PathBuf, Error> {
    find_program(names).ok_or_else(|| {
        Error::failed(format_args!(
            "no {} on PATH or in .dev/bin; run `make tools`, or install it",
            names.join(" or ")
        ))
    })
}

/// The `temporal` command.
pub(crate) fn temporal_cli() -> Result<PathBuf, Error> {
    require(&["temporal"])
}

impl Server {
    /// Starts Redis (or Valkey) with its data in `folder`.
    pub(crate) async fn redis(port: u16, folder: &Path) -> Result<Self, Error> {
        let program = require(&["redis-server", "valkey-server"])?;
        fs::create_dir_all(folder)?;
        let mut command = tethered(&program)?;
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"])
            .args(["--appendonly", "yes", "--save", "", "--dir"])
            .arg(folder);
        Self::start("redis", command, folder, port).await
    }

    /// Starts Temporal's dev server with its data in `folder`.
    pub(crate) async fn temporal(
        port: u16,
        ui_port: Option<u16>,
        folder: &Path,
    ) -> Result<Self, Error> {
        let program = temporal_cli()?;
        fs::create_dir_all(folder)?;
        let mut command = tethered(&program)?;
        command
            .args(["server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"])
            .args(["--port", &port.to_string(), "--db-filename"])
            .arg(folder.join("temporal.db"));
        match ui_port {
            Some(ui_port) => command.args(["--ui-port", &ui_port.to_string()]),
            None => command.arg("--headless"),
        };
        Self::start("temporal", command, folder, port).await
    }

    async fn start(
        name: &'static str,
        mut command: Command,
        folder: &Path,
        port: u16,
    ) -> Result<Self, Error> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C goes to the whole group of the terminal: the order of stopping is ours.
            .process_group(0)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|error| Error::failed(format_args!("{name} could not be started: {error}")))?;
        let mut server = Self { name, child, log };
        server.wait_for(port).await?;
        Ok(server)
    }

    async fn wait_for(&mut self, port: u16) -> Result<(), Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let until = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(Error::failed(format_args!(
                    "{} ended at once ({status}):\n{}",
                    self.name,
                    self.last_lines()
                )));
            }
            if TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Error::failed(format_args!(
                    "{} does not answer on {address}:\n{}",
                    self.name,
                    self.last_lines()
                )));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Resolves when the server ends by itself.
    pub(crate) async fn ended(&mut self) -> Error {
        let status = self.child.wait().await;
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        Error::failed(format_args!("{} ended ({status}):\n{}", self.name, self.last_lines()))
    }

    /// Asks the server to end, and kills it if it does not.
    pub(crate) async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid {
            // One that has ended already is no failure.
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        if timeout(STOP_LIMIT, self.child.wait()).await.is_err() {
            drop(self.child.kill().await);
        }
    }

    fn last_lines(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

/// `program`, started so that it dies with us.
fn tethered(program: &Path) -> Result<Command, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["tether", "--parent", &std::process::id().to_string(), "--"]).arg(program);
    Ok(command)
}
