//! The way of a run, from its input to its result, on a real Redis and a real sandbox host.
//! Nothing here knows Temporal: [`support::TestContext`] is the door.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod batch;
mod crashes;
mod endings;
mod fleet;
mod floods;
mod hand_over;
mod keeper;
mod money;
mod proxy;
mod reaper;
mod refusals;
mod results;
mod shared;
mod slices;
mod stalls;
mod support;
