//! The HTTP door: safety endpoints, approvals, audit, health, metrics.
#![forbid(unsafe_code)]
