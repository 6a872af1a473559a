//! `filesystem.Filesystem`: calls on files and directories, each with the acting user's rights.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connectrpc::{
    ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};

use super::users::{self, User};
use super::watch::{self, Watcher};
use super::watchers::{self, Watchers};
use super::{Daemon, auth, path, xattr};
use crate::generated::filesystem as wire;
use wire::{EntryInfo, FileType};

/// Most entries of one listing.
const MAX_ENTRIES: usize = 50_000;

/// The service.
#[derive(Debug)]
pub(crate) struct Files {
    daemon: Arc<Daemon>,
    watchers: Watchers,
}

/// A failed operation, with the path that it was about.
fn failure(error: &io::Error, path: &str) -> ConnectError {
    let message = format!("path '{path}': {error}");
    match error.kind() {
        io::ErrorKind::NotFound => ConnectError::not_found(format!("path not found: {path}")),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ConnectError::permission_denied(message)
        }
        io::ErrorKind::AlreadyExists => ConnectError::already_exists(message),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ConnectError::resource_exhausted(message)
        }
        _ if error.raw_os_error() == Some(nix::libc::ELOOP) => {
            ConnectError::failed_precondition(message)
        }
        _ => ConnectError::internal(message),
    }
}

impl Files {
    pub(crate) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon, watchers: Watchers::default() }
    }

    /// Starts a watcher of a directory as the acting user.
    async fn watch(
        &self,
        ctx: &RequestContext,
        path: &str,
        (recursive, include_entry): (bool, bool),
    ) -> Result<Watcher, ConnectError> {
        let user = auth::acting_user(ctx.headers())?;
        let path = path::resolve(path, &user).map_err(ConnectError::invalid_argument)?;
        let options = watch::Options { root: path.clone().into(), recursive, include_entry };
        let watcher = Watcher::start(&self.daemon, user, options).await;
        watcher.map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => {
                ConnectError::invalid_argument(format!("path is not a directory: {path}"))
            }
            _ => failure(&error, &path),
        })
    }

    /// Runs `operation` on the resolved path as the acting user.
    async fn act<T: Send + 'static>(
        &self,
        ctx: &RequestContext,
        path: &str,
        operation: impl FnOnce(&User, &str) -> Result<T, ConnectError> + Send + 'static,
    ) -> Result<T, ConnectError> {
        let user = auth::acting_user(ctx.headers())?;
        let path = path::resolve(path, &user).map_err(ConnectError::invalid_argument)?;
        let actor = user.clone();
        let done = self.daemon.workers.run_as(&user, move || Ok(operation(&actor, &path)));
        done.await.map_err(|error| ConnectError::internal(error.to_string()))?
    }
}

#[expect(refining_impl_trait, reason = "concrete replies are what the generated trait asks for")]
impl wire::Filesystem for Files {
    async fn stat(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::StatRequest>,
    ) -> ServiceResult<wire::StatResponse> {
        let stat = |_: &User, path: &str| entry(Path::new(path)).map_err(|e| failure(&e, path));
        let entry = self.act(&ctx, &request.to_owned_message().path, stat).await?;
        Response::ok(wire::StatResponse { entry: entry.into() })
    }

    async fn make_dir(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::MakeDirRequest>,
    ) -> ServiceResult<wire::MakeDirResponse> {
        let request = request.to_owned_message();
        let entry = self.act(&ctx, &request.path, |_, path| make_dir(path)).await?;
        Response::ok(wire::MakeDirResponse { entry: entry.into() })
    }

