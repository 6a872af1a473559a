//! A writer for `tracing-subscriber`'s `fmt` layer: no log line carries a secret.
//!
//! ```
//! use airlock_redaction::{Redactor, logs::RedactingWriter};
//!
//! let writer = RedactingWriter::new(Redactor::builtin(), std::io::stderr);
//! let subscriber = tracing_subscriber::fmt().with_writer(writer).finish();
//! # drop(subscriber);
//! ```

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::RwLock;
use secrecy::SecretString;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use crate::redactor::Redactor;

/// An event longer than this is redacted and written in parts.
const LONGEST_EVENT: usize = 1 << 20;

/// The redactor of a log, to which secrets are added that the process comes to know later.
#[derive(Clone, Debug)]
pub struct LogRedactor(Arc<RwLock<Redactor>>);

impl LogRedactor {
    /// Begins with `redactor`.
    pub fn new(redactor: Redactor) -> Self {
        Self(Arc::new(RwLock::new(redactor)))
    }

    /// Masks more known values from the next event on. Costs as much as building a redactor, so
    /// add a value once.
    pub fn learn(&self, values: impl IntoIterator<Item = (String, SecretString)>) {
        let more = self.now().with_values(values);
        *self.0.write() = more;
    }

    fn now(&self) -> Redactor {
        self.0.read().clone()
    }
}

impl From<Redactor> for LogRedactor {
    fn from(redactor: Redactor) -> Self {
        Self::new(redactor)
    }
}

/// Wraps another [`MakeWriter`]; each event is redacted as a whole before it is written.
#[derive(Clone)]
pub struct RedactingWriter<M> {
    redactor: LogRedactor,
    inner: M,
}

impl<M> RedactingWriter<M> {
    /// Redacts with `redactor` what `inner`'s writers get.
    pub fn new(redactor: impl Into<LogRedactor>, inner: M) -> Self {
        Self { redactor: redactor.into(), inner }
    }
}

impl<M> fmt::Debug for RedactingWriter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedactingWriter").finish_non_exhaustive()
    }
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for RedactingWriter<M> {
    type Writer = EventWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EventWriter::new(self.redactor.now(), self.inner.make_writer())
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        EventWriter::new(self.redactor.now(), self.inner.make_writer_for(meta))
    }
}

/// Collects one event and writes it redacted when flushed or dropped.
pub struct EventWriter<W: Write> {
    redactor: Redactor,
    inner: W,
    event: Vec<u8>,
}

impl<W: Write> EventWriter<W> {
    fn new(redactor: Redactor, inner: W) -> Self {
        Self { redactor, inner, event: Vec::new() }
    }

    fn write_event(&mut self) -> io::Result<()> {
        if self.event.is_empty() {
            return Ok(());
        }
        let event = std::mem::take(&mut self.event);
        self.inner.write_all(&self.redactor.redact_bytes(&event))
    }
}

impl<W: Write> Write for EventWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.event.extend_from_slice(bytes);
        if self.event.len() > LONGEST_EVENT {
            self.write_event()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_event()?;
        self.inner.flush()
    }
}

impl<W: Write> Drop for EventWriter<W> {
    fn drop(&mut self) {
        // A log that cannot be written has nobody to tell.
        let _: io::Result<()> = self.write_event();
    }
}

impl<W: Write> fmt::Debug for EventWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWriter").field("held", &self.event.len()).finish_non_exhaustive()
    }
}
