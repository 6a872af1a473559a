//! How commands end: one sentence on standard error, and a code that scripts can use.

use std::fmt;
use std::process::ExitCode;

use airlock_contract::{Failure, FailureType};

/// What a command's exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 1: it failed.
    Failed,
    /// 2: it was called wrongly.
    Usage,
    /// 3: denied or refused.
    Refused,
    /// 64: the configuration cannot be used.
    Config,
    /// Another code, such as that of the command that `exec` ran.
    Code(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::Refused => Self::from(3),
            Exit::Config => Self::from(64),
            Exit::Code(code) => Self::from(code),
        }
    }
}

/// An error at the edge: what to print, and how to exit.
#[derive(Debug)]
pub(crate) struct Error {
    /// The exit code.
    pub(crate) exit: Exit,
    /// One readable sentence; empty prints nothing.
    pub(crate) message: String,
    /// The same for `--json`, where there is more to say.
    pub(crate) failure: Option<Box<Failure>>,
}

impl Error {
    /// Ends with `exit` and prints `message`.
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), failure: None }
    }

    /// The configuration cannot be used.
    pub(crate) fn config(message: impl fmt::Display) -> Self {
        Self::new(Exit::Config, message)
    }

    /// It did not work.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Ends with `exit` and prints nothing: all has been said.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self { exit, message: String::new(), failure: None }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let exit = match failure.kind {
            FailureType::InvalidInput => Exit::Usage,
            FailureType::PolicyDenied
            | FailureType::ApprovalRequired
            | FailureType::ApprovalInvalid
            | FailureType::BudgetExceeded
            | FailureType::CircuitOpen => Exit::Refused,
            _ => Exit::Failed,
        };
        let message = failure.message.clone();
        Self { exit, message, failure: Some(Box::new(failure)) }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        // `airlock ... | head` closes our output: an end, not a failure.
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::silent(Exit::Code(0));
        }
        Self::failed(error)
    }
}
