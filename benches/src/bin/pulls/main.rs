//! `pulls`: what plugins out of registries cost: a large one beside curl, a start from the cache, and
//! what traffic notices.
//!
//! The registry is the tests' one, in this process. It and whoever asks are on one core, what is
//! measured on the other.

mod cached;
mod images;
mod load;
mod site;
mod transfer;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use tidegate_benches::process::two_cores;
use tidegate_benches::program::{self, verdict};

use images::Images;

/// How fast a pull has to be, beside curl.
const SPEED: f64 = 0.8;
/// How long a start from the cache may take.
const START: Duration = Duration::from_secs(1);
/// How much a pull may raise the 99th percentile of traffic's latency.
const NOTICED: f64 = 1.1;

/// Measures what plugins out of registries cost.
#[derive(Debug, Parser)]
#[command(name = "pulls")]
struct Cli {
    /// Only this figure.
    #[arg(long)]
    only: Option<Figure>,
    /// How often the large module is fetched, in turns with curl.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Its size.
    #[arg(long, default_value_t = 10)]
    mebibytes: usize,
    /// How many plugins are in the cache.
    #[arg(long, default_value_t = 20)]
    plugins: usize,
    /// How long traffic is watched with pulls, and without, in seconds; both in turns of one second.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Pulls in each turn that has some.
    #[arg(long, default_value_t = 1)]
    pulls: usize,
    /// Requests in a second.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Figure {
    Transfer,
    Cached,
    Load,
}

fn main() -> ExitCode {
    program::run(measure)
}

fn measure(cli: &Cli) -> Result<()> {
    let [measured, load] = two_cores()?;
    let images = Images::start(load)?;
    let is_wanted = |figure| cli.only.is_none_or(|only| only == figure);
    let mut passes = true;
    if is_wanted(Figure::Transfer) {
        let found = transfer::measure(&images, cli.mebibytes << 20, cli.rounds, measured)?;
        println!(
            "      medians of {} rounds: curl {:.1?}, curl and sync {:.1?}, pull {:.1?}",
            cli.rounds, found.curl, found.curl_and_sync, found.pull
        );
        passes &= verdict(
            found.ratio >= SPEED,
            &format!(
                "a module of {} MiB is pulled at {:.2} times the speed of curl and sync, at least {SPEED}",
                cli.mebibytes, found.ratio
            ),
        );
        println!(
            "      {:.2} times that of curl, which leaves its file to the system",
            found.ratio_without_sync
        );
    }
    if is_wanted(Figure::Cached) {
        let took = cached::measure(&images, cli.plugins, measured)?;
        passes &= verdict(
            took <= START,
            &format!(
                "{} plugins serve {took:.0?} after a start without their registry, at most {START:?}",
                cli.plugins
            ),
        );
    }
    if is_wanted(Figure::Load) {
        let found = load::measure(&images, cli.mebibytes << 20, cli, (measured, load))?;
        println!(
            "      {} requests a second; p99 {:.0?} without pulls, {:.0?} with {} of {} MiB",
            cli.rate, found.steady, found.pulling, found.pulls, cli.mebibytes
        );
        passes &= verdict(
            found.ratio <= NOTICED,
            &format!(
                "p99 during pulls is {:.3} times that without, at most {NOTICED}",
                found.ratio
            ),
        );
        println!(
            "      {:.3} times while curl fetches as much on that core, in the time that is left",
            found.beside_curl
        );
    }
    ensure!(passes, "a figure is missed");
    Ok(())
}
