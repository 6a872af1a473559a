//! Limits of memory, processes and processor time through cgroups, version 1 or 2.
//!
//! Each sandbox has its own group below the host's own one, so the host's limits hold for all
//! sandboxes together. Where no group can be made, [`Groups::missing`] says so and resource limits
//! of processes take its place, which is weaker.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Name of the directory that holds the sandboxes' groups.
const PARENT: &str = "airlock-sandboxes";

/// One period of processor time, in microseconds.
const PERIOD_US: u64 = 100_000;

/// Age from which an empty group belongs to nobody.
const STALE: Duration = Duration::from_mins(5);

/// What one sandbox may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) memory_bytes: u64,
    pub(crate) processes: u64,
    pub(crate) cpu_count: u32,
}

/// Where groups can be made on this machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups {
    /// Version 2: one directory has all controllers.
    unified: Option<PathBuf>,
    /// Version 1: a directory for each controller.
    memory: Option<PathBuf>,
    processes: Option<PathBuf>,
    cpu: Option<PathBuf>,
    cpu_accounting: Option<PathBuf>,
    freezer: Option<PathBuf>,
}

/// The groups of one sandbox; removed by [`Group::remove`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    directories: Vec<PathBuf>,
    memory: Option<PathBuf>,
    cpu_accounting: Option<PathBuf>,
    freezer: Option<PathBuf>,
    unified: bool,
}

impl Groups {
    /// Finds, and makes, the parents of all groups.
    pub(crate) fn find() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let root = Path::new("/sys/fs/cgroup");
        if root.join("cgroup.controllers").exists() {
            return Self { unified: unified(root, &own), ..Self::default() };
        }
        let parent = |controller: &str, file: &str| {
            let path = own.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let controllers = fields.next()?;
                let path = fields.next()?;
                controllers.split(',').any(|name| name == controller).then_some(path)
            });
            let base = root.join(controller);
            let candidates = [base.join(path?.trim_start_matches('/')), base];
            candidates.into_iter().map(|base| base.join(PARENT)).find(|parent| usable(parent, file))
        };
        Self {
            unified: None,
            memory: parent("memory", "memory.limit_in_bytes"),
            processes: parent("pids", "pids.max"),
            cpu: parent("cpu", "cpu.cfs_quota_us"),
            cpu_accounting: parent("cpuacct", "cpuacct.usage"),
            freezer: parent("freezer", "freezer.state"),
        }
    }

    /// Removes groups that a killed host left: empty, and too old to be about to be used.
    pub(crate) fn prune(&self) {
        let parents = [
            &self.unified,
            &self.memory,
            &self.processes,
            &self.cpu,
            &self.cpu_accounting,
            &self.freezer,
        ];
        for parent in parents.into_iter().flatten() {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let made = entry.metadata().and_then(|found| found.modified()).ok();
                let age = made.and_then(|made| made.elapsed().ok()).unwrap_or_default();
                if age > STALE && entry.path().is_dir() {
                    let _in_use = fs::remove_dir(entry.path());
                }
            }
        }
    }

    /// The limits that no group enforces here.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        if self.unified.is_some() {
            return Vec::new();
        }
        [("memory", &self.memory), ("processes", &self.processes), ("processor time", &self.cpu)]
            .into_iter()
            .filter(|(_, parent)| parent.is_none())
            .map(|(name, _)| name)
            .collect()
    }

    /// Whether memory is limited for a sandbox as a whole.
    pub(crate) fn limits_memory(&self) -> bool {
        self.unified.is_some() || self.memory.is_some()
    }

    /// Makes the groups of one sandbox and sets their limits.
    pub(crate) fn create(&self, id: &str, quota: &Quota) -> io::Result<Group> {
        let mut group = Group::default();
        let limited = self.limit(id, quota, &mut group);
        if limited.is_err() {
            group.remove();
        }
        limited.map(|()| group)
    }

    fn limit(&self, id: &str, quota: &Quota, group: &mut Group) -> io::Result<()> {
        let mut make = |parent: &Option<PathBuf>| -> io::Result<Option<PathBuf>> {
            let Some(parent) = parent else { return Ok(None) };
            let directory = parent.join(id);
            fs::create_dir(&directory)?;
            group.directories.push(directory.clone());
            Ok(Some(directory))
        };
        let cpu_us = u64::from(quota.cpu_count) * PERIOD_US;
        if let Some(directory) = make(&self.unified)? {
            fs::write(directory.join("memory.max"), quota.memory_bytes.to_string())?;
            let _no_swap = fs::write(directory.join("memory.swap.max"), "0");
            fs::write(directory.join("pids.max"), quota.processes.to_string())?;
            fs::write(directory.join("cpu.max"), format!("{cpu_us} {PERIOD_US}"))?;
            group.unified = true;
            group.memory = Some(directory.clone());
            group.cpu_accounting = Some(directory.clone());
            group.freezer = Some(directory);
            return Ok(());
        }
        group.memory = make(&self.memory)?;
        if let Some(directory) = &group.memory {
            let bytes = quota.memory_bytes.to_string();
            fs::write(directory.join("memory.limit_in_bytes"), &bytes)?;
            let _no_swap = fs::write(directory.join("memory.memsw.limit_in_bytes"), &bytes);
        }
        if let Some(directory) = make(&self.processes)? {
            fs::write(directory.join("pids.max"), quota.processes.to_string())?;
        }
        if let Some(directory) = make(&self.cpu)? {
            fs::write(directory.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
            fs::write(directory.join("cpu.cfs_quota_us"), cpu_us.to_string())?;
        }
        group.cpu_accounting = make(&self.cpu_accounting)?;
        group.freezer = make(&self.freezer)?;
        Ok(())
    }
}

