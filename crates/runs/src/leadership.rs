//! One leader at a time, for work that only one process of a fleet should do.
//!
//! A leader that was cut off may believe in its seat for a moment after its term ended, so what
//! the leader does must be safe to do twice. Reaping is: a sandbox that is gone stays gone.

use std::time::Duration;

use airlock_store::Connection;
use redis::Script;
use uuid::Uuid;

use crate::Error;

/// One process's standing for one seat.
pub struct Leadership {
    conn: Connection,
    key: String,
    token: String,
    lead: Script,
    resign: Script,
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Leadership {
    /// Stands for the seat `name` (such as `reaper`) under `prefix`, with a token of its own.
    pub fn new(conn: impl Into<Connection>, prefix: &str, name: &str) -> Self {
        Self {
            conn: conn.into(),
            key: format!("{prefix}:leader:{name}"),
            token: Uuid::new_v4().to_string(),
            lead: Script::new(include_str!("lua/lead.lua")),
            resign: Script::new(include_str!("lua/resign.lua")),
        }
    }

    /// Takes the seat if it is free, or renews it; true if this process leads for `term` from now.
    pub async fn acquire(&self, term: Duration) -> Result<bool, Error> {
        let term = u64::try_from(term.as_millis()).unwrap_or(u64::MAX).max(1);
        let won: bool = self
            .lead
            .key(&self.key)
            .arg(&self.token)
            .arg(term)
            .invoke_async(&mut self.conn.clone())
            .await?;
        Ok(won)
    }

    /// Gives the seat up; true if it was this process's.
    pub async fn release(&self) -> Result<bool, Error> {
        let held: bool = self
            .resign
            .key(&self.key)
            .arg(&self.token)
            .invoke_async(&mut self.conn.clone())
            .await?;
        Ok(held)
    }
}
