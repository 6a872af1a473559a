//! What can go wrong at this door.

use std::time::Duration;

use temporalio_client::tonic::Status;

/// Why Temporal cannot be talked to or served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be used. Nothing was tried.
    #[error("{variable}: {problem}")]
    Config {
        /// The variable, or the key of the profile, as the operator wrote it.
        variable: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Temporal did not answer in the time given.
    #[error("cannot reach Temporal at {address} (TEMPORAL_ADDRESS) within {waited:?}: {problem}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// How long.
        waited: Duration,
        /// What happened last.
        problem: String,
    },
    /// Temporal answered that these credentials are not good enough.
    #[error(
        "Temporal at {address} refuses the credentials; check TEMPORAL_API_KEY and TEMPORAL_TLS_CLIENT_CERT_*"
    )]
    Unauthorized {
        /// Who refused.
        address: String,
    },
    /// There is no such namespace.
    #[error(
        "Temporal at {address} has no namespace {namespace:?} (TEMPORAL_NAMESPACE); create it with `temporal operator namespace create -n {namespace}`"
    )]
    NamespaceNotFound {
        /// Who was asked.
        address: String,
        /// What for.
        namespace: String,
    },
    /// A worker could not begin.
    #[error("the worker for task queue {task_queue:?} cannot begin: {problem}")]
    Worker {
        /// Its task queue.
        task_queue: String,
        /// Why.
        problem: String,
    },
    /// The server refused for good to be polled.
    #[error("polling task queue {task_queue:?} was refused")]
    Polling {
        /// The task queue.
        task_queue: String,
        /// What the server said.
        #[source]
        source: Box<Status>,
    },
    /// A call to the server failed.
    #[error("{operation} failed")]
    Call {
        /// What was tried.
        operation: &'static str,
        /// What the server said.
        #[source]
        source: Box<Status>,
    },
    /// There is such an execution already, or none.
    #[error("execution {id:?}: {problem}")]
    Execution {
        /// Its id.
        id: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// It was asked to stop before it began.
    #[error("stopped before Temporal was reached")]
    Stopped,
}

impl Error {
    /// Whether the operator must change a setting: trying again cannot help.
    pub fn is_config(&self) -> bool {
        matches!(
            self,
            Self::Config { .. } | Self::Unauthorized { .. } | Self::NamespaceNotFound { .. }
        )
    }

    /// A call that failed.
    pub(crate) fn call(operation: &'static str) -> impl Fn(Status) -> Self {
        move |status| Self::Call { operation, source: Box::new(status) }
    }
}
