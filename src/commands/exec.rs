//! `airlock exec`: one command through the task queue, with its progress, ending with its code.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use airlock_activities::client::{ExecClient, Execution, FailureReport, Mode, Outcome, Start};
use airlock_contract::{ExecuteResult, FailureType, Heartbeat, RunStatus, names};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::command_line;
use crate::cli::{ExecArgs, LogFormat};
use crate::drain::Signals;
use crate::exit::{Error, Exit};
use crate::wiring::addresses;
use crate::{output, telemetry};

/// `exec`'s own codes, as `env` and `timeout` use them.
const AIRLOCK_FAILED: Exit = Exit::Code(125);
const REFUSED: Exit = Exit::Code(126);
/// A command that was stopped at its time, as `timeout` says it.
const TIMED_OUT: u8 = 124;

/// Cancel-to-kill is at most a third of this and a second.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Around the command: sandbox, packages, waiting for a free worker.
const AROUND: Duration = Duration::from_secs(300);

/// Runs the command and prints its output; exits with its code.
pub(crate) async fn run(args: &ExecArgs, json: bool) -> Result<(), Error> {
    let redactor = airlock_redaction::Redactor::builtin();
    telemetry::init(LogFormat::Text, &redactor, true);
    let client = connect(args).await?;
    let mut signals = Signals::listen()?;
    let start = start(args)?;
    let execution = client.start(&start).await.map_err(failed)?;
    let outcome = wait(&client, &execution, args, json, &mut signals).await?;
    report(outcome, json)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(AIRLOCK_FAILED, error)
}

async fn connect(args: &ExecArgs) -> Result<ExecClient, Error> {
    let ready = addresses::ready(&args.from)?;
    let mut options = addresses::temporal(&args.temporal, ready.as_ref());
    options.give_up_after = Some(Duration::from_secs(5));
    let connection = airlock_activities::connect(options, CancellationToken::new()).await;
    let connection = connection
        .map_err(|error| if error.is_config() { Error::config(error) } else { failed(error) })?;
    Ok(ExecClient::new(connection, addresses::task_queue(&args.temporal, ready.as_ref())))
}

fn start(args: &ExecArgs) -> Result<Start, Error> {
    let command = command_line(&args.cmd);
    let mut input = json!({"runId": args.run_id, "command": command, "timeoutMs": args.timeout_ms});
    for (name, value) in
        [("cwd", &args.cwd), ("template", &args.template), ("approvalId", &args.approval_id)]
    {
        if let Some(value) = value {
            input[name] = json!(value);
        }
    }
    if args.dry_run {
        input["dryRun"] = json!(true);
    }
    for variable in &args.set {
        let Some((name, value)) = variable.split_once('=') else {
            let message = format!("--set {variable:?} is not NAME=VALUE");
            return Err(Error::new(Exit::Usage, message));
        };
        input["env"][name] = json!(value);
    }
    // Redacted before it is cut: half a secret looks like none.
    let summary = airlock_redaction::Redactor::builtin().redact(&command);
    let summary: String = summary.chars().take(80).collect();
    Ok(Start {
        mode: Mode::Activity,
        type_name: names::SAFE_EXECUTE_CODE.to_owned(),
        id: format!("exec-{:016x}", rand::random::<u64>()),
        input,
        timeout: Duration::from_millis(args.timeout_ms) + AROUND,
        heartbeat_timeout: HEARTBEAT_TIMEOUT,
        max_attempts: 10,
        summary: Some(summary),
    })
}

/// Waits for the end and shows what happens meanwhile. The first Ctrl-C cancels and waits, the
/// second lets go.
async fn wait(
    client: &ExecClient,
    execution: &Execution,
    args: &ExecArgs,
    json: bool,
    signals: &mut Signals,
) -> Result<Outcome, Error> {
    let line = ProgressLine::new(!args.quiet && !json && std::io::stderr().is_terminal());
    let result = client.result(execution);
    tokio::pin!(result);
    let mut cancelled = false;
    loop {
        tokio::select! {
            outcome = &mut result => {
                line.clear();
                return outcome.map_err(failed);
            }
            signal = signals.next() => {
                line.clear();
                if cancelled {
                    let message = format!("let go of {} at the second {signal}", execution.id);
                    return Err(failed(message));
                }
                cancelled = true;
                output::note("cancelling; once more lets go");
                client.cancel(execution).await.map_err(failed)?;
            }
            () = sleep(LOOK_EVERY), if line.shown => {
                if let Ok(progress) = client.progress(execution).await {
                    ProgressLine::show(&progress);
                }
            }
        }
    }
}

