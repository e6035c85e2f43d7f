//! `tidegate proxy`: one address to one origin, with filters, without a file.

use std::sync::mpsc;

use anyhow::Context as _;
use tidegate_proxy::Ended;
use tidegate_proxy::Gateway;
use tidegate_proxy::Options;

use crate::build;
use crate::cli::AccessLogArg;
use crate::cli::ProxyArgs;
use crate::signals::Running;
use crate::signals::Signals;

/// Why a process ended that was told twice to.
pub(crate) const CUT_SHORT: &str = "ended by a second signal before exchanges had finished";

/// Runs until a signal says stop.
///
/// # Errors
///
/// What kept the gateway from starting, or from ending well.
pub(crate) fn run(args: &ProxyArgs) -> anyhow::Result<()> {
    let signals = Signals::register(false).context("cannot receive signals")?;
    let generation = build::generation(args)?;
    let workers = args.workers.map_or_else(available_workers, usize::from);
    raise_descriptor_limit();
    let names = generation.snapshot.plugins.iter();
    let names: Vec<&str> = names.map(|name| &*name.0).collect();
    tracing::info!(to = %args.to, workers, filters = ?names, "starting");
    let gateway = Gateway::start(Options {
        generation,
        workers,
        access_log: (args.access_log != AccessLogArg::Off)
            .then(|| Box::new(std::io::stdout()) as _),
        node: args.node.node(),
        name_servers: args.dns.dns_servers.clone(),
    })?;
    for (_, address) in gateway.addresses() {
        tracing::info!("listening on {address}");
    }
    let (_nobody_orders, orders) = mpsc::channel();
    let running = Running {
        remote: &gateway.remote(),
        events: None,
        orders: &orders,
        on_stop: &|| {},
    };
    let ended = signals.serve_until(running, || gateway.join())?;
    end(ended.context(CUT_SHORT)?)
}

/// Says how it ended.
///
/// # Errors
///
/// If workers failed.
pub(crate) fn end(ended: Ended) -> anyhow::Result<()> {
    if ended.cut > 0 {
        tracing::warn!(connections = ended.cut, "cut at the drain time-out");
    }
    anyhow::ensure!(
        ended.failed_workers == 0,
        "workers failed; the log says why"
    );
    tracing::info!("drained");
    Ok(())
}

/// One for each core that we may use.
pub(crate) fn available_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Every connection takes a descriptor, and a proxied one two: take all that the system allows.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::Resource;
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(err) = rustix::process::setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%err, "the limit of open files stays as it is");
    }
}
