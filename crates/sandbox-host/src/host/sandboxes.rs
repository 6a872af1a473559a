//! The sandboxes of a host: created, found, kept until their time is over, ended.
//!
//! Each sandbox has one task that owns its processes and waits for the first of: the end of its
//! time, a kill, its own death. Whatever comes first, the same clean-up follows, and only then is
//! [`Sandbox::gone`] told to those who wait for it. From the first moment of the end requests do
//! not find the sandbox any more and streams of it are cut.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cgroup::{Group, Groups, Quota};
use super::egress::{self, Egress, Gate};
use super::launch::{self, Launched, SLOTS, Socket};
use crate::Error;
use crate::boot::BootSpec;
use crate::config::{Config, Root, TemplateSource};
use crate::faults::Faults;

/// How long the processes of a sandbox may take to be gone after SIGKILL.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Memory for the daemon of a sandbox, in bytes.
const OVERHEAD: u64 = 24 << 20;

/// What a client asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) template: String,
    pub(crate) timeout: Duration,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) envs: BTreeMap<String, String>,
    pub(crate) allow_internet_access: Option<bool>,
    pub(crate) network: Option<serde_json::Value>,
    /// What the two fields above mean here.
    pub(crate) egress: Egress,
    pub(crate) auto_pause: bool,
}

/// One sandbox.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) id: String,
    pub(crate) wanted: Wanted,
    pub(crate) token: SecretString,
    pub(crate) template: TemplateSource,
    pub(crate) started_at: Timestamp,
    pub(crate) socket: Socket,
    pub(crate) group: Group,
    pub(crate) life: watch::Sender<Life>,
    /// What it may reach now.
    pub(crate) gate: Arc<Gate>,
    /// It was built into the machine's network, for good.
    pub(crate) shares_network: bool,
    /// What its detail shows of internet access and rules.
    pub(crate) shown: Mutex<Shown>,
    /// Cancelled at the first moment of the end.
    pub(crate) ending: CancellationToken,
    /// Cancelled when nothing of the sandbox is left.
    pub(crate) gone: CancellationToken,
    slot: u32,
}

/// Until when a sandbox lives, and whether it is stopped meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) end_at: Timestamp,
    pub(crate) paused: bool,
}

/// What was last asked for about the network.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) internet: Option<bool>,
    pub(crate) network: Option<serde_json::Value>,
}

#[derive(Debug, Default)]
struct State {
    live: HashMap<String, Arc<Sandbox>>,
    /// Slots in use, by those being created, too.
    slots: std::collections::BTreeSet<u32>,
    closed: bool,
}

/// Why a sandbox was not created.
#[derive(Debug)]
pub(crate) enum Refusal {
    UnknownTemplate,
    TooMany,
    Closed,
    Failed(Error),
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Sandboxes {
    config: Config,
    init: PathBuf,
    groups: Groups,
    uid_range: bool,
    faults: Option<Faults>,
    state: Mutex<State>,
    tasks: TaskTracker,
}

impl Sandboxes {
    pub(crate) fn new(
        config: Config,
        init: PathBuf,
        groups: Groups,
        uid_range: bool,
        faults: Option<Faults>,
    ) -> Self {
        let (state, tasks) = (Mutex::default(), TaskTracker::new());
        Self { config, init, groups, uid_range, faults, state, tasks }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn faults(&self) -> Option<&Faults> {
        self.faults.as_ref()
    }

    /// A sandbox that has not begun to end.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Sandbox>> {
        let short = id.split('-').next().unwrap_or_default();
        let found = self.state.lock().live.get(short).cloned();
        found.filter(|sandbox| !sandbox.ending.is_cancelled())
    }

    pub(crate) fn all(&self) -> Vec<Arc<Sandbox>> {
        let mut all = self.state.lock().live.values().cloned().collect::<Vec<_>>();
        all.retain(|sandbox| !sandbox.ending.is_cancelled());
        all
    }

