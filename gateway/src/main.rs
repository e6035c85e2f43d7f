//! The `tidegate` command: a gateway you program with WebAssembly.
//!
//! Owns what a process owns: arguments, exit codes, the log, signals. Everything else is in the
//! crates below.

mod admin;
mod ask;
mod author;
mod background;
mod build;
mod builtin;
mod certificates;
mod check;
mod cli;
mod code_cache;
mod control;
mod explain;
mod plugins;
mod progress;
mod proxy;
mod pulls;
mod run;
mod signals;
mod state;
mod status;
mod systemd;
mod telemetry;
mod url;
mod watch;

use std::process::ExitCode;

use crate::cli::Cli;
use crate::cli::Command;
use crate::cli::PluginCommand;
use crate::telemetry::Style;

/// Quicker and smaller than the system's allocator where each thread frees what it allocated.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let matches = match cli::parse(std::env::args_os()) {
        Ok(matches) => matches,
        Err(err) => {
            // Help and version are not errors; wrong usage is exit code 2.
            err.print().ok();
            return ExitCode::from(u8::try_from(err.exit_code()).unwrap_or(2));
        }
    };
    let Cli { command, log } = matches;
    let style = match &command {
        Command::Plugin(PluginCommand::Dev(_)) => Style::Brief,
        _ => Style::Full,
    };
    let _log = telemetry::start(&log, style);
    let done = match command {
        Command::Run(args) => run::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Proxy(args) => proxy::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Plugin(command) => Ok(author::run(&command)),
        Command::Schema => check::schema(),
        Command::Crds => check::crds(),
    };
    match done {
        Ok(code) => code,
        Err(err) => {
            tracing::error!("{err:#}");
            ExitCode::FAILURE
        }
    }
}
