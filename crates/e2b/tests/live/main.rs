//! The client against real daemons.
//!
//! * E2B or a compatible host: the one that `E2B_API_URL`, `E2B_SANDBOX_URL` and `E2B_API_KEY`
//!   name, else Airlock's own host, started on loopback for each test.
//! * Upstream's envd, a test that is ignored unless asked for: `AIRLOCK_TEST_ENVD` names its
//!   binary, which runs commands as root on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod envd;
mod place;

use place::Place;

/// `AIRLOCK_TEST_ENVD=/path/to/envd cargo test -p airlock-e2b --test live -- --ignored`
#[tokio::test]
#[ignore = "needs upstream's envd; AIRLOCK_TEST_ENVD names its binary"]
async fn upstreams_envd_agrees() {
    let place = Place::upstream().await;
    envd::processes(&place).await;
    envd::refusals(&place).await;
    envd::streams_and_input(&place).await;
    envd::signals(&place).await;
    envd::lifetime(&place).await;
    envd::connecting(&place).await;
    envd::terminals(&place).await;
    envd::large_output(&place).await;
    envd::files(&place).await;
    envd::directories(&place).await;
    envd::watching(&place).await;
    envd::signed_links(&place).await;
    envd::wrong_token(&place).await;
}
