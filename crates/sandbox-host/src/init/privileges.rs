//! Gives up, for good, every right that commands must not have.
//!
//! Runs after the view stands and before any thread or command: what is dropped here is missing
//! from all of the sandbox, pid 1 included.

#![expect(unsafe_code, reason = "capset and per-process flags have no wrappers in nix")]

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{Error, Step as _};
use crate::boot::BootSpec;

/// CHOWN, `DAC_OVERRIDE`, FOWNER, FSETID, KILL, SETGID, SETUID, `NET_BIND_SERVICE`: what root of a
/// sandbox needs to own files, act for users and serve on low ports. All count in its user
/// namespace only. No SETPCAP, `SYS_*`, `NET_ADMIN`, `NET_RAW`, MKNOD.
pub(crate) const KEPT: u32 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10;

/// Version 3 of the capability interface: 64 bits in two halves.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Closes every descriptor but the three standard ones: what the host inherited without knowing
/// (a build tool's pipes, a shell's files) is not for a sandbox. Must run first of all.
pub(super) fn close_inherited() -> Result<(), Error> {
    // SAFETY: takes plain integers; nothing of this process owns a descriptor above 2 yet.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    Errno::result(result).step("close inherited descriptors")?;
    Ok(())
}

/// Bounds what any process may use, beside the cgroup's limits.
pub(super) fn limit_resources(spec: &BootSpec) -> Result<(), Error> {
    for (resource, wanted) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, spec.open_files),
        (Resource::RLIMIT_NPROC, spec.processes),
    ] {
        let (_soft, hard) = getrlimit(resource).step("read a limit")?;
        let limit = wanted.min(hard);
        setrlimit(resource, limit, limit).step("set a limit")?;
    }
    Ok(())
}

/// Drops capabilities from the bounding set and from this process, forbids to gain any, and hides
/// this process's memory from the sandbox's other processes.
pub(super) fn drop_all() -> Result<(), Error> {
    for capability in 0..64_u32 {
        if capability < 32 && KEPT & (1 << capability) != 0 {
            continue;
        }
        // SAFETY: takes plain integers.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match Errno::result(result) {
            Ok(_) => {}
            Err(Errno::EINVAL) => break,
            Err(error) => return Err(error).step("drop a capability"),
        }
    }
    let header = Header { version: CAPABILITY_VERSION, pid: 0 };
    // All that are kept have numbers below 32.
    let halves = [KEPT, 0].map(|half| Half { effective: half, permitted: half, inheritable: 0 });
    // SAFETY: header and both halves are initialized, of the kernel's layout, and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()) };
    Errno::result(result).step("set capabilities")?;
    nix::sys::prctl::set_no_new_privs().step("forbid new privileges")?;
    nix::sys::prctl::set_dumpable(false).step("hide this process's memory")
}
