//! The durable record of each run in Redis: claim, fence, phase, sandbox, results, leases.
#![forbid(unsafe_code)]
