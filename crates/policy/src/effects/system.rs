//! The machine itself: power, services, firewall, kernel, accounts, logs, processes.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Flow, Shell, Taint};

use super::opts::{Opts, raw};

pub(super) fn run(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> bool {
    power(eval, name, args)
        || services(eval, name, args)
        || network(eval, name, args)
        || kernel(eval, name, args)
        || accounts(eval, name, args)
        || schedule(eval, shell, name, args, stdin)
        || logs(eval, shell, name, args)
        || processes(eval, name, args, stdin)
}

fn system(eval: &mut Eval<'_>, class: &'static str, target: &str) {
    eval.push(EffectKind::System, class, target);
}

fn last(args: &[Arg]) -> &str {
    args.iter().skip(1).next_back().map_or("", |a| a.text.as_str())
}

fn power(eval: &mut Eval<'_>, name: &str, args: &[Arg]) -> bool {
    match name {
        "shutdown" if raw(args, &["-c", "--show"]) => {}
        "shutdown" | "reboot" | "halt" | "poweroff" | "pm-suspend" | "pm-hibernate" | "kexec" => {
            system(eval, "power", name);
        }
        "init" | "telinit" if raw(args, &["0", "6", "1", "s", "S"]) => system(eval, "power", name),
        "systemctl" | "loginctl"
            if raw(
                args,
                &[
                    "poweroff",
                    "reboot",
                    "halt",
                    "kexec",
                    "suspend",
                    "hibernate",
                    "rescue",
                    "emergency",
                    "soft-reboot",
                    "exit",
                ],
            ) =>
        {
            system(eval, "power", name);
        }
        "Stop-Computer" | "Restart-Computer" => system(eval, "power", name),
        _ => return false,
    }
    true
}

fn services(eval: &mut Eval<'_>, name: &str, args: &[Arg]) -> bool {
    if !matches!(
        name,
        "systemctl"
            | "service"
            | "rc-service"
            | "initctl"
            | "launchctl"
            | "supervisorctl"
            | "chkconfig"
            | "update-rc.d"
            | "rc-update"
            | "sc"
            | "snap-service"
            | "pm2"
            | "monit"
    ) {
        return false;
    }
    if raw(args, &["--user"]) && !raw(args, &["enable", "link"]) {
        return true;
    }
    let stops = raw(
        args,
        &[
            "stop", "disable", "mask", "kill", "unload", "bootout", "remove", "off", "isolate",
            "delete",
        ],
    );
    let guards = [
        "auditd",
        "ufw",
        "firewalld",
        "iptables",
        "nftables",
        "apparmor",
        "fail2ban",
        "falco",
        "selinux",
        "rsyslog",
        "syslog",
        "crowdsec",
        "clamav",
        "wazuh",
        "ossec",
        "osquery",
        "sshd",
        "ssh",
        "systemd-journald",
        "falcon-sensor",
        "datadog-agent",
        "network",
        "NetworkManager",
        "systemd-networkd",
        "sysmon",
        "cron",
    ];
    if stops && name == "pm2" {
        if raw(args, &["delete", "kill"]) && raw(args, &["all", "kill"]) {
            system(eval, "service", "pm2");
        }
        return true;
    }
    if stops {
        let guard = args.iter().any(|a| {
            guards
                .iter()
                .any(|g| a.text.trim_end_matches(".service") == *g || a.text.starts_with(g))
        });
        system(eval, if guard { "safety" } else { "service" }, last(args));
    } else if matches!(name, "systemctl" | "launchctl" | "update-rc.d")
        && raw(args, &["enable", "load", "bootstrap", "link", "edit", "set-default"])
    {
        system(eval, "schedule", last(args));
    } else if raw(args, &["restart", "start", "reload", "daemon-reload", "try-restart"])
        && name != "supervisorctl"
    {
        // Starting a database for the tests is everyday work.
    }
    true
}

fn network(eval: &mut Eval<'_>, name: &str, args: &[Arg]) -> bool {
    match name {
        "iptables" | "ip6tables" | "nft" | "ufw" | "firewall-cmd" | "ipset" | "ebtables"
        | "pfctl" | "netsh" | "iptables-restore" | "arptables" | "iptables-legacy" => {
            let looks = raw(
                args,
                &[
                    "-L",
                    "--list",
                    "-S",
                    "--list-rules",
                    "status",
                    "list",
                    "show",
                    "--state",
                    "--list-all",
                    "-h",
                    "-V",
                    "-C",
                    "-n",
                    "-nvL",
                    "-sr",
                    "--get-default-zone",
                    "--list-ports",
                    "version",
                ],
            ) || args.iter().any(|a| {
                a.text.starts_with("-L") || a.text.starts_with("-nL") || a.text.starts_with("-vL")
            });
            if !looks && args.len() > 1 || name == "iptables-restore" {
                system(eval, "firewall", name);
            }
        }
        "ip" | "ifconfig" | "nmcli" | "route" | "ifdown" | "tc" | "brctl" | "ethtool" => {
            let cuts =
                raw(args, &["down", "flush", "del", "delete", "off", "netem"]) || name == "ifdown";
            if cuts {
                system(eval, "network", name);
            }
        }
        "networksetup" | "resolvectl" | "hostnamectl" | "timedatectl" | "date" | "hwclock"
            if raw(args, &["set-hostname", "set-time", "-s", "--set", "--systohc", "set-ntp"]) =>
        {
            system(eval, "network", name);
        }
        "tcpdump" | "tshark" | "ettercap" | "arpspoof" | "bettercap" | "dsniff" | "wireshark"
        | "dumpcap" => {
            eval.push(EffectKind::CredentialRead, "capture", name);
        }
        _ => return false,
    }
    true
}

fn kernel(eval: &mut Eval<'_>, name: &str, args: &[Arg]) -> bool {
    match name {
        "insmod" | "rmmod" | "modprobe" | "kmod" | "dkms"
            if args.len() > 1 && !raw(args, &["status", "list", "-n", "--show-depends", "-l"]) =>
        {
            system(eval, "kernel", last(args));
        }
        "sysctl"
            if raw(args, &["-w", "-p", "--write", "--load", "--system"])
                || args.iter().skip(1).any(|a| a.text.contains('=')) =>
        {
            system(eval, "kernel", last(args));
        }
        "setenforce" if raw(args, &["0", "Permissive", "permissive"]) => {
            system(eval, "safety", "SELinux");
        }
        "aa-disable" | "aa-teardown" | "aa-complain" | "apparmor_parser" | "spctl" | "csrutil"
        | "auditctl" | "setsebool" => {
            if !raw(args, &["-s", "-l", "status", "--status"]) {
                system(eval, "safety", name);
            }
        }
        "mount" | "umount" | "swapoff" | "losetup" | "cryptsetup" | "fusermount" => {
            if args.len() > 1 && !raw(args, &["-l", "--list", "status", "luksDump", "-a"])
                || name == "swapoff"
                || name == "umount" && raw(args, &["-a"])
            {
                let disk = args.iter().any(|a| super::fs::is_device(&a.text))
                    || raw(args, &["--bind", "-a", "remount,rw", "/", "/proc"])
                    || args.iter().any(|a| a.text.contains("remount"));
                system(
                    eval,
                    if disk || name == "swapoff" { "mount" } else { "service" },
                    last(args),
                );
            }
        }
        "setcap" => eval.push(EffectKind::Privilege, "capability", last(args)),
        "grub-mkconfig" | "update-grub" | "grubby" | "bcdedit" | "update-initramfs" | "dracut"
        | "nvram" | "bless" => {
            system(eval, "kernel", name);
        }
        "vssadmin" | "wbadmin" | "tmutil" | "snapper" | "timeshift" | "restic" | "borg"
        | "duplicity"
            if raw(
                args,
                &[
                    "delete",
                    "forget",
                    "prune",
                    "--delete-all",
                    "deletelocalsnapshots",
                    "remove-older-than",
                    "shadows",
                    "disable",
                    "catalog",
                ],
            ) && !raw(args, &["--dry-run", "-n"]) =>
        {
            system(eval, "backup", name);
        }
        _ => return false,
    }
    true
}

fn accounts(eval: &mut Eval<'_>, name: &str, args: &[Arg]) -> bool {
    match name {
        "useradd" | "adduser" | "usermod" | "userdel" | "deluser" | "groupadd" | "groupdel"
        | "gpasswd" | "passwd" | "chpasswd" | "vipw" | "visudo" | "newusers" | "chage"
        | "groupmod" | "addgroup" | "delgroup" | "chsh" | "dscl" | "pw" | "net" => {
            if !raw(args, &["-S", "--status", "-l", "-c", "use", "view", "-V"]) || name == "usermod"
            {
                eval.push(EffectKind::Privilege, "account", last(args));
            }
        }
        "sudo-rs-visudo" => eval.push(EffectKind::Privilege, "sudoers", ""),
        "getcap" | "linpeas" | "linpeas.sh" | "pspy" => {}
        "security"
            if raw(
                args,
                &["find-generic-password", "find-internet-password", "dump-keychain", "export"],
            ) =>
        {
            eval.push(EffectKind::CredentialRead, "store", "keychain");
        }
        "secret-tool" | "kwallet-query" | "keyctl"
            if raw(args, &["lookup", "search", "print", "read", "-r"]) =>
        {
            eval.push(EffectKind::CredentialRead, "store", name);
        }
        "op" | "bw" | "lpass" | "rbw" | "keepassxc-cli"
            if raw(args, &["read", "get", "show", "item", "export"]) =>
        {
            eval.push(EffectKind::CredentialRead, "store", name);
        }
        "getent" if raw(args, &["shadow", "gshadow"]) => {
            eval.push(EffectKind::CredentialRead, "file", "/etc/shadow");
        }
        "pass" | "gopass"
            if args.len() > 1
                && !raw(
                    args,
                    &["ls", "list", "init", "insert", "generate", "git", "version", "find"],
                ) =>
        {
            eval.push(EffectKind::CredentialRead, "store", name);
        }
        "gpg" | "gpg2"
            if raw(
                args,
                &[
                    "--export-secret-keys",
                    "--export-secret-key",
                    "--export-secret-subkeys",
                    "--delete-secret-keys",
                    "--delete-secret-and-public-key",
                ],
            ) =>
        {
            eval.push(EffectKind::CredentialRead, "store", "gpg secret keys");
        }
        "ssh-copy-id" => eval.push(EffectKind::Privilege, "account", last(args)),
        "mimikatz" | "hashcat" | "john" | "lazagne" | "mimipenguin" | "gitleaks-dump"
        | "chainbreaker" | "crackmapexec" | "secretsdump.py" => {
            eval.push(EffectKind::CredentialRead, "store", name);
        }
        _ => return false,
    }
    true
}

fn schedule(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> bool {
    match name {
        "crontab" => {
            if raw(args, &["-l"]) {
                return true;
            }
            eval.push(EffectKind::FsWrite, "persistence", "crontab");
            if let Some(text) = stdin.known().map(str::to_owned) {
                // The commands of a crontab stand after five fields.
                for line in text.lines().take(16) {
                    let command: Vec<&str> = line.split_whitespace().skip(5).collect();
                    if !command.is_empty() {
                        eval.text(
                            shell,
                            &command.join(" "),
                            super::opts::span_of(args),
                            &Flow::empty(),
                        );
                    }
                }
            }
        }
        "atrm" | "atq" => {}
        "schtasks" if raw(args, &["/create", "/Create", "/CREATE"]) => {
            eval.push(EffectKind::FsWrite, "persistence", name);
        }
        "defaults" if raw(args, &["loginwindow", "com.apple.loginwindow"]) => {
            eval.push(EffectKind::FsWrite, "persistence", name);
        }
        _ => return false,
    }
    true
}

fn logs(eval: &mut Eval<'_>, shell: &mut Shell, name: &str, args: &[Arg]) -> bool {
    match name {
        "history"
            if args
                .iter()
                .skip(1)
                .any(|a| matches!(a.text.as_str(), "-c" | "-cw" | "-w" | "-wc" | "-d" | "-r")) =>
        {
            system(eval, "history", "shell history");
        }
        "journalctl"
            if args.iter().any(|a| {
                a.text.starts_with("--vacuum") || a.text == "--rotate" || a.text == "--flush"
            }) =>
        {
            system(eval, "logs", "journal");
        }
        "dmesg" if raw(args, &["-c", "-C", "--clear", "--read-clear"]) => {
            system(eval, "logs", "kernel log");
        }
        "wevtutil" | "Clear-EventLog"
            if raw(args, &["cl", "clear-log"]) || name == "Clear-EventLog" =>
        {
            system(eval, "logs", name);
        }
        "logrotate" if raw(args, &["-f", "--force"]) => system(eval, "logs", name),
        "unset" | "export" if args.iter().any(|a| a.text.starts_with("HISTFILE")) => {
            system(eval, "history", "HISTFILE");
        }
        _ => {
            let _ = shell;
            return false;
        }
    }
    true
}

fn processes(eval: &mut Eval<'_>, name: &str, args: &[Arg], stdin: &Flow) -> bool {
    let process =
        |eval: &mut Eval<'_>, class, target: &str| eval.push(EffectKind::Process, class, target);
    match name {
        "kill" => {
            let targets: Vec<&str> = targets_of_kill(args);
            if targets.iter().any(|t| matches!(*t, "-1" | "1" | "0")) {
                process(eval, "kill-all", "every process");
            }
        }
        "killall5" => process(eval, "kill-all", name),
        "killall" | "pkill" | "skill" | "slay" => {
            let opts = Opts::scan(
                args,
                &["-u", "-U", "--euid", "--uid", "-t", "-g", "-P", "-G", "-s", "--signal"],
            );
            let vital = [
                "systemd",
                "init",
                "sshd",
                "dbus-daemon",
                "dockerd",
                "containerd",
                "kubelet",
                "auditd",
                "rsyslogd",
                "falco",
                "loginwindow",
                "launchd",
                "getty",
                "cron",
                ".",
                ".*",
            ];
            let all_of_user =
                opts.value(&["-u", "-U", "--euid", "--uid"]).is_some() && opts.words.is_empty();
            if all_of_user || opts.words.iter().any(|w| vital.contains(&w.text.as_str())) {
                process(eval, "kill-all", last(args));
            }
        }
        "fuser"
            if args.iter().any(|a| a.text.starts_with('-') && a.text.contains('k'))
                && raw(args, &["/", "/home", "/var"]) =>
        {
            process(eval, "kill-all", last(args));
        }
        "stress" | "stress-ng" | "fork" | "forkbomb" => process(eval, "exhaust", name),
        "yes" if eval.forks > 1 && stdin.taint == Taint::None => {}
        "gdb" if raw(args, &["-p", "--pid", "attach"]) => process(eval, "inject", last(args)),
        _ => return false,
    }
    true
}

fn targets_of_kill(args: &[Arg]) -> Vec<&str> {
    let mut out = Vec::new();
    let mut signal_given = false;
    let mut rest = args.iter().skip(1);
    while let Some(arg) = rest.next() {
        let text = arg.text.as_str();
        if matches!(text, "-s" | "-n") {
            rest.next();
            signal_given = true;
        } else if matches!(text, "-l" | "-L") {
            return Vec::new();
        } else if text == "--" {
            signal_given = true;
        } else if text.starts_with('-') && !signal_given {
            signal_given = true;
            // `kill -1 PID` sends a signal; alone, it is no target either.
        } else if text == "0" && args.iter().any(|a| a.text == "-0") {
        } else {
            out.push(text);
        }
    }
    if raw(args, &["-0"]) { Vec::new() } else { out }
}
