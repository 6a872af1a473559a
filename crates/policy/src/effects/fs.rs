//! Commands that delete, move, write files or change their permissions.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Flow, Shell, Taint, UNKNOWN};
use crate::paths::{self, Scope};
use crate::shell::Span;

use super::opts::{Opts, raw};

pub(super) fn run(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> bool {
    match name {
        "rm" | "srm" | "rimraf" | "del-cli" | "trash" | "trash-put" | "grm" | "wipe" | "rip"
        | "del" | "rd" | "erase" | "Remove-Item" | "rmtree" => remove(eval, shell, name, args),
        "unlink" => remove(eval, shell, name, args),
        "shred" => remove(eval, shell, name, args),
        "gio" if raw(args, &["trash", "remove"]) => {
            remove(eval, shell, name, args.get(1..).unwrap_or_default());
        }
        "truncate" | "fallocate" => {
            let opts = Opts::scan(args, &["-s", "--size", "-r", "-o", "-l"]);
            // Unlike a sparse file, this takes the blocks at once.
            let length = opts.value(&["-l", "--length"]).map(|length| length.text.clone());
            if name == "fallocate" && length.is_some_and(|length| is_huge(&length)) {
                eval.push(EffectKind::Process, "exhaust", "fallocate");
            }
            for word in opts.words {
                write_path(eval, shell, &word.text, word.span, None);
            }
        }
        "mv" | "gmv" => moved(eval, shell, args),
        "cp" | "install" | "gcp" => copied(eval, shell, args),
        "ln" => copied(eval, shell, args),
        "rsync" => rsync(eval, shell, args),
        "tee" | "sponge" => {
            let opts = Opts::scan(args, &[]);
            let append = opts.has(&["-a", "--append"]);
            for word in opts.words {
                write_path(eval, shell, &word.text, word.span, Some((stdin, append)));
            }
        }
        "touch" | "mkdir" => {
            let opts =
                Opts::scan(args, &["-m", "-d", "-t", "-r", "--mode", "--date", "--reference"]);
            for word in opts.words {
                if class_of_write(eval, shell, &word.text) != Some("install") {
                    write_path(eval, shell, &word.text, word.span, None);
                }
            }
        }
        "sed" | "gsed" | "ex" | "ed" => edited(eval, shell, args),
        "perl" | "ruby" if args.iter().any(|a| in_place(&a.text)) => edited(eval, shell, args),
        "chmod" => permissions(eval, shell, args, true),
        "chown" | "chgrp" | "setfacl" | "chattr" | "chcon" => permissions(eval, shell, args, false),
        "tar" | "bsdtar" | "gtar" => tar(eval, shell, args),
        "unzip" | "7z" | "7za" => {
            let opts = Opts::scan(args, &["-d", "-x", "-P"]);
            if let Some(dir) = opts.value(&["-d"]) {
                write_path(eval, shell, &dir.text.clone(), dir.span, None);
            }
        }
        "vim" | "vi" | "nvim" | "nano" | "emacs" => {
            let opts = Opts::scan(args, &["-c", "--cmd", "-S", "--eval"]);
            for word in opts.words {
                write_path(eval, shell, &word.text, word.span, None);
            }
        }
        "robocopy" if raw(args, &["/MIR", "/mir"]) => remove(eval, shell, name, args),
        _ => return false,
    }
    true
}

fn remove(eval: &mut Eval<'_>, shell: &Shell, name: &str, args: &[Arg]) {
    let opts = Opts::scan(args, &["-n", "--iterations", "-s", "--random-source"]);
    let recursive = opts.has(&["-r", "-R", "--recursive", "-d", "-Recurse"])
        || matches!(
            name,
            "rimraf" | "srm" | "del-cli" | "trash" | "trash-put" | "rd" | "rmtree" | "robocopy"
        );
    for word in opts.words {
        delete_path(eval, shell, &word.text, recursive, word.span);
    }
}

/// Records the deletion of a path as the command names it.
pub(crate) fn delete_path(
    eval: &mut Eval<'_>,
    shell: &Shell,
    path: &str,
    recursive: bool,
    span: Span,
) {
    if path.is_empty() {
        return;
    }
    let normal = paths::normalize(path, &shell.cwd);
    if is_device(&normal) {
        eval.push_at(EffectKind::DeviceWrite, "device", &normal, span);
        return;
    }
    if eval.files.remove(&normal).is_some() {
        return;
    }
    let mut scope = paths::scope(&normal, &eval.root, &eval.home);
    // `$x.log` and the like are single files; `$x` as a directory is not.
    if scope == Scope::Unknown && !recursive && path.starts_with(UNKNOWN) {
        scope = Scope::Unknown;
    }
    let mut recursive = recursive;
    // `/etc/*` without -r still takes every file.
    recursive |= path.ends_with("/*");
    eval.push_at(EffectKind::FsDelete, scope.delete_class(recursive), &normal, span);
}

fn moved(eval: &mut Eval<'_>, shell: &Shell, args: &[Arg]) {
    let opts = Opts::scan(args, &["-t", "--target-directory", "-S", "--suffix"]);
    let mut words = opts.words.clone();
    let target = match opts.value(&["-t", "--target-directory"]) {
        Some(dir) => Some(dir.clone()),
        None => words.pop().cloned(),
    };
    let Some(target) = target else { return };
    let lost = paths::normalize(&target.text, &shell.cwd) == "/dev/null";
    for word in words {
        let normal = paths::normalize(&word.text, &shell.cwd);
        let scope = paths::scope(&normal, &eval.root, &eval.home);
        let grave = matches!(
            scope,
            Scope::System | Scope::Home | Scope::Workspace | Scope::GitHistory | Scope::UnknownRoot
        );
        if lost || grave {
            delete_path(eval, shell, &word.text, true, word.span);
        }
        let content = eval.files.remove(&normal);
        if let Some(content) = content {
            keep(eval, shell, &target.text, &word.text, content);
        }
    }
    if !lost {
        write_path(eval, shell, &target.text, target.span, None);
    }
}

// A file this command wrote keeps its content under its new name.
fn keep(eval: &mut Eval<'_>, shell: &Shell, target: &str, source: &str, content: Flow) {
    let mut path = paths::normalize(target, &shell.cwd);
    if target.ends_with('/') || target == "." {
        path = format!("{path}/{}", source.rsplit('/').next().unwrap_or_default());
    }
    eval.files.insert(path, content);
}

fn copied(eval: &mut Eval<'_>, shell: &Shell, args: &[Arg]) {
    let opts = Opts::scan(
        args,
        &["-t", "--target-directory", "-m", "-o", "-g", "-S", "--suffix", "--mode", "--owner"],
    );
    let mut words = opts.words.clone();
    let target = match opts.value(&["-t", "--target-directory"]) {
        Some(dir) => Some(dir.clone()),
        None if words.len() > 1 => words.pop().cloned(),
        None => None,
    };
    let Some(target) = target else { return };
    if let Some(mode) = opts.value(&["-m", "--mode"]).filter(|mode| sets_id(&mode.text)) {
        eval.push_at(EffectKind::Privilege, "setuid", &target.text, mode.span);
    }
    if opts.has(&["-d", "--directory"]) && args.first().is_some_and(|a| a.text == "install") {
        return;
    }
    let mut content = None;
    for word in &words {
        let normal = paths::normalize(&word.text, &shell.cwd);
        content = eval.files.get(&normal).cloned();
        if let Some(content) = content.clone() {
            keep(eval, shell, &target.text, &word.text, content);
        }
    }
    write_path(eval, shell, &target.text, target.span, content.as_ref().map(|c| (c, false)));
}

fn rsync(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg]) {
    let takes = [
        "-e",
        "--rsh",
        "-f",
        "--filter",
        "--exclude",
        "--include",
        "--exclude-from",
        "--files-from",
        "--log-file",
        "--rsync-path",
        "-T",
        "--bwlimit",
        "--port",
        "--password-file",
    ];
    let opts = Opts::scan(args, &takes);
    if let Some(command) = opts.value(&["-e", "--rsh", "--rsync-path"])
        && command.text.contains(['/', ';', ' '])
    {
        let (text, span) = (command.text.clone(), command.span);
        eval.text(shell, &text, span, &Flow::empty());
    }
    if opts.has(&["-n", "--dry-run"]) {
        return;
    }
    let Some((target, sources)) = opts.words.split_last() else { return };
    if super::net::remote_spec(&target.text).is_some() {
        return;
    }
    let deletes = opts.flags.iter().any(|f| f.starts_with("--del"));
    let normal = paths::normalize(&target.text, &shell.cwd);
    let scope = paths::scope(&normal, &eval.root, &eval.home);
    if deletes && !matches!(scope, Scope::Outside | Scope::HomeFile) {
        delete_path(eval, shell, &target.text, true, target.span);
    } else {
        write_path(eval, shell, &target.text, target.span, None);
    }
    if opts.has(&["--remove-source-files"]) {
        for source in sources {
            delete_path(eval, shell, &source.text, true, source.span);
        }
    }
}

