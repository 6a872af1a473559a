//! The calls on run records and on the fleet's leases.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use airlock_contract::Phase;
use airlock_store::Connection;
use redis::{FromRedisValue, Script, ScriptInvocation, Value as Reply};
use serde_json::Value;

use crate::record::{command_field, note_field, phase_word};
use crate::scripts::Scripts;
use crate::shared::Shared;
use crate::{
    Admission, BoundSandbox, Breaker, BreakerSettings, Error, Fence, Leadership, Lease, Record,
    RunKey, payload, schema,
};

/// The record outlives the lease of its sandbox by this much, so that the reaper can read it.
const OUTLIVES_LEASE: Duration = Duration::from_hours(1);
/// Fences are compared by Lua, whose numbers are exact up to here.
const MAX_FENCE: i64 = 1 << 53;
/// Longest name of a note, in bytes.
const MAX_NOTE_NAME_BYTES: usize = 128;
/// Leases read at a time.
const PAGE: usize = 1000;

/// The run records of a fleet. Cheap to clone.
#[derive(Clone)]
pub struct Runs {
    conn: Connection,
    prefix: Arc<str>,
    scripts: Arc<Scripts>,
}

/// What a claim found.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// Nobody acted for this run before.
    Started(Record),
    /// An earlier attempt left this.
    Resumed(Record),
    /// The run is over; this is its outcome.
    Finished(Value),
}

/// What binding a sandbox came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "short-lived: matched where it is returned")]
pub enum Bind {
    /// The sandbox is the run's.
    Bound,
    /// The slot has this other one. Kill the one that was to be bound, then
    /// [drop its lease](Runs::remove_lease).
    Other(BoundSandbox),
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runs").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Runs {
    /// Keeps records under `prefix` (no braces in it).
    pub fn new(conn: impl Into<Connection>, prefix: &str) -> Self {
        Self { conn: conn.into(), prefix: prefix.into(), scripts: Arc::default() }
    }

    /// Checks once at start that no newer version writes under this prefix; returns the version.
    ///
    /// # Errors
    /// [`Error::NewerSchema`], which says what to do.
    pub async fn check_schema(&self) -> Result<u32, Error> {
        schema::check(self.conn.clone(), &self.prefix).await
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let () = redis::cmd("PING").query_async(&mut self.conn.clone()).await?;
        Ok(())
    }

    /// Makes the attempt `fence` the holder of the run. The record lives for at least `ttl` from
    /// now, which must reach beyond the activity's last deadline.
    ///
    /// Idempotent for one fence: the same call again gets the same answer.
    ///
    /// # Errors
    /// [`Error::Superseded`] if a later attempt holds it, [`Error::Conflict`] if it was claimed
    /// with another input.
    pub async fn claim(
        &self,
        run: &RunKey,
        fence: Fence,
        input_digest: &str,
        ttl: Duration,
    ) -> Result<Claim, Error> {
        let mut call = self.call(&self.scripts.claim, run, fence)?;
        call.arg(input_digest).arg(millis(ttl)).arg(Record::VERSION);
        let mut answer = self.invoke(&call).await?;
        match answer.word.as_str() {
            "started" => Ok(Claim::Started(Record::read(&answer.take()?)?)),
            "resumed" => Ok(Claim::Resumed(Record::read(&answer.take()?)?)),
            "finished" => Ok(Claim::Finished(payload::decode(&answer.take::<Vec<u8>>()?)?)),
            "version" => Err(Error::NewerSchema {
                found: answer.take::<String>()?.parse().map_err(|_| Error::Corrupt("v"))?,
                supported: Record::VERSION,
            }),
            _ => Err(answer.refusal()),
        }
    }

