//! The file-system view: what of the machine a sandbox sees, and what is its own.
//!
//! The root is one size-capped tmpfs, so that all a sandbox writes counts against one limit.
//! Programs (`/usr`, `/bin`, `/lib*`, `/sbin`, `/opt`) are bound into it read-only, `nosuid` and
//! `nodev`; of the machine's `/etc` only what programs need to run. `/home`, `/root`, `/var`,
//! `/run`, `/tmp` and everything else of the machine are absent, not merely unreadable.
//! A bound file keeps the machine's owner, which no id of the sandbox maps to, so only what the
//! whole world may read can be read.

#![expect(unsafe_code, reason = "mount_setattr has no wrapper")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

use super::{Error, Step as _, users};
use crate::boot::BootSpec;

/// Where the machine's root is while the view is built.
const HOST: &str = "/.host";

/// Directories of programs.
const PROGRAMS: [&str; 9] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", "nix"];

/// What a sandbox sees of the machine's `/etc`: needed to run programs, and free of secrets.
const ETC: [&str; 38] = [
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "debian_version",
    "fonts",
    "gai.conf",
    "host.conf",
    "inputrc",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "login.defs",
    "lsb-release",
    "magic",
    "magic.mime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pam.conf",
    "pam.d",
    "perl",
    "pki",
    "profile",
    "protocols",
    "rpc",
    "security",
    "services",
    "ssl",
    "terminfo",
    "timezone",
    "vimrc",
];

/// Written by the view itself, whatever the template has.
const ETC_OWN: [&str; 12] = [
    "passwd",
    "passwd-",
    "group",
    "group-",
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "hosts",
    "hostname",
    "resolv.conf",
    "mtab",
];

/// Builds the view and makes it the root; nothing of the machine's tree stays reachable.
pub(super) fn build(spec: &BootSpec) -> Result<(), Error> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .step("make mounts private")?;
    let options = format!("mode=0755,size={},nr_inodes={}", spec.disk_bytes, spec.inodes);
    mount(
        Some("sandbox"),
        "/tmp",
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some(options.as_str()),
    )
    .step("mount the sandbox's root")?;
    fs::create_dir("/tmp/.host").step("create the old root's place")?;
    pivot_root("/tmp", "/tmp/.host").step("change the root")?;
    chdir("/").step("enter the new root")?;

    let source = source(spec)?;
    programs(&source)?;
    etc(spec, &source)?;
    own_directories(spec)?;
    devices()?;
    fs::create_dir("/proc").step("create /proc")?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), quiet, None::<&str>).step("mount /proc")?;
    umount2(HOST, MntFlags::MNT_DETACH).step("let go of the machine's root")?;
    fs::remove_dir(HOST).step("remove the old root's place")?;
    Ok(())
}

fn source(spec: &BootSpec) -> Result<PathBuf, Error> {
    let relative = spec.root.strip_prefix("/").unwrap_or(&spec.root);
    let source = Path::new(HOST).join(relative);
    fs::metadata(source.join("usr")).step(format!(
        "read the template {} (it and the directories above must be open to all users)",
        spec.root.display()
    ))?;
    Ok(source)
}

/// Binds directories of programs, and repeats links such as `/bin -> usr/bin`.
fn programs(source: &Path) -> Result<(), Error> {
    for name in PROGRAMS {
        let from = source.join(name);
        let to = Path::new("/").join(name);
        let Ok(found) = fs::symlink_metadata(&from) else { continue };
        if found.is_symlink() {
            let target = fs::read_link(&from).step("read a link")?;
            symlink(target, to).step("repeat a link")?;
        } else if found.is_dir() {
            bind(&from, &to)?;
        }
    }
    Ok(())
}