fn in_place(flag: &str) -> bool {
    flag.starts_with("--in-place")
        || flag.starts_with('-') && !flag.starts_with("--") && flag.contains('i')
}

fn edited(eval: &mut Eval<'_>, shell: &Shell, args: &[Arg]) {
    let name = args.first().map_or("", |a| a.text.as_str());
    let editor = matches!(name, "ex" | "ed");
    if !editor && !args.iter().skip(1).any(|a| in_place(&a.text)) {
        return;
    }
    let opts = Opts::scan(args, &["-e", "-f", "--expression", "--file"]);
    let skip =
        usize::from(!editor && opts.value(&["-e", "-f", "--expression", "--file"]).is_none());
    for word in opts.words.iter().skip(skip) {
        write_path(eval, shell, &word.text, word.span, None);
    }
}

fn permissions(eval: &mut Eval<'_>, shell: &Shell, args: &[Arg], mode: bool) {
    let mut words: Vec<&Arg> = Vec::new();
    let mut recursive = false;
    let mut reference = false;
    for arg in args.iter().skip(1) {
        match arg.text.as_str() {
            "-R" | "--recursive" | "-hR" | "-Rh" | "-Rf" | "-fR" | "-Rv" | "-vR" | "-cR" => {
                recursive = true;
            }
            text if text.starts_with("--reference") => reference = true,
            text if text.starts_with("--") => {}
            // `-x` is a mode, `-v` is not.
            text if text.starts_with('-')
                && !(mode && text.bytes().skip(1).all(|b| b"rwxXst,".contains(&b))) =>
            {
                recursive |= text.contains('R') && text.len() < 6;
            }
            _ => words.push(arg),
        }
    }
    let first = if reference || words.len() < 2 { "" } else { words.remove(0).text.as_str() };
    if mode && sets_id(first) {
        let target = words.first().map_or("", |a| a.text.as_str());
        eval.push(EffectKind::Privilege, "setuid", target);
        return;
    }
    let grave = recursive || mode && opens_or_closes(first) || first.starts_with("+i");
    for word in words {
        let normal = paths::normalize(&word.text, &shell.cwd);
        let scope = paths::scope(&normal, &eval.root, &eval.home);
        let whole_home = scope == Scope::Home
            && (normal.trim_start_matches('/').matches('/').count() <= 1 || opens_or_closes(first));
        let locks = mode && matches!(first, "000" | "0" | "0000" | "a-rwx");
        match scope {
            Scope::System if grave => {
                eval.push_at(EffectKind::FsWrite, "permissions", &normal, word.span);
            }
            _ if whole_home && grave || locks && scope == Scope::Workspace => {
                eval.push_at(EffectKind::FsWrite, "permissions", &normal, word.span);
            }
            Scope::UnknownRoot if recursive => {
                eval.push_at(EffectKind::FsWrite, "permissions", &normal, word.span);
            }
            Scope::System => write_path(eval, shell, &word.text, word.span, None),
            _ => {}
        }
    }
}

