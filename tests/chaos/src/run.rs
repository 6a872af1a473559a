//! One run: a worker is stopped at the point, the fault happens, the rest must go well.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use airlock_activities::client::{Execution, Outcome};
use airlock_engine::faultpoint::Point;
use nix::sys::signal::Signal;
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::judge::{self, Report, Timing};
use crate::rig::{House, Job, Rig, Wanted, Worker};
use crate::template::Work;
use crate::{Case, Fault, Result, Trouble};

/// What callers ask for: short, so that a dead worker is noticed soon.
pub const HEARTBEAT: Duration = Duration::from_secs(3);
/// A run that is not over by then never ends.
pub const UNENDED: Duration = Duration::from_secs(150);
/// A worker comes to any point within this, on a busy machine.
const REACH: Duration = Duration::from_mins(1);
/// The command of a run: about two seconds of output; longer where the point comes late.
pub const fn work_at(point: Point) -> Work {
    let lines = match point {
        Point::RenewNoted => 140,
        _ => 16,
    };
    Work { burst: 150, lines, pause_ms: 100 }
}

/// Makes one run and judges it. Keeps its folder if it broke a promise, or if `keep`.
pub async fn attempt(house: &House, case: Case, name: &str, keep: bool) -> Result<Report> {
    let mut random = case.random();
    let wanted = Wanted {
        name: name.to_owned(),
        own_temporal: case.fault.kills_temporal(),
        host_rules: case.fault.host_rules(&mut random),
        lease_slack: match (case.point, case.fault) {
            // The lease is to be renewed soon, or to end soon.
            (Point::RenewNoted, _) => 20,
            (_, Fault::WorkerGone) => 8,
            _ => 40,
        },
        grace: 5,
    };
    let mut rig = Rig::build(house, wanted).await?;
    let report = judged(house, &mut rig, case, random).await;
    if !keep && report.as_ref().is_ok_and(|report| report.findings.is_clean()) {
        rig.remove();
    }
    report
}

async fn judged(house: &House, rig: &mut Rig, case: Case, mut random: StdRng) -> Result<Report> {
    let began = Instant::now();
    let gate = Gate::new(rig.folder(), case.point)?;
    let nth = if case.point == Point::FollowRead { random.random_range(1..=3) } else { 1 };
    let faults = format!("{}:wait={}:{nth}", case.point.name(), gate.folder.display());
    let first = rig.worker("first", Some(&faults)).await?;
    if case.fault == Fault::Slow {
        first.redis.delay(Duration::from_millis(40));
        first.temporal.delay(Duration::from_millis(80));
    }
    let watch = judge::Watch::begin(rig.sandboxes()?);
    let work = work_at(case.point);
    let job = Job {
        id: rig.name.clone(),
        work,
        heartbeat: HEARTBEAT,
        attempts: u32::from(case.fault.leaves_nobody()),
        slack: Duration::from_secs(20),
    };
    let execution = rig.start(&job).await?;
    gate.reached().await?;
    let struck = Instant::now();
    let mut scene = Scene { rig, first, more: Vec::new(), gate, execution, random };
    scene.strike(case.fault).await?;
    let outcome = scene.outcome(case.fault).await;
    let timing = Timing { whole: began.elapsed(), after_fault: struck.elapsed() };
    scene.stop().await;
    let Scene { more, first, .. } = scene;
    drop((more, first));
    judge::judge(house, rig, case, work, outcome, watch, timing).await
}

/// The files by which a worker says that it is at the point, and hears that it may go on.
#[derive(Debug)]
struct Gate {
    folder: PathBuf,
    point: Point,
}

