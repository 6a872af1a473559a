//! `airlock sandbox host`: the arguments, and a host that runs until it is told to stop.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use crate::{Config, Error, Fault, Host, Limits, Root, TemplateSource};

/// Where the host listens unless told otherwise.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);

/// Arguments of `airlock sandbox host`.
#[derive(Debug, Clone, clap::Args)]
pub struct HostArgs {
    /// Address of the control plane and of all sandboxes (set `E2B_API_URL` and `E2B_SANDBOX_URL` to
    /// it)
    #[arg(long, env = "AIRLOCK_SANDBOX_HOST_LISTEN", default_value_t = DEFAULT_LISTEN)]
    pub listen: SocketAddr,
    /// Key that clients send (their `E2B_API_KEY`): `e2b_` and 40 hex digits suits all of E2B's;
    /// one is made if it is absent
    #[arg(long, env = "AIRLOCK_SANDBOX_HOST_API_KEY", hide_env_values = true)]
    pub api_key: Option<SecretString>,
    /// A template and the directory of its programs; may be repeated. `base` is this machine's own
    /// programs unless given
    #[arg(long = "template", value_name = "NAME=DIR")]
    pub templates: Vec<Template>,
    /// Directory for the sandboxes' sockets; no two hosts share one
    #[arg(
        long,
        env = "AIRLOCK_SANDBOX_HOST_DATA_DIR",
        default_value = "/tmp/airlock-sandbox-host"
    )]
    pub data_dir: PathBuf,
    /// Share this machine's network with sandboxes that were created without a word on the internet
    #[arg(long)]
    pub internet: bool,
    /// Internet access means the host's proxy (HTTP and HTTPS, no private addresses), never this
    /// machine's network
    #[arg(long)]
    pub internet_by_proxy: bool,
    /// Never share this machine's network, whatever a request says
    #[arg(long, conflicts_with = "internet")]
    pub no_internet: bool,
    /// Virtual processors of each sandbox
    #[arg(long, default_value_t = 2)]
    pub cpus: u32,
    /// Memory of each sandbox, in MiB
    #[arg(long, default_value_t = 512)]
    pub memory_mb: u32,
    /// Most that a sandbox's files may hold, in MiB
    #[arg(long, default_value_t = 512)]
    pub disk_mb: u32,
    /// Most sandboxes at the same time
    #[arg(long, default_value_t = 200)]
    pub max_sandboxes: usize,
    /// File of fault rules (JSON), for tests: turns fault injection on
    #[arg(long, value_name = "FILE", value_parser = FaultFile::read)]
    pub faults: Option<FaultFile>,
    /// Path of `airlock-sandbox-init`; default: beside this program
    #[arg(long)]
    pub init: Option<PathBuf>,
}

/// One `NAME=DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// What clients ask for.
    pub name: String,
    /// Where its `usr`, `bin`, `lib` ... are.
    pub directory: PathBuf,
}

/// An argument that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// Not `NAME=DIR` with an absolute directory.
    #[error("--template: write NAME=DIR with an absolute directory, such as python=/srv/python")]
    Template,
    /// The file of fault rules cannot be used.
    #[error("{path}: {problem}")]
    Faults {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The rules of one file: a JSON array, or one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultFile(pub Vec<Fault>);

impl FaultFile {
    fn read(path: &str) -> Result<Self, CliError> {
        let failed = |problem: String| CliError::Faults { path: path.to_owned(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let many = text.trim_start().starts_with('[');
        let faults = if many {
            serde_json::from_str(&text)
        } else {
            serde_json::from_str(&text).map(|fault| vec![fault])
        };
        faults.map(Self).map_err(|error| failed(error.to_string()))
    }
}

impl FromStr for Template {
    type Err = CliError;

    fn from_str(text: &str) -> Result<Self, CliError> {
        let (name, directory) = text.split_once('=').ok_or(CliError::Template)?;
        let directory = PathBuf::from(directory);
        if name.is_empty() || !directory.is_absolute() {
            return Err(CliError::Template);
        }
        Ok(Self { name: name.to_owned(), directory })
    }
}

impl HostArgs {
    /// The configuration that the arguments mean.
    pub fn into_config(self) -> Config {
        let source = |root| TemplateSource {
            root,
            cpu_count: self.cpus,
            memory_mb: self.memory_mb,
            disk_mb: self.disk_mb,
        };
        let mut templates = BTreeMap::from([("base".to_owned(), source(Root::Machine))]);
        for template in &self.templates {
            let root = Root::Directory(template.directory.clone());
            templates.insert(template.name.clone(), source(root));
        }
        Config {
            listen: self.listen,
            api_key: self.api_key.unwrap_or_else(new_api_key),
            data_dir: self.data_dir,
            templates,
            limits: Limits {
                sandboxes: self.max_sandboxes,
                max_timeout: Duration::from_hours(24),
                ..Limits::default()
            },
            init: self.init,
            default_internet: self.internet,
            allow_internet: !self.no_internet,
            internet_by_proxy: self.internet_by_proxy,
            allow_private_addresses: false,
            faults: self.faults.map(|file| file.0),
        }
    }
}

/// A key of the form that all of E2B's clients accept: `e2b_` and 40 hex digits.
pub fn new_api_key() -> SecretString {
    SecretString::from(format!("e2b_{}", hex::encode(rand::random::<[u8; 20]>())))
}

/// Serves until `stop` resolves, then kills every sandbox. `started` gets the running host first,
/// to show its address and its warnings.
pub async fn serve_cli(
    args: HostArgs,
    started: impl FnOnce(&Host),
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let host = Host::start(args.into_config()).await?;
    started(&host);
    stop.await;
    host.shutdown().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Program {
        #[command(flatten)]
        args: HostArgs,
    }

    #[test]
    fn arguments_become_a_configuration() {
        let words =
            ["host", "--api-key", "e2b_1", "--template", "own=/srv/own", "--memory-mb", "64"];
        let config = Program::try_parse_from(words).unwrap().args.into_config();
        assert_eq!(config.listen, DEFAULT_LISTEN);
        assert!(!config.default_internet && config.allow_internet);
        assert_eq!(config.templates.keys().collect::<Vec<_>>(), ["base", "own"]);
        assert_eq!(config.templates["own"].root, Root::Directory("/srv/own".into()));
        assert_eq!(config.templates["base"].memory_mb, 64);
    }

    #[test]
    fn templates_are_name_and_absolute_directory() {
        for text in ["own", "=x", "own=relative"] {
            assert_eq!(text.parse::<Template>(), Err(CliError::Template), "{text}");
        }
    }
}
