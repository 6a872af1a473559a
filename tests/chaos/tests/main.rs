//! What a run survives, judged from outside: a small part of the crash matrix, fleets that are
//! restarted, dependencies that go away. `make chaos` is the whole matrix.
#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "a test that cannot go on says why and ends")]

mod drain;
mod matrix;
mod outages;
mod support;
