//! `compare`: what a request costs Tidegate and what it costs other proxies, on this machine, now.
//!
//! The figure is CPU time of the proxy process per request, never requests per second: the load
//! generator and the origin share the machine. All proxies run at once, each with one worker on the
//! same core, and are measured in turns, so that whatever else the machine does hits all of them.
//! Only ratios mean anything elsewhere.

mod configs;
mod contestant;
mod report;
mod rounds;
mod statistics;
mod wrk;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use tidegate_benches::process::{self, Core, Running, free_address};
use tidegate_benches::{places, wait};

use contestant::{Contestant, Participant, Proxy};
use rounds::Series;

/// Compares the CPU time a request costs Tidegate with what it costs other proxies.
#[derive(Debug, Parser)]
#[command(name = "compare")]
struct Cli {
    /// How often each proxy is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Keep-alive connections to the proxy.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Only these proxies.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Proxy::ALL)]
    only: Vec<Proxy>,
    /// How many filters Tidegate and Envoy run.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 3])]
    filters: Vec<u32>,
    /// The sizes of the response body in bytes; the figures to reach are about the first.
    #[arg(long, value_delimiter = ',', default_values_t = [100])]
    bytes: Vec<u32>,
}

fn main() -> ExitCode {
    match compare(&Cli::parse()) {
        Ok(Outcome::Reached) => ExitCode::SUCCESS,
        Ok(Outcome::Missed) => {
            eprintln!("error: a figure to reach was missed");
            ExitCode::FAILURE
        }
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the figures are what they have to be; what was not measured is not missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Reached,
    Missed,
}

fn compare(cli: &Cli) -> Result<Outcome> {
    wait::end_on_signals()?;
    let contestants = Contestant::all(&cli.only, &cli.filters);
    let programs = contestant::find_programs(&contestants)?;
    let versions = programs.versions();
    let [proxies, surroundings] = process::two_cores()?;
    let folder = tempfile::tempdir().context("make a folder for configurations")?;

    let path = format!("/{}", cli.bytes.first().unwrap_or(&100));
    let origin = start_origin(surroundings, folder.path(), &path)?;
    let mut participants = Vec::new();
    for contestant in contestants {
        println!("compare: starting {contestant}");
        let started = programs.start(contestant, origin.1, proxies, folder.path(), &path);
        participants.push(started.with_context(|| format!("start {contestant}"))?);
    }
    let series = measure(cli, &mut participants, surroundings)?;
    drop(participants);

    let text = report::markdown(cli, &series, &versions);
    println!("\n{text}");
    let target = places::root().join("target");
    std::fs::create_dir_all(&target).with_context(|| format!("make {}", target.display()))?;
    let file = target.join("compare.md");
    std::fs::write(&file, &text).with_context(|| format!("write {}", file.display()))?;
    println!("compare: written to {}", file.display());
    Ok(report::outcome(cli, &series))
}

fn start_origin(core: Core, folder: &Path, path: &str) -> Result<(Running, std::net::SocketAddr)> {
    let address = free_address()?;
    let mut command = Command::new(places::own("origin")?);
    command.arg(address.to_string());
    let mut origin = Running::start("origin", &mut command, Some(core), folder)?;
    origin.wait_until_answers(address, path)?;
    Ok((origin, address))
}

fn measure(cli: &Cli, participants: &mut [Participant], load: Core) -> Result<Vec<Series>> {
    let mut all = Vec::new();
    for bytes in &cli.bytes {
        let load = wrk::Load {
            connections: cli.connections,
            bytes: *bytes,
            core: load,
        };
        all.extend(rounds::run(participants, &load, cli.rounds, cli.seconds)?);
    }
    Ok(all)
}
