//! Freeing the seat of an execution that is over for Temporal and did not give it back.
//!
//! Its worker may be alive and only cut off from Temporal, so it is fenced off first: from then on
//! it can start nothing. Then its processes are ended, then the seat is free.

use airlock_contract::ExecutionId;
use airlock_e2b::{Error as SandboxError, Sandbox, StartProcess};
use airlock_runs::shared::{Fixed, Seat};
use airlock_runs::{Claim, Error as RunsError, Fence, Record, RunKey};
use std::time::Duration;

use crate::engine::Core;
use crate::run::{Halt, Owner, Place, is_gone, owner_of};

/// The record of a run that is fenced off lives on for at least this long.
const REMEMBER: Duration = Duration::from_hours(1);
/// Longest wait for processes to end.
const END: Duration = Duration::from_secs(20);
/// Connecting prolongs the sandbox's life by no more than this.
const SHORT: Duration = Duration::from_secs(1);

impl Core {
    /// The run that has `seat`. Read it before Temporal is asked: an attempt that comes meanwhile
    /// has a higher fence, and then [`Core::evict`] does nothing.
    pub(super) async fn holder(&self, fixed: &Fixed, seat: &Seat) -> Result<Option<Record>, Halt> {
        let run = RunKey::new(fixed.account.clone(), seat.execution.clone());
        Ok(self.runs.get(&run).await?)
    }

    /// Frees `seat`, whose activity Temporal calls closed; whether it is free now.
    pub(super) async fn evict(
        &self,
        fixed: &Fixed,
        seat: &Seat,
        before: Option<Record>,
    ) -> Result<bool, Halt> {
        let run = RunKey::new(fixed.account.clone(), seat.execution.clone());
        if let Some(record) = before {
            let fence = Fence(record.fence.0.max(seat.fence.0).saturating_add(1));
            match self.runs.claim(&run, fence, &record.input_digest, REMEMBER).await {
                Ok(Claim::Started(_) | Claim::Resumed(_) | Claim::Finished(_)) => {}
                Err(RunsError::Superseded) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        match self.e2b.connect(&fixed.sandbox, Some(SHORT)).await {
            Ok(sandbox) => {
                end_processes(&sandbox, &seat.execution, &self.config.user).await?;
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(crate::failure::sandbox(&error).into()),
        }
        self.runs.shared().free(fixed, seat).await?;
        tracing::info!(sandbox = %fixed.sandbox, execution = seat.execution.short(),
            "the seat of a closed activity was freed");
        Ok(true)
    }
}

/// Ends every command that `execution` started in the sandbox, and sees to it that none of those
/// that it has prepared can start any more.
pub(super) async fn end_processes(
    sandbox: &Sandbox,
    execution: &ExecutionId,
    user: &str,
) -> Result<(), SandboxError> {
    let owner = owner_of(sandbox).await?;
    let place = Place::all_of(owner, execution);
    let acting = match owner {
        Owner::Root => "root",
        Owner::User => user,
    };
    let process = StartProcess {
        user: Some(acting.to_owned()),
        cwd: Some("/".to_owned()),
        timeout: Some(END),
        ..StartProcess::new("/bin/sh", place.end())
    };
    sandbox.run(&process, 1024).await.map(|_| ())
}
