//! Approval requests bound to a digest, single use, expiring; in Redis.
#![forbid(unsafe_code)]
