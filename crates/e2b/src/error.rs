//! What can go wrong, in terms of what a caller can do about it.
//!
//! No error shows a secret, a URL or foreign text: a message may end up in a workflow's history
//! for ever. What the other side said is kept, capped, in [`Detail`] for the log.

use std::fmt;
use std::time::Duration;

/// How much of the other side's text is kept, in bytes.
const FOREIGN_TEXT: usize = 1024;

/// Why a call failed. Match variants with `{ .. }`: each carries more than the caller needs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API key, the access token or the user was refused, or the account may not do this.
    #[error("{}: the provider refused the credentials or the user", detail.operation())]
    Auth {
        /// For the log.
        detail: Detail,
    },
    /// No such sandbox, process or file.
    #[error("{}: not found", detail.operation())]
    NotFound {
        /// For the log.
        detail: Detail,
    },
    /// No such template.
    #[error("{}: the template was not found", detail.operation())]
    TemplateNotFound {
        /// For the log.
        detail: Detail,
    },
    /// Too many requests; nothing was done.
    #[error("{}: the provider limits the rate of requests", detail.operation())]
    RateLimited {
        /// When to come back, if the provider said so.
        retry_after: Option<Duration>,
        /// For the log.
        detail: Detail,
    },
    /// The provider has no room, or the account has its most sandboxes; nothing was done.
    #[error("{}: the provider has no room for another sandbox", detail.operation())]
    Capacity {
        /// When to come back, if the provider said so.
        retry_after: Option<Duration>,
        /// For the log.
        detail: Detail,
    },
    /// The state does not allow it: already paused, being killed, an idempotency key used with
    /// another body, a directory that exists.
    #[error("{}: the current state does not allow it", detail.operation())]
    Conflict {
        /// For the log.
        detail: Detail,
    },
    /// The sandbox was killed or reached its end of life.
    #[error("{}: the sandbox is gone", detail.operation())]
    Gone {
        /// For the log.
        detail: Detail,
    },
    /// The other side could not be reached or failed. Whether anything was done is unknown
    /// unless [`Error::is_before_send`].
    #[error("{}: the provider is unavailable", detail.operation())]
    Unavailable {
        /// When to come back, if the provider said so.
        retry_after: Option<Duration>,
        /// For the log.
        detail: Detail,
    },
    /// No answer in time, or the process outlived its timeout. Whether anything was done is
    /// unknown.
    #[error("{}: timed out", detail.operation())]
    Timeout {
        /// For the log.
        detail: Detail,
    },
    /// The connection ended before the answer did.
    #[error("{}: the connection was cut", detail.operation())]
    Cut {
        /// For the log.
        detail: Detail,
    },
    /// An argument cannot be used, by our own check or the other side's.
    #[error("{message}")]
    InvalidArgument {
        /// What is wrong and what to do; our own words.
        message: String,
        /// For the log.
        detail: Detail,
    },
    /// The other side does not speak the protocol.
    #[error("{}: unexpected answer: {reason}", detail.operation())]
    Protocol {
        /// What was unexpected; our own words.
        reason: &'static str,
        /// For the log.
        detail: Detail,
    },
    /// An answer is over its size limit.
    #[error("{}: the answer is over the limit of {limit} bytes or entries", detail.operation())]
    TooLarge {
        /// The limit, in bytes; for lists, in entries.
        limit: u64,
        /// For the log.
        detail: Detail,
    },
}