/// Version 2: the first place where a group with all three controllers can be made.
fn unified(root: &Path, own: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    [root.join(own), root.to_owned()].into_iter().find_map(|base| {
        let parent = base.join(PARENT);
        let controllers = "+memory +pids +cpu";
        fs::write(base.join("cgroup.subtree_control"), controllers).ok()?;
        fs::create_dir_all(&parent).ok()?;
        fs::write(parent.join("cgroup.subtree_control"), controllers).ok()?;
        usable(&parent, "memory.max").then_some(parent)
    })
}

/// Whether a group with this limit can be made below `parent`: tried, since rights do not say.
fn usable(parent: &Path, file: &str) -> bool {
    static TRIAL: AtomicU32 = AtomicU32::new(0);
    let count = TRIAL.fetch_add(1, Ordering::Relaxed);
    let trial = parent.join(format!("trial-{}-{count}", std::process::id()));
    let made = fs::create_dir_all(parent).is_ok() && fs::create_dir(&trial).is_ok();
    let limited = made && trial.join(file).exists();
    let _not_made = fs::remove_dir(&trial);
    limited
}

impl Group {
    /// Puts a process, and all it will start, into the groups.
    pub(crate) fn add(&self, pid: i32) -> io::Result<()> {
        self.directories
            .iter()
            .try_for_each(|directory| fs::write(directory.join("cgroup.procs"), pid.to_string()))
    }

    /// Stops or continues every process of the sandbox; `false` where that cannot be done.
    pub(crate) fn freeze(&self, frozen: bool) -> bool {
        let Some(directory) = &self.freezer else { return false };
        let (file, state) = match (self.unified, frozen) {
            (true, true) => ("cgroup.freeze", "1"),
            (true, false) => ("cgroup.freeze", "0"),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        fs::write(directory.join(file), state).is_ok()
    }

    /// The file that must say `THAWED` before a frozen process can be killed (version 1 only).
    pub(crate) fn thaw_file(&self) -> Option<PathBuf> {
        let directory = self.freezer.as_ref().filter(|_| !self.unified)?;
        Some(directory.join("freezer.state"))
    }

    /// Bytes of memory in use, and of them cached files.
    pub(crate) fn memory(&self) -> Option<(u64, u64)> {
        let directory = self.memory.as_ref()?;
        let file = if self.unified { "memory.current" } else { "memory.usage_in_bytes" };
        let used = fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok()?;
        let stat = fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
        let key = if self.unified { "file " } else { "cache " };
        let cached = stat.lines().find_map(|line| line.strip_prefix(key)?.parse().ok());
        Some((used, cached.unwrap_or(0)))
    }

    /// Processor time used so far, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> Option<u64> {
        let directory = self.cpu_accounting.as_ref()?;
        if self.unified {
            let stat = fs::read_to_string(directory.join("cpu.stat")).ok()?;
            let us = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
            return us.parse::<u64>().ok().map(|us| us * 1000);
        }
        fs::read_to_string(directory.join("cpuacct.usage")).ok()?.trim().parse().ok()
    }

    /// Removes the groups; all their processes must be gone. `false` if one is left.
    pub(crate) fn remove(&self) -> bool {
        self.directories.iter().fold(true, |all, directory| {
            let gone = fs::remove_dir(directory)
                .or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })
                .is_ok();
            all && gone
        })
    }
}
