//! What is done to a run, and the plan of many.

use airlock_engine::faultpoint::Point;
use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use serde_json::{Value, json};

/// What happens while the worker stands at the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The worker is killed; another one is started.
    WorkerKill,
    /// The worker is killed, and so is the next one, at a point of its own; a third is started.
    WorkerKillTwice,
    /// The worker is killed and nobody comes back: the reaper must tidy up.
    WorkerGone,
    /// The worker loses Temporal and goes on while another one has taken over.
    Partition,
    /// The worker is frozen whole (SIGSTOP) and goes on while another one has taken over.
    Freeze,
    /// Redis is killed and comes back.
    RedisKill,
    /// Temporal is killed and comes back.
    TemporalKill,
    /// The sandbox host is killed, its sandboxes with it, and comes back.
    HostKill,
    /// The network to Redis is cut for a while.
    CutRedis,
    /// The network to Temporal is cut for longer than the heartbeat timeout.
    CutTemporal,
    /// The network to the sandboxes is cut for a while.
    CutHost,
    /// The reply to the sandbox's creation is lost, and the worker is killed at the point.
    LostCreate,
    /// Streams and downloads are cut at some byte, and the worker is killed at the point.
    StreamCut,
    /// The provider refuses everything with 429 for a while, and the worker is killed at the point.
    Storm,
    /// Every call takes long, and the worker is killed at the point.
    Slow,
}

impl Fault {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether the sandbox dies by it: then an unknown outcome is the truth.
    pub const fn ends_sandboxes(self) -> bool {
        matches!(self, Self::HostKill)
    }

    /// Whether nobody is left to bring the run to a result.
    pub const fn leaves_nobody(self) -> bool {
        matches!(self, Self::WorkerGone)
    }

    /// Whether the run needs a Temporal of its own.
    pub const fn kills_temporal(self) -> bool {
        matches!(self, Self::TemporalKill)
    }

    /// The rules that the sandbox host begins with.
    pub fn host_rules(self, random: &mut StdRng) -> Value {
        let (at, nth) = (random.random_range(0..400), random.random_range(1..4));
        match self {
            Self::LostCreate => {
                json!([{"method": "POST", "path": "/v2/sandboxes", "action": "loseReply"}])
            }
            Self::StreamCut => json!([
                {"path": "/process.Process/Start", "times": 3, "action": {"cut": {"at": at}}},
                {"path": "/files", "method": "GET", "nth": nth, "times": 2,
                    "action": {"cut": {"at": at * 10}}},
            ]),
            Self::Storm => {
                let nth = random.random_range(1..12);
                let refuse = json!({"status": 429, "retryAfter": 1});
                json!([{"path": "/*", "nth": nth, "forMs": 2500, "action": {"refuse": refuse}}])
            }
            Self::Slow => json!([{"path": "/*", "times": null, "action": {"delay": {"ms": 150}}}]),
            _ => json!([]),
        }
    }
}

/// One run that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Where.
    pub point: Point,
    /// What.
    pub fault: Fault,
    /// Decides everything that is left to chance in it.
    pub seed: u64,
}

impl Case {
    /// What is left to chance in it.
    pub fn random(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// The command that makes this run again.
    pub fn again(&self) -> String {
        let (point, fault) = (self.point.name(), self.fault.name());
        format!(
            "make chaos ARGS=\"--point {point} --fault {fault} --seed {} --runs 1 --keep\"",
            self.seed
        )
    }
}

/// `runs` runs over all points and faults: every point is met before any a second time, the first
/// time by a killed worker, then by the other faults in turn, so that neighbours get others.
pub fn plan(points: &[Point], faults: &[Fault], runs: usize, seed: u64) -> Vec<Case> {
    (0..runs)
        .map(|index| {
            let (round, place) = (index / points.len(), index % points.len());
            // Round 0 is the first fault everywhere. Later rounds walk through the others, one
            // further for each point.
            let fault = match (round, faults.len()) {
                (0, _) | (_, 1) => 0,
                (round, many) => 1 + (place + (round - 1)) % (many - 1),
            };
            // Alone, a case is its own first run: its seed is the one that is given.
            let seed = seed.wrapping_add(u64::try_from(index).unwrap_or_default());
            Case { point: points[place], fault: faults[fault], seed }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn four_rounds_meet_every_point_with_four_faults_and_leave_no_fault_out() {
        let cases = plan(Point::ALL, Fault::value_variants(), 4 * Point::ALL.len(), 1);
        for point in Point::ALL {
            let of = cases.iter().filter(|case| case.point == *point);
            assert_eq!(of.map(|case| case.fault).collect::<BTreeSet<_>>().len(), 4, "{point:?}");
        }
        let met: BTreeSet<_> = cases.iter().map(|case| case.fault).collect();
        assert_eq!(met.len(), Fault::value_variants().len());
        let seeds: BTreeSet<_> = cases.iter().map(|case| case.seed).collect();
        assert_eq!(seeds.len(), cases.len());
    }

    #[test]
    fn a_case_alone_is_the_same_case() {
        let all = plan(Point::ALL, Fault::value_variants(), 100, 7);
        let one = all[77];
        assert_eq!(plan(&[one.point], &[one.fault], 1, one.seed), [one]);
    }
}
