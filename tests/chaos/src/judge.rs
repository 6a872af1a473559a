//! What became of a run, seen from outside.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use airlock_activities::client::Outcome;
use airlock_budget::{EntryKind, Error as BudgetError, Ledger};
use airlock_contract::{AccountId, BudgetStatus, FailureType, Usd};
use airlock_e2b::{Client, ListQuery};
use airlock_runs::Runs;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::rig::{House, Rig};
use crate::starts::Seen;
use crate::template::Work;
use crate::{Case, Fault, Result, Trouble};

/// The longest that a sandbox's lease or a hold may last in a rig, and some time to be seen.
const LEASE: Duration = Duration::from_secs(150);
/// A charge may be above what is seen of the sandbox's life by this: asking for it counts.
const ASKING: Duration = Duration::from_millis(2500);
/// The same where asking takes long: the network to the host, or to the store that is asked before,
/// is cut, or the host refuses for a while.
const ASKING_LONG: Duration = Duration::from_secs(9);

/// What must all be zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// Starts of the command beyond the first.
    pub second_starts: u32,
    /// Output bytes that are not in the result.
    pub lost_bytes: u64,
    /// Output bytes that are there twice, or were never printed.
    pub doubled_bytes: u64,
    /// Charges beyond the first, and charges for time in which there was no sandbox.
    pub double_charges: u32,
    /// Money that is held past the lease.
    pub phantom_holds: u32,
    /// Sandboxes and leases that are left past the lease.
    pub orphans: u32,
    /// Commands that were ended though they lived and were wanted.
    pub live_killed: u32,
    /// The run did not end.
    pub unended: u32,
    /// The answer is not what it must be.
    pub wrong_answers: u32,
}

impl Findings {
    /// Whether the promise was kept.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    /// The sum of two.
    pub fn add(&mut self, other: &Self) {
        self.second_starts += other.second_starts;
        self.lost_bytes += other.lost_bytes;
        self.doubled_bytes += other.doubled_bytes;
        self.double_charges += other.double_charges;
        self.phantom_holds += other.phantom_holds;
        self.orphans += other.orphans;
        self.live_killed += other.live_killed;
        self.unended += other.unended;
        self.wrong_answers += other.wrong_answers;
    }
}

/// How long a run took.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From its first process to the end of its activity.
    pub whole: Duration,
    /// From the fault to the end of its activity.
    pub after_fault: Duration,
}

/// One run, judged.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The point's name.
    pub point: &'static str,
    /// The fault's name.
    pub fault: String,
    /// Makes it again.
    pub seed: u64,
    /// `completed`, or the type of the failure.
    pub outcome: String,
    /// The attempt that gave the result.
    pub attempt: Option<u64>,
    /// What the command said of itself.
    pub seen: Seen,
    /// Sandboxes that the host had for it.
    pub sandboxes: usize,
    /// Whether something was tidied up by a lease's end and the reaper, not at once.
    pub by_lease: bool,
    /// From the fault to the end of the activity, in milliseconds.
    pub after_fault_ms: u64,
    /// All zero, or a promise is broken.
    pub findings: Findings,
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// Where its logs are, if they are kept.
    pub folder: String,
}

/// The host's own list, looked at all the time.
#[derive(Debug)]
pub struct Watch {
    lives: Arc<Mutex<HashMap<String, Life>>>,
    looking: JoinHandle<()>,
}

/// How long one sandbox was there, as far as could be seen.
#[derive(Clone, Copy, Debug)]
struct Life {
    began_ms: i64,
    gone: Option<Instant>,
    seen: Instant,
    since_seen_ms: i64,
    /// When the host would end it.
    ends_ms: i64,
    /// Whether somebody took time away from it.
    shortened: bool,
}

