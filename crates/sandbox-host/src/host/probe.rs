//! What isolation this machine offers.

use std::fs;

use super::cgroup::Groups;

/// The answer to "can sandboxes run here, and how well are they shut in?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What keeps sandboxes from running at all, each with its remedy.
    pub missing: Vec<String>,
    /// What makes them weaker than they could be.
    pub weaker: Vec<String>,
    /// Sandboxes have users of their own (a range of ids), not one id alone.
    pub uid_range: bool,
    /// Limits that cgroups enforce: memory, processes, processor time.
    pub cgroup_limits: bool,
}

impl Probe {
    /// Looks at this machine. Changes nothing but an empty parent cgroup, and runs nothing.
    pub fn run() -> Self {
        let mut missing = Vec::new();
        let mut weaker = Vec::new();
        let uid_range = nix::unistd::geteuid().is_root() && maps_all_ids();
        if number("/proc/sys/user/max_user_namespaces") == Some(0) {
            missing.push("user namespaces are off: sysctl user.max_user_namespaces=15000".into());
        }
        if !uid_range {
            for (file, off) in [
                ("/proc/sys/kernel/unprivileged_userns_clone", 0),
                ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 1),
            ] {
                if number(file) == Some(off) {
                    let key = file.trim_start_matches("/proc/sys/").replace('/', ".");
                    let remedy = format!("set {key}={} or run as root", 1 - off);
                    missing.push(format!("user namespaces need root here: {remedy}"));
                }
            }
            weaker.push(
                "not root: a sandbox has one user id, so `root` and `user` are the same in it and \
                 a command can change what the engine keeps beside it"
                    .into(),
            );
        }
        if !std::path::Path::new("/proc/self/ns/pid").exists() {
            missing.push("/proc is not mounted or has no namespaces".into());
        }
        if kernel() < (5, 12) {
            missing.push("Linux 5.12 or newer is needed for read-only views".into());
        }
        if !matches!(std::env::consts::ARCH, "x86_64" | "aarch64" | "riscv64") {
            missing.push(format!("no system call filter for {}", std::env::consts::ARCH));
        }
        let unlimited = Groups::find().missing();
        if !unlimited.is_empty() {
            weaker.push(format!(
                "no cgroup limits {} here: processes are limited one by one instead",
                unlimited.join(", ")
            ));
        }
        Self { missing, weaker, uid_range, cgroup_limits: unlimited.is_empty() }
    }
}

/// Whether this process may map ids that only the machine's own user namespace has.
fn maps_all_ids() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse().ok());
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}
