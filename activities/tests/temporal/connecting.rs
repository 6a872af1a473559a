//! Finding the server, and saying what is wrong when that fails.

use std::time::Duration;

use airlock_activities::{ConnectOptions, Error, connect};
use tokio_util::sync::CancellationToken;

use crate::server::{Server, options};

async fn refusal(options: ConnectOptions) -> Error {
    connect(options, CancellationToken::new()).await.expect_err("it must not connect")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_namespace_is_named() {
    let server = Server::shared();
    server.connect().await;
    let error = refusal(ConnectOptions {
        namespace: Some("nowhere".to_owned()),
        give_up_after: Some(Duration::from_secs(1)),
        ..options(server.address())
    });
    let error = error.await;
    assert!(matches!(&error, Error::NamespaceNotFound { namespace, .. } if namespace == "nowhere"));
    assert!(error.is_config());
    assert!(error.to_string().contains("TEMPORAL_NAMESPACE"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_waited_for_as_long_as_asked() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let began = tokio::time::Instant::now();
    let error = refusal(ConnectOptions {
        give_up_after: Some(Duration::from_secs(2)),
        ..options(&closed.to_string())
    });
    let error = error.await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("TEMPORAL_ADDRESS"), "{error}");
    assert!(began.elapsed() >= Duration::from_millis(400), "it was tried more than once");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_server_ends_when_told_to_stop() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stop = CancellationToken::new();
    let waiting = connect(options(&closed.to_string()), stop.clone());
    stop.cancel();
    assert!(matches!(waiting.await, Err(Error::Stopped)));
}
