//! Reading the log: its end, or all of it.

use std::path::PathBuf;

use airlock_contract::{AccountId, ExecutionId};
use airlock_store::Connection;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncSeekExt as _, BufReader};

use crate::record::{MAX_RECORD_BYTES, Sealed};
use crate::sink::{stream_key, writers_key};
use crate::{Error, Span, Verification, Verifier};

/// The most records that one look at the end returns.
const MAX_TAIL: usize = 10_000;
/// The most of a file's end that is read for a look at it.
const MAX_FILE_TAIL_BYTES: u64 = 64 * 1024 * 1024;
/// Records of one call to Redis.
const PAGE: usize = 500;

/// Which records to return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this account.
    pub run_id: Option<AccountId>,
    /// Of this execution.
    pub execution_id: Option<ExecutionId>,
    /// Of this kind, or of kinds that begin with it and a dot.
    pub kind: Option<String>,
}

/// Reads a log that this or other processes write.
#[derive(Clone)]
pub struct Reader(Source);

#[derive(Clone)]
enum Source {
    Redis { conn: Connection, prefix: String },
    File(PathBuf),
}

type Entry = (String, (String, Vec<u8>));

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Source::Redis { prefix, .. } => f.debug_tuple("Reader::Redis").field(prefix).finish(),
            Source::File(path) => f.debug_tuple("Reader::File").field(path).finish(),
        }
    }
}

impl Filter {
    fn takes(&self, sealed: &Sealed) -> bool {
        let record = &sealed.record;
        let kind = self.kind.as_deref().is_none_or(|kind| {
            record
                .kind
                .strip_prefix(kind)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        kind && (self.run_id.is_none() || self.run_id == record.run_id)
            && (self.execution_id.is_none() || self.execution_id == record.execution_id)
    }
}

impl Reader {
    /// Reads the streams under `prefix`.
    pub fn redis(conn: impl Into<Connection>, prefix: &str) -> Self {
        Self(Source::Redis { conn: conn.into(), prefix: prefix.to_owned() })
    }

    /// Reads a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// The newest `limit` records that pass the filter, oldest first. Lines that are not intact
    /// records are left out; [`Reader::verify`] shows them. Looks at the newest 10,000 records of
    /// a writer, or the last 64 MiB of a file.
    pub async fn tail(&self, limit: usize, filter: &Filter) -> Result<Vec<Sealed>, Error> {
        let limit = limit.min(MAX_TAIL);
        let mut found = match &self.0 {
            Source::Redis { conn, prefix } => stream_tails(conn, prefix, limit, filter).await?,
            Source::File(path) => file_tail(path, filter).await.map_err(file_error(path))?,
        };
        found.sort_by(|a, b| order(a).cmp(&order(b)));
        Ok(found.split_off(found.len().saturating_sub(limit)))
    }

    /// Hands every line to `each`: of a file as they stand, of streams a writer after the other.
    pub async fn for_each_line(&self, mut each: impl FnMut(&[u8])) -> Result<(), Error> {
        match &self.0 {
            Source::Redis { conn, prefix } => {
                for writer in writers(conn, prefix).await? {
                    all_of_stream(conn, prefix, &writer, &mut each).await?;
                }
                Ok(())
            }
            Source::File(path) => all_of_file(path, &mut each).await.map_err(file_error(path)),
        }
    }

    /// Verifies everything there is, with `verifier` or one that fits the source.
    pub async fn verify(&self, verifier: Option<Verifier>) -> Result<Verification, Error> {
        let span = match &self.0 {
            Source::Redis { .. } => Span::AnyStart,
            Source::File(_) => Span::FromStart,
        };
        let mut verifier = verifier.unwrap_or_else(|| Verifier::new(span));
        self.for_each_line(|line| verifier.push(line)).await?;
        Ok(verifier.finish())
    }
}

/// Records in time; of one writer in the order of its chain.
fn order(sealed: &Sealed) -> (&str, &str, u64) {
    (&sealed.record.at, &sealed.record.writer, sealed.record.sequence)
}

fn file_error(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}

/// Every writer there is, the one that wrote last first.
async fn writers(conn: &Connection, prefix: &str) -> Result<Vec<String>, Error> {
    let mut conn = conn.clone();
    let key = writers_key(prefix);
    Ok(redis::cmd("ZREVRANGE").arg(key).arg(0).arg(-1).query_async(&mut conn).await?)
}

async fn stream_tails(
    conn: &Connection,
    prefix: &str,
    limit: usize,
    filter: &Filter,
) -> Result<Vec<Sealed>, Error> {
    let mut found = Vec::new();
    for writer in writers(conn, prefix).await? {
        let key = stream_key(prefix, &writer);
        let (mut end, mut seen, mut taken) = ("+".to_owned(), 0, 0);
        while taken < limit && seen < MAX_TAIL {
            let page: Vec<Entry> = redis::cmd("XREVRANGE")
                .arg(&key)
                .arg(&end)
                .arg("-")
                .arg("COUNT")
                .arg(PAGE)
                .query_async(&mut conn.clone())
                .await?;
            let Some((oldest, _)) = page.last() else { break };
            end = format!("({oldest}");
            seen += page.len();
            let before = found.len();
            found.extend(
                page.iter()
                    .filter_map(|(_, (_, line))| Sealed::read(line).ok())
                    .filter(|sealed| filter.takes(sealed)),
            );
            taken += found.len() - before;
        }
    }
    Ok(found)
}

async fn all_of_stream(
    conn: &Connection,
    prefix: &str,
    writer: &str,
    each: &mut impl FnMut(&[u8]),
) -> Result<(), Error> {
    let key = stream_key(prefix, writer);
    let mut start = "-".to_owned();
    loop {
        let page: Vec<Entry> = redis::cmd("XRANGE")
            .arg(&key)
            .arg(&start)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(&mut conn.clone())
            .await?;
        let Some((newest, _)) = page.last() else { return Ok(()) };
        start = format!("({newest}");
        for (_, (_, line)) in &page {
            each(line);
        }
    }
}

async fn file_tail(path: &std::path::Path, filter: &Filter) -> std::io::Result<Vec<Sealed>> {
    let mut file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    file.seek(std::io::SeekFrom::Start(length.saturating_sub(MAX_FILE_TAIL_BYTES))).await?;
    let mut found = Vec::new();
    each_line(file, &mut |line| {
        found.extend(Sealed::read(line).ok().filter(|sealed| filter.takes(sealed)));
    })
    .await?;
    Ok(found)
}

async fn all_of_file(path: &std::path::Path, each: &mut impl FnMut(&[u8])) -> std::io::Result<()> {
    each_line(tokio::fs::File::open(path).await?, each).await
}

/// Lines of a file that may be anybody's: no more of one is held than a record may have.
async fn each_line(file: tokio::fs::File, each: &mut impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = MAX_RECORD_BYTES as u64 + 2;
        if (&mut reader).take(limit).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        each(line.strip_suffix(b"\n").unwrap_or(&line));
    }
}