impl Error {
    /// Whether the same call may succeed later. It does not say that the failed one did nothing.
    ///
    /// The provider's own word (`Should-Retry`) decides where there is one.
    pub fn is_retryable(&self) -> bool {
        if let Some(word) = self.detail().should_retry {
            return word;
        }
        match self {
            Self::RateLimited { .. }
            | Self::Capacity { .. }
            | Self::Unavailable { .. }
            | Self::Timeout { .. }
            | Self::Cut { .. } => true,
            Self::Auth { .. }
            | Self::NotFound { .. }
            | Self::TemplateNotFound { .. }
            | Self::Conflict { .. }
            | Self::Gone { .. }
            | Self::InvalidArgument { .. }
            | Self::Protocol { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// When to come back, if the provider said so; at most an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::Capacity { retry_after, .. }
            | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the request certainly never left this machine, so nothing can have been done.
    pub fn is_before_send(&self) -> bool {
        match self {
            Self::InvalidArgument { detail, .. } => {
                detail.status.is_none() && detail.code.is_none()
            }
            _ => self.detail().before_send,
        }
    }

    /// What the other side said: for the log only.
    pub fn detail(&self) -> &Detail {
        match self {
            Self::Auth { detail }
            | Self::NotFound { detail }
            | Self::TemplateNotFound { detail }
            | Self::RateLimited { detail, .. }
            | Self::Capacity { detail, .. }
            | Self::Conflict { detail }
            | Self::Gone { detail }
            | Self::Unavailable { detail, .. }
            | Self::Timeout { detail }
            | Self::Cut { detail }
            | Self::InvalidArgument { detail, .. }
            | Self::Protocol { detail, .. }
            | Self::TooLarge { detail, .. } => detail,
        }
    }

    /// An argument that was refused before anything was sent.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidArgument { message: message.into(), detail: Detail::new("check arguments") }
    }

    pub(crate) fn protocol(operation: &'static str, reason: &'static str) -> Self {
        Self::Protocol { reason, detail: Detail::new(operation) }
    }

    pub(crate) fn timeout(operation: &'static str) -> Self {
        Self::Timeout { detail: Detail::new(operation) }
    }

    pub(crate) fn cut(operation: &'static str) -> Self {
        Self::Cut { detail: Detail::new(operation) }
    }

    pub(crate) fn too_large(operation: &'static str, limit: u64) -> Self {
        Self::TooLarge { limit, detail: Detail::new(operation) }
    }

    /// A transport error, without its URL.
    pub(crate) fn transport(operation: &'static str, error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut detail = Detail::new(operation).with_text(&chain(&error));
        if error.is_connect() || error.is_builder() {
            detail.before_send = true;
            return Self::Unavailable { retry_after: None, detail };
        }
        if error.is_timeout() {
            return Self::Timeout { detail };
        }
        Self::Cut { detail }
    }
}

/// An error's text with the texts of all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        if text.len() > FOREIGN_TEXT {
            break;
        }
        next = cause.source();
    }
    text
}

/// What is known about a failure beyond its kind: for the log, not for users or histories.
///
/// `Debug` shows the length of the other side's text only; [`Detail::foreign_text`] gives the text
/// itself, which must go through redaction like anything a sandbox says.
#[derive(Clone, Default)]
pub struct Detail {
    operation: &'static str,
    status: Option<u16>,
    code: Option<String>,
    text: Option<String>,
    should_retry: Option<bool>,
    before_send: bool,
}

impl Detail {
    pub(crate) fn new(operation: &'static str) -> Self {
        Self { operation, ..Self::default() }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Keeps a code if it looks like one; it is shown by `Debug`.
    pub(crate) fn with_code(mut self, code: Option<&str>) -> Self {
        self.code = code
            .filter(|code| code.len() <= 64)
            .filter(|code| code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)))
            .map(str::to_owned);
        self
    }

    pub(crate) fn with_text(mut self, text: &str) -> Self {
        let end = text.floor_char_boundary(FOREIGN_TEXT);
        self.text = Some(text[..end].to_owned()).filter(|text| !text.is_empty());
        self
    }

    pub(crate) fn with_should_retry(mut self, should_retry: Option<bool>) -> Self {
        self.should_retry = should_retry;
        self
    }

    /// What was tried, in our own words: `create sandbox`.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The provider's machine-readable code, such as `sandbox_capacity_unavailable` or
    /// `not_found`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What the other side or the transport said, at most 1 KiB; it is not to be trusted.
    pub fn foreign_text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detail")
            .field("operation", &self.operation)
            .field("status", &self.status)
            .field("code", &self.code)
            .field("text_bytes", &self.text.as_ref().map(String::len))
            .finish_non_exhaustive()
    }
}
