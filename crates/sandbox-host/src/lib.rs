//! An E2B-compatible sandbox host for one Linux machine.
#![forbid(unsafe_code)]
