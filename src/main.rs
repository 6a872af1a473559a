//! The `airlock` command.
#![forbid(unsafe_code)]
fn main() {}
