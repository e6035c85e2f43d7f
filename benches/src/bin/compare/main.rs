//! `compare`: what a request costs Tidegate and what it costs other proxies, on this machine, now.
//!
//! The figure is CPU time of the proxy process per request, never requests per second: the load
//! generator and the origin share the machine. The proxies of a scenario run at once, each with one
//! worker on the same core, and are measured in turns, so that whatever else the machine does hits all
//! of them. Only ratios mean anything elsewhere.

mod configs;
mod contestant;
mod load;
mod policy;
mod report;
mod rounds;
mod scenario;
mod statistics;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Parser;
use tidegate_benches::process::{self, Core, Running, free_address};
use tidegate_benches::{places, program, wait};

use configs::Identity;
use contestant::{Contestant, Participant, Programs, Proxy, Stage};
use load::Load;
use rounds::Series;
use scenario::Scenario;

/// How many characters of a reason the report has.
const LONGEST_REASON: usize = 500;

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
    /// Only these kinds of traffic.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::ALL)]
    scenario: Vec<Scenario>,
    /// Keep-alive connections to the proxy, where the scenario does not say how many.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Only these proxies.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Proxy::ALL)]
    only: Vec<Proxy>,
    /// How many filters Tidegate and Envoy run in the scenario `http`.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 3])]
    filters: Vec<u32>,
    /// The sizes of the response body in bytes in the scenario `http`; the figures to reach are about the
    /// first.
    #[arg(long, value_delimiter = ',', default_values_t = [100])]
    bytes: Vec<u32>,
}

fn main() -> ExitCode {
    program::run(|cli: &Cli| match compare(cli)? {
        Outcome::Reached => Ok(()),
        Outcome::Missed => bail!("a figure to reach was missed"),
    })
}

/// Whether the figures are what they have to be; what was not measured is not missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Reached,
    Missed,
}

impl Cli {
    /// The sizes of response bodies that are measured in a scenario.
    fn sizes(&self, scenario: Scenario) -> Vec<u32> {
        match scenario {
            Scenario::Http => self.bytes.clone(),
            other => vec![other.bytes()],
        }
    }
}

fn compare(cli: &Cli) -> Result<Outcome> {
    let all = cli.scenario.iter();
    let contestants: Vec<(Scenario, Contestant)> = all
        .flat_map(|scenario| {
            let all = Contestant::all(*scenario, &cli.only, &cli.filters);
            all.into_iter().map(|it| (*scenario, it))
        })
        .collect();
    let programs = contestant::find_programs(&contestants)?;
    let versions = programs.versions();
    let (mut series, mut failed) = (Vec::new(), Vec::new());
    for scenario in &cli.scenario {
        match perform(cli, *scenario, &programs) {
            Ok(measured) => series.extend(measured),
            // The others can still be measured; this one counts as missed.
            Err(err) if !wait::is_over() => {
                eprintln!("error: {scenario}: {err:#}");
                failed.push(format!("{scenario}: {}", in_one_line(&format!("{err:#}"))));
            }
            Err(err) => return Err(err),
        }
    }
    let text = report::markdown(cli, &series, &failed, &versions);
    println!("\n{text}");
    let target = places::root().join("target");
    std::fs::create_dir_all(&target).with_context(|| format!("make {}", target.display()))?;
    let file = target.join("compare.md");
    std::fs::write(&file, &text).with_context(|| format!("write {}", file.display()))?;
    println!("compare: written to {}", file.display());
    if failed.is_empty() {
        Ok(report::outcome(cli, &series))
    } else {
        Ok(Outcome::Missed)
    }
}

/// What went wrong, without line ends, and of much only the beginning.
fn in_one_line(what: &str) -> String {
    let words: Vec<&str> = what.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{} …", line.split_at(end).0),
        None => line,
    }
}

/// Starts everything a scenario needs, and measures.
fn perform(cli: &Cli, scenario: Scenario, programs: &Programs) -> Result<Vec<Series>> {
    let [proxies, surroundings] = process::two_cores()?;
    let folder = tempfile::tempdir().context("make a folder for configurations")?;
    let identity = Identity::make(folder.path()).context("make a certificate")?;
    let sizes = cli.sizes(scenario);
    let path = scenario.path(sizes.first().copied().unwrap_or(100));
    let origin = start_origin(scenario, surroundings, folder.path(), &path)?;
    let stage = Stage {
        scenario,
        origin: origin.1,
        core: proxies,
        folder: folder.path(),
        identity: &identity,
        path: &path,
    };
    let mut participants: Vec<Participant> = Vec::new();
    for contestant in Contestant::all(scenario, &cli.only, &cli.filters) {
        println!("compare: {scenario}: starting {contestant}");
        let started = programs.start(contestant, &stage);
        participants.push(started.with_context(|| format!("start {contestant}"))?);
    }
    let mut all = Vec::new();
    for bytes in sizes {
        let load = Load {
            scenario,
            connections: cli.connections,
            bytes,
            core: surroundings,
            identity: &identity,
        };
        all.extend(rounds::run(
            &mut participants,
            &load,
            cli.rounds,
            cli.seconds,
        )?);
    }
    Ok(all)
}

fn start_origin(
    scenario: Scenario,
    core: Core,
    folder: &Path,
    path: &str,
) -> Result<(Running, std::net::SocketAddr)> {
    let address = free_address()?;
    let (name, answers) = match scenario {
        Scenario::Grpc => ("grpc-origin", false),
        Scenario::Websocket | Scenario::Tcp => ("echo", false),
        _ => ("origin", true),
    };
    let mut command = Command::new(places::own(name)?);
    command.arg(address.to_string());
    let mut origin = Running::start(name, &mut command, Some(core), folder)?;
    if answers {
        origin.wait_until_answers(address, path)?;
    } else {
        origin.wait_until_listens(address)?;
    }
    Ok((origin, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_and_has_one_line() {
        assert_eq!(in_one_line("a:\n  b\n"), "a: b");
        let long = in_one_line(&"ä".repeat(1000));
        assert_eq!(long.chars().count(), LONGEST_REASON + 2);
    }
}
