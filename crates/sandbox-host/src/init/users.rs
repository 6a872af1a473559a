//! The users of a sandbox: generated, so that none of the machine's shows through.

use std::fmt::Write as _;

/// Name, user id, group id, home, shell.
const USERS: [(&str, u32, u32, &str, &str); 9] = [
    ("root", 0, 0, "/root", "/bin/bash"),
    ("daemon", 1, 1, "/usr/sbin", "/usr/sbin/nologin"),
    ("bin", 2, 2, "/bin", "/usr/sbin/nologin"),
    ("sys", 3, 3, "/dev", "/usr/sbin/nologin"),
    ("man", 6, 12, "/var/cache/man", "/usr/sbin/nologin"),
    ("mail", 8, 8, "/var/mail", "/usr/sbin/nologin"),
    ("www-data", 33, 33, "/var/www", "/usr/sbin/nologin"),
    ("nobody", 65_534, 65_534, "/nonexistent", "/usr/sbin/nologin"),
    ("user", 1000, 1000, "/home/user", "/bin/bash"),
];

/// Groups without a user of the same name.
const GROUPS: [(&str, u32); 12] = [
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("man", 12),
    ("sudo", 27),
    ("audio", 29),
    ("src", 40),
    ("shadow", 42),
    ("utmp", 43),
    ("video", 44),
    ("staff", 50),
    ("users", 100),
];

/// Contents of `/etc/shadow`: no password opens any account, but each is one (`su` asks for it).
pub(super) fn shadow() -> String {
    let mut shadow = String::new();
    for (name, ..) in USERS {
        let _infallible = writeln!(shadow, "{name}:*:19000:0:99999:7:::");
    }
    shadow
}

/// Contents of `/etc/passwd` and `/etc/group`.
///
/// With a single mapped id `user` is another name of id 0: it owns what root owns.
pub(super) fn files(uid_range: bool) -> (String, String) {
    let (mut passwd, mut group) = (String::new(), String::new());
    for (name, uid, gid, home, shell) in USERS {
        let (uid, gid) = match (uid_range, name) {
            (true, _) => (uid, gid),
            (false, "root" | "user") => (0, 0),
            (false, _) => continue,
        };
        let _infallible = writeln!(passwd, "{name}:x:{uid}:{gid}:{name}:{home}:{shell}");
        if name != "man" {
            let name = if name == "nobody" { "nogroup" } else { name };
            let _infallible = writeln!(group, "{name}:x:{gid}:");
        }
    }
    if uid_range {
        for (name, gid) in GROUPS {
            let member = if matches!(name, "sudo" | "users") { "user" } else { "" };
            let _infallible = writeln!(group, "{name}:x:{gid}:{member}");
        }
    }
    (passwd, group)
}