    /// Builds one sandbox and ends it, so that what is missing shows now and not at the first use.
    pub(crate) async fn try_out(self: &Arc<Self>) -> Result<(), Error> {
        let Some(template) = self.config.templates.keys().next() else { return Ok(()) };
        let wanted = Wanted {
            template: template.clone(),
            timeout: Duration::from_mins(1),
            metadata: BTreeMap::new(),
            envs: BTreeMap::new(),
            allow_internet_access: Some(false),
            network: None,
            egress: Egress::Nothing,
            auto_pause: false,
        };
        match self.create(wanted).await {
            Ok(sandbox) => {
                sandbox.kill().await;
                Ok(())
            }
            Err(Refusal::Failed(error)) => {
                let causes =
                    std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
                        error.source()
                    });
                let reason = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
                Err(Error::NoIsolation { reason })
            }
            Err(Refusal::UnknownTemplate | Refusal::TooMany | Refusal::Closed) => Ok(()),
        }
    }

    /// Creates a sandbox and waits until it accepts requests.
    pub(crate) async fn create(self: &Arc<Self>, wanted: Wanted) -> Result<Arc<Sandbox>, Refusal> {
        let template = self.config.templates.get(&wanted.template);
        let template = template.ok_or(Refusal::UnknownTemplate)?.clone();
        let slot = self.take_slot()?;
        // On its own, so that a client that goes away leaves no half of a sandbox.
        let creating = self.tasks.spawn(Arc::clone(self).build(wanted, template, slot));
        let failed = |error: tokio::task::JoinError| {
            Refusal::Failed(Error::Build { reason: error.to_string() })
        };
        creating.await.map_err(failed)?
    }

    fn take_slot(&self) -> Result<u32, Refusal> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refusal::Closed);
        }
        if state.slots.len() >= self.config.limits.sandboxes {
            return Err(Refusal::TooMany);
        }
        let free = (0..SLOTS).find(|slot| !state.slots.contains(slot)).ok_or(Refusal::TooMany)?;
        state.slots.insert(free);
        Ok(free)
    }

    async fn build(
        self: Arc<Self>,
        wanted: Wanted,
        template: TemplateSource,
        slot: u32,
    ) -> Result<Arc<Sandbox>, Refusal> {
        let built = self.start(wanted, template, slot).await;
        let (sandbox, keeper, control) = match built {
            Ok(built) => built,
            Err(error) => {
                self.state.lock().slots.remove(&slot);
                return Err(Refusal::Failed(error));
            }
        };
        let closed = {
            let mut state = self.state.lock();
            if !state.closed {
                state.live.insert(sandbox.id.clone(), Arc::clone(&sandbox));
            }
            state.closed
        };
        if closed {
            sandbox.ending.cancel();
        }
        self.tasks.spawn(Arc::clone(&self).keep(Arc::clone(&sandbox), keeper, control));
        if closed { Err(Refusal::Closed) } else { Ok(sandbox) }
    }

    async fn start(
        &self,
        wanted: Wanted,
        template: TemplateSource,
        slot: u32,
    ) -> Result<(Arc<Sandbox>, tokio::process::Child, tokio::net::UnixStream), Error> {
        let id = new_id();
        let token = SecretString::from(new_token());
        let mut spec = self.spec(&id, &token, &wanted, &template);
        let quota = Quota {
            // Files live in memory, so what they may take comes on top.
            memory_bytes: spec.memory_bytes + spec.disk_bytes + OVERHEAD,
            processes: spec.processes,
            cpu_count: template.cpu_count,
        };
        let group = self.groups.create(&id, &quota).map_err(|source| Error::System {
            step: "cannot create the sandbox's cgroups",
            source,
        })?;
        spec.thaw = group.thaw_file();
        let directory = self.config.data_dir.join("sandboxes").join(&id);
        let launched = launch::launch(&self.init, directory, &spec, slot, &group).await;
        let Launched { keeper, control, socket, proxy } = match launched {
            Ok(launched) => launched,
            Err(error) => {
                remove_group(&group).await;
                return Err(error);
            }
        };
        let started_at = Timestamp::now();
        let life = Life { end_at: started_at + wanted.timeout, paused: false };
        let shown =
            Shown { internet: wanted.allow_internet_access, network: wanted.network.clone() };
        let allow_private = self.config.allow_private_addresses;
        let gate = Arc::new(Gate::new(wanted.egress.clone(), allow_private));
        let ending = CancellationToken::new();
        if let Some(proxy) = proxy {
            self.tasks.spawn(egress::serve(proxy, Arc::clone(&gate), ending.clone()));
        }
        let sandbox = Sandbox {
            id,
            wanted,
            token,
            template,
            started_at,
            socket,
            group,
            life: watch::Sender::new(life),
            gate,
            shares_network: spec.share_network,
            shown: Mutex::new(shown),
            ending,
            gone: CancellationToken::new(),
            slot,
        };
        Ok((Arc::new(sandbox), keeper, control))
    }

    fn spec(
        &self,
        id: &str,
        token: &SecretString,
        wanted: &Wanted,
        template: &TemplateSource,
    ) -> BootSpec {
        let limits = &self.config.limits;
        let memory_bytes = u64::from(template.memory_mb) << 20;
        BootSpec {
            sandbox_id: id.to_owned(),
            template_id: wanted.template.clone(),
            access_token: token.expose_secret().to_owned(),
            envs: wanted.envs.clone(),
            root: match &template.root {
                Root::Machine => PathBuf::from("/"),
                Root::Directory(path) => path.clone(),
            },
            machine_root: template.root == Root::Machine,
            share_network: wanted.egress == Egress::Machine,
            disk_bytes: u64::from(template.disk_mb) << 20,
            inodes: u64::from(template.disk_mb).saturating_mul(256),
            uid_range: self.uid_range,
            processes: limits.processes,
            open_files: limits.open_files,
            address_space: (!self.groups.limits_memory()).then_some(memory_bytes),
            cpu_count: template.cpu_count,
            memory_bytes,
            thaw: None,
        }
    }

    /// Owns a sandbox's processes to their end.
    async fn keep(
        self: Arc<Self>,
        sandbox: Arc<Sandbox>,
        mut keeper: tokio::process::Child,
        control: tokio::net::UnixStream,
    ) {
        let mut life = sandbox.life.subscribe();
        loop {
            let Life { end_at, paused } = *life.borrow_and_update();
            let left = Duration::try_from(end_at.duration_since(Timestamp::now()));
            tokio::select! {
                biased;
                () = sandbox.ending.cancelled() => break,
                _exited = keeper.wait() => break,
                _changed = life.changed() => {}
                () = tokio::time::sleep(left.unwrap_or_default()), if !paused => {
                    let now = sandbox.life.borrow().end_at;
                    if now > end_at {
                        continue;
                    }
                    if sandbox.wanted.auto_pause && sandbox.pause() {
                        continue;
                    }
                    break;
                }
            }
        }
        self.state.lock().live.remove(&sandbox.id);
        sandbox.ending.cancel();
        // Frozen processes do not die.
        sandbox.group.freeze(false);
        drop(control);
        if tokio::time::timeout(END_TIMEOUT, keeper.wait()).await.is_err() {
            tracing::warn!(sandbox = %sandbox.id, "sandbox did not end in time; killing its keeper");
            let _killed = keeper.kill().await;
        }
        remove_group(&sandbox.group).await;
        sandbox.socket.remove();
        self.state.lock().slots.remove(&sandbox.slot);
        sandbox.gone.cancel();
    }

    /// Ends all sandboxes and waits until nothing of them is left; none can be created any more.
    pub(crate) async fn close(&self) {
        let live = {
            let mut state = self.state.lock();
            state.closed = true;
            state.live.values().cloned().collect::<Vec<_>>()
        };
        for sandbox in live {
            sandbox.ending.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Sandbox {
    /// Ends it and waits until nothing of it is left.
    pub(crate) async fn kill(&self) {
        self.ending.cancel();
        self.gone.cancelled().await;
    }

    /// Stops all its processes and its time; `false` where that cannot be done.
    pub(crate) fn pause(&self) -> bool {
        let frozen = self.group.freeze(true);
        if frozen {
            self.life.send_modify(|life| life.paused = true);
        }
        frozen
    }

    /// Lets its processes go on, until `end_at`.
    pub(crate) fn resume(&self, end_at: Timestamp) {
        self.group.freeze(false);
        self.life.send_modify(|life| *life = Life { end_at, paused: false });
    }
}

async fn remove_group(group: &Group) {
    // The kernel lets go of a group a moment after its last process.
    for _ in 0..50 {
        if group.remove() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tracing::warn!(?group, "a cgroup of an ended sandbox could not be removed");
}

fn new_id() -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let letters = (0..20).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())]));
    std::iter::once('i').chain(letters).collect()
}

fn new_token() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_tokens_have_the_form_that_clients_expect() {
        let id = new_id();
        assert_eq!(id.len(), 21);
        assert!(id.starts_with('i') && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
        assert_eq!(new_token().len(), 64);
        assert_ne!(new_token(), new_token());
    }
}
