//! End-to-end tests: see `tests/main.rs`. Nothing is exported.
#![forbid(unsafe_code)]
