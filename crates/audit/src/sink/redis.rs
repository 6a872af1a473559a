//! A Redis stream for each writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use airlock_store::Connection;
use jiff::Timestamp;
use redis::Script;

use crate::{Error, Reader, Sealed};

/// How often the list of writers and the stream's expiry are brought up to date.
const REGISTER_EVERY_MS: i64 = 60_000;

/// How much a stream keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// About how many records of one writer are kept; the oldest go first. At least 1.
    pub max_records: u64,
    /// A writer's stream goes this long after its last record.
    pub retention: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { max_records: 100_000, retention: Duration::from_hours(24 * 90) }
    }
}

/// Appends to `<prefix>:audit:<writer>`; `<prefix>:audit:writers` lists the writers by the time of
/// their last record.
pub(crate) struct RedisSink {
    conn: Connection,
    prefix: String,
    options: RedisOptions,
    append: Script,
    registered_ms: AtomicI64,
}

impl std::fmt::Debug for RedisSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSink").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl RedisSink {
    pub(crate) fn new(conn: Connection, prefix: &str, options: RedisOptions) -> Self {
        Self {
            conn,
            prefix: prefix.to_owned(),
            options,
            append: Script::new(include_str!("../lua/append.lua")),
            registered_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::redis(self.conn.clone(), &self.prefix)
    }

    pub(crate) async fn write(&self, batch: &[Arc<Sealed>]) -> Result<(), Error> {
        let Some(last) = batch.last() else { return Ok(()) };
        let writer = &last.record.writer;
        let mut call = self.append.key(stream_key(&self.prefix, writer));
        call.arg(self.options.max_records.max(1)).arg(self.retention_ms());
        for sealed in batch {
            call.arg(format!("{}-0", sealed.record.sequence)).arg(&sealed.line);
        }
        let () = call.invoke_async(&mut self.conn.clone()).await?;
        self.register(writer).await
    }

    /// Lists the writer, in another slot of a Cluster than its stream. At most once a minute.
    async fn register(&self, writer: &str) -> Result<(), Error> {
        let now = Timestamp::now().as_millisecond();
        if now - self.registered_ms.load(Ordering::Relaxed) < REGISTER_EVERY_MS {
            return Ok(());
        }
        let key = writers_key(&self.prefix);
        let gone = now.saturating_sub(i64::try_from(self.retention_ms()).unwrap_or(i64::MAX));
        let () = redis::pipe()
            .cmd("ZADD")
            .arg(&key)
            .arg(now)
            .arg(writer)
            .cmd("ZREMRANGEBYSCORE")
            .arg(&key)
            .arg("-inf")
            .arg(gone)
            .query_async(&mut self.conn.clone())
            .await?;
        self.registered_ms.store(now, Ordering::Relaxed);
        Ok(())
    }

    fn retention_ms(&self) -> u64 {
        u64::try_from(self.options.retention.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 52)
    }
}

pub(crate) fn stream_key(prefix: &str, writer: &str) -> String {
    format!("{prefix}:audit:{writer}")
}

pub(crate) fn writers_key(prefix: &str) -> String {
    format!("{prefix}:audit:writers")
}
