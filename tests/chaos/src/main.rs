//! `make chaos`: the crash matrix.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table is its purpose")]

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use airlock_chaos::tally::Tally;
use airlock_chaos::{Case, Fault, House, Report, Result, Trouble, fault, run};
use airlock_engine::faultpoint::Point;
use clap::{Parser, ValueEnum as _};
use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

#[expect(clippy::struct_excessive_bools, reason = "the fields are the names of options")]
/// Stops workers at every named point of a run, lets something die or hang there, and judges from
/// outside what became of the run. Exit code 1 if a promise was broken, 2 for a wrong call.
#[derive(Debug, Parser)]
#[command(name = "airlock-chaos", max_term_width = 100)]
struct Args {
    /// How many runs; every point is met before any a second time. Default: 4 for each point.
    #[arg(long)]
    runs: Option<usize>,
    /// Decides what is left to chance; a run's own seed makes that run again.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these points; `--list` names them. A prefix such as `sandbox.` is enough.
    #[arg(long)]
    point: Vec<String>,
    /// Only these faults.
    #[arg(long, value_enum)]
    fault: Vec<Fault>,
    /// Runs at the same time.
    #[arg(long, default_value_t = 8)]
    jobs: usize,
    /// Print every run and all sums as JSON.
    #[arg(long)]
    json: bool,
    /// Print the tables as Markdown.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Keep the logs of all runs; those of runs that broke a promise are kept anyway.
    #[arg(long)]
    keep: bool,
    /// Name the points and the faults, and end.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(Trouble::from).and_then(|runtime| {
        let done = runtime.block_on(async {
            let stop = CancellationToken::new();
            tokio::select! {
                done = all(&args, &stop) => done,
                () = impatience(&stop) => Err(Trouble("stopped".to_owned())),
            }
        });
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("chaos: {trouble}");
            ExitCode::from(2)
        }
    }
}

/// The first Ctrl-C lets the runs that have begun come to their end, the second one does not.
async fn impatience(stop: &CancellationToken) {
    drop(tokio::signal::ctrl_c().await);
    eprintln!("no more runs are begun; once more to end at once");
    stop.cancel();
    drop(tokio::signal::ctrl_c().await);
}

fn points(prefixes: &[String]) -> Result<Vec<Point>> {
    let fits = |point: &&Point| {
        prefixes.is_empty() || prefixes.iter().any(|prefix| point.name().starts_with(prefix))
    };
    let points: Vec<Point> = Point::ALL.iter().filter(fits).copied().collect();
    if points.is_empty() {
        return Err(Trouble::new("--point", "no point has such a name; see --list"));
    }
    Ok(points)
}

fn list() {
    for point in Point::ALL {
        println!("{:>2}  {:<18} {}", point.step(), point.name(), point.what());
    }
    for fault in Fault::value_variants() {
        let help = fault.to_possible_value();
        let help = help.as_ref().and_then(clap::builder::PossibleValue::get_help);
        println!("    {:<18} {}", fault.name(), help.map(ToString::to_string).unwrap_or_default());
    }
}

/// Makes all runs; whether every promise was kept.
async fn all(args: &Args, stop: &CancellationToken) -> Result<bool> {
    if args.list {
        list();
        return Ok(true);
    }
    let points = points(&args.point)?;
    let faults = if args.fault.is_empty() { Fault::value_variants() } else { &args.fault };
    let runs = args.runs.unwrap_or(4 * points.len());
    let cases = fault::plan(&points, faults, runs, args.seed);
    let began = Instant::now();
    let house = Arc::new(House::open().await?);
    let mut tally = Tally::default();
    let mut troubles = Vec::new();
    let mut done = stream::iter(cases.into_iter().enumerate())
        .take_until(Box::pin(stop.cancelled()))
        .map(|(index, case)| one(house.clone(), index, case, args.keep))
        .buffer_unordered(args.jobs.max(1));
    while let Some((case, report)) = done.next().await {
        match report {
            Ok(report) => {
                if !report.findings.is_clean() {
                    tell(case, &report);
                }
                tally.add(report);
            }
            Err(trouble) => {
                eprintln!("not judged: {trouble}\n  {}", case.again());
                troubles.push(trouble);
            }
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r{} of {runs} ", tally.runs() + troubles.len());
        }
    }
    drop(done);
    let broken = tally.broken().count();
    let keep = broken > 0 || !troubles.is_empty() || args.keep;
    if let (true, Ok(mut house)) = (keep, Arc::try_unwrap(house)) {
        eprintln!("logs: {}", house.keep().display());
    }
    show(args, &tally, troubles.len(), began)?;
    Ok(broken == 0 && troubles.is_empty())
}

async fn one(house: Arc<House>, index: usize, case: Case, keep: bool) -> (Case, Result<Report>) {
    let name = format!("chaos-{index}");
    let done = tokio::spawn(async move { run::attempt(&house, case, &name, keep).await }).await;
    (case, done.unwrap_or_else(|error| Err(Trouble::new("the harness", error))))
}

fn tell(case: Case, report: &Report) {
    eprintln!("broken at {} by {}:", report.point, report.fault);
    for problem in &report.problems {
        eprintln!("  {problem}");
    }
    eprintln!("  logs: {}\n  again: {}", report.folder, case.again());
}

fn show(args: &Args, tally: &Tally, troubles: usize, began: Instant) -> Result<()> {
    if args.json {
        let text = serde_json::to_string_pretty(&tally.json());
        println!("{}", text.map_err(|error| Trouble::new("JSON", error))?);
    } else {
        print!("{}", tally.table(args.markdown));
    }
    eprintln!(
        "{} runs in {} s, {} broke a promise, {troubles} could not be judged",
        tally.runs(),
        began.elapsed().as_secs(),
        tally.broken().count(),
    );
    Ok(())
}
