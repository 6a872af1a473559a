//! `sandboxSession`: one sandbox for its life.
#![expect(
    missing_docs,
    missing_debug_implementations,
    reason = "the macros make constants and types of the handlers"
)]

use std::time::Duration;

use airlock_contract::names;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::common::error::{ApplicationFailure, IncomingError};
use temporalio_workflow::{
    ActivityExecutionError, ContinueAsNewOptions, SyncWorkflowContext, TimerOptions,
    WorkflowContext, WorkflowContextView, WorkflowResult, WorkflowTermination, select,
};

use crate::activities::Json;
use crate::options;

/// Without a command for so long the session closes, unless its input says otherwise.
const IDLE: Duration = Duration::from_mins(10);
/// Commands that may wait for their turn.
const MAX_WAITING: usize = 20;
/// The field that one run of a session hands to the next; nobody else may give it.
const CARRIED: &str = "continued";

type Refused = Box<dyn std::error::Error + Send + Sync>;

/// Where a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SessionPhase {
    /// The sandbox is being opened.
    #[default]
    Opening,
    /// It waits for commands.
    Ready,
    /// A command runs.
    Running,
    /// The sandbox is being closed.
    Closing,
    /// It is closed and booked.
    Closed,
    /// It could not be opened or closed.
    Failed,
}

/// Answer of the query `status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStatus {
    /// Where the session is.
    pub phase: SessionPhase,
    /// Its sandbox, once it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<String>,
    /// Commands that have ended, over all runs of the session.
    pub commands: u64,
    /// Commands that wait for their turn.
    pub waiting: usize,
}

/// What one run of a session hands to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Carried {
    sandbox_id: String,
    commands: u64,
}

/// Opens a sandbox, runs a command in it with each update `execute`, one after the other, and closes
/// it at the signal `close`, or when no command came for a while.
///
/// Its input is `openSandbox`'s; `idleTimeoutMs` is how long it waits for a command (10 minutes unless
/// given). Its result is `closeSandbox`'s. An update's input is `safeExecuteCode`'s without `runId`
/// and `sandboxId`, and its result is that activity's.
#[workflow]
#[derive(Debug, Default)]
pub struct SandboxSession {
    status: SessionStatus,
    account: Value,
    is_busy: bool,
    is_closing: bool,
    /// Commands that began or ended so far in this run: what makes the session not idle.
    turns: u64,
}

#[workflow_methods]
impl SandboxSession {
    #[run(name = "sandboxSession")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, input: Value) -> WorkflowResult<Value> {
        let idle = idle_of(&input);
        let mut opening = input.clone();
        let carried = opening.as_object_mut().and_then(|fields| fields.remove(CARRIED));
        let account = input.get("runId").cloned().unwrap_or_default();
        ctx.state_mut(|session| session.account = account.clone());
        let carried: Option<Carried> = carried.and_then(|value| serde_json::from_value(value).ok());
        let (id, before) = match carried {
            Some(carried) => (carried.sandbox_id, carried.commands),
            None => (open(ctx, opening.clone(), idle).await?, 0),
        };
        ctx.state_mut(|session| {
            session.status.sandbox_id = Some(id.clone());
            session.status.commands += before;
        });
        enter(ctx, SessionPhase::Ready);
        let is_cancelled = wait_for_end(ctx, idle).await;
        if !is_cancelled
            && !ctx.state(|session| session.is_closing)
            && ctx.continue_as_new_suggested()
        {
            let commands = ctx.state(|session| session.status.commands);
            let mut next = opening;
            next[CARRIED] = json!(Carried { sandbox_id: id.clone(), commands });
            ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        }
        ctx.state_mut(|session| session.is_closing = true);
        let closed = close(ctx, &account, &id).await?;
        if is_cancelled { Err(WorkflowTermination::cancelled()) } else { Ok(closed) }
    }

    #[query(name = "status")]
    pub fn status(&self, _ctx: &WorkflowContextView) -> SessionStatus {
        self.status.clone()
    }

    #[update_validator(execute)]
    fn may_execute(&self, _ctx: &WorkflowContextView, input: &Value) -> Result<(), Refused> {
        let Some(fields) = input.as_object() else {
            return Err("the input must be an object, such as {\"command\": \"npm test\"}".into());
        };
        for given in ["runId", "sandboxId", "template", "network"] {
            if fields.contains_key(given) {
                return Err(format!("{given} is the session's own; leave it out").into());
            }
        }
        if self.is_closing {
            return Err("the session is closing; start another".into());
        }
        if self.status.waiting >= MAX_WAITING {
            return Err("too many commands wait for their turn; wait for their results".into());
        }
        Ok(())
    }

    #[update(name = "execute")]
    pub async fn execute(
        ctx: &mut WorkflowContext<Self>,
        mut input: Value,
    ) -> Result<Value, Refused> {
        ctx.state_mut(|session| session.status.waiting += 1);
        let turn = ctx
            .wait_condition(|session| {
                session.is_closing || !session.is_busy && session.status.sandbox_id.is_some()
            })
            .await;
        let closing = ctx.state_mut(|session| {
            session.status.waiting -= 1;
            session.turns += 1;
            let closing = session.is_closing;
            session.is_busy |= turn.is_ok() && !closing;
            closing
        });
        turn?;
        if closing {
            return Err("the session closed before the command's turn came".into());
        }
        enter(ctx, SessionPhase::Running);
        let (account, id) =
            ctx.state(|session| (session.account.clone(), session.status.sandbox_id.clone()));
        input["runId"] = account;
        input["sandboxId"] = json!(id);
        let options = options::run(&input);
        let ran = ctx.execute_activity(Json(names::SAFE_EXECUTE_CODE), input, options).await;
        ctx.state_mut(|session| {
            session.is_busy = false;
            session.turns += 1;
            session.status.commands += 1;
        });
        enter(ctx, SessionPhase::Ready);
        ran.map_err(|error| said(&error).into())
    }

    #[signal(name = "close")]
    pub fn close(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.is_closing = true;
    }
}

