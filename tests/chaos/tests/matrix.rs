//! A small part of the crash matrix with every test run; `make chaos` is the whole of it.

use airlock_chaos::{Case, Fault, House, run};
use airlock_engine::faultpoint::Point;

/// The points at which most is at stake, with the faults that are hardest there.
const CASES: [(Point, Fault); 5] = [
    (Point::ReserveHeld, Fault::WorkerKill),
    (Point::SandboxCreated, Fault::WorkerKill),
    (Point::StartCalled, Fault::WorkerKill),
    (Point::StartNoted, Fault::Partition),
    (Point::KillAfter, Fault::WorkerKill),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_run_survives_where_most_is_at_stake() {
    let house = House::open().await.expect("servers");
    let house = &house;
    let runs = CASES.into_iter().enumerate().map(|(index, (point, fault))| async move {
        let case = Case { point, fault, seed: 1 };
        let report = run::attempt(house, case, &format!("case-{index}"), false).await;
        let report = report.expect("a judged run");
        assert!(report.findings.is_clean(), "{report:#?}\n{}", case.again());
        assert_eq!((report.seen.starts, report.seen.ends), (1, 1), "{report:#?}");
    });
    futures_util::future::join_all(runs).await;
}