fn sets_id(mode: &str) -> bool {
    if mode.len() >= 4 && mode.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        let special = mode.as_bytes().get(mode.len() - 4).copied().unwrap_or(b'0');
        return matches!(special, b'2' | b'4' | b'6' | b'7') && mode.len() == 4 && special != b'2'
            || mode.len() == 5 && matches!(mode.as_bytes().get(1), Some(b'4' | b'6' | b'7'));
    }
    mode.split(',').any(|clause| {
        let who = clause.split(['+', '=']).next().unwrap_or_default();
        clause.contains(['+', '='])
            && clause.ends_with('s')
            && !who.contains('-')
            && (who.is_empty() || who.contains(['u', 'a']))
    })
}

fn opens_or_closes(mode: &str) -> bool {
    matches!(
        mode,
        "777"
            | "0777"
            | "666"
            | "0666"
            | "000"
            | "0000"
            | "0"
            | "a+rwx"
            | "a+w"
            | "o+w"
            | "ugo+rwx"
            | "+w"
            | "o+rw"
            | "o+rwx"
            | "a=rwx"
            | "-x"
            | "a-x"
            | "a-rwx"
            | "-r"
            | "ugo+w"
            | "776"
            | "767"
            | "a+rw"
            | "1777"
    )
}

fn tar(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg]) {
    let mut run = Vec::new();
    let mut rest = args.iter().skip(1).peekable();
    while let Some(arg) = rest.next() {
        let text = arg.text.as_str();
        let value = |rest: &mut std::iter::Peekable<_>| -> Option<String> {
            let next: Option<&Arg> = rest.next();
            next.map(|a| a.text.clone())
        };
        if let Some(action) = text.strip_prefix("--checkpoint-action=") {
            run.extend(action.strip_prefix("exec=").map(|c| (c.to_owned(), arg.span)));
        } else if text == "--checkpoint-action" {
            let next = value(&mut rest).unwrap_or_default();
            run.extend(next.strip_prefix("exec=").map(|c| (c.to_owned(), arg.span)));
        } else if let Some(command) =
            ["--to-command=", "--use-compress-program=", "--info-script=", "--rsh-command="]
                .iter()
                .find_map(|prefix| text.strip_prefix(prefix))
        {
            run.push((command.to_owned(), arg.span));
        } else if matches!(
            text,
            "--to-command" | "--use-compress-program" | "-I" | "--info-script" | "-F"
        ) {
            run.extend(value(&mut rest).map(|c| (c, arg.span)));
        } else if (text == "-C" || text == "--directory")
            && let Some(dir) = value(&mut rest)
        {
            let extracts = args.get(1).is_some_and(|a| a.text.contains('x'))
                || super::opts::raw(args, &["--extract", "-x"]);
            if extracts {
                write_path(eval, shell, &dir, arg.span, None);
            }
        }
    }
    for (command, span) in run {
        if command.contains([' ', '/', ';', '|']) || super::interp::is_interpreter(&command) {
            eval.text(shell, &command, span, &Flow::empty());
        }
    }
    if super::opts::raw(args, &["--remove-files"]) {
        let opts = Opts::scan(args, &["-f", "--file", "-C"]);
        for word in opts.words {
            delete_path(eval, shell, &word.text, true, word.span);
        }
    }
}

