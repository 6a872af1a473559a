//! A child that cannot outlive its parent.
//!
//! `airlock dev` starts its servers through `airlock tether`: it asks the kernel to be killed when
//! its parent dies and then becomes the server. So nothing is left behind even after `kill -9`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use crate::cli::TetherArgs;
use crate::exit::Error;

/// Becomes the program; returns only if that fails.
pub(crate) fn run(args: &TetherArgs) -> Result<(), Error> {
    set_pdeathsig(Signal::SIGKILL).map_err(Error::failed)?;
    // The parent may have died before the request stood.
    if getppid() != Pid::from_raw(args.parent) {
        return Err(Error::failed("the parent process is gone"));
    }
    let Some((program, arguments)) = args.cmd.split_first() else {
        return Err(Error::failed("no program to run"));
    };
    let error = Command::new(program).args(arguments).exec();
    Err(Error::failed(format!("{program} could not be started: {error}")))
}
