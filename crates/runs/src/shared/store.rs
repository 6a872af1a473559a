//! The calls on shared sandboxes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use airlock_contract::{AccountId, CloseReason, ExecutionId, Phase, RunIdentity, Usd};
use airlock_store::Connection;
use redis::{FromRedisValue, ScriptInvocation, Value as Reply};
use serde_json::Value;

use super::record::{holder, seat_field, word_of};
use super::scripts::SCRIPTS;
use super::{Due, Ended, Fixed, Seat, SharedRecord};
use crate::record::phase_word;
use crate::runs::millis;
use crate::{Error, Fence, payload};

/// The record outlives the longest life of its sandbox by this much.
const OUTLIVES: Duration = Duration::from_hours(1);
/// Longest id of a sandbox, in bytes.
const MAX_ID_BYTES: usize = 64;

/// The shared sandboxes of a fleet. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    conn: Connection,
    prefix: Arc<str>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What asking for a seat came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enter {
    /// The seat is the execution's; or, without a seat, the use is noted.
    In(Box<SharedRecord>),
    /// Every seat is taken, by these.
    Busy(Vec<Seat>),
    /// There is no such sandbox, or it is another account's.
    Missing,
    /// It is closed or being closed.
    Closed,
    /// A later attempt of the same execution has the seat.
    Superseded,
}

impl Shared {
    pub(crate) fn new(conn: Connection, prefix: Arc<str>) -> Self {
        Self { conn, prefix }
    }

    /// Hands a sandbox over from the slot of the run that created it to a record of its own, finishes that run
    /// with `outcome`, and puts the sandbox on the agenda; all but the last in one step.
    ///
    /// Again with the same arguments: the same. Afterwards drop the run's lease.
    ///
    /// # Errors
    /// [`Error::Superseded`] if a later attempt, or the reaper, holds the run: then nothing was
    /// registered.
    pub async fn register(
        &self,
        fence: Fence,
        record: &SharedRecord,
        outcome: &Value,
    ) -> Result<(), Error> {
        let fixed = &record.fixed;
        let key = self.key(&fixed.account, &fixed.sandbox).ok_or(Error::Corrupt("sandbox id"))?;
        let lives = u64::try_from(fixed.closes_at_ms.saturating_sub(fixed.created_at_ms));
        let ttl = Duration::from_millis(lives.unwrap_or_default()) + OUTLIVES;
        let mut call = SCRIPTS.register.key(fixed.opener().stored_at(&self.prefix));
        call.key(key).arg(fence.0).arg(SharedRecord::VERSION);
        call.arg(serde_json::to_string(fixed).map_err(|_| Error::Corrupt("shared sandbox"))?);
        call.arg(record.covers_ms).arg(record.held.nanos()).arg(record.lease_until_ms);
        call.arg(record.used_at_ms).arg(millis(ttl)).arg(payload::encode(outcome)?);
        call.arg(phase_word(Phase::Done)).arg(fixed.slot);
        self.invoke(&call).await?.done()?;
        self.schedule(fixed, record.used_at_ms).await
    }

    /// The record, if there is one. Reading needs no seat.
    pub async fn get(
        &self,
        account: &AccountId,
        sandbox: &str,
    ) -> Result<Option<SharedRecord>, Error> {
        let Some(key) = self.key(account, sandbox) else { return Ok(None) };
        let fields: HashMap<String, String> =
            redis::cmd("HGETALL").arg(key).query_async(&mut self.conn.clone()).await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let record = SharedRecord::read(&fields)?;
        Ok((record.fixed.account == *account).then_some(record))
    }

    /// Takes a seat for `identity`'s execution until `until_ms`, or finds the one that an earlier
    /// attempt of it took.
    pub async fn enter(
        &self,
        account: &AccountId,
        sandbox: &str,
        identity: &RunIdentity,
        fence: Fence,
        until_ms: i64,
        now_ms: i64,
    ) -> Result<Enter, Error> {
        let field = seat_field(&ExecutionId::of(identity));
        self.use_it(account, sandbox, &field, fence, until_ms, &holder(identity), now_ms).await
    }

    /// Notes that the sandbox is used by something that needs no seat.
    pub async fn touch(
        &self,
        account: &AccountId,
        sandbox: &str,
        now_ms: i64,
    ) -> Result<Enter, Error> {
        self.use_it(account, sandbox, "", Fence(0), 0, "", now_ms).await
    }

