//! Workflows hosted by Airlock: deterministic, no I/O.
#![forbid(unsafe_code)]
