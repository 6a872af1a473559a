//! The daemon beside upstream's: both in one sandbox, asked the same, and every answer compared:
//! statuses, headers, bodies, and the order of events. Upstream's envd runs in the sandbox as a
//! command on another port, so file system, users and kernel are the same for both.
//!
//! `AIRLOCK_TEST_ENVD` names upstream's binary (0.6.13); then
//!
//! ```text
//! cargo test -p airlock-sandbox-host --test upstream -- --ignored --nocapture
//! ```
//!
//! Not compared are the words of an error's message, the type that a download is said to have
//! (upstream guesses by name and contents; here it is always bytes) and headers for browsers.
//!
//! Where the two are meant to differ stands in [`differences`], with the reason; one that is no
//! difference any more fails, too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test says what it found by failing"
)]

#[path = "../support/mod.rs"]
mod support;

mod differences;
mod directories;
mod files;
mod pair;
mod processes;
mod protocol;
mod streams;

use pair::Pair;

#[tokio::test]
#[ignore = "needs upstream's envd; AIRLOCK_TEST_ENVD names its binary"]
async fn both_daemons_answer_alike() {
    let mut pair = Pair::start().await;
    protocol::compare(&mut pair).await;
    files::compare(&mut pair).await;
    directories::compare(&mut pair).await;
    processes::compare(&mut pair).await;
    streams::compare(&mut pair).await;
    pair.end().await;
}
