//! Acting with a user's credentials: for file operations on one thread, for commands in the child.

#![expect(
    unsafe_code,
    reason = "credentials of one thread, and of a child before exec, are set by raw calls"
)]

use std::ffi::CString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;

use super::users::User;

/// Runs `operation` with the file-system credentials of `user`; restores the thread's own after.
///
/// With another user id than root's the kernel also takes the capabilities that override file
/// permissions from the thread until the id is root's again.
pub(crate) fn as_user<T>(user: &User, operation: impl FnOnce() -> T) -> io::Result<T> {
    if is_root(user) {
        return Ok(operation());
    }
    let _acting = Acting::enter(user)?;
    Ok(operation())
}

/// The daemon's own credentials, which need no change; with one mapped id there are no others, and
/// the kernel would refuse to set groups.
fn is_root(user: &User) -> bool {
    user.uid == 0 && user.groups == [0]
}

/// Restores root's file-system credentials when dropped, also when the operation panics.
struct Acting;

impl Acting {
    fn enter(user: &User) -> io::Result<Self> {
        groups(&user.groups)?;
        let acting = Self;
        // SAFETY: plain integers; the raw calls change this thread only.
        unsafe {
            libc::syscall(libc::SYS_setfsgid, user.gid);
            libc::syscall(libc::SYS_setfsuid, user.uid);
        }
        if ids() != (user.uid, user.gid) {
            return Err(io::Error::from(Errno::EPERM));
        }
        Ok(acting)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        // SAFETY: as in `enter`.
        unsafe {
            libc::syscall(libc::SYS_setfsuid, 0);
            libc::syscall(libc::SYS_setfsgid, 0);
        }
        if groups(&[0]).is_err() || ids() != (0, 0) {
            // A thread with the wrong credentials must not take another request.
            std::process::abort();
        }
    }
}

/// The thread's file-system ids: the calls answer the current ones when given an invalid one.
fn ids() -> (u32, u32) {
    // SAFETY: plain integers; an invalid id changes nothing.
    let (uid, gid) =
        unsafe { (libc::syscall(libc::SYS_setfsuid, -1), libc::syscall(libc::SYS_setfsgid, -1)) };
    (u32::try_from(uid).unwrap_or(u32::MAX), u32::try_from(gid).unwrap_or(u32::MAX))
}

fn groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and length describe a live slice; the raw call changes this thread only.
    let result = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// What a child does between fork and exec, besides changing its credentials.
#[derive(Debug)]
pub(crate) struct Child<'a> {
    pub(crate) user: &'a User,
    pub(crate) directory: &'a str,
    /// Standard input is a terminal that becomes the controlling one of a new session.
    pub(crate) terminal: bool,
    pub(crate) address_space: Option<u64>,
}

/// Makes `command` run as the user, in the directory as the user may enter it.
pub(crate) fn prepare(command: &mut Command, child: &Child<'_>) -> io::Result<()> {
    let directory = CString::new(child.directory)?;
    let (uid, gid, groups) = (child.user.uid, child.user.gid, child.user.groups.clone());
    let (terminal, space) = (child.terminal, child.address_space);
    let keep = is_root(child.user);
    let before_exec = move || {
        // SAFETY: async-signal-safe calls on plain integers and on memory allocated before fork.
        unsafe {
            if terminal {
                check(libc::setsid())?;
                check(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
            }
            if let Some(space) = space {
                let limit = libc::rlimit { rlim_cur: space, rlim_max: space };
                check(libc::setrlimit(libc::RLIMIT_AS, &raw const limit))?;
            }
            if !keep {
                check(libc::setgroups(groups.len(), groups.as_ptr()))?;
                check(libc::setresgid(gid, gid, gid))?;
                check(libc::setresuid(uid, uid, uid))?;
            }
            check(libc::chdir(directory.as_ptr()))
        }
    };
    // SAFETY: the closure calls async-signal-safe functions only and does not allocate.
    unsafe { command.pre_exec(before_exec) };
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
