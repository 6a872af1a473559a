//! The client against real daemons.
//!
//! * E2B or a compatible service: the one that `E2B_API_URL`, `E2B_SANDBOX_URL` and `E2B_API_KEY`
//!   name, else Airlock's own host, started on loopback for each test.
//! * Upstream's envd, a test that is ignored unless asked for: `AIRLOCK_TEST_ENVD` names its
//!   binary, which runs commands as root on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod control;
mod envd;
mod place;

use place::Place;

/// One test for each check, each at a service and with a sandbox of its own.
macro_rules! at_a_service {
    ($($(#[$attribute:meta])* $module:ident::$check:ident as $name:ident,)*) => {$(
        $(#[$attribute])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let place = Place::service().await;
            $module::$check(&place).await;
            place.finish().await;
        }
    )*};
}

at_a_service! {
    control::looking as a_sandbox_is_found_by_its_id,
    control::refusals as a_creation_that_cannot_be_is_refused_for_good,
    control::times as only_set_timeout_shortens_a_life,
    control::listing as sandboxes_are_found_by_any_label,
    control::idempotency as one_key_creates_one_sandbox,
    control::killing as a_killed_sandbox_cuts_its_streams_and_is_gone,
    control::expiry as a_sandbox_ends_at_its_end,
    control::environment as a_process_has_the_sandboxes_environment_user_and_home,
    control::networks as network_rules_hold_from_creation_and_after_a_change,
    control::pausing as a_paused_sandbox_is_resumed_by_connecting,
    control::measuring as metrics_are_read,
    envd::processes as a_process_gives_its_outputs_and_exit_code,
    envd::refusals as a_process_that_cannot_be_is_refused,
    envd::streams_and_input as output_comes_as_it_is_written_and_input_goes_in,
    envd::streamed_input as much_input_goes_in_by_one_request,
    envd::signals as a_signal_reaches_the_tagged_process,
    envd::lifetime as a_process_does_not_outlive_its_timeout,
    envd::connecting as a_process_can_be_followed_again,
    envd::terminals as a_terminal_takes_input_and_a_size,
    envd::large_output as large_and_binary_output_is_exact,
    envd::files as files_are_written_and_read_whole_and_in_ranges,
    envd::directories as directories_are_made_listed_moved_and_removed,
    envd::watching as changes_in_a_directory_are_seen,
    envd::signed_links as a_signed_link_works_until_it_expires,
    envd::wrong_token as a_wrong_token_opens_nothing,
}

/// `AIRLOCK_TEST_ENVD=/path/to/envd cargo test -p airlock-e2b --test live -- --ignored`
#[tokio::test]
#[ignore = "needs upstream's envd; AIRLOCK_TEST_ENVD names its binary"]
async fn upstreams_envd_agrees() {
    let place = Place::upstream().await;
    envd::processes(&place).await;
    envd::refusals(&place).await;
    envd::streams_and_input(&place).await;
    envd::streamed_input(&place).await;
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
    place.finish().await;
}
