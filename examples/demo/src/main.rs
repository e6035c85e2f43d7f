//! `tidegate-demo`: backends, a gateway in front of them, and what to ask of it.
//!
//! Owns the order of things: start everything, then show what to try until somebody presses
//! Ctrl-C, or try it all itself (`--check`). The gateway is a real `tidegate` process, started by
//! the command line that is shown; only the backends live in this process.

mod backends;
mod check;
mod client;
mod config;
mod curl;
mod gateway;
mod identity;
mod meanwhile;
mod output;
mod page;
mod places;
mod ports;
mod registry;
mod tour;

use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use backends::Backends;
use config::Config;
use gateway::Gateway;
use places::Places;
use ports::Ports;
use registry::Registry;
use tour::FIRST_MODULE;

/// Shows what a Tidegate gateway with a filter does.
#[derive(Debug, Parser)]
#[command(name = "tidegate-demo")]
struct Cli {
    /// Performs the requests itself, checks the answers, and ends.
    #[arg(long)]
    check: bool,
    /// A registry that one filter is pushed to and comes from; without one, the demo has a small one.
    /// With http:// in front it is asked without TLS, which on this machine goes without saying.
    #[arg(
        long,
        value_name = "HOST[:PORT][/PATH]",
        env = "TIDEGATE_DEMO_REGISTRY"
    )]
    registry: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.context("start the runtime").and_then(|runtime| {
        runtime.block_on(async {
            let registry = cli.registry.as_deref();
            if cli.check {
                check(registry).await
            } else {
                show(registry).await
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

/// Shows the page until a signal comes or the gateway ends.
async fn show(registry: Option<&str>) -> Result<()> {
    let mut signals = Signals::new()?;
    let places = Places::find()?;
    let backends = Backends::start(Ports::Usual).await?;
    let registry = Registry::at(registry, &places)?;
    let ports = Ports::Usual.choose()?;
    let config = Config::copy(&places, &backends, &registry, ports)?;
    let start = async {
        registry.push(FIRST_MODULE).await?;
        Gateway::start(&places, &config, &registry, ports).await
    };
    let mut gateway = tokio::select! {
        started = start => started?,
        () = signals.next() => return Ok(()),
    };
    page::print(&gateway, &config, &backends, &registry);
    gateway.show_output();

    tokio::select! {
        status = gateway.end() => bail!("the gateway ended by itself, {status}"),
        () = signals.next() => {}
    }
    println!("\nStopping: the gateway finishes what it has begun (Ctrl-C again ends it now).");
    let status = tokio::select! {
        status = gateway.stop() => status?,
        // Dropping the gateway kills it.
        () = signals.next() => bail!("the gateway was ended before it was done"),
    };
    must_be_well(status)?;
    println!("Stopped.");
    Ok(())
}

/// Does what the page says, and checks what comes back.
async fn check(registry: Option<&str>) -> Result<()> {
    let places = Places::find()?;
    let backends = Backends::start(Ports::Any).await?;
    let registry = Registry::at(registry, &places)?;
    let ports = Ports::Any.choose()?;
    let config = Config::copy(&places, &backends, &registry, ports)?;
    registry.push(FIRST_MODULE).await?;
    let mut gateway = Gateway::start(&places, &config, &registry, ports).await?;
    let checked = check::run(&gateway, &config, &registry).await;
    let status = gateway.stop().await?;
    if checked.is_err() {
        gateway.print_kept_log();
    }
    checked?;
    must_be_well(status)?;
    println!("ok  SIGTERM: the gateway drained and ended with exit code 0");
    Ok(())
}

fn must_be_well(status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("the gateway did not end well, {status}");
    }
    Ok(())
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
