//! Attacks from inside a sandbox. Each is tried as root of the sandbox unless it says otherwise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test says what it found by failing"
)]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Sandbox, rig, rig_with};

/// Runs a Python program as root of the sandbox; its last line is the finding.
async fn python(sandbox: &Sandbox, program: &str) -> String {
    let program = program.replace('\'', "'\\''");
    let output = sandbox.run("root", &format!("python3 -c '{program}'")).await;
    assert_eq!(output.exit, Some(0), "{}", output.stderr);
    output.stdout.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_files_and_environment_are_absent() {
    let secret = tempfile::Builder::new().prefix("host-secret").tempdir().unwrap();
    std::fs::write(secret.path().join("key"), "machine secret").unwrap();
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    for user in ["user", "root"] {
        let path = secret.path().display();
        let output =
            sandbox.run(user, &format!("cat {path}/key; ls -A /tmp /home /root /run /var")).await;
        assert!(!output.stdout.contains("host-secret"), "{}", output.stdout);
        assert!(!output.stdout.contains("machine secret"));
        for absent in [
            "/etc/sudoers",
            "/etc/ssh",
            "/var/run/docker.sock",
            "/.host",
            "/sys/kernel",
            "/boot",
            "/var/lib/dpkg",
            "/etc/environment",
            "/dev/kmsg",
            "/dev/vda",
            "/dev/mem",
            "/dev/fuse",
        ] {
            let output = sandbox.run(user, &format!("test -e {absent} && echo there")).await;
            assert_eq!(output.stdout, "", "{user} sees {absent}");
        }
        let environment =
            sandbox.run(user, "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'").await;
        for name in ["CARGO", "RUST", "E2B_API_KEY"] {
            assert!(!environment.stdout.contains(name), "{user}: {}", environment.stdout);
        }
    }
    let passwd = sandbox
        .run(
            "root",
            "cat /etc/passwd | wc -l; cut -d: -f2 /etc/shadow | sort -u; cat /etc/hostname",
        )
        .await;
    assert_eq!(passwd.stdout, format!("9\n*\n{}\n", sandbox.id));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_the_machine_cannot_be_written() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    for path in [
        "/usr/x",
        "/usr/bin/env",
        "/etc/ssl/x",
        "/opt/x",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/dev/null/x",
    ] {
        let output = sandbox.run("root", &format!("echo x > {path} && echo written")).await;
        assert_eq!(output.stdout, "", "{path}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn root_of_a_sandbox_has_few_rights_and_gains_none() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let status =
        sandbox.run("root", "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status").await;
    let line = |name: &str| {
        let found = status.stdout.lines().find(|line| line.starts_with(name)).unwrap();
        found.split_whitespace().nth(1).unwrap().to_owned()
    };
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        assert_eq!(line(set), "00000000000004fb", "{set}");
    }
    assert_eq!((line("CapInh:"), line("CapAmb:")), ("0".repeat(16), "0".repeat(16)));
    assert_eq!((line("NoNewPrivs:").as_str(), line("Seccomp:").as_str()), ("1", "2"));
    let user = sandbox.run("user", "grep CapEff /proc/self/status; su -c id 2>&1; id -u").await;
    assert!(user.stdout.starts_with("CapEff:\t0000000000000000"), "{}", user.stdout);
    assert!(user.stdout.ends_with("1000\n") && !user.stdout.contains("uid=0"), "{}", user.stdout);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dangerous_system_calls_are_refused() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    for command in [
        "mount -t tmpfs none /mnt",
        "umount /proc",
        "unshare -U true",
        "unshare -m true",
        "unshare -n true",
        "chroot / true",
        "mknod /tmp/disk b 254 0",
        "hostname other",
        "dmesg",
        "nsenter -t 1 -m true",
    ] {
        let output = sandbox.run("root", &format!("{command} && echo done")).await;
        assert_eq!(output.stdout, "", "{command}");
    }
    let program = r#"
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    libc.syscall(number, *arguments)
    return errno.errorcode.get(ctypes.get_errno(), "none")
calls = {"ptrace": (101, 16, 1, 0, 0), "bpf": (321, 0, 0, 0), "keyctl": (250, 0, 0, 0),
  "add_key": (248, 0, 0, 0, 0, 0), "io_uring_setup": (425, 1, 0), "perf": (298, 0, 0, 0, 0, 0),
  "userfaultfd": (323, 0), "open_by_handle_at": (304, 0, 0, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
  "clone newuser": (56, 0x10000000 | 17, 0, 0, 0, 0), "tiocsti": (16, 0, 0x5412, 0),
  "clone3": (435, 0, 0), "x32 getpid": (0x40000000 | 39,), "future": (9999,)}
print(" ".join(name.replace(" ", "_") + "=" + call(*arguments) for name, arguments in calls.items()))
"#;
    let found = python(&sandbox, program).await;
    let want = "ptrace=EPERM bpf=EPERM keyctl=EPERM add_key=EPERM io_uring_setup=EPERM perf=EPERM \
                userfaultfd=EPERM open_by_handle_at=EPERM process_vm_readv=EPERM \
                clone_newuser=EPERM tiocsti=EPERM clone3=ENOSYS x32_getpid=ENOSYS future=ENOSYS";
    assert_eq!(found, want);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_network_but_loopback_and_no_raw_socket() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let port = rig.host.local_addr().port();
    let program = format!(
        r#"
import socket
def attempt(*kind, to=None):
    try:
        s = socket.socket(*kind)
        s.settimeout(3)
        if to: s.connect(to)
        return "open"
    except OSError as error: return type(error).__name__ + str(error.errno)
print(attempt(socket.AF_INET, socket.SOCK_RAW, 1), attempt(socket.AF_PACKET, socket.SOCK_RAW),
  attempt(socket.AF_VSOCK, socket.SOCK_STREAM), attempt(38, 5, 0),
  attempt(socket.AF_INET, socket.SOCK_STREAM, to=("127.0.0.1", {port})),
  attempt(socket.AF_INET, socket.SOCK_STREAM, to=("1.1.1.1", 53)),
  [name for _, name in socket.if_nameindex()])
"#
    );
    let found = python(&sandbox, &program).await;
    let want = "PermissionError1 PermissionError1 PermissionError1 PermissionError1 \
                ConnectionRefusedError111 OSError101 ['lo']";
    assert_eq!(found, want);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_shared_only_as_asked_and_allowed_and_without_rules() {
    let rig = rig().await;
    let port = rig.host.local_addr().port();
    let probe = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached");
    for (body, want) in [
        (json!({}), ""),
        (json!({"allow_internet_access": false}), ""),
        (json!({"allow_internet_access": true}), "reached\n"),
        (json!({"allow_internet_access": true, "network": {"denyOut": ["10.0.0.0/8"]}}), ""),
    ] {
        let sandbox = rig.create(body.clone()).await;
        assert_eq!(sandbox.sh(&probe).await.stdout, want, "{body}");
    }
    rig.end().await;
    let closed = rig_with(|config| config.allow_internet = false).await;
    let port = closed.host.local_addr().port();
    let sandbox = closed.create(json!({"allow_internet_access": true})).await;
    let probe = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached");
    assert_eq!(sandbox.sh(&probe).await.stdout, "");
    closed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_do_not_see_each_other() {
    let rig = rig().await;
    let (one, two) = (rig.create(json!({})).await, rig.create(json!({})).await);
    let mut sleeper = one.start("user", "echo secret > /tmp/mine; exec -a victim sleep 1000").await;
    sleeper.pid().await;
    let seen = two
        .run(
            "root",
            "cat /tmp/mine; ps ax 2>/dev/null; cat /proc/*/cmdline | tr '\\0' ' '; kill -9 -1",
        )
        .await;
    assert!(!seen.stdout.contains("victim") && !seen.stdout.contains("secret"), "{}", seen.stdout);
    let alive = one.sh("cat /proc/*/cmdline | tr '\\0' ' '").await;
    assert!(alive.stdout.contains("victim"), "{}", alive.stdout);
    // One sandbox's token opens no other.
    let mut mixed = two.clone();
    mixed.token = one.token.clone();
    assert_eq!(mixed.unary("user", "/process.Process/List", json!({})).await.0, 401);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pid_1_cannot_be_killed_read_or_used_from_inside() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let output = sandbox
        .run("root", "kill -9 1; kill -STOP 1; kill -TERM 1; cat /proc/1/environ /proc/1/maps; \
              head -c1 /proc/1/mem; ls /proc/1/fd /proc/1/cwd; readlink /proc/1/exe; ls /proc/self/fd | wc -l")
        .await;
    // The three standard descriptors and the directory that ls reads.
    assert_eq!(output.stdout, "4\n");
    assert_eq!(sandbox.health().await, 204);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_do_not_carry_a_user_to_what_is_not_theirs() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    sandbox.run("root", "echo roots > /root/secret; chmod 600 /root/secret").await;
    sandbox.sh("ln -s /root/secret steal; ln -s /etc/passwd overwrite; ln -s / all").await;
    assert_eq!(sandbox.read("steal").await.0, 403);
    assert_eq!(sandbox.read("all/root/secret").await.0, 403);
    assert_eq!(sandbox.write("overwrite", "root::0:0::/:/bin/sh").await.0, 403);
    assert_eq!(sandbox.write("/etc/new", "x").await.0, 403);
    assert_eq!(sandbox.read("../../../../../root/secret").await.0, 403);
    let (status, _) = sandbox
        .unary("user", "/filesystem.Filesystem/Remove", json!({"path": "all/root/secret"}))
        .await;
    assert_eq!(status, 403);
    assert_eq!(
        sandbox.run("root", "cat /root/secret; wc -l < /etc/passwd").await.stdout,
        "roots\n9\n"
    );
    // A daemon's thread that acted for a user acts for root again.
    let query = [("path", "/root/secret"), ("username", "root")];
    for _ in 0..8 {
        let reply = sandbox.request("GET", "/files").query(&query).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_stays_in_its_sandbox_and_dies_with_it() {
    let rig = rig_with(|config| config.limits.processes = 100).await;
    let (bomb, other) = (rig.create(json!({})).await, rig.create(json!({})).await);
    let mut stream = bomb.start("user", "b() { b | b & }; b; sleep 100").await;
    stream.pid().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bomb.health().await, 204);
    assert_eq!(bomb.write("x", "still here").await.0, 200);
    assert_eq!(other.sh("echo fine").await.stdout, "fine\n");
    let began = Instant::now();
    let path = format!("/sandboxes/{}", bomb.id);
    assert_eq!(rig.status("DELETE", &path, json!({})).await, 204);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_hog_is_killed_and_the_sandbox_lives() {
    let rig = rig_with(|config| {
        let base = config.templates.get_mut("base").unwrap();
        (base.memory_mb, base.disk_mb) = (64, 32);
    })
    .await;
    let sandbox = rig.create(json!({})).await;
    let hog = "python3 -c 'x = []\nwhile True: x.append(bytearray(1 << 20))'";
    let output = sandbox.sh(&format!("exec {hog}")).await;
    assert_ne!(output.exit, Some(0), "{output:?}");
    assert_eq!(sandbox.sh("echo alive").await.stdout, "alive\n");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_and_the_sandbox_lives() {
    let rig = rig_with(|config| config.templates.get_mut("base").unwrap().disk_mb = 16).await;
    let sandbox = rig.create(json!({})).await;
    let output = sandbox.sh("dd if=/dev/zero of=/tmp/fill bs=1M count=100 2>&1; ls /tmp").await;
    assert!(output.stdout.contains("No space left on device"), "{}", output.stdout);
    assert_eq!(sandbox.write("more", vec![0; 1 << 20]).await.0, 507);
    let inodes = "rm /tmp/fill; mkdir /tmp/many; cd /tmp/many; for i in $(seq 5000); do : > $i || break; done";
    assert!(sandbox.sh(inodes).await.stderr.contains("No space left"));
    assert_eq!(sandbox.sh("rm -r /tmp/many; echo alive > x; cat x").await.stdout, "alive\n");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_ignore_signals_die_with_their_sandbox() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let stubborn = "trap '' TERM INT HUP; echo ready; (setsid sh -c 'trap \"\" TERM; sleep 7654' &); sleep 7654";
    let mut stream = sandbox.start("user", stubborn).await;
    let pid = stream.pid().await;
    // "ready\n": the trap stands.
    assert_eq!(stream.next().await.unwrap().1["event"]["data"]["stdout"], "cmVhZHkK");
    let term = json!({"process": {"pid": pid}, "signal": "SIGNAL_SIGTERM"});
    assert_eq!(sandbox.unary("user", "/process.Process/SendSignal", term).await.0, 200);
    let wait = Duration::from_millis(300);
    let ended = tokio::time::timeout(wait, stream.next()).await;
    assert!(ended.is_err(), "it did not ignore the signal: {ended:?}");
    let running = || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let commands = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        commands.filter(|command| command.ends_with(b"sleep\x007654\x00")).count()
    };
    assert!(running() >= 2, "{}", running());
    let path = format!("/sandboxes/{}", sandbox.id);
    assert_eq!(rig.status("DELETE", &path, json!({})).await, 204);
    assert_eq!(running(), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_collected() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    sandbox.sh("for i in $(seq 20); do (setsid sh -c 'sleep 0.1' >/dev/null 2>&1 &); done").await;
    let began = Instant::now();
    loop {
        let states =
            sandbox.sh("cat /proc/[0-9]*/stat 2>/dev/null | cut -d' ' -f3 | grep -c Z").await;
        if states.stdout == "0\n" {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{} zombies", states.stdout);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn root_can_act_as_the_user_as_wrappers_do() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    for command in [
        "setpriv --reuid=user --regid=user --init-groups sh -c 'id; echo x > /home/user/mine'",
        "runuser -u user -- id",
        "su user -c id",
    ] {
        let output = sandbox.run("root", command).await;
        let want = "uid=1000(user) gid=1000(user) groups=1000(user),27(sudo),100(users)\n";
        assert_eq!(output.stdout, want, "{command}: {}", output.stderr);
    }
    // A directory of root's is a wall for the user.
    sandbox.run("root", "mkdir -m 700 /var/tmp/spool; echo 0 > /var/tmp/spool/rc").await;
    let user =
        sandbox.sh("cat /var/tmp/spool/rc; rm -rf /var/tmp/spool; mv /var/tmp/spool /tmp/s").await;
    assert_eq!(user.stdout, "");
    assert_eq!(sandbox.run("root", "cat /var/tmp/spool/rc").await.stdout, "0\n");
    let fifo = "mkfifo -m 600 /tmp/f && chown user /tmp/f && (cat /tmp/f & \
                setpriv --reuid=user --regid=user --init-groups sh -c 'echo through > /dev/stdout' > /tmp/f; wait)";
    assert_eq!(sandbox.run("root", fifo).await.stdout, "through\n");
    rig.end().await;
}
