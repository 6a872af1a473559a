//! The reaper's clock and its question: the engine knows neither Temporal nor when to look.

use std::time::Duration;

use airlock_activities::Connection;
use airlock_contract::RunIdentity;
use airlock_engine::{Engine, Liveness, LivenessSource};
use async_trait::async_trait;
use rand::Rng as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two looks, on average.
const EVERY: Duration = Duration::from_secs(30);
/// A process that reaps is taken to be dead if it has not looked again for this long.
const TERM: Duration = Duration::from_secs(90);

/// Asks the server that is connected.
#[derive(Clone)]
pub(crate) struct Temporal(pub(crate) Connection);

#[async_trait]
impl LivenessSource for Temporal {
    fn namespace(&self) -> &str {
        self.0.namespace()
    }

    async fn liveness(&self, identity: &RunIdentity) -> Liveness {
        airlock_activities::liveness(&self.0, identity).await
    }

    async fn workflow(&self, identity: &RunIdentity) -> Liveness {
        airlock_activities::workflow_liveness(&self.0, identity).await
    }
}

/// Reaps again and again until `stop`; of all workers of a namespace, one does.
pub(crate) async fn run(engine: Engine, temporal: Temporal, stop: CancellationToken) {
    let seat = engine.reaper_seat(temporal.namespace());
    loop {
        let wait = EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(wait) => {}
        }
        match seat.acquire(TERM).await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                tracing::warn!(%error, "nothing is reaped while Redis does not answer");
                continue;
            }
        }
        // A pass that is cut off is finished by the next one, here or elsewhere.
        tokio::select! {
            () = stop.cancelled() => break,
            () = pass(&engine, &temporal) => {}
        }
    }
    if let Err(error) = seat.release().await {
        tracing::debug!(%error, "another worker reaps once this one's term ends");
    }
}

async fn pass(engine: &Engine, temporal: &Temporal) {
    match engine.reap(temporal).await {
        Ok(report) if report.killed + report.shared_closed + report.failed + report.swept > 0 => {
            tracing::info!(
                looked = report.looked,
                killed = report.killed,
                kept = report.kept,
                failed = report.failed,
                shared = report.shared_looked,
                shared_closed = report.shared_closed,
                swept = report.swept,
                "reaped"
            );
        }
        Ok(_) => {}
        Err(failure) => tracing::warn!(reason = %failure.message, "nothing was reaped"),
    }
}
