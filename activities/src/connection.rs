//! A connection to one namespace of one Temporal server.

use std::fmt;
use std::time::Duration;

use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, Request, Status};
use temporalio_client::{Client, ClientOptions};
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest;
use temporalio_sdk_core::WorkerValidationError;

use crate::error::Error;

/// How long one small call to the server may take.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to one namespace of one Temporal server. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    client: Client,
    address: String,
    namespace: String,
}

impl Connection {
    pub(crate) fn new(
        connection: temporalio_client::Connection,
        address: String,
        namespace: String,
    ) -> Result<Self, Error> {
        let options = ClientOptions::new(namespace.clone()).build();
        let client = Client::new(connection, options).map_err(|error| Error::Config {
            variable: "TEMPORAL_NAMESPACE".to_owned(),
            problem: error.to_string(),
        })?;
        Ok(Self { client, address, namespace })
    }

    /// Where the server is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The namespace that everything here is in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// How this process shows itself to Temporal.
    pub fn identity(&self) -> &str {
        self.client.connection().identity()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The service with the client's own retries of small network failures.
    pub(crate) fn service(&self) -> impl WorkflowService + use<> {
        self.client.clone()
    }

    /// Asks for the namespace. `PermissionDenied` counts as there: some keys may work in a
    /// namespace but not describe it.
    pub(crate) async fn check_namespace(&self) -> Result<(), Status> {
        let request =
            DescribeNamespaceRequest { namespace: self.namespace.clone(), ..Default::default() };
        match self.service().describe_namespace(timed(request)).await {
            Err(status) if status.code() != Code::PermissionDenied => Err(status),
            _ => Ok(()),
        }
    }

    pub(crate) fn namespace_not_found(&self) -> Error {
        Error::NamespaceNotFound {
            address: self.address.clone(),
            namespace: self.namespace.clone(),
        }
    }

    pub(crate) fn invalid_namespace(&self, error: &WorkerValidationError) -> Error {
        let WorkerValidationError::NamespaceDescribeError { source, .. } = error;
        match source.code() {
            Code::NotFound => self.namespace_not_found(),
            Code::Unauthenticated | Code::PermissionDenied => {
                Error::Unauthorized { address: self.address.clone() }
            }
            _ => Error::Call {
                operation: "describing the namespace",
                source: Box::new(source.clone()),
            },
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("address", &self.address)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// A request that gives up after [`CALL_TIMEOUT`].
pub(crate) fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}
