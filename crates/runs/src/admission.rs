//! How fast, and how many at once: limits that a whole fleet shares.
//!
//! A provider that limits creations per second or sandboxes at once does so for the whole
//! account, so every worker asks here first. Who is not let in stands in a queue and asks again;
//! who came first is let in first, on whichever worker it waits. A holder that dies loses its
//! permit when its lease ends, a waiter that dies its place after [`PATIENCE`]. Time is Redis's, the
//! same for all.

use std::sync::Arc;
use std::time::Duration;

use airlock_store::Connection;
use redis::Script;

use crate::Error;

/// How long a waiter keeps its place without asking again: longer than a retry takes, so that an
/// attempt that takes over waits where the one before it did.
const PATIENCE: Duration = Duration::from_mins(1);
/// Who waits for a permit asks again after this, and a little later for each that waits before it.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const LOOK_LATER: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_secs(2);

/// A rate: one token each `interval`, up to `burst` saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time for one token.
    pub interval: Duration,
    /// The most that can be taken at once; 0 counts as 1.
    pub burst: u32,
}

/// What is let in. The same on every worker; the default lets everything in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Holders at the same time; any number if absent. At least 1.
    pub at_once: Option<u32>,
    /// New holders per time; any rate if absent.
    pub rate: Option<Rate>,
}

impl AdmissionLimits {
    /// Whether there is nothing to ask for.
    pub const fn is_unlimited(&self) -> bool {
        self.at_once.is_none() && self.rate.is_none()
    }
}

/// What asking came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// In, until the lease ends or the permit is released.
    Yes {
        /// Permits that are held now, this one included.
        in_use: u64,
    },
    /// Not yet.
    NotYet {
        /// How many wait that came before.
        before: u64,
        /// When to ask again.
        ask_again: Duration,
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
        let keep = Script::new(include_str!("lua/keep.lua"));
        Self { conn: conn.into(), prefix: prefix.into(), scripts: Arc::new((admit, keep)) }
    }

    /// Asks to be let in to `name`; who is not takes a place in the queue, or keeps the one that it
    /// has. Who is in already has its permit renewed.
    pub async fn ask(
        &self,
        name: &str,
        holder: &str,
        limits: &AdmissionLimits,
        lease: Duration,
    ) -> Result<Admitted, Error> {
        let (interval, burst) =
            limits.rate.map_or((0, 1), |rate| (micros(rate.interval), rate.burst.max(1)));
        let answer: Vec<u64> = self
            .scripts
            .0
            .key(self.key(name, "permits"))
            .key(self.key(name, "queue"))
            .key(self.key(name, "seen"))
            .key(self.key(name, "bucket"))
            .arg(holder)
            .arg(limits.at_once.map_or(0, |most| most.max(1)))
            .arg(millis(lease))
            .arg(interval)
            .arg(burst)
            .arg(millis(PATIENCE))
            .invoke_async(&mut self.conn.clone())
            .await?;
        match answer.as_slice() {
            [1, in_use] => Ok(Admitted::Yes { in_use: *in_use }),
            [0, before, wait_us] => {
                let ask_again = match *wait_us {
                    0 => {
                        let later = LOOK_LATER.saturating_mul(u32::try_from(*before).unwrap_or(99));
                        (FIRST_LOOK + later).min(LAST_LOOK)
                    }
                    wait => Duration::from_micros(wait).min(PATIENCE / 4),
                };
                Ok(Admitted::NotYet { before: *before, ask_again })
            }
            _ => Err(Error::Corrupt("reply")),
        }
    }

    /// Pushes the end of a permit out; true if it was held. One that lapsed stays lapsed.
    pub async fn renew(&self, name: &str, holder: &str, lease: Duration) -> Result<bool, Error> {
        let held = self
            .scripts
            .1
            .key(self.key(name, "permits"))
            .arg(holder)
            .arg(millis(lease))
            .invoke_async(&mut self.conn.clone())
            .await?;
        Ok(held)
    }

    /// Gives the permit of `holder` back, or its place in the queue; without one nothing happens.
    pub async fn release(&self, name: &str, holder: &str) -> Result<(), Error> {
        let mut pipe = redis::pipe();
        for kind in ["permits", "queue", "seen"] {
            pipe.cmd("ZREM").arg(self.key(name, kind)).arg(holder).ignore();
        }
        let () = pipe.query_async(&mut self.conn.clone()).await?;
        Ok(())
    }

    fn key(&self, name: &str, kind: &str) -> String {
        format!("{}:admission:{{{name}}}:{kind}", self.prefix)
    }
}

/// Capped at a year, so that sums stay exact in Lua.
fn micros(duration: Duration) -> u64 {
    const YEAR_US: u64 = 365 * 24 * 3600 * 1_000_000;
    u64::try_from(duration.as_micros()).unwrap_or(YEAR_US).clamp(1, YEAR_US)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 45)
}
