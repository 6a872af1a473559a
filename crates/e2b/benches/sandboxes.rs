//! What this client costs its own process, in CPU time: `scripts/bench-sandboxes.py` starts a host
//! of its own and runs the same work through E2B's JavaScript SDK beside it.
//!
//! By hand it needs a service: `E2B_API_URL`, `E2B_SANDBOX_URL` and `E2B_API_KEY`. It prints a JSON
//! object a line: the work, how many times, seconds on the clock, CPU seconds of this process.
//! Start-up and a warm-up are not in the figures.

use std::error::Error;
use std::fs;
use std::io::{Write as _, stdout};
use std::time::{Duration, Instant};

use airlock_e2b::{Client, Config, CreateSandbox, Sandbox, StartProcess};
use futures_util::future::try_join_all;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Commands one after another.
const COMMANDS: u32 = 500;
/// Sandboxes created and killed one after another.
const SANDBOXES: u32 = 50;
/// Bytes of one command's output.
const OUTPUT: usize = 100_000_000;
/// Commands at the same time, and how often.
const AT_ONCE: usize = 200;
const ROUNDS: u32 = 5;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let Some(client) = client()? else {
        writeln!(stdout(), "sandboxes: needs a service; run scripts/bench-sandboxes.py")?;
        return Ok(());
    };
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_chosen = |work: &str| chosen.is_empty() || chosen.iter().any(|name| name == work);
    let sandbox = client.create(&spec()).await?;
    for _ in 0..20 {
        truth(&sandbox).await?;
    }
    if is_chosen("commands") {
        let start = Start::now()?;
        for _ in 0..COMMANDS {
            truth(&sandbox).await?;
        }
        start.report("commands", COMMANDS)?;
    }
    if is_chosen("create") {
        let start = Start::now()?;
        for _ in 0..SANDBOXES {
            let made = client.create(&spec()).await?;
            client.kill(made.id()).await?;
        }
        start.report("create", SANDBOXES)?;
    }
    if is_chosen("output") {
        let line = format!("head -c {OUTPUT} /dev/zero | tr '\\0' x");
        let start = Start::now()?;
        let output = sandbox.run(&StartProcess::shell(line), OUTPUT).await?;
        start.report("output", 1)?;
        check(output.stdout.len() == OUTPUT && !output.truncated)?;
    }
    if is_chosen("concurrent") {
        let start = Start::now()?;
        for _ in 0..ROUNDS {
            try_join_all((0..AT_ONCE).map(|_| truth(&sandbox))).await?;
        }
        start.report("concurrent", ROUNDS * u32::try_from(AT_ONCE)?)?;
    }
    client.kill(sandbox.id()).await?;
    Ok(())
}

/// A client of the service that the environment names, if it names one.
fn client() -> Result<Option<Client>> {
    let Ok(api_url) = std::env::var("E2B_API_URL") else { return Ok(None) };
    let mut config = Config::new(api_url.parse()?, std::env::var("E2B_API_KEY")?.into());
    if let Ok(url) = std::env::var("E2B_SANDBOX_URL") {
        config.sandbox_url = Some(url.parse()?);
    }
    Ok(Some(Client::new(config)?))
}

fn spec() -> CreateSandbox {
    CreateSandbox::new("base", Duration::from_mins(5))
}

/// The smallest command there is, as the official SDKs run it.
async fn truth(sandbox: &Sandbox) -> Result<()> {
    let output = sandbox.run(&StartProcess::shell("true"), 64 << 10).await?;
    check(output.exit_code == 0)
}

fn check(is_right: bool) -> Result<()> {
    if is_right { Ok(()) } else { Err("the command did not do what it should".into()) }
}

/// When some work began.
struct Start {
    clock: Instant,
    cpu: Duration,
}

impl Start {
    fn now() -> Result<Self> {
        Ok(Self { clock: Instant::now(), cpu: cpu()? })
    }

    fn report(self, work: &str, count: u32) -> Result<()> {
        let (wall, cpu) = (self.clock.elapsed().as_secs_f64(), cpu()?.saturating_sub(self.cpu));
        let cpu = cpu.as_secs_f64();
        writeln!(
            stdout(),
            r#"{{"work":"{work}","count":{count},"wall":{wall:.6},"cpu":{cpu:.6}}}"#
        )?;
        Ok(())
    }
}

/// CPU time of all threads that live. Those of the runtime live as long as the process.
fn cpu() -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let Ok(figures) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanoseconds += figures.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}
