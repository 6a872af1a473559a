//! How fast, and how many at once: limits that a whole fleet shares.
//!
//! A provider that limits creations per second or sandboxes at once does so for the whole
//! account, so every worker asks here first. Time is Redis's, the same for all.

use std::sync::Arc;
use std::time::Duration;

use airlock_store::Connection;
use redis::Script;

use crate::Error;

/// A rate: one token each `interval`, up to `burst` saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time for one token.
    pub interval: Duration,
    /// The most that can be taken at once; 0 counts as 1.
    pub burst: u32,
}

/// What asking for a permit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Held until the lease ends or it is released.
    Granted {
        /// How many are held now, this one included.
        in_use: u64,
    },
    /// All are taken.
    Full {
        /// How many are held.
        in_use: u64,
        /// When the first of them ends if its holder does not renew it.
        next_in: Duration,
    },
}

/// Limits shared by all workers under one prefix. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    conn: Connection,
    prefix: Arc<str>,
    scripts: Arc<(Script, Script)>,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Admission {
    /// Keeps its counts under `prefix`.
    pub fn new(conn: impl Into<Connection>, prefix: &str) -> Self {
        let admit = Script::new(include_str!("lua/admit.lua"));
        let permit = Script::new(include_str!("lua/permit.lua"));
        Self { conn: conn.into(), prefix: prefix.into(), scripts: Arc::new((admit, permit)) }
    }

    /// Takes one token from the bucket `name`; none if taken, else how long to wait before asking
    /// again.
    pub async fn take(&self, name: &str, rate: Rate) -> Result<Option<Duration>, Error> {
        let interval = micros(rate.interval);
        let wait_us: u64 = self
            .scripts
            .0
            .key(format!("{}:admission:{{{name}}}:bucket", self.prefix))
            .arg(interval)
            .arg(rate.burst.max(1))
            .invoke_async(&mut self.conn.clone())
            .await?;
        Ok((wait_us > 0).then(|| Duration::from_micros(wait_us)))
    }

    /// Takes one of `limit` permits of `name` for `holder`, or renews the one it has.
    pub async fn acquire(
        &self,
        name: &str,
        holder: &str,
        limit: u32,
        lease: Duration,
    ) -> Result<Permit, Error> {
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 52);
        let answer: Vec<u64> = self
            .scripts
            .1
            .key(self.permits_key(name))
            .arg(holder)
            .arg(limit)
            .arg(lease_ms)
            .invoke_async(&mut self.conn.clone())
            .await?;
        match answer.as_slice() {
            [1, in_use] => Ok(Permit::Granted { in_use: *in_use }),
            [0, in_use, next_ms] => {
                Ok(Permit::Full { in_use: *in_use, next_in: Duration::from_millis(*next_ms) })
            }
            _ => Err(Error::Corrupt("reply")),
        }
    }

    /// Gives the permit of `holder` back; without one nothing happens.
    pub async fn release(&self, name: &str, holder: &str) -> Result<(), Error> {
        let () = redis::cmd("ZREM")
            .arg(self.permits_key(name))
            .arg(holder)
            .query_async(&mut self.conn.clone())
            .await?;
        Ok(())
    }

    fn permits_key(&self, name: &str) -> String {
        format!("{}:admission:{{{name}}}:permits", self.prefix)
    }
}

/// Capped at a year, so that sums stay exact in Lua.
fn micros(duration: Duration) -> u64 {
    const YEAR_US: u64 = 365 * 24 * 3600 * 1_000_000;
    u64::try_from(duration.as_micros()).unwrap_or(YEAR_US).clamp(1, YEAR_US)
}