/// Opens the sandbox; its id.
async fn open(
    ctx: &mut WorkflowContext<SandboxSession>,
    mut input: Value,
    idle: Duration,
) -> WorkflowResult<String> {
    enter(ctx, SessionPhase::Opening);
    // The session itself notices first that nobody needs it; this is for its death.
    let longer = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).saturating_add(GRACE_MS);
    if let Some(fields) = input.as_object_mut() {
        fields.insert("idleTimeoutMs".to_owned(), json!(longer.min(options::LONGEST_MS)));
    }
    let options = options::open(&input);
    let opened = ctx.execute_activity(Json(names::OPEN_SANDBOX), input, options).await;
    let opened = opened.inspect_err(|_| enter(ctx, SessionPhase::Failed))?;
    match opened.get("sandboxId").and_then(Value::as_str) {
        Some(id) => Ok(id.to_owned()),
        None => Err(ApplicationFailure::non_retryable("the sandbox has no id").into()),
    }
}

/// The sandbox waits so much longer than the session.
const GRACE_MS: u64 = 5 * 60 * 1000;

/// Until the session is to be closed or is long, and nothing runs in it any more; true at once if it
/// is cancelled.
async fn wait_for_end(ctx: &mut WorkflowContext<SandboxSession>, idle: Duration) -> bool {
    loop {
        let turns = ctx.state(|session| session.turns);
        let timer = TimerOptions::builder(idle).summary("the session is idle".to_owned()).build();
        let is_long = ctx.clone();
        let is_cancelled = select! {
            waited = ctx.wait_condition(move |session| {
                session.is_closing
                    || session.turns != turns
                    || is_long.continue_as_new_suggested() && is_long.all_handlers_finished()
            }) => waited.is_err(),
            _ = ctx.timer(timer) => {
                let idle = ctx.state(|session| !session.is_busy && session.status.waiting == 0);
                ctx.state_mut(|session| session.is_closing |= idle);
                false
            }
        };
        let is_closing = ctx.state(|session| session.is_closing);
        let is_long = ctx.continue_as_new_suggested() && ctx.all_handlers_finished();
        if is_cancelled || is_long {
            return is_cancelled;
        }
        if is_closing {
            let handlers = ctx.clone();
            return ctx.wait_condition(move |_| handlers.all_handlers_finished()).await.is_err();
        }
    }
}

/// Closes the sandbox also when the session itself is cancelled.
async fn close(
    ctx: &mut WorkflowContext<SandboxSession>,
    account: &Value,
    id: &str,
) -> WorkflowResult<Value> {
    enter(ctx, SessionPhase::Closing);
    let input = json!({ "runId": account, "sandboxId": id });
    let options = options::close();
    let closed = ctx.execute_activity(Json(names::CLOSE_SANDBOX), input, options).await;
    let phase = if closed.is_ok() { SessionPhase::Closed } else { SessionPhase::Failed };
    enter(ctx, phase);
    Ok(closed?)
}

fn enter(ctx: &WorkflowContext<SandboxSession>, phase: SessionPhase) {
    ctx.state_mut(|session| session.status.phase = phase);
}

/// How long the session waits for a command. The activity checks the input; here a wrong one only
/// must not make a wrong timer.
fn idle_of(input: &Value) -> Duration {
    match input.get("idleTimeoutMs").and_then(Value::as_u64) {
        Some(ms) => Duration::from_millis(ms.clamp(1, options::LONGEST_MS)),
        None => IDLE,
    }
}

/// A failed command in one line, for whoever sent it: an update's failure has no type of its own.
fn said(error: &ActivityExecutionError) -> String {
    match error.cause() {
        Some(IncomingError::Application(failure)) => {
            let kind = failure.type_name().unwrap_or("Failure").to_owned();
            format!("{kind}: {failure}")
        }
        _ => "the command did not end with a result".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_time_comes_from_the_input_within_bounds() {
        let table = [
            (json!({}), IDLE),
            (json!({"idleTimeoutMs": 5}), Duration::from_millis(5)),
            (json!({"idleTimeoutMs": "x"}), IDLE),
            (json!({"idleTimeoutMs": u64::MAX}), Duration::from_millis(options::LONGEST_MS)),
            (json!(null), IDLE),
        ];
        for (input, expected) in table {
            assert_eq!(idle_of(&input), expected, "{input}");
        }
    }
}
