//! `tidegate-demo`: backends, gateways in front of them, and what to ask of them.
//!
//! Owns the order of things: start everything, then show what to try until somebody presses
//! Ctrl-C, or try it all itself (`--check`). The gateways are real `tidegate` processes, started by
//! the command lines that are shown; only the backends live in this process.

mod backends;
mod check;
mod client;
mod curl;
mod gateway;
mod output;
mod page;
mod places;
mod tour;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use backends::Backends;
use gateway::{End, Gateways};
use places::Places;

/// Shows what a Tidegate gateway with a filter does.
#[derive(Debug, Parser)]
#[command(name = "tidegate-demo")]
struct Cli {
    /// Performs the requests itself, checks the answers, and ends.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.context("start the runtime").and_then(|runtime| {
        runtime.block_on(async {
            if cli.check {
                check().await
            } else {
                show().await
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Shows the page until a signal comes or a gateway ends.
async fn show() -> Result<()> {
    let mut signals = Signals::new()?;
    let places = Places::find()?;
    let backends = Backends::start().await?;
    let ports = gateway::free_ports()?;
    let mut gateways = tokio::select! {
        started = Gateways::start(&places, &backends, ports) => started?,
        () = signals.next() => return Ok(()),
    };
    page::print(&gateways, &backends);
    gateways.show_output();

    tokio::select! {
        end = gateways.first_end() => {
            gateways.stop().await.ok();
            bail!("{} ended by itself, {}", end.gateway, end.status);
        }
        () = signals.next() => {}
    }
    println!("\nStopping: the gateways finish what they have begun (Ctrl-C again ends them now).");
    let ends = tokio::select! {
        ends = gateways.stop() => ends?,
        // Dropping the gateways kills them.
        () = signals.next() => bail!("the gateways were ended before they were done"),
    };
    all_well(&ends)?;
    println!("Stopped.");
    Ok(())
}

/// Does what the page says, and checks what comes back.
async fn check() -> Result<()> {
    let places = Places::find()?;
    let backends = Backends::start().await?;
    let mut gateways = Gateways::start(&places, &backends, gateway::ANY_PORT).await?;
    let checked = check::run(&gateways).await;
    let ends = gateways.stop().await?;
    if checked.is_err() {
        gateways.print_kept_output();
    }
    checked?;
    all_well(&ends)?;
    println!("ok  SIGTERM: both gateways drained and ended with exit code 0");
    Ok(())
}

fn all_well(ends: &[End]) -> Result<()> {
    match ends.iter().find(|end| !end.status.success()) {
        None => Ok(()),
        Some(end) => bail!("{} did not end well, {}", end.gateway, end.status),
    }
}

/// What asks this program to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
