//! Hash-chained audit records in a Redis stream and JSON Lines files.
#![forbid(unsafe_code)]
