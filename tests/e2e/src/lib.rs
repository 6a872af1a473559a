//! End-to-end tests on a real Temporal server, Redis and sandbox host.
#![forbid(unsafe_code)]
