//! Child processes that cannot outlive the harness.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Result, Trouble};

/// A server may take this long to answer on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A child; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints goes to the end of `log`. It dies with this process, however
    /// that ends.
    pub fn start(
        programs: &Programs,
        program: &Path,
        set: impl FnOnce(&mut Command),
        log: &Path,
    ) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(&programs.airlock);
        command
            .args(["tether", "--parent", &std::process::id().to_string(), "--"])
            .arg(program)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C goes to the whole group of the terminal: what a run needs goes on.
            .process_group(0);
        set(&mut command);
        let child = command.spawn().map_err(|error| Trouble::new(program.display(), error))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Sends a signal; one that is over already takes none.
    pub fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            kill(Pid::from_raw(pid), signal).ok();
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it ends by itself, at most `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Option<std::process::ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            match self.ended() {
                None if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                ended => return ended,
            }
        }
    }

    /// Waits until it listens.
    pub async fn listens(&mut self, address: SocketAddr) -> Result<()> {
        let until = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = self.ended() {
                return Err(Trouble::new(
                    format_args!("a server ended ({status})"),
                    self.last_lines(),
                ));
            }
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Trouble::new("a server does not answer", self.last_lines()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of loopback that nobody listens on now.
pub fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Where the programs of a run are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The program under test, a debug build.
    pub airlock: PathBuf,
    /// The first process of a sandbox.
    pub init: PathBuf,
    /// `temporal`.
    pub temporal: PathBuf,
    /// Redis or Valkey.
    pub redis: PathBuf,
}

impl Programs {
    /// Beside this program, in `.dev/bin`, on PATH.
    pub fn find() -> Result<Self> {
        let exe = std::env::current_exe()?;
        let beside: Vec<PathBuf> = exe.ancestors().skip(1).take(2).map(Path::to_owned).collect();
        let dev = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.dev/bin");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let tools: Vec<PathBuf> =
            std::iter::once(dev).chain(std::env::split_paths(&path)).collect();
        let find = |folders: &[PathBuf], names: &[&str], remedy: &str| {
            let places = names.iter().flat_map(|name| folders.iter().map(move |f| f.join(name)));
            let found = places.into_iter().find(|place| place.is_file());
            found.ok_or_else(|| Trouble::new(format_args!("no {}", names.join(" or ")), remedy))
        };
        Ok(Self {
            airlock: find(&beside, &["airlock"], "run `make chaos`")?,
            init: find(&beside, &["airlock-sandbox-init"], "run `make chaos`")?,
            temporal: find(&tools, &["temporal"], "run `make tools`")?,
            redis: find(&tools, &["valkey-server", "redis-server"], "run `make tools`")?,
        })
    }
}