    /// Binds a sandbox to its slot of the run and puts its lease into the fleet's set; the first
    /// one wins.
    ///
    /// The lease is written first: whoever is interrupted in between leaves a lease, which the
    /// reaper ends, not a sandbox that nobody knows. So after any error or [`Bind::Other`] the
    /// lease stays until the sandbox is killed and [`Runs::remove_lease`] is called.
    pub async fn bind_sandbox(
        &self,
        run: &RunKey,
        fence: Fence,
        sandbox: &BoundSandbox,
    ) -> Result<Bind, Error> {
        self.put_lease(&Lease::of(run, sandbox)).await?;
        let mut call = self.call(&self.scripts.bind, run, fence)?;
        call.arg(sandbox.slot).arg(&sandbox.id);
        call.arg(sandbox.to_stored()).arg(sandbox.lease_until_ms);
        call.arg(millis(OUTLIVES_LEASE));
        let mut answer = self.invoke(&call).await?;
        match answer.word.as_str() {
            "ok" => Ok(Bind::Bound),
            "other" => Ok(Bind::Other(answer.sandbox()?)),
            _ => Err(answer.refusal()),
        }
    }

    /// Records that command `index` is about to be started; true the first time.
    ///
    /// False means that it may already have run: look before starting anything.
    pub async fn starting(&self, run: &RunKey, fence: Fence, index: u32) -> Result<bool, Error> {
        let mut call = self.call(&self.scripts.starting, run, fence)?;
        call.arg(command_field(index));
        let answer = self.invoke(&call).await?;
        match answer.word.as_str() {
            "first" => Ok(true),
            "again" => Ok(false),
            _ => Err(answer.refusal()),
        }
    }

    /// Records where the run is.
    pub async fn set_phase(&self, run: &RunKey, fence: Fence, phase: Phase) -> Result<(), Error> {
        self.set(run, fence, "phase", phase_word(phase).as_bytes()).await
    }

    /// Keeps a fact for later attempts, such as what was reserved; replaces the one of that name.
    ///
    /// `name` has at most 128 bytes, `value` at most [`crate::MAX_PAYLOAD_BYTES`] as JSON. No
    /// secrets: the record is not encrypted.
    pub async fn note(
        &self,
        run: &RunKey,
        fence: Fence,
        name: &str,
        value: &Value,
    ) -> Result<(), Error> {
        if name.len() > MAX_NOTE_NAME_BYTES {
            return Err(Error::TooLarge { bytes: name.len(), limit: MAX_NOTE_NAME_BYTES });
        }
        self.set(run, fence, &note_field(name), &payload::encode(value)?).await
    }

    /// Keeps the result of a command that was recorded as starting.
    pub async fn command_ended(
        &self,
        run: &RunKey,
        fence: Fence,
        index: u32,
        result: &Value,
    ) -> Result<(), Error> {
        let mut call = self.call(&self.scripts.ended, run, fence)?;
        call.arg(command_field(index)).arg(payload::encode(result)?);
        self.invoke(&call).await?.done()
    }

    /// Keeps the outcome of the run for at least the ttl of its first claim: every later claim is
    /// answered with it at once.
    pub async fn finish(&self, run: &RunKey, fence: Fence, outcome: &Value) -> Result<(), Error> {
        let mut call = self.call(&self.scripts.finish, run, fence)?;
        call.arg(payload::encode(outcome)?).arg(phase_word(Phase::Done));
        self.invoke(&call).await?.done()
    }

    /// Pushes out the lease of the sandbox in `slot`; an earlier end than the present one changes
    /// nothing.
    pub async fn renew_lease(
        &self,
        run: &RunKey,
        fence: Fence,
        slot: u32,
        until_ms: i64,
    ) -> Result<(), Error> {
        let mut call = self.call(&self.scripts.renew, run, fence)?;
        call.arg(slot).arg(until_ms).arg(millis(OUTLIVES_LEASE));
        let mut answer = self.invoke(&call).await?;
        match answer.word.as_str() {
            "ok" => self.put_lease(&Lease::of(run, &answer.sandbox()?)).await,
            _ => Err(answer.refusal()),
        }
    }

    /// Forgets the sandbox in `slot` and drops its lease, after it was killed and cleaned up.
    /// Without a bound sandbox nothing happens.
    pub async fn unbind_sandbox(&self, run: &RunKey, fence: Fence, slot: u32) -> Result<(), Error> {
        let mut call = self.call(&self.scripts.unbind, run, fence)?;
        call.arg(slot);
        let mut answer = self.invoke(&call).await?;
        match answer.word.as_str() {
            "ok" => self.remove_lease(&Lease::of(run, &answer.sandbox()?)).await,
            "unbound" => Ok(()),
            _ => Err(answer.refusal()),
        }
    }