impl Watch {
    /// Looks until it is dropped.
    pub fn begin(client: Client) -> Self {
        let lives = Arc::<Mutex<HashMap<String, Life>>>::default();
        let seen = lives.clone();
        let looking = tokio::spawn(async move {
            loop {
                if let Ok(list) = client.list(&ListQuery::default()).await {
                    note(&mut seen.lock(), &list);
                }
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        });
        Self { lives, looking }
    }

    /// The longest that they can have lived, together.
    fn at_most(&self) -> Duration {
        self.lives
            .lock()
            .values()
            .map(|life| {
                let end = life.gone.unwrap_or_else(Instant::now);
                let before = u64::try_from(life.since_seen_ms - life.began_ms).unwrap_or(0);
                end.duration_since(life.seen) + Duration::from_millis(before)
            })
            .sum()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

fn note(lives: &mut HashMap<String, Life>, list: &[airlock_e2b::SandboxInfo]) {
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    for info in list {
        let ends_ms = info.end_at.as_millisecond();
        let life = lives.entry(info.id.clone()).or_insert_with(|| Life {
            began_ms: info.started_at.as_millisecond(),
            gone: None,
            seen: Instant::now(),
            since_seen_ms: now_ms,
            ends_ms,
            shortened: false,
        });
        // Leases are whole seconds.
        life.shortened |= ends_ms < life.ends_ms - 1000;
        life.ends_ms = ends_ms;
    }
    for (id, life) in lives.iter_mut() {
        if life.gone.is_none() && !list.iter().any(|info| info.id == *id) {
            life.gone = Some(Instant::now());
        }
    }
}

/// Judges a run that is over.
pub async fn judge(
    house: &House,
    rig: &Rig,
    case: Case,
    work: Work,
    outcome: Option<Outcome>,
    watch: Watch,
    timing: Timing,
) -> Result<Report> {
    let mut case_file = CaseFile { case, findings: Findings::default(), problems: Vec::new() };
    let by_lease = case_file.cleanliness(rig).await?;
    let seen = house.starts.of(&rig.name);
    let outcome = outcome.as_ref();
    let status = case_file.money(rig, outcome, &watch).await?;
    case_file.starts(seen, outcome);
    case_file.answer(work, outcome);
    if let (Some(Outcome::Completed(value)), Some(status)) = (outcome, &status) {
        let spent: Option<Usd> = serde_json::from_value(value["cost"]["spentUsd"].clone()).ok();
        if spent != Some(status.spent) {
            case_file.find(
                |f| &mut f.double_charges,
                format!("the result says {spent:?}, the ledger {}", status.spent),
            );
        }
    }
    let sandboxes = watch.lives.lock().len();
    if watch.lives.lock().values().any(|life| life.shortened) {
        case_file.find(|f| &mut f.live_killed, "a sandbox's life was shortened".to_owned());
    }
    Ok(Report {
        point: case.point.name(),
        fault: case.fault.name(),
        seed: case.seed,
        attempt: match outcome {
            Some(Outcome::Completed(value)) => value["attempt"].as_u64(),
            _ => None,
        },
        outcome: word(outcome),
        seen,
        sandboxes,
        by_lease,
        after_fault_ms: u64::try_from(timing.after_fault.as_millis()).unwrap_or(u64::MAX),
        findings: case_file.findings,
        problems: case_file.problems,
        folder: rig.folder().display().to_string(),
    })
}

fn word(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => "unended".to_owned(),
        Some(Outcome::Completed(_)) => "completed".to_owned(),
        Some(Outcome::Failed(report)) => report.type_name.clone(),
        Some(Outcome::Cancelled(_)) => "cancelled".to_owned(),
        Some(Outcome::Terminated) => "terminated".to_owned(),
        Some(Outcome::TimedOut) => "timedOut".to_owned(),
    }
}

fn is_unknown(outcome: Option<&Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Failed(report)) if report.kind == Some(FailureType::OutcomeUnknown))
}

/// One run's findings as they come.
struct CaseFile {
    case: Case,
    findings: Findings,
    problems: Vec<String>,
}

impl CaseFile {
    fn find(&mut self, which: impl Fn(&mut Findings) -> &mut u32, problem: String) {
        *which(&mut self.findings) += 1;
        self.problems.push(problem);
    }