const DISKS: &[&str] = &[
    "sd", "hd", "vd", "xvd", "nvme", "mmcblk", "disk", "dm-", "md", "mapper/", "rdisk", "mem",
    "kmem", "port", "loop", "nbd", "ram", "pmem", "mtd", "zd", "drbd", "vg", "sg", "*", "root",
];

/// Whether a path is a disk or the memory.
pub(crate) fn is_device(path: &str) -> bool {
    let Some(name) = path.strip_prefix("/dev/") else { return false };
    DISKS.iter().any(|disk| name.starts_with(disk))
}

/// A size of hundreds of gigabytes: `900G`, `2TiB`.
fn is_huge(size: &str) -> bool {
    let digits = size.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = size.split_at(digits);
    let number: u64 = number.parse().unwrap_or(0);
    match unit.bytes().next().map(|unit| unit.to_ascii_uppercase()) {
        Some(b'G') => number >= 200,
        Some(b'T' | b'P' | b'E') => number > 0,
        Some(b'M') => number >= 200 << 10,
        Some(b'K') => number >= 200 << 20,
        _ => number >= 200 << 30,
    }
}

/// Records that a path is written, with the content if it is known.
pub(crate) fn write_path(
    eval: &mut Eval<'_>,
    shell: &Shell,
    path: &str,
    span: Span,
    content: Option<(&Flow, bool)>,
) {
    if path.is_empty() {
        return;
    }
    let normal = paths::normalize(path, &shell.cwd);
    if let Some((flow, append)) = content {
        let before = if append { eval.files.get(&normal).cloned() } else { None };
        let flow = match before {
            Some(before) => before.then(flow.clone()),
            None => flow.clone(),
        };
        if eval.files.len() < 64 {
            eval.files.insert(normal.clone(), flow);
        }
    }
    // A stream without an end fills the disk.
    if let Some((Flow { taint: Taint::Program(program), .. }, _)) = content
        && &**program == "yes"
        && !normal.starts_with("/dev/")
    {
        eval.push_at(EffectKind::Process, "exhaust", &normal, span);
    }
    if is_device(&normal) {
        eval.push_at(EffectKind::DeviceWrite, "device", &normal, span);
    } else if normal.ends_with("_history") && normal.contains("/.") {
        eval.push_at(EffectKind::System, "history", &normal, span);
    } else if normal.starts_with("/proc/sys") || normal.starts_with("/sys/") {
        let class = if normal.contains("sysrq") { "power" } else { "kernel" };
        eval.push_at(EffectKind::System, class, &normal, span);
    } else if let Some(mut class) = class_of_write(eval, shell, path) {
        if class == "profile"
            && content.is_some_and(|(flow, append)| !append || risky_line(eval, flow))
        {
            class = "persistence";
        }
        eval.push_at(EffectKind::FsWrite, class, &normal, span);
    }
}

