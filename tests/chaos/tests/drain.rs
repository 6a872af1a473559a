//! Workers that are told to stop.

use std::time::Duration;

use airlock_chaos::House;
use airlock_chaos::rig::{Job, Rig, Worker};
use airlock_chaos::template::Work;
use nix::sys::signal::Signal;

use crate::support::{SLACK, assert_clean, assert_whole, polls, setting, until, wanted};

/// Ends a worker as a deployment does, and starts its successor.
async fn roll(rig: &Rig, mut old: Worker, successor: &str) -> Worker {
    old.process.signal(Signal::SIGTERM);
    let ended = old.process.wait(Duration::from_secs(30)).await;
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    let new = rig.worker(successor, None).await.expect("a worker");
    polls(&new).await;
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_two_workers_restarts_no_command_and_loses_no_output() {
    let house = House::open().await.expect("servers");
    let rig = Rig::build(&house, wanted("rolling")).await.expect("servers");
    let one = rig.worker("one", None).await.expect("a worker");
    let two = rig.worker("two", None).await.expect("a worker");
    polls(&one).await;
    polls(&two).await;

    let count = setting("AIRLOCK_CHAOS_COMMANDS", 40);
    let work = Work { burst: 5, lines: 30, pause_ms: 1000 };
    house.hold(true).expect("a file");
    let mut executions = Vec::new();
    for index in 0..count {
        let id = format!("rolling-{index}");
        let job = Job { id, work, heartbeat: Duration::from_secs(20), attempts: 0, slack: SLACK };
        executions.push(rig.start(&job).await.expect("an activity"));
    }
    let live = || {
        let seen = (0..count).map(|index| house.starts.of(&format!("rolling-{index}")));
        seen.fold((0, 0), |(starts, ends), seen| (starts + seen.starts, ends + seen.ends))
    };
    until("all commands run", Duration::from_mins(3), || live().0 == count).await;
    let (_, over) = live();
    assert_eq!(over, 0, "all of them live");

    let three = roll(&rig, one, "three").await;
    let four = roll(&rig, two, "four").await;
    house.hold(false).expect("a file");
    for execution in &executions {
        assert_whole(&house, &rig, execution, work).await.expect("a whole run");
    }
    assert_clean(&rig).await;
    drop((three, four));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_ends_the_worker_at_once() {
    let house = House::open().await.expect("servers");
    let mut like = wanted("impatient");
    // Longer than this test waits: only the second signal can be what ends it.
    like.grace = 600;
    let rig = Rig::build(&house, like).await.expect("servers");
    let gate = rig.folder().display().to_string();
    let faults = format!("claim.after:wait={gate}");
    let mut worker = rig.worker("one", Some(&faults)).await.expect("a worker");
    let work = Work { burst: 1, lines: 1, pause_ms: 100 };
    let id = "impatient".to_owned();
    let job = Job { id, work, heartbeat: Duration::from_secs(20), attempts: 0, slack: SLACK };
    rig.start(&job).await.expect("an activity");
    let reached = rig.folder().join("claim.after.reached");
    until("the worker is busy", Duration::from_mins(1), || reached.exists()).await;

    worker.process.signal(Signal::SIGTERM);
    let drained = worker.process.wait(Duration::from_secs(2)).await;
    assert_eq!(drained, None, "it waits for its activity");
    worker.process.signal(Signal::SIGTERM);
    let ended = worker.process.wait(Duration::from_secs(30)).await.expect("it ends");
    assert_eq!(ended.code(), Some(1));
}