    /// Nothing is left; at the latest when leases have ended and the reaper has passed. Whether it
    /// took that.
    async fn cleanliness(&mut self, rig: &Rig) -> Result<bool> {
        let left = Left::of(rig).await?;
        if left.is_none() {
            return Ok(false);
        }
        let until = Instant::now() + LEASE;
        let mut last = left;
        while Instant::now() < until {
            tokio::time::sleep(Duration::from_secs(3)).await;
            rig.reap().await?;
            last = Left::of(rig).await?;
            if last.is_none() {
                return Ok(true);
            }
        }
        if last.held != Usd::ZERO {
            self.find(|f| &mut f.phantom_holds, format!("{} is held for ever", last.held));
        }
        for what in last.sandboxes {
            self.find(|f| &mut f.orphans, format!("sandbox {what} is left"));
        }
        if last.leases > 0 {
            self.find(|f| &mut f.orphans, format!("{} leases are left", last.leases));
        }
        Ok(true)
    }

    /// Booked once, and no more than there was.
    async fn money(
        &mut self,
        rig: &Rig,
        outcome: Option<&Outcome>,
        watch: &Watch,
    ) -> Result<Option<BudgetStatus>> {
        let ledger = ledger(rig).await;
        let account = account(rig)?;
        let status = match ledger.get(&account).await {
            Ok(status) => status,
            // The worker died before it was made, and nobody came back.
            Err(BudgetError::NotFound { .. }) if self.case.fault.leaves_nobody() => {
                return Ok(None);
            }
            Err(error) => return Err(Trouble::new("the ledger", error)),
        };
        let entries = ledger.history(&account, 1000).await;
        let entries = entries.map_err(|error| Trouble::new("the ledger", error))?;
        let of = |kind: EntryKind| entries.iter().filter(move |entry| entry.kind == kind);
        let charges = of(EntryKind::Settled).count() + of(EntryKind::Spent).count();
        let booked = of(EntryKind::Settled).map(|entry| entry.amount);
        let booked = booked.fold(Usd::ZERO, Usd::saturating_add);
        if charges > 1 {
            self.find(|f| &mut f.double_charges, format!("charged {charges} times"));
        }
        if booked != status.spent {
            let problem = format!("{booked} is booked and {} is spent", status.spent);
            self.find(|f| &mut f.double_charges, problem);
        }
        if let Some(Outcome::Completed(value)) = outcome {
            let billed =
                Duration::try_from_secs_f64(value["cost"]["seconds"].as_f64().unwrap_or(0.0));
            let billed = billed.unwrap_or_default();
            let lived = watch.at_most();
            let long = matches!(self.case.fault, Fault::CutHost | Fault::CutRedis | Fault::Storm);
            let asking = if long { ASKING_LONG } else { ASKING };
            if !self.case.fault.ends_sandboxes() && billed > lived + asking {
                let problem = format!("charged for {billed:?}, its sandboxes lived {lived:?}");
                self.find(|f| &mut f.double_charges, problem);
            }
        }
        Ok(Some(status))
    }

    /// Started once at most, and once for sure if there is a result; ended by itself.
    fn starts(&mut self, seen: Seen, outcome: Option<&Outcome>) {
        for _ in 1..seen.starts {
            self.find(|f| &mut f.second_starts, format!("started {} times", seen.starts));
        }
        let completed = matches!(outcome, Some(Outcome::Completed(_)));
        if completed && seen.starts == 0 {
            self.find(|f| &mut f.wrong_answers, "a result of what never began".to_owned());
        }
        let may_die = self.case.fault.ends_sandboxes() || self.case.fault.leaves_nobody();
        if seen.ends < seen.starts && !may_die {
            self.find(|f| &mut f.live_killed, "the command was ended while it lived".to_owned());
        }
    }