/// Effects that a line of a start-up file must not have.
const RISKY: &[EffectKind] = &[
    EffectKind::FsDelete,
    EffectKind::DeviceWrite,
    EffectKind::ExecRemote,
    EffectKind::ExecOpaque,
    EffectKind::DbStatement,
    EffectKind::CloudMutate,
    EffectKind::NetEgress,
    EffectKind::CredentialRead,
    EffectKind::Privilege,
    EffectKind::Process,
    EffectKind::System,
];

/// More than settings of the environment in a start-up file: what it would do at the next start,
/// its aliases and functions called.
fn risky_line(eval: &Eval<'_>, flow: &Flow) -> bool {
    const GUARD: &str = "\u{1}profile";
    if matches!(flow.taint, Taint::Remote(_) | Taint::Decoded) {
        return true;
    }
    let Some(text) = flow.text.as_deref() else { return false };
    let hooks = ["PROMPT_COMMAND", "trap ", "nohup", " &", "alias sudo", "sudo="];
    if hooks.iter().any(|hook| text.contains(hook)) {
        return true;
    }
    if eval.calls.iter().any(|call| call == GUARD) {
        return false;
    }
    let mut inner = Eval::new(Some(&eval.root), eval.environment);
    inner.calls.push(GUARD.to_owned());
    let mut shell = inner.shell();
    inner.text(&mut shell, text, (0, 0), &Flow::empty());
    let bodies: Vec<String> =
        shell.aliases.values().chain(shell.functions.keys()).take(16).cloned().collect();
    for body in bodies {
        inner.text(&mut shell, &body, (0, 0), &Flow::empty());
    }
    inner.drain();
    inner.found.effects.iter().any(|effect| RISKY.contains(&effect.kind))
}

