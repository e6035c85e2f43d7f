//! `reload`: what many routes and many changes cost a gateway that serves.
//!
//! The gateway is a process of its own, `tidegate run` on files that this program writes. It is
//! asked for pages all the time: one that fails ends the program.

mod files;
mod visitor;

use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Parser;
use tempfile::TempDir;
use tidegate_benches::places;
use tidegate_benches::proc_files::{Memory, cpu_time, memory};
use tidegate_benches::process::{Core, Running, free_address, output, serving, two_cores};
use tidegate_benches::program::{self, median, verdict};

use files::Files;
use visitor::Visitor;

/// A configuration may take so long to load at a start.
const LOAD_LIMIT: Duration = Duration::from_secs(2);
/// A change may take so long until it is seen.
const CHANGE_LIMIT: Duration = Duration::from_millis(200);
/// A route may take so many bytes.
const ROUTE_LIMIT: u64 = 10 << 10;
/// How much dearer a request may be among many routes.
const DEARER_LIMIT: f64 = 1.05;
/// How much more memory may be used after a thousand changes than after ten.
const GROWTH_LIMIT: f64 = 1.05;
/// How long a change may take before this program gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures what many routes and many changes cost a gateway that serves.
#[derive(Debug, Parser)]
#[command(name = "reload")]
struct Cli {
    /// How many routes.
    #[arg(long, default_value_t = 10_000)]
    routes: usize,
    /// How often one of them is changed.
    #[arg(long, default_value_t = 20)]
    changes: usize,
    /// How often a small configuration is changed, to see whether memory grows.
    #[arg(long, default_value_t = 1_000)]
    reloads: usize,
    /// How often the cost of a request is measured, with few and with many routes in turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

fn main() -> ExitCode {
    program::run(measure)
}

fn measure(cli: &Cli) -> Result<()> {
    let [gateways, load] = two_cores()?;
    let folder = tempfile::tempdir()?;
    let (_origin, origin) = Running::origin(Some(load), folder.path())?;

    let mut passes = true;
    let mut few = Gateway::start("few", origin, 1, gateways)?;
    let mut many = Gateway::start("many", origin, cli.routes, gateways)?;
    let load_time = many.started.saturating_sub(few.started);
    passes &= verdict(
        load_time <= LOAD_LIMIT,
        &format!(
            "{} routes are loaded in {load_time:.0?} more than one, at most {LOAD_LIMIT:?}",
            cli.routes
        ),
    );
    let bytes = many.resident()?.saturating_sub(few.resident()?) / cli.routes.max(1) as u64;
    passes &= verdict(
        bytes <= ROUTE_LIMIT,
        &format!("a route takes {bytes} bytes, at most {ROUTE_LIMIT}"),
    );
    let (median, worst) = many.changes(cli.changes)?;
    passes &= verdict(
        median <= CHANGE_LIMIT,
        &format!(
            "one of {} routes is changed in {median:.0?} (worst {worst:.0?}), at most {CHANGE_LIMIT:?}; no request failed",
            cli.routes
        ),
    );
    let ratio = dearer(&few, &many, cli.rounds, load)?;
    passes &= verdict(
        ratio <= DEARER_LIMIT,
        &format!(
            "a request among {} routes costs {ratio:.3} times one among 1, at most {DEARER_LIMIT}",
            cli.routes
        ),
    );
    drop(many);
    few.changes(10)?;
    let after_ten = few.resident()?;
    few.changes(cli.reloads.saturating_sub(10))?;
    let after_all = few.resident()?;
    let growth = after_all as f64 / after_ten as f64;
    passes &= verdict(
        growth <= GROWTH_LIMIT,
        &format!(
            "after {} changes {} KiB are resident, after ten {} KiB: {growth:.3} times, at most {GROWTH_LIMIT}",
            cli.reloads,
            after_all >> 10,
            after_ten >> 10
        ),
    );
    ensure!(passes, "a figure is missed");
    Ok(())
}

/// CPU time of a request among many routes, as a multiple of one among few: the median of rounds in
/// turns.
fn dearer(few: &Gateway, many: &Gateway, rounds: usize, load: Core) -> Result<f64> {
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        ratios.push(many.cost(load)? / few.cost(load)?);
    }
    median(ratios)
}

/// A gateway that serves files.
struct Gateway {
    running: Running,
    files: Files,
    address: SocketAddr,
    /// How long it took until it answered.
    started: Duration,
    _folder: TempDir,
}

impl Gateway {
    fn start(name: &str, origin: SocketAddr, routes: usize, core: Core) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let files = Files::write(folder.path(), address, origin, routes)?;
        let mut command = serving(files.folder(), 1)?;
        command.args(["--admin", "off", "--state-dir"]);
        command.arg(folder.path().join("state"));
        let begin = Instant::now();
        let mut running = Running::start(name, &mut command, Some(core), folder.path())?;
        running.wait_until_answers(address, "/100")?;
        Ok(Self {
            running,
            files,
            address,
            started: begin.elapsed(),
            _folder: folder,
        })
    }

    fn resident(&self) -> Result<u64> {
        memory(self.running.id(), Memory::Resident)
    }

    /// Changes one route so often, and returns the median and the longest time until it is seen.
    fn changes(&mut self, count: usize) -> Result<(Duration, Duration)> {
        let mut visitor = Visitor::new(self.address)?;
        let mut times = Vec::new();
        for _ in 0..count {
            let version = self.files.change()?;
            let begin = Instant::now();
            while visitor.version()? != version {
                if begin.elapsed() > PATIENCE {
                    bail!(
                        "a change is not seen; the gateway printed:\n{}",
                        self.running.printed()
                    );
                }
            }
            times.push(begin.elapsed());
        }
        times.sort();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        Ok((median, times.last().copied().unwrap_or_default()))
    }

    /// CPU time of one request, in microseconds.
    fn cost(&self, load: Core) -> Result<f64> {
        let before = cpu_time(self.running.id())?;
        let mut wrk = Command::new(places::installed("wrk")?);
        wrk.args(["-t1", "-c64", "-d3s"]);
        wrk.arg(format!("http://{}/100", self.address));
        let printed = output(&mut wrk, load, PATIENCE)?;
        let spent = cpu_time(self.running.id())?.saturating_sub(before);
        let count: f64 = printed
            .lines()
            .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
            .unwrap_or(1.0);
        Ok(spent.as_secs_f64() * 1e6 / count)
    }
}
