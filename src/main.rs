//! The `airlock` command: parse, run, exit.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod config;
mod dev;
mod drain;
mod exit;
mod output;
mod telemetry;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use exit::Error;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error, cli.json);
            error.exit.into()
        }
    }
}

fn run(cli: &Cli) -> Result<(), Error> {
    match &cli.command {
        Command::Check(args) => commands::check::run(args, cli.json),
        Command::Policy(command) => commands::policy::run(command, cli.json),
        Command::Redact(args) => commands::redact::run(args),
        Command::Schema(args) => commands::schema::run(args),
        Command::Tether(args) => dev::tether::run(args),
        Command::Dev(args) => on_runtime(dev::run(args, cli.json)),
        Command::Worker(args) => on_runtime(commands::worker::run(args)),
        Command::Exec(args) => on_runtime(commands::exec::run(args, cli.json)),
        Command::Budget(args) => on_runtime(commands::budget::run(args, cli.json)),
        Command::Sandbox(command) => on_runtime(commands::sandbox::run(command, cli.json)),
        Command::Approvals(command) => on_runtime(commands::approvals::run(command, cli.json)),
        Command::Audit(command) => on_runtime(commands::audit::run(command, cli.json)),
        Command::Doctor(args) => on_runtime(commands::doctor::run(args, cli.json)),
    }
}

/// Runs a command that needs the network.
fn on_runtime(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    // Both Redis and the sandbox client use TLS of this one provider; a second call is no harm.
    drop(rustls::crypto::ring::default_provider().install_default());
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
