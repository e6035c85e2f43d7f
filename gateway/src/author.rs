//! `tidegate plugin`: the tools of those who write filters, and of those who run them.
//!
//! Owns how they end: what fails is one message on standard error and exit code 1; nothing is left
//! half done. Each command is a module.

pub(crate) mod bench;
mod build;
mod check;
mod dev;
mod host;
pub(crate) mod image;
mod inspect;
mod lock;
mod machine;
pub(crate) mod name;
mod new;
mod pack;
mod project;
mod pull;
mod push;
mod sdk;
mod template;
mod test;
mod versions;

use std::io::Write as _;
use std::process::ExitCode;

use crate::cli::PluginCommand;

/// Runs one of the commands to its end.
pub(crate) fn run(command: &PluginCommand) -> ExitCode {
    let done = match command {
        PluginCommand::New(args) => new::run(args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Build(args) => build::run(args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Test(args) => test::run(args),
        PluginCommand::Check(args) => check::run(args),
        PluginCommand::Bench(args) => bench::run(args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Dev(args) => dev::run(args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Push(args) => push::run(args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Pack(args) => pack::run(args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Pull(args) => pull::run(args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Inspect(args) => inspect::run(args),
        PluginCommand::Lock(args) => lock::run(args),
        PluginCommand::History(args) => versions::history(args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Rollback(args) => versions::rollback(args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Host(args) => host::run(args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|err| {
        eprintln!("error: {err:#}");
        ExitCode::FAILURE
    })
}

/// Prints a page; a reader that has seen enough is no error.
fn print(page: &str) {
    std::io::stdout().write_all(page.as_bytes()).ok();
}

/// Prints a line; a reader that has seen enough is no error.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}
