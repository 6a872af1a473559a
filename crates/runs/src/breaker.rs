//! A circuit breaker that a whole fleet shares: when a provider is down, every worker learns it from
//! the first failures, and one call at a time finds out when it is back.
//!
//! - Closed: every call goes out. Enough failures within the window open it.
//! - Open: no call goes out until the pause is over. That is known without a write.
//! - Half-open: one call at a time is the probe. Its success closes the breaker, its failure opens it
//!   for another pause, and if its caller dies, the next asker becomes the probe once its lease ends.
//!
//! Failures are those that say something of the provider: no answer, a 5xx. A refusal of one request
//! (bad template, no credit) is a success here. Time is Redis's, the same for all.

use std::sync::Arc;
use std::time::Duration;

use airlock_store::Connection;
use redis::Script;
use uuid::Uuid;

use crate::Error;

/// When a breaker opens, and for how long. The same on every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures within `window` that open it; at least 1. Default 5.
    pub failures: u32,
    /// Default 30 s.
    pub window: Duration,
    /// From its opening to the first probe. Default 15 s.
    pub pause: Duration,
    /// How long a probe may take before another caller probes. Default 60 s.
    pub probe: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            window: Duration::from_secs(30),
            pause: Duration::from_secs(15),
            probe: Duration::from_mins(1),
        }
    }
}

/// One breaker of a fleet. Cheap to clone.
#[derive(Clone)]
pub struct Breaker {
    conn: Connection,
    keys: Arc<[String; 2]>,
    settings: BreakerSettings,
    scripts: Arc<(Script, Script)>,
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Breaker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What asking came to.
#[derive(Debug)]
pub enum Passage {
    /// Call, and tell the pass how it ended.
    Go(Pass),
    /// Do not call; ask again after this long.
    Wait(Duration),
}

/// One call that may go out. Dropped untold it counts as nothing; a probe's lease then lapses.
#[derive(Debug)]
#[must_use = "tell it how the call ended"]
pub struct Pass {
    breaker: Breaker,
    token: String,
    is_probe: bool,
}

impl Breaker {
    /// The breaker `name` under `prefix`; `name` holds no braces.
    pub fn new(
        conn: impl Into<Connection>,
        prefix: &str,
        name: &str,
        settings: BreakerSettings,
    ) -> Self {
        let base = format!("{prefix}:breaker:{{{name}}}");
        let ask = Script::new(include_str!("lua/breaker_ask.lua"));
        let tell = Script::new(include_str!("lua/breaker_tell.lua"));
        Self {
            conn: conn.into(),
            keys: Arc::new([format!("{base}:state"), format!("{base}:failures")]),
            settings,
            scripts: Arc::new((ask, tell)),
        }
    }

    /// Whether a call may go out now.
    pub async fn ask(&self) -> Result<Passage, Error> {
        let token = Uuid::new_v4().to_string();
        let answer: Vec<u64> = self
            .scripts
            .0
            .key(&self.keys[0])
            .arg(&token)
            .arg(millis(self.settings.pause))
            .arg(millis(self.settings.probe))
            .arg(self.keep())
            .invoke_async(&mut self.conn.clone())
            .await?;
        let go = |is_probe| Passage::Go(Pass { breaker: self.clone(), token, is_probe });
        match answer.as_slice() {
            [0] => Ok(go(false)),
            [1] => Ok(go(true)),
            [2, wait] => Ok(Passage::Wait(Duration::from_millis(*wait))),
            _ => Err(Error::Corrupt("reply")),
        }
    }

    async fn tell(&self, token: &str, failed: bool) -> Result<bool, Error> {
        let open: bool = self
            .scripts
            .1
            .key(&self.keys[0])
            .key(&self.keys[1])
            .arg(token)
            .arg(u8::from(failed))
            .arg(self.settings.failures.max(1))
            .arg(millis(self.settings.window))
            .arg(self.keep())
            .invoke_async(&mut self.conn.clone())
            .await?;
        Ok(open)
    }

    /// A breaker that nobody asks any more is forgotten, so closed, after this many ms.
    fn keep(&self) -> u64 {
        millis(self.settings.pause) + millis(self.settings.probe) + 600_000
    }
}

impl Pass {
    /// Whether the provider is tried with this call, so that it should be a cheap one.
    pub const fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// The provider answered. Costs no round trip unless this is the probe.
    pub async fn succeeded(self) -> Result<(), Error> {
        if self.is_probe {
            self.breaker.tell(&self.token, false).await?;
        }
        Ok(())
    }

    /// The provider failed; true if the breaker is open now.
    pub async fn failed(self) -> Result<bool, Error> {
        self.breaker.tell(&self.token, true).await
    }
}

/// Capped at a year, so that sums stay exact in Lua.
fn millis(duration: Duration) -> u64 {
    const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;
    u64::try_from(duration.as_millis()).unwrap_or(YEAR_MS).clamp(1, YEAR_MS)
}
