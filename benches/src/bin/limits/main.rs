//! `limits`: whether a rate limit admits what it says while clients ask for much more.
//!
//! Gateways are processes of their own, `tidegate run` with a worker for each core. Connections ask as fast
//! as they are answered; what was admitted has to be within what the limit says for the time that passed,
//! and 99 % of it at least.

mod client;
mod files;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use tempfile::TempDir;
use tidegate_benches::process::{Running, free_address, serving};
use tidegate_benches::program::{self, verdict};

use client::{Seen, ask_until};
use files::Store;

/// Asks gateways for more than a rate limit admits, and counts what they let pass.
#[derive(Debug, Parser)]
#[command(name = "limits")]
struct Cli {
    /// How long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections, spread over the gateways.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// What the limit admits in a second.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// What it admits at once: a machine that does nothing for longer than this lasts is no fault of the
    /// limit.
    #[arg(long, default_value_t = 1000)]
    burst: u64,
    /// How many gateways; more than one need `--redis` to count together.
    #[arg(long, default_value_t = 1)]
    gateways: usize,
    /// A Redis server that keeps the limit.
    #[arg(long)]
    redis: Option<SocketAddr>,
    /// Permits that a worker takes from it at a time; without it, it is asked about each request.
    #[arg(long)]
    lease: Option<u64>,
}

fn main() -> ExitCode {
    program::run(measure)
}

fn measure(cli: &Cli) -> Result<()> {
    ensure!(
        cli.gateways == 1 || cli.redis.is_some(),
        "several gateways count together in Redis only: --redis ADDR"
    );
    let workers = thread::available_parallelism()?.get();
    let folder = tempfile::tempdir()?;
    let (_origin, origin) = Running::origin(None, folder.path())?;
    let store = Store {
        redis: cli.redis,
        lease: cli.lease,
        // Counts of an earlier run are not ours.
        domain: format!("limits-{}", std::process::id()),
    };
    let gateways = (0..cli.gateways)
        .map(|_| Gateway::start(origin, cli, &store, workers))
        .collect::<Result<Vec<_>>>()?;
    let begin = Instant::now();
    let end = begin + Duration::from_secs(cli.seconds);
    let asking: Vec<_> = (0..cli.connections)
        .zip(gateways.iter().cycle())
        .map(|(_, gateway)| {
            let address = gateway.address;
            thread::spawn(move || ask_until(address, end))
        })
        .collect();
    let mut seen = Seen::default();
    for one in asking {
        let one = one.join().map_err(|_| anyhow!("a connection panicked"))?;
        seen.add(one?);
    }
    let took = begin.elapsed();
    // A limit that nobody has asked yet is full: until then nothing comes back.
    let asked = seen.first.map_or(Duration::ZERO, |first| end - first);
    judge(cli, &seen, [asked, took], workers)
}

/// Says what was admitted, and whether that is right.
///
/// It was asked all the time for the first of the times, and for no longer than the second.
fn judge(cli: &Cli, seen: &Seen, times: [Duration; 2], workers: usize) -> Result<()> {
    let [asked, took] = times;
    let span = |time: Duration| cli.burst as f64 + cli.rate as f64 * time.as_secs_f64();
    let leased = cli.lease.unwrap_or(0) * (workers * cli.gateways) as u64;
    let most = span(took) + leased as f64;
    let least = 0.99 * span(asked) - leased as f64;
    let admitted = seen.admitted as f64;
    let passes = (least..=most).contains(&admitted);
    let finding = format!(
        "{} of {} requests admitted in {took:.2?} on {} connections, {} gateways of {workers} workers; \
         {least:.0} to {most:.0} are right",
        seen.admitted,
        seen.admitted + seen.refused,
        cli.connections,
        cli.gateways,
    );
    verdict(passes, &finding);
    ensure!(
        seen.refused > seen.admitted / 10,
        "too few requests to feel the limit"
    );
    ensure!(passes, "the limit admits something else");
    Ok(())
}

/// A gateway that serves.
struct Gateway {
    _running: Running,
    address: SocketAddr,
    _folder: TempDir,
}

impl Gateway {
    fn start(origin: SocketAddr, cli: &Cli, store: &Store, workers: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let config = folder.path().join("gateway.yaml");
        let text = files::config(address, origin, cli.rate, cli.burst, store);
        std::fs::write(&config, text).context("write the configuration")?;
        let mut command = serving(&config, workers)?;
        command.args(["--admin", "off", "--state-dir", "off"]);
        let mut running = Running::start("tidegate", &mut command, None, folder.path())?;
        // Not asked for anything: that would take from the limit.
        running.wait_until_listens(address)?;
        Ok(Self {
            _running: running,
            address,
            _folder: folder,
        })
    }
}
