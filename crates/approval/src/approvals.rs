//! The calls on approvals.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use airlock_contract::ExecutionId;
use airlock_store::Connection;
use futures_util::future::try_join_all;
use redis::Script;

use crate::{Approval, Error, NewRequest, State};

/// The most that one list shows.
const MAX_LIST: usize = 1000;
/// Longest name of who answers, and longest reason, in bytes.
const MAX_BY_BYTES: usize = 256;
const MAX_REASON_BYTES: usize = 2048;

/// How approvals are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long an approval can be read after it expired or was used. A used one must outlive
    /// every retry of the execution that used it.
    pub keep: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { keep: Duration::from_hours(24 * 30) }
    }
}

/// The approvals of a deployment. Cheap to clone.
#[derive(Clone)]
pub struct Approvals {
    conn: Connection,
    prefix: Arc<str>,
    options: Options,
    scripts: Arc<Scripts>,
}

struct Scripts {
    request: Script,
    get: Script,
    answer: Script,
    consume: Script,
    pending: Script,
}

type Fields = HashMap<String, String>;

impl std::fmt::Debug for Approvals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Approvals").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Approvals {
    /// Keeps approvals under `prefix` (no braces in it).
    pub fn new(conn: impl Into<Connection>, prefix: &str, options: Options) -> Self {
        let scripts = Scripts {
            request: Script::new(include_str!("lua/request.lua")),
            get: Script::new(include_str!("lua/get.lua")),
            answer: Script::new(include_str!("lua/answer.lua")),
            consume: Script::new(include_str!("lua/consume.lua")),
            pending: Script::new(include_str!("lua/pending.lua")),
        };
        Self { conn: conn.into(), prefix: prefix.into(), options, scripts: Arc::new(scripts) }
    }

    /// Asks for an approval. The same digest in the same execution finds the same request, in
    /// whatever state it is; one that expired unused is asked for anew.
    pub async fn request(&self, new: &NewRequest) -> Result<Approval, Error> {
        let id = new.id();
        let fields = new.fields()?;
        let mut call = self.scripts.request.key(self.key(&id));
        call.arg(millis(new.ttl).max(1)).arg(millis(self.options.keep));
        for (field, value) in fields {
            call.arg(field).arg(value);
        }
        let (now, expires, fields): (i64, i64, Fields) =
            call.invoke_async(&mut self.conn.clone()).await?;
        let approval = Approval::read(&id, now, &fields)?;
        if approval.state == State::Pending {
            // Another slot of a Cluster. If this fails, so does the call, and asking again lists it.
            let () = redis::cmd("ZADD")
                .arg(self.pending_key())
                .arg(expires)
                .arg(&id)
                .query_async(&mut self.conn.clone())
                .await?;
        }
        Ok(approval)
    }

    /// The approval, if there is one with this id.
    pub async fn get(&self, id: &str) -> Result<Option<Approval>, Error> {
        if !Approval::is_id(id) {
            return Ok(None);
        }
        let call = self.scripts.get.key(self.key(id));
        let (now, fields): (i64, Fields) = call.invoke_async(&mut self.conn.clone()).await?;
        if fields.is_empty() { Ok(None) } else { Approval::read(id, now, &fields).map(Some) }
    }

    /// The approvals that wait for an answer, at most `limit` (1000), the one that expires first
    /// first.
    pub async fn list(&self, limit: usize) -> Result<Vec<Approval>, Error> {
        let limit = limit.min(MAX_LIST);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut call = self.scripts.pending.key(self.pending_key());
        call.arg(limit);
        let ids: Vec<String> = call.invoke_async(&mut self.conn.clone()).await?;
        let found = try_join_all(ids.iter().map(|id| self.get(id))).await?;
        let mut pending = Vec::new();
        for (id, approval) in ids.iter().zip(found) {
            match approval.filter(|approval| approval.state == State::Pending) {
                Some(approval) => pending.push(approval),
                // Answered, and whoever answered did not come to strike it off.
                None => self.strike_off(id).await?,
            }
        }
        Ok(pending)
    }

    /// Grants an approval. Granting again changes nothing: who came first stays on record.
    pub async fn approve(&self, id: &str, by: &str) -> Result<Approval, Error> {
        self.answer(id, "granted", by, "").await
    }

    /// Rejects an approval; a rejection cannot be taken back. Rejecting again changes nothing.
    pub async fn reject(&self, id: &str, by: &str, reason: &str) -> Result<Approval, Error> {
        self.answer(id, "rejected", by, reason).await
    }

    /// Uses a granted approval for `execution`, which is about to do what `digest` covers.
    ///
    /// # Errors
    /// Each way in which it does not fit has its own variant; [`Error::Pending`] is the only one
    /// that time may heal. Nothing is used up by a refusal.
    pub async fn consume(
        &self,
        id: &str,
        digest: &str,
        execution: &ExecutionId,
    ) -> Result<Approval, Error> {
        if !Approval::is_id(id) {
            return Err(Error::NotFound);
        }
        let mut call = self.scripts.consume.key(self.key(id));
        call.arg(digest).arg(execution.as_str()).arg(millis(self.options.keep));
        let (word, now, fields): (String, i64, Fields) =
            call.invoke_async(&mut self.conn.clone()).await?;
        match word.as_str() {
            "ok" => Approval::read(id, now, &fields),
            "missing" => Err(Error::NotFound),
            "digest" => Err(Error::WrongDigest),
            "used" => Err(Error::UsedByAnother),
            "pending" => Err(Error::Pending),
            "rejected" => Err(Error::Rejected),
            "expired" => Err(Error::Expired),
            _ => Err(Error::Corrupt("unknown reply")),
        }
    }

    async fn answer(
        &self,
        id: &str,
        state: &str,
        by: &str,
        reason: &str,
    ) -> Result<Approval, Error> {
        if by.trim().is_empty() || by.len() > MAX_BY_BYTES || by.chars().any(char::is_control) {
            return Err(Error::InvalidInput(
                "by: say who answers, in at most 256 bytes of one line",
            ));
        }
        if reason.len() > MAX_REASON_BYTES {
            return Err(Error::InvalidInput("reason: at most 2048 bytes"));
        }
        if !Approval::is_id(id) {
            return Err(Error::NotFound);
        }
        let mut call = self.scripts.answer.key(self.key(id));
        call.arg(state).arg(by).arg(reason);
        let (word, now, fields): (String, i64, Fields) =
            call.invoke_async(&mut self.conn.clone()).await?;
        match word.as_str() {
            "ok" => {
                self.strike_off(id).await?;
                Approval::read(id, now, &fields)
            }
            "missing" => Err(Error::NotFound),
            "expired" => Err(Error::Expired),
            "answered" => Err(Error::AlreadyAnswered(Box::new(Approval::read(id, now, &fields)?))),
            _ => Err(Error::Corrupt("unknown reply")),
        }
    }

    async fn strike_off(&self, id: &str) -> Result<(), Error> {
        let () = redis::cmd("ZREM")
            .arg(self.pending_key())
            .arg(id)
            .query_async(&mut self.conn.clone())
            .await?;
        Ok(())
    }

    fn key(&self, id: &str) -> String {
        format!("{}:approval:{{{id}}}", self.prefix)
    }

    fn pending_key(&self) -> String {
        format!("{}:approvals:pending", self.prefix)
    }
}

/// Capped, so that sums stay exact in Lua.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(1 << 50)
}
