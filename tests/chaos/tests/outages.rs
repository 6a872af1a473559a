//! Dependencies that go away and come back.

use std::time::{Duration, Instant};

use airlock_activities::client::Execution;
use airlock_chaos::House;
use airlock_chaos::rig::{Job, Rig, Wanted};
use airlock_chaos::template::Work;

use crate::support::{SLACK, assert_clean, assert_whole, polls, setting, until, wanted};

/// Temporal is away for longer than heartbeat timeout and lease together.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_temporal_kills_no_live_command() {
    let house = House::open().await.expect("servers");
    let outage = setting("AIRLOCK_CHAOS_OUTAGE_SECONDS", 30);
    tokio::join!(away(&house, "killed", outage), away(&house, "cut-off", outage));
}

async fn away(house: &House, how: &str, seconds: u32) {
    // 5 s of heartbeat timeout + 8 + 8: 21 s without a renewal and the sandbox is gone.
    let like = Wanted { own_temporal: true, lease_slack: 8, ..wanted(how) };
    let mut rig = Rig::build(house, like).await.expect("servers");
    let worker = rig.worker("one", None).await.expect("a worker");
    let work = Work { burst: 5, lines: seconds + 10, pause_ms: 1000 };
    let id = how.to_owned();
    let job = Job { id, work, heartbeat: Duration::from_secs(5), attempts: 0, slack: SLACK };
    let execution = rig.start(&job).await.expect("an activity");
    until("it runs", Duration::from_mins(1), || house.starts.of(how).starts == 1).await;
    let outage = Duration::from_secs(seconds.into());
    if how == "killed" {
        let temporal = rig.temporal.as_mut().expect("one of its own");
        temporal.kill();
        tokio::time::sleep(outage).await;
        temporal.revive().await.expect("it comes back");
    } else {
        worker.temporal.cut();
        tokio::time::sleep(outage).await;
        worker.temporal.heal();
    }
    assert_whole(house, &rig, &execution, work).await.expect("a whole run");
    drop(worker);
    assert_clean(&rig).await;
}

/// A dependency hangs for longer than the heartbeat timeout, wherever the run is.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_dependency_is_no_heartbeat_timeout() {
    let house = House::open().await.expect("servers");
    let stall = Duration::from_secs(setting("AIRLOCK_CHAOS_STALL_SECONDS", 12).into());
    let stalls = [
        ("claim.after", "redis"),
        ("sandbox.creating", "host"),
        ("start.uploading", "host"),
        ("follow.read", "host"),
        ("follow.read", "redis"),
        ("kill.before", "host"),
        ("settle.booked", "redis"),
    ];
    let house = &house;
    let runs = stalls.map(|(point, link)| stalled(house, point, link, stall));
    futures_util::future::join_all(runs).await;
}

async fn stalled(house: &House, point: &str, link: &str, stall: Duration) {
    let name = format!("{}-{link}", point.replace('.', "-"));
    let rig = Rig::build(house, wanted(&name)).await.expect("servers");
    let faults = format!("{point}:wait={}", rig.folder().display());
    let worker = rig.worker("one", Some(&faults)).await.expect("a worker");
    polls(&worker).await;
    let work = Work { burst: 5, lines: 4, pause_ms: 1000 };
    // The smallest that a caller should ask for on a machine that is as busy as this one.
    let heartbeat = Duration::from_secs(6);
    let job = Job { id: name.clone(), work, heartbeat, attempts: 0, slack: SLACK };
    let execution = rig.start(&job).await.expect("an activity");
    let file = |what: &str| rig.folder().join(format!("{point}.{what}"));
    until("the point is reached", Duration::from_mins(1), || file("reached").exists()).await;
    let proxy = if link == "redis" { &worker.redis } else { &worker.host };
    proxy.cut();
    std::fs::write(file("go"), "").expect("a file");
    let healed = Instant::now() + stall;
    let mut failures = Vec::new();
    while Instant::now() < healed {
        failures.extend(last_failure(&rig, &execution).await);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    proxy.heal();
    assert_whole(house, &rig, &execution, work).await.expect("a whole run");
    failures.extend(last_failure(&rig, &execution).await);
    let late = failures.iter().find(|message| message.to_lowercase().contains("timeout"));
    assert_eq!(late, None, "{name}");
}

async fn last_failure(rig: &Rig, execution: &Execution) -> Option<String> {
    rig.client.progress(execution).await.ok()?.last_failure
}
