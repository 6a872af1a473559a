//! Directories: describing, listing, making, moving and removing entries.

use std::collections::BTreeMap;

use airlock_proto::filesystem as wire;
use jiff::Timestamp;

use super::rpc::Method;
use super::sandbox::Sandbox;
use crate::error::Error;
use crate::ids;

const STAT: Method = Method::filesystem("Stat", "stat");
const LIST_DIR: Method = Method::filesystem("ListDir", "list directory");
const MAKE_DIR: Method = Method::filesystem("MakeDir", "make directory");
const REMOVE: Method = Method::filesystem("Remove", "remove");
const MOVE: Method = Method::filesystem("Move", "move");

/// What an entry is. A link has the type of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A link.
    Symlink,
    /// Anything else, or a link that leads nowhere.
    Other,
}

/// A file, directory or link in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryInfo {
    /// The last part of its path.
    pub name: String,
    /// Its path. It comes from the sandbox: check it before it is used elsewhere.
    pub path: String,
    /// What it is.
    pub kind: FileType,
    /// Its size in bytes.
    pub size: u64,
    /// Its permission bits.
    pub mode: u32,
    /// Its permissions in words: `-rw-r--r--`.
    pub permissions: String,
    /// The owner's name, else number.
    pub owner: String,
    /// The group's name, else number.
    pub group: String,
    /// When its contents last changed.
    pub modified_at: Option<Timestamp>,
    /// For a link: its target, fully resolved.
    pub symlink_target: Option<String>,
    /// Labels given at upload.
    pub metadata: BTreeMap<String, String>,
}

impl From<wire::EntryInfo> for EntryInfo {
    fn from(entry: wire::EntryInfo) -> Self {
        let kind = match entry.r#type() {
            wire::FileType::File => FileType::File,
            wire::FileType::Directory => FileType::Directory,
            wire::FileType::Symlink => FileType::Symlink,
            wire::FileType::Unspecified => FileType::Other,
        };
        Self {
            kind,
            name: entry.name,
            path: entry.path,
            size: u64::try_from(entry.size).unwrap_or_default(),
            mode: entry.mode,
            permissions: entry.permissions,
            owner: entry.owner,
            group: entry.group,
            modified_at: entry.modified_time.and_then(|t| Timestamp::new(t.seconds, t.nanos).ok()),
            symlink_target: entry.symlink_target,
            metadata: entry.metadata,
        }
    }
}

impl Sandbox {
    /// Describes an entry. Relative paths are under the user's home.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn stat(&self, user: Option<&str>, path: &str) -> Result<EntryInfo, Error> {
        ids::check_path(path)?;
        let request = wire::StatRequest { path: path.to_owned() };
        let reply: wire::StatResponse = self.unary(STAT, user, &request).await?;
        entry(STAT, reply.entry)
    }

    /// Lists a directory, `depth` levels deep (0 means 1), each directory before what is in it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, [`Error::InvalidArgument`] if it is a file,
    /// [`Error::TooLarge`] if the list is over the limit of
    /// [`Limits`](crate::Limits)`::envd_body`.
    pub async fn list_dir(
        &self,
        user: Option<&str>,
        path: &str,
        depth: u32,
    ) -> Result<Vec<EntryInfo>, Error> {
        ids::check_path(path)?;
        let request = wire::ListDirRequest { path: path.to_owned(), depth };
        let reply: wire::ListDirResponse = self.unary(LIST_DIR, user, &request).await?;
        Ok(reply.entries.into_iter().map(EntryInfo::from).collect())
    }

    /// Makes a directory and its parents. Returns `false` if it was there.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a file is in the way.
    pub async fn make_dir(&self, user: Option<&str>, path: &str) -> Result<bool, Error> {
        ids::check_path(path)?;
        let request = wire::MakeDirRequest { path: path.to_owned() };
        match self.unary::<wire::MakeDirResponse>(MAKE_DIR, user, &request).await {
            Ok(_) => Ok(true),
            Err(Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an entry and all below it. A missing one is no error.
    pub async fn remove(&self, user: Option<&str>, path: &str) -> Result<(), Error> {
        ids::check_path(path)?;
        let request = wire::RemoveRequest { path: path.to_owned() };
        self.unary::<wire::RemoveResponse>(REMOVE, user, &request).await?;
        Ok(())
    }

    /// Renames an entry, replacing what is there and making missing parents.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no `from`.
    pub async fn move_(
        &self,
        user: Option<&str>,
        from: &str,
        to: &str,
    ) -> Result<EntryInfo, Error> {
        ids::check_path(from)?;
        ids::check_path(to)?;
        let request = wire::MoveRequest { source: from.to_owned(), destination: to.to_owned() };
        let reply: wire::MoveResponse = self.unary(MOVE, user, &request).await?;
        entry(MOVE, reply.entry)
    }
}

fn entry(method: Method, entry: Option<wire::EntryInfo>) -> Result<EntryInfo, Error> {
    entry
        .map(EntryInfo::from)
        .ok_or_else(|| Error::protocol(method.operation, "an answer without the entry"))
}