    async fn r#move(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::MoveRequest>,
    ) -> ServiceResult<wire::MoveResponse> {
        let request = request.to_owned_message();
        let to = request.destination;
        let entry = self.act(&ctx, &request.source, move |user, from| {
            let to = path::resolve(&to, user).map_err(ConnectError::invalid_argument)?;
            fs::symlink_metadata(from).map_err(|error| failure(&error, from))?;
            // rename(2) replaces an empty directory; upstream's daemon never does.
            if from != to && fs::symlink_metadata(&to).is_ok_and(|found| found.is_dir()) {
                let message = format!("path '{to}': a directory is there");
                return Err(ConnectError::internal(message));
            }
            make_parents(Path::new(&to)).map_err(|error| failure(&error, &to))?;
            fs::rename(from, &to).map_err(|error| failure(&error, &to))?;
            entry(Path::new(&to)).map_err(|error| failure(&error, &to))
        });
        Response::ok(wire::MoveResponse { entry: entry.await?.into() })
    }

    async fn list_dir(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::ListDirRequest>,
    ) -> ServiceResult<wire::ListDirResponse> {
        let request = request.to_owned_message();
        let depth = request.depth.max(1);
        let entries = self.act(&ctx, &request.path, move |_, path| list(path, depth));
        Response::ok(wire::ListDirResponse { entries: entries.await? })
    }

    async fn remove(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::RemoveRequest>,
    ) -> ServiceResult<wire::RemoveResponse> {
        let remove = |_: &User, path: &str| {
            let removed = match fs::symlink_metadata(path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(path),
                Ok(_) => fs::remove_file(path),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failure(&error, path)),
                Ok(()) | Err(_) => Ok(()),
            }
        };
        self.act(&ctx, &request.to_owned_message().path, remove).await?;
        Response::ok(wire::RemoveResponse::default())
    }

    async fn watch_dir(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::WatchDirRequest>,
    ) -> ServiceResult<ServiceStream<wire::WatchDirResponse>> {
        let request = request.to_owned_message();
        let options = (request.recursive, request.include_entry);
        let watcher = self.watch(&ctx, &request.path, options).await?;
        Response::ok(watchers::stream(Arc::clone(&self.daemon), watcher, &ctx))
    }

    async fn create_watcher(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, wire::CreateWatcherRequest>,
    ) -> ServiceResult<wire::CreateWatcherResponse> {
        let request = request.to_owned_message();
        let options = (request.recursive, request.include_entry);
        let watcher = self.watch(&ctx, &request.path, options).await?;
        let watcher_id = self.watchers.add(Arc::clone(&self.daemon), watcher)?;
        Response::ok(wire::CreateWatcherResponse { watcher_id })
    }

    async fn get_watcher_events(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::GetWatcherEventsRequest>,
    ) -> ServiceResult<wire::GetWatcherEventsResponse> {
        let events = self.watchers.drain(&request.to_owned_message().watcher_id)?;
        Response::ok(wire::GetWatcherEventsResponse { events })
    }

    async fn remove_watcher(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, wire::RemoveWatcherRequest>,
    ) -> ServiceResult<wire::RemoveWatcherResponse> {
        self.watchers.remove(&request.to_owned_message().watcher_id)?;
        Response::ok(wire::RemoveWatcherResponse::default())
    }
}

fn make_dir(path: &str) -> Result<EntryInfo, ConnectError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(ConnectError::already_exists(format!("directory already exists: {path}")));
        }
        Ok(_) => {
            let message = format!("path already exists but it is not a directory: {path}");
            return Err(ConnectError::invalid_argument(message));
        }
        Err(_) => {}
    }
    make_all(Path::new(path)).map_err(|error| failure(&error, path))?;
    entry(Path::new(path)).map_err(|error| failure(&error, path))
}

/// Creates the directories above a path.
pub(crate) fn make_parents(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), make_all)
}

fn make_all(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn list(path: &str, depth: u32) -> Result<Vec<EntryInfo>, ConnectError> {
    let found = fs::metadata(path).map_err(|error| failure(&error, path))?;
    if !found.is_dir() {
        let message = format!("path is not a directory: {path}");
        return Err(ConnectError::invalid_argument(message));
    }
    let mut entries = Vec::new();
    // Directories still to be listed, deepest first, so that the order is pre-order.
    let root = path::clean(path);
    let mut pending = vec![sorted(Path::new(&root)).map_err(|error| failure(&error, path))?];
    while let Some(level) = pending.last_mut() {
        let Some(next) = level.pop() else {
            pending.pop();
            continue;
        };
        // What vanished meanwhile is not listed.
        let Ok(info) = entry(&next) else { continue };
        let descend = info.r#type == FileType::FILE_TYPE_DIRECTORY && info.symlink_target.is_none();
        entries.push(info);
        if entries.len() > MAX_ENTRIES {
            let message = format!("more than {MAX_ENTRIES} entries: list with a smaller depth");
            return Err(ConnectError::resource_exhausted(message));
        }
        if descend && pending.len() < usize::try_from(depth).unwrap_or(usize::MAX) {
            // An unreadable directory is listed itself, without what is in it.
            pending.push(sorted(&next).unwrap_or_default());
        }
    }
    Ok(entries)
}

/// The entries of a directory, last name first.
fn sorted(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        paths.push(entry?.path());
        if paths.len() > MAX_ENTRIES {
            break;
        }
    }
    paths.sort_unstable_by(|left, right| right.cmp(left));
    Ok(paths)
}