    /// Whether the attempt still holds the run.
    ///
    /// # Errors
    /// [`Error::Superseded`] if not.
    pub async fn check(&self, run: &RunKey, fence: Fence) -> Result<(), Error> {
        let call = self.call(&self.scripts.check, run, fence)?;
        self.invoke(&call).await?.done()
    }

    /// The record, if there is one. Reading needs no fence.
    pub async fn get(&self, run: &RunKey) -> Result<Option<Record>, Error> {
        let fields: HashMap<String, Vec<u8>> = redis::cmd("HGETALL")
            .arg(run.stored_at(&self.prefix))
            .query_async(&mut self.conn.clone())
            .await?;
        if fields.is_empty() { Ok(None) } else { Record::read(&fields).map(Some) }
    }

    /// The leases that ended by `now_ms` and that are `wanted`, earliest first, at most `limit`.
    /// However many others stand before them, they are found.
    ///
    /// A lease that its run's record has renewed meanwhile (the renewal was interrupted between
    /// its two writes) is put right and left out.
    pub async fn expired_leases(
        &self,
        now_ms: i64,
        limit: usize,
        wanted: impl Fn(&Lease) -> bool,
    ) -> Result<Vec<Lease>, Error> {
        let (mut expired, mut seen) = (Vec::new(), 0);
        loop {
            let page = self.leases_until(now_ms, seen).await?;
            let is_last = page.len() < PAGE;
            seen += page.len();
            for (member, until_ms) in page {
                let Some(lease) = Lease::read(member, until_ms) else {
                    tracing::warn!(key = %self.leases_key(), "a lease cannot be read");
                    continue;
                };
                if !wanted(&lease) {
                    continue;
                }
                match self.unless_renewed(lease, now_ms).await? {
                    Some(lease) => expired.push(lease),
                    // It left the set's expired part, so what follows moved up by one.
                    None => seen -= 1,
                }
                if expired.len() >= limit {
                    return Ok(expired);
                }
            }
            if is_last {
                return Ok(expired);
            }
        }
    }

    /// One page of the set's expired part, as written.
    async fn leases_until(&self, now_ms: i64, from: usize) -> Result<Vec<(String, i64)>, Error> {
        let page = redis::cmd("ZRANGE")
            .arg(self.leases_key())
            .arg("-inf")
            .arg(now_ms)
            .arg("BYSCORE")
            .arg("LIMIT")
            .arg(from)
            .arg(PAGE)
            .arg("WITHSCORES")
            .query_async(&mut self.conn.clone())
            .await?;
        Ok(page)
    }

    /// How many sandboxes have a lease.
    pub async fn lease_count(&self) -> Result<u64, Error> {
        let mut conn = self.conn.clone();
        Ok(redis::cmd("ZCARD").arg(self.leases_key()).query_async(&mut conn).await?)
    }

    /// Drops a lease, after its sandbox was killed.
    pub async fn remove_lease(&self, lease: &Lease) -> Result<(), Error> {
        let () = redis::cmd("ZREM")
            .arg(self.leases_key())
            .arg(lease.member())
            .query_async(&mut self.conn.clone())
            .await?;
        Ok(())
    }

    /// Looks at an expired lease again after `until_ms`, because its sandbox may still be wanted.
    /// A lease that was dropped or renewed beyond that meanwhile stays as it is.
    pub async fn postpone_lease(&self, lease: &Lease, until_ms: i64) -> Result<(), Error> {
        let () = redis::cmd("ZADD")
            .arg(self.leases_key())
            .arg("XX")
            .arg("GT")
            .arg(until_ms)
            .arg(lease.member())
            .query_async(&mut self.conn.clone())
            .await?;
        Ok(())
    }

    /// Stands for the seat `name` beside these records.
    pub fn leadership(&self, name: &str) -> Leadership {
        Leadership::new(self.conn.clone(), &self.prefix, name)
    }

    /// The fleet's limits beside these records.
    pub fn admission(&self) -> Admission {
        Admission::new(self.conn.clone(), &self.prefix)
    }

    /// The fleet's breaker `name` beside these records.
    pub fn breaker(&self, name: &str, settings: BreakerSettings) -> Breaker {
        Breaker::new(self.conn.clone(), &self.prefix, name, settings)
    }

