//! What an operator decides.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::faults::Fault;

/// Configuration of a [`crate::Host`].
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "switches that do not depend on each other")]
pub struct Config {
    /// Address of the control plane and of all sandboxes. Port 0 takes a free one. Another address
    /// than loopback serves everybody who has the key, without TLS: put a proxy in front.
    pub listen: SocketAddr,
    /// Clients send it as `X-API-Key`. E2B's own clients up to 2.45 accept `e2b_` + hex digits only.
    pub api_key: SecretString,
    /// Directory for the sandboxes' sockets; created with mode 0700.
    pub data_dir: PathBuf,
    /// Templates by name. E2B's clients ask for `base` when told nothing else.
    pub templates: BTreeMap<String, TemplateSource>,
    /// What all sandboxes together and each alone may use.
    pub limits: Limits,
    /// Path of `airlock-sandbox-init`; default: beside the current executable.
    pub init: Option<PathBuf>,
    /// Whether a sandbox that was created without a word on the internet shares the machine's
    /// network. Off by default, unlike at E2B: the network of this machine reaches everything that
    /// the machine does, services on loopback included.
    pub default_internet: bool,
    /// Whether a request may turn the network on at all: `allow_internet_access: true`, or rules
    /// that allow something, through the host's proxy.
    pub allow_internet: bool,
    /// Internet access means the host's proxy for all, not the machine's network: private addresses
    /// and metadata services are out of reach, and so is all that does not speak HTTP. Off by
    /// default.
    pub internet_by_proxy: bool,
    /// Whether network rules may allow private addresses, those of this machine included; metadata
    /// services stay out of reach. Off by default: for tests whose servers are on loopback.
    pub allow_private_addresses: bool,
    /// Rules that make requests fail on purpose, for tests (see [`crate::faults`]). `None`, the
    /// default: there are none and `/admin/faults` does not exist.
    pub faults: Option<Vec<Fault>>,
}

impl Config {
    /// A host with one template, `base`, made of this machine's own programs.
    pub fn new(listen: SocketAddr, api_key: SecretString, data_dir: PathBuf) -> Self {
        let base = ("base".to_owned(), TemplateSource::machine());
        Self {
            listen,
            api_key,
            data_dir,
            templates: BTreeMap::from([base]),
            limits: Limits::default(),
            init: None,
            default_internet: false,
            allow_internet: true,
            internet_by_proxy: false,
            allow_private_addresses: false,
            faults: None,
        }
    }
}

/// What a sandbox of a template is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSource {
    /// Where its programs come from.
    pub root: Root,
    /// Virtual processors; default 2.
    pub cpu_count: u32,
    /// Memory in MiB; default 512.
    pub memory_mb: u32,
    /// Most that its files may hold, in MiB; default 512. Files live in the machine's memory, so a
    /// sandbox may take the sum of both.
    pub disk_mb: u32,
}

/// Where a template's programs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// `/usr`, `/bin`, `/lib*`, `/opt` and a harmless part of `/etc` of this machine, read-only.
    Machine,
    /// The same directories, with all of `/etc`, below this one, read-only. It and the directories
    /// above it must be open to all users, since a sandbox has no rights outside itself.
    Directory(PathBuf),
}

impl TemplateSource {
    /// This machine's programs, with 2 processors and 512 MiB.
    pub fn machine() -> Self {
        Self { root: Root::Machine, cpu_count: 2, memory_mb: 512, disk_mb: 512 }
    }

    /// The programs below a directory, with 2 processors and 512 MiB.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self { root: Root::Directory(path.into()), ..Self::machine() }
    }
}

/// Limits of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sandboxes at the same time; more are refused with 429. At most 4096.
    pub sandboxes: usize,
    /// Longest time that a sandbox may be asked to live from now.
    pub max_timeout: Duration,
    /// Processes and threads of one sandbox, its daemon's eight included.
    pub processes: u64,
    /// Open files of one process.
    pub open_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sandboxes: 200,
            max_timeout: Duration::from_hours(24),
            processes: 1024,
            open_files: 65_536,
        }
    }
}
