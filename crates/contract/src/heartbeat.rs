//! What a running activity tells Temporal, and the UI shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ExecutionId, Usd};

/// Where a run is. Declared in the order in which a run passes them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// The run record is being claimed.
    Claiming,
    /// The policy decides.
    Deciding,
    /// The budget reserves.
    Reserving,
    /// The fleet has as many sandboxes as it may have: it waits for its turn.
    Queued,
    /// The sandbox is being created or found.
    Creating,
    /// Files and packages are put in.
    Preparing,
    /// The command is being started; from here on it may have run.
    Starting,
    /// The command runs and its output is followed.
    Running,
    /// Artifacts are fetched.
    Collecting,
    /// The cost is booked and the sandbox removed.
    Settling,
    /// The result stands.
    Done,
}

/// Heartbeat details: a hint for people and for the next attempt; the run record decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Version of this shape.
    pub v: u32,
    /// Where the run is.
    pub phase: Phase,
    /// Which execution.
    pub execution_id: ExecutionId,
    /// The sandbox, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<String>,
    /// While it waits for its turn: how many wait that came before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_behind: Option<u64>,
    /// Which command of a batch, from 0; of commands side by side, one.
    pub command_index: u32,
    /// How many commands there are.
    pub command_count: u32,
    /// Process id in the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// RFC 3339; when the command started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Since the attempt began.
    pub elapsed_ms: u64,
    /// Bytes of standard output seen.
    pub stdout_offset: u64,
    /// Bytes of standard error seen.
    pub stderr_offset: u64,
    /// The end of the redacted output, at most [`Heartbeat::MAX_TAIL_BYTES`].
    pub tail: String,
    /// Cost so far.
    pub cost_usd: Usd,
    /// RFC 3339; until when the sandbox lives if nobody renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<String>,
}

impl Heartbeat {
    /// Version of the shape.
    pub const VERSION: u32 = 1;
    /// The tail is no longer than this.
    pub const MAX_TAIL_BYTES: usize = 2048;

    /// The first heartbeat of an attempt.
    pub fn new(execution_id: ExecutionId, phase: Phase) -> Self {
        Self {
            v: Self::VERSION,
            phase,
            execution_id,
            sandbox_id: None,
            queued_behind: None,
            command_index: 0,
            command_count: 1,
            pid: None,
            started_at: None,
            elapsed_ms: 0,
            stdout_offset: 0,
            stderr_offset: 0,
            tail: String::new(),
            cost_usd: Usd::ZERO,
            lease_until: None,
        }
    }
}