    /// The shared sandboxes beside these records.
    pub fn shared(&self) -> Shared {
        Shared::new(self.conn.clone(), self.prefix.clone())
    }

    async fn unless_renewed(&self, mut lease: Lease, now_ms: i64) -> Result<Option<Lease>, Error> {
        let (sandbox_id, until_ms): (Option<String>, Option<i64>) = redis::cmd("HMGET")
            .arg(lease.run.stored_at(&self.prefix))
            .arg(&[format!("i:{}", lease.slot), format!("l:{}", lease.slot)])
            .query_async(&mut self.conn.clone())
            .await?;
        let ours = sandbox_id.as_deref() == Some(lease.sandbox_id.as_str());
        match until_ms.filter(|until| ours && *until > now_ms) {
            Some(until_ms) => {
                lease.until_ms = until_ms;
                self.put_lease(&lease).await?;
                Ok(None)
            }
            None => Ok(Some(lease)),
        }
    }

    /// Puts a lease into the fleet's set, or pushes it out.
    pub async fn put_lease(&self, lease: &Lease) -> Result<(), Error> {
        let () = redis::cmd("ZADD")
            .arg(self.leases_key())
            .arg("GT")
            .arg(lease.until_ms)
            .arg(lease.member())
            .query_async(&mut self.conn.clone())
            .await?;
        Ok(())
    }

    async fn set(
        &self,
        run: &RunKey,
        fence: Fence,
        field: &str,
        value: &[u8],
    ) -> Result<(), Error> {
        let mut call = self.call(&self.scripts.set, run, fence)?;
        call.arg(field).arg(value);
        self.invoke(&call).await?.done()
    }

    fn call<'a>(
        &self,
        script: &'a Script,
        run: &RunKey,
        fence: Fence,
    ) -> Result<ScriptInvocation<'a>, Error> {
        if !(0..=MAX_FENCE).contains(&fence.0) {
            return Err(Error::OutOfOrder("a fence is microseconds since 1970"));
        }
        let mut call = script.key(run.stored_at(&self.prefix));
        call.arg(fence.0);
        Ok(call)
    }

    async fn invoke(&self, call: &ScriptInvocation<'_>) -> Result<Answer, Error> {
        let parts: Vec<Reply> = call.invoke_async(&mut self.conn.clone()).await?;
        let mut parts = parts.into_iter();
        let word = parts.next().ok_or(Error::Corrupt("empty reply"))?;
        let word = String::from_redis_value(word).map_err(|_| Error::Corrupt("reply"))?;
        Ok(Answer { word, parts })
    }

    fn leases_key(&self) -> String {
        format!("{}:leases", self.prefix)
    }
}

/// What a script answered: a word, and what belongs to it.
struct Answer {
    word: String,
    parts: std::vec::IntoIter<Reply>,
}

impl Answer {
    fn take<T: FromRedisValue>(&mut self) -> Result<T, Error> {
        let part = self.parts.next().ok_or(Error::Corrupt("short reply"))?;
        T::from_redis_value(part).map_err(|_| Error::Corrupt("reply"))
    }

    fn sandbox(&mut self) -> Result<BoundSandbox, Error> {
        let stored: Vec<u8> = self.take()?;
        BoundSandbox::from_stored(&stored, self.take()?)
    }

    fn done(&self) -> Result<(), Error> {
        if self.word == "ok" { Ok(()) } else { Err(self.refusal()) }
    }

    fn refusal(&self) -> Error {
        match self.word.as_str() {
            "superseded" => Error::Superseded,
            "conflict" => Error::Conflict,
            "missing" => Error::Missing,
            "unclaimed" => Error::OutOfOrder("this attempt has not claimed the run"),
            "finished" => Error::OutOfOrder("the run is finished"),
            "unbound" => Error::OutOfOrder("no sandbox is bound to the run"),
            "unstarted" => Error::OutOfOrder("the command was not recorded as starting"),
            "changed" => Error::OutOfOrder("another result is already kept"),
            _ => Error::Corrupt("unknown reply"),
        }
    }
}

/// Whole milliseconds, as many as Lua's numbers hold exactly.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(1 << 52)
}