    #[expect(clippy::too_many_arguments, reason = "one call of a script")]
    async fn use_it(
        &self,
        account: &AccountId,
        sandbox: &str,
        field: &str,
        fence: Fence,
        until_ms: i64,
        holder: &str,
        now_ms: i64,
    ) -> Result<Enter, Error> {
        let Some(key) = self.key(account, sandbox) else { return Ok(Enter::Missing) };
        let mut call = SCRIPTS.enter.key(key);
        call.arg(account.as_str()).arg(field).arg(fence.0).arg(until_ms).arg(holder).arg(now_ms);
        let mut answer = self.invoke(&call).await?;
        Ok(match answer.word.as_str() {
            "ok" => Enter::In(Box::new(answer.record()?)),
            "busy" => Enter::Busy(answer.record()?.seats),
            "missing" => Enter::Missing,
            "closed" => Enter::Closed,
            "superseded" => Enter::Superseded,
            _ => return Err(Error::Corrupt("unknown reply")),
        })
    }

    /// Renews a seat; the sandbox time that is paid for by now, in milliseconds from its creation.
    ///
    /// # Errors
    /// [`Error::Superseded`] if the seat is another attempt's or was freed, [`Error::Missing`] if
    /// the sandbox is closed.
    pub async fn stay(
        &self,
        fixed: &Fixed,
        execution: &ExecutionId,
        fence: Fence,
        until_ms: i64,
        now_ms: i64,
    ) -> Result<i64, Error> {
        let mut call = self.call(&SCRIPTS.stay, fixed)?;
        call.arg(seat_field(execution)).arg(fence.0).arg(until_ms).arg(now_ms);
        let mut answer = self.invoke(&call).await?;
        match answer.word.as_str() {
            "ok" => answer.number(),
            "missing" | "closed" => Err(Error::Missing),
            _ => Err(Error::Superseded),
        }
    }

    /// Gives a seat up after use at `now_ms`. A seat of another attempt stays.
    pub async fn leave(
        &self,
        fixed: &Fixed,
        execution: &ExecutionId,
        fence: Fence,
        now_ms: i64,
    ) -> Result<(), Error> {
        let mut call = self.call(&SCRIPTS.leave, fixed)?;
        call.arg(seat_field(execution)).arg(fence.0).arg(now_ms);
        self.invoke(&call).await?.done()
    }

    /// Frees the seat of an execution that is over, unless another attempt took it meanwhile.
    pub async fn free(&self, fixed: &Fixed, seat: &Seat) -> Result<(), Error> {
        self.leave(fixed, &seat.execution, seat.fence, 0).await
    }

    /// Records what is paid for by now. Never takes anything back.
    pub async fn paid(&self, fixed: &Fixed, covers_ms: i64, held: Usd) -> Result<(), Error> {
        self.grow(fixed, covers_ms, held, 0).await
    }

    /// Records until when the sandbox lives. Never shortens it.
    pub async fn prolonged(&self, fixed: &Fixed, lease_until_ms: i64) -> Result<(), Error> {
        self.grow(fixed, 0, Usd::ZERO, lease_until_ms).await
    }

    async fn grow(
        &self,
        fixed: &Fixed,
        covers_ms: i64,
        held: Usd,
        lease_until_ms: i64,
    ) -> Result<(), Error> {
        let mut call = self.call(&SCRIPTS.grow, fixed)?;
        call.arg(covers_ms).arg(held.nanos()).arg(lease_until_ms);
        self.invoke(&call).await?.done()
    }

    /// Begins to close: nobody gets a seat any more. If somebody did before, their reason stands.
    ///
    /// With `unless_used_since_ms` only if it has no user, and none came after that instant: false
    /// if it has.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no record.
    pub async fn closing(
        &self,
        fixed: &Fixed,
        reason: CloseReason,
        unless_used_since_ms: Option<i64>,
    ) -> Result<Option<SharedRecord>, Error> {
        let mut call = self.call(&SCRIPTS.closing, fixed)?;
        let seen = unless_used_since_ms.map_or_else(String::new, |ms| ms.to_string());
        call.arg(word_of(reason)).arg(seen);
        let mut answer = self.invoke(&call).await?;
        match answer.word.as_str() {
            "used" => Ok(None),
            "ok" => answer.record().map(Some),
            _ => Err(answer.refusal()),
        }
    }

    /// Says when a sandbox that is closing ended and what it cost; what was said first is returned.
    pub async fn ended(&self, fixed: &Fixed, ended: Ended) -> Result<Ended, Error> {
        let mut call = self.call(&SCRIPTS.ended, fixed)?;
        call.arg(ended.at_ms).arg(ended.cost.nanos());
        let mut answer = self.invoke(&call).await?;
        match answer.word.as_str() {
            "ok" => {
                let at_ms = answer.number()?;
                Ok(Ended { at_ms, cost: Usd::from_nanos(answer.number()?) })
            }
            _ => Err(answer.refusal()),
        }
    }

    /// The sandbox is removed and booked: its record answers for `remember` more, and nobody needs
    /// to look at it again. True for the one call that closed it.
    pub async fn closed(&self, fixed: &Fixed, remember: Duration) -> Result<bool, Error> {
        let mut call = self.call(&SCRIPTS.closed, fixed)?;
        call.arg(millis(remember));
        let mut answer = self.invoke(&call).await?;
        let first = match answer.word.as_str() {
            "ok" => answer.number::<u8>()? == 1,
            _ => return Err(answer.refusal()),
        };
        self.forget(&Due::of(fixed)).await?;
        Ok(first)
    }

