//! The chain of this process.

use airlock_contract::Receipt;
use futures_util::future::join_all;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::sync::Arc;

use crate::record::{Event, Record, Sealed};
use crate::{Error, Reader, Sink};

/// The kind of the last record of a writer that stopped in good order.
pub(crate) const CLOSED: &str = "log.closed";

/// One writer's chain. Share it in an `Arc`; many tasks may append at once.
#[derive(Debug)]
pub struct Log {
    writer: String,
    chain: Mutex<Chain>,
    sinks: Vec<Sink>,
}

/// The end of the chain.
#[derive(Debug, Default)]
struct Chain {
    last: Option<Receipt>,
    last_at: Timestamp,
}

impl Log {
    /// Begins a chain, with a new writer id, into `sinks`. Without a sink that is
    /// [required](Sink::optional), nothing can fail and receipts are all there is.
    pub fn new(sinks: Vec<Sink>) -> Self {
        let now = Timestamp::now();
        let random = uuid::Uuid::new_v4().simple().to_string();
        let writer = format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), &random[..12]);
        Self { writer, chain: Mutex::default(), sinks }
    }

    /// The id of this chain. Ids sort by the time at which their process began.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// Appends an event and waits until every sink has it or has failed.
    ///
    /// Cancel-safe: if the future is dropped, the record is in the chain and is written with the
    /// next one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no required sink has it: what was to be recorded must not be done.
    /// [`Error::TooLarge`] for an event that is over the limit; nothing is written.
    pub async fn append(&self, event: Event) -> Result<Receipt, Error> {
        self.ready().await?;
        let sealed = self.seal(event)?;
        let sequence = sealed.record.sequence;
        let receipt = sealed.receipt();
        let writes = self.sinks.iter().map(|sink| async move {
            (sink.is_required(), sink.write_up_to(sequence).await.is_ok())
        });
        let written = join_all(writes).await;
        let required = written.iter().filter(|(required, _)| *required);
        if required.clone().count() > 0 && !required.clone().any(|(_, done)| *done) {
            return Err(Error::Unavailable);
        }
        Ok(receipt)
    }

    /// Appends the last record of a chain that ends in good order: verification then knows that
    /// nothing is missing at its end.
    pub async fn close(&self) -> Result<Receipt, Error> {
        self.append(Event::new(CLOSED)).await
    }

    /// Whether the log can be written. While every required sink is behind, tries to write what
    /// waits: so a readiness check also finds out that a store has come back.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no required sink can be written. Then nothing new enters the chain
    /// either: it would only pile up.
    pub async fn ready(&self) -> Result<(), Error> {
        if self.is_writable() {
            return Ok(());
        }
        let tries = self.sinks.iter().filter(|sink| sink.is_required()).map(Sink::catch_up);
        if join_all(tries).await.iter().any(Result::is_ok) {
            return Ok(());
        }
        Err(Error::Unavailable)
    }

    /// Reads the first sink: the records of all writers that share it. None without a sink.
    pub fn reader(&self) -> Option<Reader> {
        self.sinks.first().map(Sink::reader)
    }

    /// Whether the last write to a required sink succeeded, without a try. Once false it stays so
    /// until somebody appends or asks whether the log is [ready](Self::ready).
    pub fn is_writable(&self) -> bool {
        let mut required = self.sinks.iter().filter(|sink| sink.is_required()).peekable();
        required.peek().is_none() || required.any(|sink| !sink.is_behind())
    }

    /// Puts the event into the chain and the record into every sink's queue, in one step, so that
    /// every queue has the order of the chain.
    fn seal(&self, event: Event) -> Result<Arc<Sealed>, Error> {
        let mut chain = self.chain.lock();
        let at = Timestamp::now().max(chain.last_at);
        let record = Record::after(chain.last.as_ref(), &self.writer, at, event);
        let sealed = Arc::new(Sealed::new(record)?);
        chain.last = Some(sealed.receipt());
        chain.last_at = at;
        for sink in &self.sinks {
            sink.enqueue(&sealed);
        }
        Ok(sealed)
    }
}
