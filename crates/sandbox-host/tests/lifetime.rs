//! What ends with what: hosts, keepers, sandboxes; and how many a machine carries.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test says what it found by failing"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{rig, rig_with};

/// How many processes of the machine have exactly this command line.
fn running(command: &[&str]) -> usize {
    let wanted: Vec<u8> =
        command.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let found = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    found.filter(|command| *command == wanted).count()
}

async fn wait_for_none(command: &[&str]) {
    let began = Instant::now();
    while running(command) > 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "{command:?} still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Not a test of its own: the host that the next test kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by a_killed_host_takes_its_sandboxes_along"]
async fn host_to_be_killed() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let frozen = rig.create(json!({})).await;
    for (sandbox, seconds) in [(&sandbox, "8641"), (&frozen, "8642")] {
        let mut stream = sandbox.start("user", &format!("exec sleep {seconds}")).await;
        stream.pid().await;
    }
    let began = Instant::now();
    while running(&["sleep", "8641"]) + running(&["sleep", "8642"]) < 2 {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pause = format!("/sandboxes/{}/pause", frozen.id);
    assert_eq!(rig.status("POST", &pause, json!({})).await, 204);
    println!("up");
    tokio::time::sleep(Duration::from_mins(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_takes_its_sandboxes_along() {
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "host_to_be_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("up")), "the host did not come up");
    assert_eq!((running(&["sleep", "8641"]), running(&["sleep", "8642"])), (1, 1));
    host.kill().unwrap();
    host.wait().unwrap();
    wait_for_none(&["sleep", "8641"]).await;
    wait_for_none(&["sleep", "8642"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_whose_first_process_dies_is_gone_at_once() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let stream = sandbox.start("user", "exec sleep 8643").await;
    let began = Instant::now();
    while running(&["sleep", "8643"]) < 1 {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The keeper, as the machine sees it: the parent of the sandbox's first process.
    let group = std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        (command == b"sleep\x008643\x00").then(|| entry.path())
    });
    let status = |path: &std::path::Path| std::fs::read_to_string(path.join("status")).unwrap();
    let parent = |status: &str| {
        let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
        std::path::PathBuf::from(format!("/proc/{}", line[5..].trim()))
    };
    let keeper = parent(&status(&parent(&status(&group.unwrap()))));
    let pid = keeper.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    assert_eq!(stream.collect().await.error.as_deref(), Some("cut"));
    wait_for_none(&["sleep", "8643"]).await;
    assert_eq!(sandbox.health().await, 502);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_host_that_was_shut_down() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("data");
    let given = path.clone();
    let rig = rig_with(|config| config.data_dir = given).await;
    let sandbox = rig.create(json!({})).await;
    let stream = sandbox.start("user", "exec sleep 8644").await;
    let (output, ()) = tokio::join!(stream.collect(), rig.end());
    assert_eq!(output.error.as_deref(), Some("cut"));
    assert_eq!(running(&["sleep", "8644"]), 0);
    assert_eq!(std::fs::read_dir(path.join("sandboxes")).unwrap().count(), 0);
    for controller in ["memory", "pids", "cpu", "cpuacct", "freezer", ""] {
        let find = format!("find /sys/fs/cgroup/{controller} -name {} 2>/dev/null", sandbox.id);
        let found = Command::new("sh").args(["-c", &find]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{controller}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_directory_is_seen_instead_of_the_machine() {
    let template = tempfile::tempdir().unwrap();
    let root = template.path();
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
    for link in ["lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).unwrap();
    }
    for directory in ["usr/bin", "usr/lib", "usr/lib64", "etc"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::write(root.join("etc/flavour"), "own\n").unwrap();
    std::fs::write(root.join("etc/passwd"), "not this one\n").unwrap();
    let copy = "for f in sh bash cat ls; do cp $(command -v $f) $1/usr/bin/; done; \
                ldd /bin/bash /bin/cat /bin/ls | grep -o '/[^ ]*' | grep -v : | sort -u | \
                while read f; do mkdir -p $1/$(dirname $f); cp $f $1/$f; done; \
                chmod -R go+rX $1";
    let done =
        Command::new("bash").args(["-c", copy, "-", root.to_str().unwrap()]).status().unwrap();
    assert!(done.success());
    let source = airlock_sandbox_host::TemplateSource::directory(root);
    let rig = rig_with(|config| {
        config.templates.insert("own".into(), source);
    })
    .await;
    let sandbox = rig.create(json!({"templateID": "own"})).await;
    let output = sandbox.sh("cat /etc/flavour; ls /usr/bin; id 2>/dev/null || echo no id").await;
    assert_eq!(output.stdout, "own\nbash\ncat\nls\nsh\nno id\n", "{}", output.stderr);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_sandboxes_live_side_by_side() {
    let rig = rig().await;
    let mut sandboxes = Vec::new();
    let mut times = Vec::new();
    for index in 0..100 {
        let began = Instant::now();
        let sandbox = rig.create(json!({"metadata": {"index": index.to_string()}})).await;
        times.push(began.elapsed());
        sandboxes.push(sandbox);
    }
    times.sort_unstable();
    let resident = |command: &[u8]| -> (u64, u64) {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let matching = entries.filter(|entry| {
            std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|found| found.starts_with(command))
        });
        matching.fold((0, 0), |(count, sum), entry| {
            let text =
                std::fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
            let pss = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kib: u64 = pss.map_or(0, |pss| pss.trim().trim_end_matches(" kB").parse().unwrap());
            (count + 1, sum + kib)
        })
    };
    let (processes, kib) = resident(env!("CARGO_BIN_EXE_airlock-sandbox-init").as_bytes());
    println!(
        "create: median {:?}, slowest {:?}; {processes} init processes, {} KiB a sandbox (PSS)",
        times[50],
        times[99],
        kib / 100
    );
    let runs = sandboxes.iter().map(|sandbox| sandbox.sh("echo $E2B_SANDBOX_ID"));
    let outputs = futures_util::future::join_all(runs).await;
    for (sandbox, output) in sandboxes.iter().zip(outputs) {
        assert_eq!(output.stdout, format!("{}\n", sandbox.id), "{output:?}");
    }
    rig.end().await;
    assert!(times[50] < Duration::from_secs(2), "{:?}", times[50]);
}
