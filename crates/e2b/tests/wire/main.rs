//! The client against servers that send exact bytes: good ones, cut ones and hostile ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control;
mod files;
mod process;
mod support;