    /// Puts the sandbox on the agenda for `at_ms`, or moves it there.
    pub async fn schedule(&self, fixed: &Fixed, at_ms: i64) -> Result<(), Error> {
        self.zadd(&Due::of(fixed), at_ms, None).await
    }

    /// Looks again at `at_ms`, unless nobody needs to any more.
    pub async fn postpone(&self, due: &Due, at_ms: i64) -> Result<(), Error> {
        self.zadd(due, at_ms, Some("XX")).await
    }

    async fn zadd(&self, due: &Due, at_ms: i64, only: Option<&str>) -> Result<(), Error> {
        let mut call = redis::cmd("ZADD");
        call.arg(self.agenda_key()).arg(only).arg(at_ms).arg(&due.member);
        Ok(call.query_async(&mut self.conn.clone()).await?)
    }

    /// Takes a sandbox off the agenda.
    pub async fn forget(&self, due: &Due) -> Result<(), Error> {
        let mut call = redis::cmd("ZREM");
        call.arg(self.agenda_key()).arg(&due.member);
        Ok(call.query_async(&mut self.conn.clone()).await?)
    }

    /// The sandboxes to look at by `now_ms`, the longest overdue first, at most `limit`.
    pub async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<Due>, Error> {
        let mut call = redis::cmd("ZRANGE");
        call.arg(self.agenda_key()).arg("-inf").arg(now_ms).arg("BYSCORE");
        call.arg("LIMIT").arg(0).arg(limit);
        let members: Vec<String> = call.query_async(&mut self.conn.clone()).await?;
        let mut due = Vec::with_capacity(members.len());
        for member in members {
            if let Some(one) = Due::read(member) {
                due.push(one);
            } else {
                tracing::warn!(key = %self.agenda_key(), "an entry cannot be read");
            }
        }
        Ok(due)
    }

    /// How many shared sandboxes are not closed.
    pub async fn count(&self) -> Result<u64, Error> {
        let mut conn = self.conn.clone();
        Ok(redis::cmd("ZCARD").arg(self.agenda_key()).query_async(&mut conn).await?)
    }

    fn call<'a>(
        &self,
        script: &'a redis::Script,
        fixed: &Fixed,
    ) -> Result<ScriptInvocation<'a>, Error> {
        let key = self.key(&fixed.account, &fixed.sandbox).ok_or(Error::Corrupt("sandbox id"))?;
        Ok(script.key(key))
    }

    async fn invoke(&self, call: &ScriptInvocation<'_>) -> Result<Answer, Error> {
        let parts: Vec<Reply> = call.invoke_async(&mut self.conn.clone()).await?;
        let mut parts = parts.into_iter();
        let word = parts.next().ok_or(Error::Corrupt("empty reply"))?;
        let word = String::from_redis_value(word).map_err(|_| Error::Corrupt("reply"))?;
        Ok(Answer { word, parts })
    }

    /// None for an id that no sandbox has: it comes from anybody.
    fn key(&self, account: &AccountId, sandbox: &str) -> Option<String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        let fits = (1..=MAX_ID_BYTES).contains(&sandbox.len()) && sandbox.bytes().all(allowed);
        fits.then(|| format!("{}:{{{}}}:shared:{sandbox}", self.prefix, account.family()))
    }

    fn agenda_key(&self) -> String {
        format!("{}:shared", self.prefix)
    }
}

/// What a script answered: a word, and what belongs to it.
struct Answer {
    word: String,
    parts: std::vec::IntoIter<Reply>,
}

impl Answer {
    fn next<T: FromRedisValue>(&mut self) -> Result<T, Error> {
        let part = self.parts.next().ok_or(Error::Corrupt("short reply"))?;
        T::from_redis_value(part).map_err(|_| Error::Corrupt("reply"))
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, Error> {
        self.next::<String>()?.parse().map_err(|_| Error::Corrupt("reply"))
    }

    fn record(&mut self) -> Result<SharedRecord, Error> {
        SharedRecord::read(&self.next::<HashMap<String, String>>()?)
    }

    fn done(&self) -> Result<(), Error> {
        if self.word == "ok" { Ok(()) } else { Err(self.refusal()) }
    }

    fn refusal(&self) -> Error {
        match self.word.as_str() {
            "superseded" => Error::Superseded,
            "missing" => Error::Missing,
            "unclaimed" => Error::OutOfOrder("this attempt has not claimed the run"),
            "changed" => Error::OutOfOrder("another outcome is already kept"),
            "open" => Error::OutOfOrder("the shared sandbox is not being closed"),
            _ => Error::Corrupt("unknown reply"),
        }
    }
}
