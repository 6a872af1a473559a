//! Refuses system calls that reach into the kernel further than commands need.
//!
//! Two filters. The first refuses numbers unknown to this build, among them the x32 calls, as
//! "not implemented", so that libraries fall back (`clone3`, whose flags a filter cannot see, is
//! refused the same way). The second refuses known calls as "not permitted". Another
//! architecture's entry (32-bit) kills the process.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter, sock_filter,
};

use super::{Error, Step as _};

/// Highest system call number that is let through; `mseal` on every architecture.
const LAST_KNOWN: u32 = 462;

/// Calls that are refused whatever their arguments.
const REFUSED: [libc::c_long; 59] = [
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_set_mempolicy,
    libc::SYS_set_mempolicy_home_node,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    libc::SYS_memfd_secret,
];

/// Address families that a command may open sockets of. Virtual machine sockets, packets and the
/// rest would pass by the network namespace or offer kernel surface for nothing.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Flags of `clone` that create namespaces.
const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// Installs the filters for this process and all its descendants, for good.
pub(super) fn install() -> Result<(), Error> {
    for program in [refused()?, unknown()] {
        apply_filter(&program)
            .map_err(|error| std::io::Error::other(error.to_string()))
            .step("install the system call filter")?;
    }
    Ok(())
}

fn refused() -> Result<BpfProgram, Error> {
    let invalid = |error: seccompiler::BackendError| std::io::Error::other(error.to_string());
    let condition = |index, size, operator, value| {
        SeccompCondition::new(index, size, operator, value).map_err(invalid)
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let number = |value: libc::c_int| u64::from(value.cast_unsigned());
    let families: Result<Vec<_>, _> = FAMILIES
        .iter()
        .map(|family| condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, number(*family)))
        .collect();
    let families = families.step("describe socket families")?;
    let rule = |conditions| SeccompRule::new(conditions).map_err(invalid);
    rules.insert(libc::SYS_socket, vec![rule(families).step("describe sockets")?]);
    let mut clones = Vec::new();
    for bit in (0..32).map(|bit| 1u64 << bit).filter(|bit| number(NAMESPACES) & bit != 0) {
        let set = SeccompCmpOp::MaskedEq(bit);
        let set = condition(0, SeccompCmpArgLen::Qword, set, bit).step("describe clone")?;
        clones.push(rule(vec![set]).step("describe clone")?);
    }
    rules.insert(libc::SYS_clone, clones);
    let mut controls = Vec::new();
    // Typing into a terminal that another process reads.
    for control in [libc::TIOCSTI, libc::TIOCLINUX] {
        let same = condition(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, control);
        controls.push(rule(vec![same.step("describe ioctl")?]).step("describe ioctl")?);
    }
    rules.insert(libc::SYS_ioctl, controls);
    let errno = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let architecture = std::env::consts::ARCH
        .try_into()
        .map_err(invalid)
        .step("this architecture has no system call filter")?;
    SeccompFilter::new(rules, SeccompAction::Allow, errno, architecture)
        .and_then(TryInto::try_into)
        .map_err(invalid)
        .step("compile the system call filter")
}

/// `clone3`, and any number above the last known one: "not implemented".
fn unknown() -> BpfProgram {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS, offset 0: the call's number
    const JUMP_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
    const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06;
    let clone3 = u32::try_from(libc::SYS_clone3).unwrap_or(u32::MAX);
    let refuse = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
    vec![
        sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_GREATER, jt: 2, jf: 0, k: LAST_KNOWN },
        sock_filter { code: JUMP_EQUAL, jt: 1, jf: 0, k: clone3 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: refuse },
    ]
}
