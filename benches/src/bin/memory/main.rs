//! `memory`: what idle connections and long bodies cost the gateway in memory.
//!
//! The gateway is a process of its own, observed through `/proc`; clients and origins are elsewhere.
//! The program prints what it found and fails if that is over the limit.

mod body;
mod idle;
mod message;
mod secured;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use tidegate_benches::process::{Running, free_address};
use tidegate_benches::{places, program};

use crate::secured::Secured;

/// Measures what idle connections and long bodies cost the gateway in memory.
#[derive(Debug, Parser)]
#[command(name = "memory")]
struct Cli {
    /// What to measure.
    #[arg(value_enum, default_values_t = [What::Idle, What::IdleTls, What::Body])]
    what: Vec<What>,
    /// How many idle connections.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// How long a body is, in MiB.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    mebibytes: u32,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Idle keep-alive connections.
    Idle,
    /// The same with TLS.
    IdleTls,
    /// A long body through a filter, up and down.
    Body,
}

fn main() -> ExitCode {
    program::run(measure)
}

fn measure(cli: &Cli) -> Result<()> {
    let mut findings = Vec::new();
    for what in &cli.what {
        findings.extend(match what {
            What::Idle => vec![idle::measure(cli.connections, false)?],
            What::IdleTls => vec![idle::measure(cli.connections, true)?],
            What::Body => body::measure(u64::from(cli.mebibytes) << 20)?,
        });
    }
    let over = findings.iter().filter(|it| it.bytes > it.limit).count();
    if over > 0 {
        bail!("{over} of {} findings are over their limit", findings.len());
    }
    Ok(())
}

/// Something measured, with its limit.
#[derive(Debug)]
struct Finding {
    bytes: u64,
    limit: u64,
}

impl Finding {
    /// Makes a finding and prints it.
    fn new(what: &str, bytes: u64, limit: u64) -> Self {
        let finding = format!(
            "{what}: {} KiB, at most {} KiB",
            bytes.div_ceil(1024),
            limit >> 10
        );
        program::verdict(bytes <= limit, &finding);
        Self { bytes, limit }
    }
}

/// A gateway with one worker in front of an origin.
fn start_gateway(
    origin: SocketAddr,
    filter: Option<&Path>,
    tls: Option<&Secured>,
    folder: &Path,
) -> Result<(Running, SocketAddr)> {
    let address = free_address()?;
    let mut command = Command::new(places::tidegate()?);
    command.args(["proxy", "--workers", "1", "--access-log", "off"]);
    command.args([
        "--listen",
        &address.to_string(),
        "--to",
        &format!("http://{origin}"),
    ]);
    if let Some(filter) = filter {
        command.arg("--plugin").arg(filter);
    }
    if let Some(tls) = tls {
        command.arg("--tls").args(tls.files());
    }
    let mut gateway = Running::start("tidegate", &mut command, None, folder)?;
    match tls {
        None => drop(gateway.wait_until_answers(address, "/100")?),
        Some(_) => gateway.wait_until_listens(address)?,
    }
    Ok((gateway, address))
}