/// What the wire says about one path.
pub(crate) fn entry(path: &Path) -> io::Result<EntryInfo> {
    let own = fs::symlink_metadata(path)?;
    let followed = if own.is_symlink() { fs::metadata(path).ok() } else { Some(own.clone()) };
    let target =
        own.is_symlink().then(|| fs::canonicalize(path).unwrap_or_else(|_dangling| path.into()));
    let kind = followed.as_ref().map_or(FileType::FILE_TYPE_UNSPECIFIED, |found| {
        if found.is_dir() {
            FileType::FILE_TYPE_DIRECTORY
        } else if found.is_file() {
            FileType::FILE_TYPE_FILE
        } else {
            FileType::FILE_TYPE_UNSPECIFIED
        }
    });
    let name = path.file_name().unwrap_or(path.as_os_str());
    let mode = followed.as_ref().map_or(0, |found| found.mode() & 0o777);
    Ok(EntryInfo {
        name: name.to_string_lossy().into_owned(),
        r#type: kind.into(),
        path: path.to_string_lossy().into_owned(),
        size: i64::try_from(own.len()).unwrap_or(i64::MAX),
        mode,
        permissions: go_mode(&own),
        owner: users::user_name(own.uid()),
        group: users::group_name(own.gid()),
        modified_time: buffa_types::google::protobuf::Timestamp {
            seconds: own.mtime(),
            nanos: i32::try_from(own.mtime_nsec()).unwrap_or(0),
            ..Default::default()
        }
        .into(),
        metadata: xattr::read(path).into_iter().collect(),
        symlink_target: target.map(|target| target.to_string_lossy().into_owned()),
    })
}

/// A file's mode as Go prints it, which clients show.
fn go_mode(found: &fs::Metadata) -> String {
    let (kind, mode) = (found.file_type(), found.mode());
    let mut text = String::new();
    for (set, letter) in [
        (kind.is_dir(), 'd'),
        (kind.is_symlink(), 'L'),
        (kind.is_block_device() || kind.is_char_device(), 'D'),
        (kind.is_fifo(), 'p'),
        (kind.is_socket(), 'S'),
        (mode & 0o4000 != 0, 'u'),
        (mode & 0o2000 != 0, 'g'),
        (kind.is_char_device(), 'c'),
        (mode & 0o1000 != 0, 't'),
    ] {
        if set {
            text.push(letter);
        }
    }
    if text.is_empty() {
        text.push('-');
    }
    for bit in (0..9).rev() {
        let letter = ['x', 'w', 'r'][bit % 3];
        text.push(if mode & (1 << bit) == 0 { '-' } else { letter });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn modes_are_printed_as_go_prints_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4754)).unwrap();
        let link = dir.path().join("l");
        symlink(&file, &link).unwrap();
        let mode = |path: &Path| go_mode(&fs::symlink_metadata(path).unwrap());
        assert_eq!(mode(&file), "urwxr-xr--");
        assert_eq!(mode(&link), "Lrwxrwxrwx");
        assert_eq!(mode(Path::new("/tmp")), "dtrwxrwxrwx");
        assert_eq!(mode(Path::new("/dev/null")), "Dcrw-rw-rw-");
    }

    #[test]
    fn listing_is_pre_order_and_stops_at_links_and_depth() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::write(root.join("z"), "").unwrap();
        symlink(root.join("a"), root.join("link")).unwrap();
        let names = |depth| {
            let entries = list(root.to_str().unwrap(), depth).unwrap();
            entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
        };
        assert_eq!(names(1), ["a", "link", "z"]);
        assert_eq!(names(2), ["a", "b", "link", "z"]);
        assert_eq!(names(9), ["a", "b", "c", "link", "z"]);
    }
}