fn class_of_write(eval: &Eval<'_>, shell: &Shell, path: &str) -> Option<&'static str> {
    let normal = paths::normalize(path, &shell.cwd);
    for device in
        ["/dev/null", "/dev/std", "/dev/fd", "/dev/tty", "/dev/pts", "/dev/zero", "/dev/full"]
    {
        if normal.starts_with(device) {
            return None;
        }
    }
    if is_persistence(&normal, &eval.home) {
        return Some("persistence");
    }
    if let Some(name) = normal.strip_prefix(&eval.home).or_else(|| normal.strip_prefix("/root"))
        && matches!(
            name,
            "/.bashrc"
                | "/.bash_profile"
                | "/.profile"
                | "/.zshrc"
                | "/.zprofile"
                | "/.zshenv"
                | "/.bash_login"
                | "/.bash_logout"
                | "/.config/fish/config.fish"
                | "/.bash_aliases"
                | "/.vimrc"
                | "/.gitconfig"
                | "/.inputrc"
                | "/.tmux.conf"
        )
    {
        return Some("profile");
    }
    for base in ["/usr/local", "/opt", "/usr/share", "/srv", "/var/www", "/usr/src"] {
        if normal.starts_with(base) {
            return Some("install");
        }
    }
    if normal.starts_with("/var/log")
        || normal.starts_with("/var/lib")
        || normal.starts_with("/var/run")
        || normal.starts_with("/run/")
    {
        return Some(if normal.starts_with("/var/log") { "system" } else { "install" });
    }
    match paths::scope(&normal, &eval.root, &eval.home) {
        Scope::System if matches!(normal.as_str(), "/tmp" | "/var/tmp" | "/dev/shm") => None,
        Scope::System => {
            let top = normal.trim_start_matches('/').split('/').next().unwrap_or_default();
            let strict = matches!(
                top,
                "" | "bin"
                    | "sbin"
                    | "etc"
                    | "lib"
                    | "lib64"
                    | "usr"
                    | "boot"
                    | "dev"
                    | "sys"
                    | "proc"
                    | "root"
                    | "var"
                    | "System"
            );
            Some(if strict { "system" } else { "outside" })
        }
        Scope::GitHistory => {
            let file = normal.rsplit('/').next().unwrap_or_default();
            (!matches!(file, "exclude" | "description")).then_some("git-history")
        }
        _ => None,
    }
}

fn is_persistence(path: &str, home: &str) -> bool {
    const SYSTEM: &[&str] = &[
        "/etc/cron",
        "/var/spool/cron",
        "/etc/systemd",
        "/lib/systemd",
        "/usr/lib/systemd",
        "/etc/init",
        "/etc/rc",
        "/etc/profile",
        "/etc/ld.so.preload",
        "/etc/sudoers",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/pam.d",
        "/etc/ssh/",
        "/etc/bash.bashrc",
        "/etc/environment",
        "/etc/xdg/autostart",
        "/Library/LaunchDaemons",
        "/Library/LaunchAgents",
        "/etc/group",
        "/etc/gshadow",
        "/etc/hosts.allow",
        "/etc/udev",
        "/etc/modules",
        "/etc/motd",
        "/etc/update-motd.d",
    ];
    const HOME: &[&str] = &[
        "/.ssh/authorized_keys",
        "/.ssh/rc",
        "/.config/systemd",
        "/.config/autostart",
        "/.ssh/config",
        "/Library/LaunchAgents",
        "/.pam_environment",
        "/.xinitrc",
        "/.ssh/id_",
        "/.local/share/systemd",
    ];
    if SYSTEM.iter().any(|base| path.starts_with(base)) {
        return true;
    }
    let below_home = path.strip_prefix(home).or_else(|| path.strip_prefix("/root")).or_else(|| {
        path.strip_prefix("/home/").and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)))
    });
    below_home.is_some_and(|rest| HOME.iter().any(|base| rest.starts_with(base)))
}

/// A command line from text and arguments, quoted so that it reads back the same.
pub(super) fn requote(head: &str, args: &[Arg]) -> String {
    let mut line = head.to_owned();
    for arg in args {
        line.push(' ');
        let plain = !arg.text.is_empty()
            && arg
                .text
                .chars()
                .all(|c| c.is_alphanumeric() || "/._-=:~*@%+,".contains(c) || c > '\u{7f}');
        if plain {
            line.push_str(&arg.text);
        } else {
            line.push('\'');
            line.push_str(&arg.text.replace('\'', r"'\''"));
            line.push('\'');
        }
    }
    line
}
