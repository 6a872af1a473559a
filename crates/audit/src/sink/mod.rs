//! Where records go. A sink keeps a queue of what it has not written yet, in the chain's order.
//!
//! Many tasks append at once: whoever holds a sink writes everything that is queued, for all of
//! them, in one call.

mod file;
mod redis;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use airlock_store::Connection;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

pub use self::redis::RedisOptions;
pub(crate) use self::redis::{stream_key, writers_key};

use self::file::FileSink;
use self::redis::RedisSink;
use crate::{Error, Reader, Sealed};

/// The most that a failing sink keeps for later, in records and in bytes.
const MAX_QUEUED: usize = 10_000;
const MAX_QUEUED_BYTES: usize = 32 * 1024 * 1024;
/// The most that goes into one write.
const MAX_BATCH: usize = 256;
/// How long one write may take.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// A write that fails is tried once more after this: most failures are a cut connection.
const SECOND_TRY_AFTER: Duration = Duration::from_millis(50);
/// A sink that fails while another one works is left alone for this long.
const REST: Duration = Duration::from_secs(1);

/// A place that records are written to.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    required: bool,
    queue: Mutex<Queue>,
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
enum Target {
    Redis(RedisSink),
    File(FileSink),
}

/// What is not written yet.
#[derive(Debug, Default)]
struct Queue {
    records: VecDeque<Arc<Sealed>>,
    bytes: usize,
    written: u64,
    failing_since: Option<Instant>,
    lost: u64,
}

impl Sink {
    /// A Redis stream for each writer, `<prefix>:audit:<writer>`. Required.
    pub fn redis(conn: impl Into<Connection>, prefix: &str, options: RedisOptions) -> Self {
        Self::new(Target::Redis(RedisSink::new(conn.into(), prefix, options)))
    }

    /// A JSON Lines file, which several processes may share. Required. With `fsync`, a record is
    /// on the disk before it counts as written.
    pub async fn file(path: impl Into<PathBuf>, fsync: bool) -> Result<Self, Error> {
        Ok(Self::new(Target::File(FileSink::open(path.into(), fsync).await?)))
    }

    /// The same, but its failures stop nothing.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            required: true,
            queue: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Reads what this sink holds, of all writers.
    pub(crate) fn reader(&self) -> Reader {
        match &self.target {
            Target::Redis(sink) => sink.reader(),
            Target::File(sink) => Reader::file(sink.path()),
        }
    }

    pub(crate) fn is_required(&self) -> bool {
        self.required
    }

    /// Whether the last write failed.
    pub(crate) fn is_behind(&self) -> bool {
        self.queue.lock().failing_since.is_some()
    }

    /// Queues a record. A sink that fails for long loses its oldest: its chain then has a gap,
    /// which verification shows.
    pub(crate) fn enqueue(&self, sealed: &Arc<Sealed>) {
        let mut queue = self.queue.lock();
        queue.bytes += sealed.line.len();
        queue.records.push_back(Arc::clone(sealed));
        while queue.records.len() > MAX_QUEUED || queue.bytes > MAX_QUEUED_BYTES {
            let Some(dropped) = queue.records.pop_front() else { break };
            queue.bytes -= dropped.line.len();
            queue.lost += 1;
            if queue.lost.is_power_of_two() {
                tracing::error!(lost = queue.lost, "an audit sink loses records");
            }
        }
    }

    /// Writes what is queued; `Ok` once the record `sequence` is written.
    pub(crate) async fn write_up_to(&self, sequence: u64) -> Result<(), Error> {
        loop {
            let _held = self.writing.lock().await;
            if self.queue.lock().written >= sequence {
                return Ok(());
            }
            if self.queue.lock().failing_since.is_some_and(|since| since.elapsed() < REST) {
                return Err(Error::Unavailable);
            }
            if !self.write_some().await? {
                // It was dropped from a full queue.
                return Err(Error::Unavailable);
            }
        }
    }

    /// Writes everything that is queued, without a rest.
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        let _held = self.writing.lock().await;
        while self.write_some().await? {}
        self.queue.lock().failing_since = None;
        Ok(())
    }

    /// Writes a batch; false if there is nothing to write. Only by the holder of `writing`.
    async fn write_some(&self) -> Result<bool, Error> {
        let batch: Vec<Arc<Sealed>> =
            self.queue.lock().records.iter().take(MAX_BATCH).cloned().collect();
        let Some(last) = batch.last().map(|sealed| sealed.record.sequence) else {
            return Ok(false);
        };
        let written = self.write_twice(&batch).await;
        let mut queue = self.queue.lock();
        if let Err(error) = &written
            && queue.failing_since.is_none()
        {
            tracing::error!(error = error as &dyn std::error::Error, "an audit sink fails");
        }
        queue.failing_since = written.is_err().then(Instant::now);
        written?;
        // By sequence, not by count: the front may have been dropped meanwhile.
        while queue.records.front().is_some_and(|sealed| sealed.record.sequence <= last) {
            let size = queue.records.pop_front().map_or(0, |sealed| sealed.line.len());
            queue.bytes -= size;
        }
        queue.written = last;
        Ok(true)
    }

    async fn write_twice(&self, batch: &[Arc<Sealed>]) -> Result<(), Error> {
        if self.write_once(batch).await.is_ok() {
            return Ok(());
        }
        sleep(SECOND_TRY_AFTER).await;
        self.write_once(batch).await
    }

    async fn write_once(&self, batch: &[Arc<Sealed>]) -> Result<(), Error> {
        let write = async {
            match &self.target {
                Target::Redis(sink) => sink.write(batch).await,
                Target::File(sink) => sink.write(batch).await,
            }
        };
        timeout(WRITE_WITHIN, write).await.unwrap_or(Err(Error::TimedOut))
    }
}
