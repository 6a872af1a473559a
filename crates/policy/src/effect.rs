//! What a command would do, as typed effects.
//!
//! Analysis produces effects and knows no rules; rules speak of effects and know no shell.
//! Each effect has one class from a closed table, so that a policy can tell `/etc` from `./build`
//! without knowing how paths are judged.

use std::fmt;

/// The kinds of effect, a closed table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EffectKind {
    /// Files are deleted.
    FsDelete,
    /// Files are written, or their permissions changed.
    FsWrite,
    /// A block device is written or formatted.
    DeviceWrite,
    /// Code that comes from the network is run.
    ExecRemote,
    /// Code that cannot be seen is run.
    ExecOpaque,
    /// A statement that changes a database.
    DbStatement,
    /// A cloud, cluster or container resource is changed.
    CloudMutate,
    /// A host is reached.
    NetEgress,
    /// A credential is read.
    CredentialRead,
    /// Rights beyond the user's own are taken or given.
    Privilege,
    /// Processes are killed or multiplied.
    Process,
    /// The machine itself: power, firewall, kernel, logs.
    System,
    /// Something goes live.
    Deploy,
    /// A package or image is published.
    Publish,
    /// Something that costs money is created.
    Billing,
    /// A repository's history, branches or uncommitted work.
    VcsMutate,
}

impl EffectKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::FsDelete,
        Self::FsWrite,
        Self::DeviceWrite,
        Self::ExecRemote,
        Self::ExecOpaque,
        Self::DbStatement,
        Self::CloudMutate,
        Self::NetEgress,
        Self::CredentialRead,
        Self::Privilege,
        Self::Process,
        Self::System,
        Self::Deploy,
        Self::Publish,
        Self::Billing,
        Self::VcsMutate,
    ];

    /// The name in policies and decisions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FsDelete => "fs.delete",
            Self::FsWrite => "fs.write",
            Self::DeviceWrite => "device.write",
            Self::ExecRemote => "exec.remote",
            Self::ExecOpaque => "exec.opaque",
            Self::DbStatement => "db.statement",
            Self::CloudMutate => "cloud.mutate",
            Self::NetEgress => "net.egress",
            Self::CredentialRead => "credential.read",
            Self::Privilege => "privilege",
            Self::Process => "process",
            Self::System => "system",
            Self::Deploy => "deploy",
            Self::Publish => "publish",
            Self::Billing => "billing",
            Self::VcsMutate => "vcs.mutate",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The classes an effect of this kind can have.
    #[must_use]
    pub const fn classes(self) -> &'static [&'static str] {
        match self {
            Self::FsDelete => &[
                "system",
                "home",
                "home-file",
                "workspace",
                "workspace-contents",
                "git-history",
                "outside",
                "unknown",
                "unknown-root",
                "unknown-file",
                "project",
                "temp",
                "cache",
            ],
            Self::FsWrite => &[
                "system",
                "install",
                "persistence",
                "profile",
                "permissions",
                "home",
                "outside",
                "unknown",
                "project",
                "temp",
                "git-history",
            ],
            Self::DeviceWrite => &["device", "format", "volume"],
            Self::ExecRemote => &["pipe", "download", "package"],
            Self::ExecOpaque => &["decoded", "unknown-command", "unknown-code", "secret", "script"],
            Self::DbStatement => {
                &["drop", "truncate", "unbounded", "flush", "admin", "opaque", "bounded", "schema"]
            }
            Self::CloudMutate => &["destroy", "remove", "change", "access", "prune", "local"],
            Self::NetEgress => &[
                "connect",
                "upload",
                "secret",
                "drop-site",
                "metadata",
                "shell",
                "listen",
                "tunnel",
                "scan",
                "dns",
            ],
            Self::CredentialRead => &["file", "store", "environment", "history", "capture"],
            Self::Privilege => &["sudo", "setuid", "account", "container", "capability", "sudoers"],
            Self::Process => &["kill-all", "bomb", "exhaust", "kill", "inject"],
            Self::System => &[
                "power", "firewall", "kernel", "history", "logs", "safety", "service", "mount",
                "schedule", "backup", "network", "packages",
            ],
            Self::Deploy => &["apply", "release", "remote"],
            Self::Publish => &["package", "image", "unpublish"],
            Self::Billing => &["machine", "object", "purchase"],
            Self::VcsMutate => &[
                "push-protected",
                "push-force",
                "push-delete",
                "discard",
                "history",
                "branch-delete",
                "repository",
                "tag-delete",
                "hooks-skip",
            ],
        }
    }
}

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How well the target is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// The whole target is known.
    Exact,
    /// The target begins as shown and goes on in a way that depends on the run.
    Prefix,
    /// The target depends on the run.
    Unknown,
}

impl Certainty {
    /// The name in decisions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing a command would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Its kind.
    pub kind: EffectKind,
    /// Its class, one of [`EffectKind::classes`].
    pub class: &'static str,
    /// What it is done to: an absolute path, a host, a statement, a resource. At most 200
    /// characters; the part that depends on the run is shown as `*`.
    pub target: String,
    /// Where in the command it comes from, in UTF-8 bytes, end exclusive.
    pub span: (usize, usize),
    /// How well the target is known.
    pub certainty: Certainty,
    /// Of a host: the port that the address implies without naming it, such as 443 by `https://`.
    pub port: Option<u16>,
}
