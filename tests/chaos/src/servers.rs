//! Temporal, Redis and the sandbox host: started, killed, and started again as they were.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::process::{Process, Programs, free_port};
use crate::{Result, template};

/// Key of every host here; it opens nothing but them.
pub const API_KEY: &str = "e2b_00000000000000000000000000000000000c4a05";

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The dev server, with its database in a file.
    Temporal,
    /// Every write is on disk before it is acknowledged.
    Redis,
    /// One that knows the chaos template.
    Host,
}

/// A server that can die and come back with the data that it had.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    programs: Programs,
    /// Its data and its log.
    folder: PathBuf,
    template: PathBuf,
    address: SocketAddr,
    process: Option<Process>,
}

impl Server {
    /// Starts one and waits until it answers.
    pub async fn start(
        kind: Kind,
        programs: &Programs,
        folder: &Path,
        template: &Path,
    ) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut server = Self {
            kind,
            programs: programs.clone(),
            folder: folder.to_owned(),
            template: template.to_owned(),
            address: free_port()?,
            process: None,
        };
        // Another process may take the port in between.
        for _ in 0..3 {
            if server.revive().await.is_ok() {
                return Ok(server);
            }
            server.address = free_port()?;
        }
        server.revive().await?;
        Ok(server)
    }

    /// Where it answers, also after it came back.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on its data.
    pub async fn revive(&mut self) -> Result<()> {
        let log = self.folder.join("log");
        let program = match self.kind {
            Kind::Temporal => &self.programs.temporal,
            Kind::Redis => &self.programs.redis,
            Kind::Host => &self.programs.airlock,
        };
        let arguments = self.arguments();
        let set = |command: &mut std::process::Command| {
            command.args(&arguments).env_remove("AIRLOCK_FAULTS");
        };
        let mut process = Process::start(&self.programs, program, set, &log)?;
        process.listens(self.address).await?;
        self.process = Some(process);
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        let folder = self.folder.display();
        let port = self.address.port();
        let text = match self.kind {
            Kind::Temporal => format!(
                "server start-dev --headless --ip 127.0.0.1 --log-level error --port {port} \
                 --db-filename {folder}/temporal.db"
            ),
            Kind::Redis => format!(
                "--bind 127.0.0.1 --port {port} --daemonize no --save  --appendonly yes \
                 --appendfsync always --dir {folder}"
            ),
            Kind::Host => format!(
                "sandbox host --listen {} --api-key {API_KEY} --template {}={} --data-dir \
                 {folder}/sandboxes --init {} --faults {folder}/faults.json",
                self.address,
                template::NAME,
                self.template.display(),
                self.programs.init.display(),
            ),
        };
        // An empty word is an argument too: `--save ""`.
        text.split(' ').map(str::to_owned).collect()
    }
}

/// Where the host of `folder` reads its fault rules.
pub fn faults_file(folder: &Path) -> PathBuf {
    folder.join("faults.json")
}
