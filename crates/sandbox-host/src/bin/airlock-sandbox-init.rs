//! First process of a sandbox; started by the sandbox host only. See `airlock_sandbox_host::init`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    airlock_sandbox_host::init_main()
}
