//! Disks, file systems and volumes.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Shell, is_unknown};
use crate::paths;

use super::fs::{is_device, write_path};
use super::opts::{Opts, raw};

#[expect(clippy::too_many_lines, reason = "one arm for each tool")]
pub(super) fn run(eval: &mut Eval<'_>, shell: &Shell, name: &str, args: &[Arg]) -> bool {
    let dry = raw(args, &["-n", "--dry-run", "--no-act", "--test"]);
    match name {
        "dd" | "dcfldd" | "ddrescue" => dd(eval, shell, name, args),
        _ if name == "mkfs" || name.starts_with("mkfs.") || name == "mke2fs" || name == "newfs" => {
            if !dry {
                targets(eval, shell, args, "format");
            }
        }
        "wipefs" => {
            if !dry
                && args.iter().any(|a| {
                    a.text.starts_with('-')
                        && (a.text.contains('a') || a.text.contains('o') || a.text.contains("all"))
                })
            {
                targets(eval, shell, args, "format");
            }
        }
        "fdisk" | "gdisk" | "cfdisk" | "sfdisk" | "sgdisk" | "parted" => {
            let looks =
                raw(args, &["-l", "--list", "-p", "--print", "-d", "--dump", "print", "-s", "-v"])
                    && !raw(
                        args,
                        &["mklabel", "rm", "mkpart", "--delete", "-Z", "--zap-all", "-o"],
                    )
                    || dry;
            if !looks {
                targets(eval, shell, args, "device");
            }
        }
        "blkdiscard" | "badblocks" | "mkswap" | "mkfs_msdos" | "tune2fs" | "resize2fs"
        | "xfs_admin" | "debugfs" | "e2fsck" | "fsck" | "mkdosfs" | "mkntfs" | "partx"
        | "hdparm" | "sdparm" | "ntfsfix" | "xfs_repair" => {
            let destructive = match name {
                "blkdiscard" | "mkswap" | "mkdosfs" | "mkntfs" => true,
                "badblocks" | "debugfs" => raw(args, &["-w"]),
                "hdparm" => args.iter().any(|a| {
                    a.text.contains("erase")
                        || a.text.contains("trim")
                        || a.text.contains("destroy")
                }),
                _ => false,
            };
            if destructive {
                targets(eval, shell, args, "format");
            }
        }
        "nvme" if raw(args, &["format", "sanitize", "delete-ns"]) => {
            targets(eval, shell, args, "format");
        }
        "cryptsetup"
            if raw(args, &["luksFormat", "luksErase", "erase", "luksKillSlot", "reencrypt"]) =>
        {
            targets(eval, shell, args, "format");
        }
        "pvremove" | "vgremove" | "lvremove" | "vgreduce" | "lvreduce" => volume(eval, args, dry),
        "zpool" | "zfs" | "btrfs" | "mdadm" | "dmsetup" | "ceph" | "rbd" | "gluster"
        | "stratis"
            if raw(
                args,
                &[
                    "destroy",
                    "labelclear",
                    "delete",
                    "--zero-superblock",
                    "remove",
                    "rm",
                    "purge",
                    "remove_all",
                    "--remove",
                    "rollback",
                ],
            ) =>
        {
            volume(eval, args, dry);
        }
        "diskutil"
            if args.iter().any(|a| {
                a.text.to_lowercase().contains("erase")
                    || a.text.contains("zeroDisk")
                    || a.text.contains("partitionDisk")
                    || a.text.contains("deleteVolume")
            }) =>
        {
            eval.push(EffectKind::DeviceWrite, "format", args.last().map_or("", |a| &a.text));
        }
        "format" | "format.com" if args.iter().any(|a| a.text.ends_with(':')) => {
            eval.push(EffectKind::DeviceWrite, "format", args.get(1).map_or("", |a| &a.text));
        }
        "flashrom" | "fwupdmgr" | "flash_erase" | "nandwrite" | "efibootmgr" | "grub-install"
            if !raw(args, &["-r", "--read", "get-devices", "-v"]) && args.len() > 1 =>
        {
            eval.push(EffectKind::DeviceWrite, "device", name);
        }
        _ => return false,
    }
    true
}

fn volume(eval: &mut Eval<'_>, args: &[Arg], dry: bool) {
    if !dry {
        eval.push(EffectKind::DeviceWrite, "volume", args.last().map_or("", |a| &a.text));
    }
}

// Formatting a file of the project is making an image; anything else is a disk.
fn targets(eval: &mut Eval<'_>, shell: &Shell, args: &[Arg], class: &'static str) {
    let opts = Opts::scan(
        args,
        &[
            "-t", "-L", "-N", "-b", "-E", "-O", "-m", "-I", "-U", "-T", "-o", "-n", "--label",
            "--type",
        ],
    );
    for word in &opts.words {
        let normal = paths::normalize(&word.text, &shell.cwd);
        if is_device(&normal) || normal.starts_with("/dev/") || is_unknown(&word.text) {
            eval.push_at(EffectKind::DeviceWrite, class, &normal, word.span);
        }
    }
}

fn dd(eval: &mut Eval<'_>, shell: &Shell, name: &str, args: &[Arg]) {
    let operand = |key: &str| {
        args.iter().find_map(|a| a.text.strip_prefix(key).map(|v| (v.to_owned(), a.span)))
    };
    let target = if name == "ddrescue" {
        args.get(2).map(|a| (a.text.clone(), a.span))
    } else {
        operand("of=")
    };
    if let Some((path, span)) = target {
        write_path(eval, shell, &path, span, None);
    }
    if let Some((source, span)) = operand("if=") {
        let normal = paths::normalize(&source, &shell.cwd);
        if super::is_credential(&normal, &eval.home) {
            eval.push_at(EffectKind::CredentialRead, "file", &normal, span);
        }
    }
}