/// One line on the terminal that is written over.
struct ProgressLine {
    shown: bool,
}

impl ProgressLine {
    fn new(shown: bool) -> Self {
        Self { shown }
    }

    fn show(progress: &airlock_activities::client::Progress) {
        let beat = progress.heartbeat.clone().map(serde_json::from_value::<Heartbeat>);
        let text = match beat {
            Some(Ok(beat)) => {
                let phase = json!(beat.phase);
                let tail = beat.tail.lines().last().unwrap_or_default();
                let tail: String = tail.chars().filter(|c| !c.is_control()).take(60).collect();
                let seconds = beat.elapsed_ms / 1000;
                let phase = phase.as_str().unwrap_or_default();
                format!("{phase} {seconds} s  {} USD  {tail}", beat.cost_usd)
            }
            _ if progress.started => "started".to_owned(),
            _ => match &progress.last_failure {
                Some(failure) => format!("waiting for attempt {}: {failure}", progress.attempt),
                None => "waiting for a worker".to_owned(),
            },
        };
        let mut err = std::io::stderr().lock();
        drop(write!(err, "\r\x1b[K{text}").and_then(|()| err.flush()));
    }

    fn clear(&self) {
        if self.shown {
            let mut err = std::io::stderr().lock();
            drop(write!(err, "\r\x1b[K").and_then(|()| err.flush()));
        }
    }
}

fn report(outcome: Outcome, json: bool) -> Result<(), Error> {
    match outcome {
        Outcome::Completed(value) => completed(value, json),
        Outcome::Failed(report) => Err(refused_or_failed(report)),
        Outcome::Cancelled(details) => {
            if json {
                output::json(&json!({"cancelled": details}))?;
            } else if let Some(text) = details.as_ref().and_then(|d| d["stdout"].as_str()) {
                output::stream(text, &mut std::io::stdout().lock())?;
            }
            Err(Error::new(Exit::Code(130), "cancelled"))
        }
        other => Err(failed(format_args!("the run ended without a result: {other:?}"))),
    }
}

fn completed(value: Value, json: bool) -> Result<(), Error> {
    if json {
        output::json(&value)?;
    }
    let result: ExecuteResult = serde_json::from_value(value).map_err(|error| {
        failed(format_args!("the worker's answer is of another version: {error}"))
    })?;
    if !json {
        show(&result)?;
    }
    let code = match result.status {
        RunStatus::TimedOut => TIMED_OUT,
        RunStatus::DryRun => 0,
        RunStatus::Completed | RunStatus::Killed | RunStatus::OutOfBudget => {
            // A command killed by a signal has no code of its own: 137 is SIGKILL's, as in a shell.
            u8::try_from(result.exit_code.unwrap_or(137)).unwrap_or(255)
        }
    };
    if code == 0 { Ok(()) } else { Err(Error::silent(Exit::Code(code))) }
}

fn show(result: &ExecuteResult) -> Result<(), Error> {
    output::stream(&result.stdout, &mut std::io::stdout().lock())?;
    output::stream(&result.stderr, &mut std::io::stderr().lock())?;
    if let Some(plan) = &result.plan {
        for step in &plan.steps {
            output::line(step)?;
        }
        let covered = if plan.covered { "covered" } else { "not covered" };
        output::line(format_args!("worst case {} USD, {covered}", plan.worst_case_usd))?;
    }
    if result.status == RunStatus::TimedOut {
        output::note("airlock: stopped at its time");
    }
    Ok(())
}

fn refused_or_failed(report: FailureReport) -> Error {
    let refused = matches!(
        report.kind,
        Some(
            FailureType::PolicyDenied
                | FailureType::ApprovalRequired
                | FailureType::ApprovalInvalid
                | FailureType::BudgetExceeded
                | FailureType::CircuitOpen
        )
    );
    let exit = if refused { REFUSED } else { AIRLOCK_FAILED };
    Error::new(exit, report.message)
}