fn etc(spec: &BootSpec, source: &Path) -> Result<(), Error> {
    fs::create_dir("/etc").step("create /etc")?;
    let from = source.join("etc");
    let names: Vec<String> = if spec.machine_root {
        ETC.iter().map(|name| (*name).to_owned()).collect()
    } else {
        let listing = fs::read_dir(&from).step("list the template's /etc")?;
        listing.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    for name in names.iter().filter(|name| !ETC_OWN.contains(&name.as_str())) {
        show(&from.join(name), &Path::new("/etc").join(name))?;
    }
    let (passwd, group) = users::files(spec.uid_range);
    let hosts = format!("127.0.0.1 localhost {0}\n::1 localhost ip6-localhost\n", spec.sandbox_id);
    write("/etc/passwd", &passwd)?;
    write("/etc/group", &group)?;
    write("/etc/shadow", &users::shadow())?;
    fs::set_permissions("/etc/shadow", Permissions::from_mode(0o600)).step("close /etc/shadow")?;
    write("/etc/hosts", &hosts)?;
    write("/etc/hostname", &format!("{}\n", spec.sandbox_id))?;
    let resolv = if spec.share_network {
        fs::read_to_string(Path::new(HOST).join("etc/resolv.conf")).unwrap_or_default()
    } else {
        String::new()
    };
    write("/etc/resolv.conf", &resolv)?;
    symlink("/proc/self/mounts", "/etc/mtab").step("link /etc/mtab")
}

/// Shows one entry of `/etc` if the world may read it.
fn show(from: &Path, to: &Path) -> Result<(), Error> {
    let Ok(found) = fs::symlink_metadata(from) else { return Ok(()) };
    if found.is_symlink() {
        let target = fs::read_link(from).step("read a link")?;
        return symlink(target, to).step("repeat a link");
    }
    if found.permissions().mode() & 0o004 == 0 || !(found.is_dir() || found.is_file()) {
        return Ok(());
    }
    bind(from, to)
}

/// Binds `from` at `to` with all below it: read-only, without set-user-id and devices.
fn bind(from: &Path, to: &Path) -> Result<(), Error> {
    let name = to.display();
    if fs::metadata(from).step(format!("read {name}"))?.is_dir() {
        fs::create_dir(to).step(format!("create {name}"))?;
    } else {
        fs::write(to, "").step(format!("create {name}"))?;
    }
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .step(format!("bind {name}"))?;
    seal(to)
}

fn seal(path: &Path) -> Result<(), Error> {
    let text = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_nul| Error::Protocol("a path has a NUL byte".into()))?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is NUL-terminated and the attributes are an initialized struct of the size
    // that is passed; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            text.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    nix::errno::Errno::result(result).step(format!("make {} read-only", path.display()))?;
    Ok(())
}

fn own_directories(spec: &BootSpec) -> Result<(), Error> {
    let owner = if spec.uid_range { 1000 } else { 0 };
    for (path, mode, owner) in [
        ("/tmp", 0o1777, 0),
        ("/var", 0o755, 0),
        ("/var/tmp", 0o1777, 0),
        ("/var/lib", 0o755, 0),
        ("/var/cache", 0o755, 0),
        ("/var/log", 0o755, 0),
        ("/run", 0o755, 0),
        ("/run/lock", 0o1777, 0),
        ("/root", 0o700, 0),
        ("/home", 0o755, 0),
        ("/home/user", 0o755, owner),
        ("/mnt", 0o755, 0),
        ("/srv", 0o755, 0),
        ("/sys", 0o555, 0),
    ] {
        directory(path, mode)?;
        chown(path, Some(owner), Some(owner)).step(format!("give {path} away"))?;
    }
    symlink("/run", "/var/run").step("link /var/run")?;
    for name in [".bashrc", ".profile", ".bash_logout"] {
        let from = Path::new(HOST).join("etc/skel").join(name);
        let Ok(text) = fs::read(from) else { continue };
        let to = Path::new("/home/user").join(name);
        fs::write(&to, text).step("write the home directory")?;
        chown(&to, Some(owner), Some(owner)).step("give the home directory away")?;
    }
    Ok(())
}

fn devices() -> Result<(), Error> {
    directory("/dev", 0o755)?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let to = Path::new("/dev").join(name);
        fs::write(&to, "").step("create a device's place")?;
        let from = Path::new(HOST).join("dev").join(name);
        mount(Some(&from), &to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .step(format!("bind /dev/{name}"))?;
    }
    directory("/dev/shm", 0o1777)?;
    directory("/dev/pts", 0o755)?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = "newinstance,ptmxmode=0666,mode=620";
    mount(Some("devpts"), "/dev/pts", Some("devpts"), quiet, Some(options))
        .step("mount /dev/pts")?;
    for (target, link) in [
        ("pts/ptmx", "/dev/ptmx"),
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ] {
        symlink(target, link).step("link a device")?;
    }
    Ok(())
}

fn directory(path: &str, mode: u32) -> Result<(), Error> {
    fs::create_dir(path).step(format!("create {path}"))?;
    fs::set_permissions(path, Permissions::from_mode(mode)).step(format!("open {path}"))
}

fn write(path: &str, text: &str) -> Result<(), Error> {
    fs::write(path, text).step(format!("write {path}"))
}
