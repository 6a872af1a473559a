//! What host and init say to each other while a sandbox starts, as JSON lines over one socket.
//!
//! ```text
//! host -> init   BootSpec
//! init -> host   Mapping            "write my uid and gid maps"
//! host -> init   (any line)         done
//! init -> host   Forked             "put this process into its cgroups" (the keeper says it)
//! host -> init   (any line)         done (pid 1 hears it)
//! init -> host   Ready, with the proxy's listening socket if the network is empty | Failed
//! ```
//! After that nothing is said: the host closes its end to end the sandbox, and the kernel closes it
//! when the host dies. The init never trusts anything but this socket with its configuration: its
//! arguments and its environment are empty.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Longest line either side reads, in bytes.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// How many user and group ids a sandbox has when the host may map a range.
pub(crate) const UID_RANGE: u32 = 65_536;

/// Everything the init needs to know to build one sandbox.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BootSpec {
    pub(crate) sandbox_id: String,
    pub(crate) template_id: String,
    /// Secret: never in an argument, an environment or a log.
    pub(crate) access_token: String,
    pub(crate) envs: BTreeMap<String, String>,
    /// The directory whose `usr`, `bin`, `lib` ... the sandbox sees read-only.
    pub(crate) root: PathBuf,
    /// The root is the running machine's own, so only named parts of `/etc` are shown.
    pub(crate) machine_root: bool,
    /// Keep the host's network instead of an empty one.
    pub(crate) share_network: bool,
    pub(crate) disk_bytes: u64,
    pub(crate) inodes: u64,
    /// Ids 0..65536 are mapped; otherwise 0 alone, and `user` is root without rights.
    pub(crate) uid_range: bool,
    pub(crate) processes: u64,
    pub(crate) open_files: u64,
    /// Address space of one command where no cgroup limits memory.
    pub(crate) address_space: Option<u64>,
    pub(crate) cpu_count: u32,
    pub(crate) memory_bytes: u64,
    /// The file that lets frozen processes go on, where a frozen process does not die: the keeper
    /// needs it when the host is gone.
    pub(crate) thaw: Option<PathBuf>,
}

impl fmt::Debug for BootSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootSpec").field("sandbox_id", &self.sandbox_id).finish_non_exhaustive()
    }
}

/// A step that the init reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The user namespace stands and has no ids yet.
    Mapping,
    /// Pid 1 exists and waits for its cgroups.
    Forked {
        /// Its id as the host sees it.
        pid: i32,
    },
    /// The daemon accepts connections.
    Ready,
    /// The sandbox cannot be built.
    Failed {
        /// What went wrong, for the operator.
        message: String,
    },
}