    /// The answer and every byte of its output.
    fn answer(&mut self, work: Work, outcome: Option<&Outcome>) {
        let (out, err) = work.expected();
        match outcome {
            None => self.find(|f| &mut f.unended, "it did not end".to_owned()),
            Some(Outcome::Completed(value)) => {
                let facts = json!([value["status"], value["exitCode"]]);
                if facts != json!(["completed", 7]) {
                    self.find(|f| &mut f.wrong_answers, format!("status and exit code: {facts}"));
                }
                self.output("stdout", &value["stdout"], &out);
                self.output("stderr", &value["stderr"], &err);
            }
            Some(Outcome::Failed(report))
                if is_unknown(outcome) && self.case.fault.ends_sandboxes() =>
            {
                let details = report.details.as_ref().unwrap_or(&Value::Null);
                for (name, whole) in [("stdout", &out), ("stderr", &err)] {
                    let text = details[name].as_str().unwrap_or_default();
                    if !whole.starts_with(text) {
                        self.findings.doubled_bytes += 1;
                        self.problems.push(format!("{name} is no part of what was printed"));
                    }
                }
            }
            Some(Outcome::TimedOut) if self.case.fault.leaves_nobody() => {}
            Some(other) => {
                let text = format!("{other:?}");
                let short: String = text.chars().take(300).collect();
                self.find(|f| &mut f.wrong_answers, format!("the answer is {short}"));
            }
        }
    }

    fn output(&mut self, name: &str, got: &Value, whole: &str) {
        let got = got.as_str().unwrap_or_default();
        if got == whole {
            return;
        }
        let (lost, doubled) = differences(got, whole);
        self.findings.lost_bytes += lost;
        self.findings.doubled_bytes += doubled.max(u64::from(lost == 0));
        self.problems.push(format!("{name}: {lost} bytes lost, {doubled} doubled or foreign"));
    }
}

/// Bytes of lines that are missing, and of lines that are too many. Each line is unique.
fn differences(got: &str, whole: &str) -> (u64, u64) {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    whole.split_inclusive('\n').for_each(|line| *counts.entry(line).or_default() += 1);
    got.split_inclusive('\n').for_each(|line| *counts.entry(line).or_default() -= 1);
    let bytes = |sign: i64| {
        let of = counts.iter().filter(move |(_, count)| **count * sign > 0);
        of.map(|(line, count)| line.len() as u64 * count.unsigned_abs()).sum()
    };
    (bytes(1), bytes(-1))
}

/// What a run left behind.
#[derive(Debug)]
struct Left {
    sandboxes: Vec<String>,
    leases: u64,
    held: Usd,
}

impl Left {
    async fn of(rig: &Rig) -> Result<Self> {
        let list = rig.sandboxes()?.list(&ListQuery::default()).await;
        let list = list.map_err(|error| Trouble::new("the sandbox host", error))?;
        let connection = airlock_testing::connect(&rig.redis_url()).await;
        let leases = Runs::new(connection, "airlock").lease_count().await;
        let held = match ledger(rig).await.get(&account(rig)?).await {
            Ok(status) => status.reserved,
            Err(BudgetError::NotFound { .. }) => Usd::ZERO,
            Err(error) => return Err(Trouble::new("the ledger", error)),
        };
        Ok(Self {
            sandboxes: list.into_iter().map(|info| info.id).collect(),
            leases: leases.map_err(|error| Trouble::new("the run records", error))?,
            held,
        })
    }

    fn is_none(&self) -> bool {
        self.sandboxes.is_empty() && self.leases == 0 && self.held == Usd::ZERO
    }
}

async fn ledger(rig: &Rig) -> Ledger {
    Ledger::new(airlock_testing::connect(&rig.redis_url()).await, "airlock")
}

fn account(rig: &Rig) -> Result<AccountId> {
    rig.name.parse().map_err(|_| Trouble::new(&rig.name, "is no account"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_doubled_bytes_are_counted_by_line() {
        assert_eq!(differences("a\nbb\n", "a\nbb\n"), (0, 0));
        assert_eq!(differences("a\n", "a\nbb\n"), (3, 0));
        assert_eq!(differences("a\nbb\nbb\n", "a\nbb\n"), (0, 3));
        assert_eq!(differences("a\nb", "a\nbb\n"), (3, 1));
    }
}