impl Gate {
    fn new(folder: &Path, point: Point) -> Result<Self> {
        let folder = folder.join("gate");
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, point })
    }

    fn file(&self, what: &str) -> PathBuf {
        self.folder.join(format!("{}.{what}", self.point.name()))
    }

    async fn reached(&self) -> Result<()> {
        let until = Instant::now() + REACH;
        while !self.file("reached").exists() {
            if Instant::now() > until {
                return Err(Trouble::new(self.point.name(), "the worker never came there"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    fn open(&self) -> Result<()> {
        Ok(std::fs::write(self.file("go"), "")?)
    }
}

/// A run whose worker stands at the point.
struct Scene<'r> {
    rig: &'r mut Rig,
    first: Worker,
    more: Vec<Worker>,
    gate: Gate,
    execution: Execution,
    random: StdRng,
}

impl Scene<'_> {
    async fn strike(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::WorkerKill
            | Fault::WorkerKillTwice
            | Fault::WorkerGone
            | Fault::LostCreate
            | Fault::StreamCut
            | Fault::Storm
            | Fault::Slow => self.kill_worker(fault).await,
            Fault::Partition | Fault::Freeze => self.outlive(fault).await,
            Fault::RedisKill | Fault::HostKill | Fault::TemporalKill => {
                self.kill_server(fault).await
            }
            Fault::CutRedis | Fault::CutTemporal | Fault::CutHost => self.cut(fault).await,
        }
    }

    async fn kill_worker(&mut self, fault: Fault) -> Result<()> {
        self.first.process.kill();
        match fault {
            Fault::WorkerGone => Ok(()),
            Fault::WorkerKillTwice => {
                let point = Point::ALL[self.random.random_range(0..Point::ALL.len())];
                self.another(Some(format!("{}:abort", point.name()))).await
            }
            _ => self.another(None).await,
        }
    }

    /// The worker is away while another one takes over, and then goes on.
    async fn outlive(&mut self, fault: Fault) -> Result<()> {
        let frozen = fault == Fault::Freeze;
        if frozen {
            self.first.process.signal(Signal::SIGSTOP);
        } else {
            self.first.temporal.cut();
        }
        self.another(None).await?;
        self.taken_over().await;
        self.pause(0..3000).await;
        self.gate.open()?;
        if frozen {
            self.first.process.signal(Signal::SIGCONT);
        } else {
            self.pause(0..3000).await;
            self.first.temporal.heal();
        }
        Ok(())
    }

    async fn kill_server(&mut self, fault: Fault) -> Result<()> {
        let away = self.random.random_range(200..5000);
        let server = match fault {
            Fault::RedisKill => &mut self.rig.redis,
            Fault::HostKill => &mut self.rig.host,
            _ => {
                let own = self.rig.temporal.as_mut();
                own.ok_or_else(|| Trouble::new("Temporal", "is not the run's own"))?
            }
        };
        server.kill();
        self.gate.open()?;
        tokio::time::sleep(Duration::from_millis(away)).await;
        server.revive().await
    }

    async fn cut(&mut self, fault: Fault) -> Result<()> {
        // Temporal is away for longer than the heartbeat timeout.
        let shortest = if fault == Fault::CutTemporal { 4000 } else { 500 };
        let away = self.random.random_range(shortest..8000);
        let link = match fault {
            Fault::CutRedis => &self.first.redis,
            Fault::CutHost => &self.first.host,
            _ => &self.first.temporal,
        };
        link.cut();
        self.gate.open()?;
        tokio::time::sleep(Duration::from_millis(away)).await;
        link.heal();
        Ok(())
    }

    async fn another(&mut self, faults: Option<String>) -> Result<()> {
        let name = format!("worker-{}", self.more.len() + 2);
        let worker = self.rig.worker(&name, faults.as_deref()).await?;
        self.more.push(worker);
        Ok(())
    }

    async fn pause(&mut self, ms: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.random.random_range(ms))).await;
    }

    /// Waits until a later attempt runs; the run may also be over already.
    async fn taken_over(&self) {
        let until = Instant::now() + REACH;
        while Instant::now() < until {
            match self.rig.client.progress(&self.execution).await {
                Ok(progress) if progress.attempt >= 2 && progress.started => return,
                // Over: there is no attempt any more.
                Ok(progress)
                    if progress.attempt >= 1
                        && !progress.started
                        && progress.last_failure.is_none() =>
                {
                    return;
                }
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// How the activity ends; none if it does not. Whoever dies meanwhile is replaced.
    async fn outcome(&mut self, fault: Fault) -> Option<Outcome> {
        let client = self.rig.client.clone();
        let execution = self.execution.clone();
        let over = async move { client.result(&execution).await.ok() };
        let over = tokio::time::timeout(UNENDED, over);
        tokio::pin!(over);
        loop {
            tokio::select! {
                outcome = &mut over => return outcome.ok().flatten(),
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
            let died = self.more.last_mut().is_some_and(|worker| worker.process.ended().is_some());
            if died && fault == Fault::WorkerKillTwice && self.another(None).await.is_err() {
                return None;
            }
        }
    }

    /// Ends the workers as an operator would, so that what they still do is done.
    async fn stop(&mut self) {
        let mut workers: Vec<&mut Worker> =
            std::iter::once(&mut self.first).chain(self.more.iter_mut()).collect();
        for worker in &workers {
            worker.process.signal(Signal::SIGTERM);
        }
        for worker in &mut workers {
            worker.process.wait(Duration::from_secs(20)).await;
        }
    }
}
