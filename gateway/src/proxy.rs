//! `tidegate proxy`: one address to one origin, with filters, without a file.

mod follow;

use std::sync::mpsc;
use std::time::SystemTime;

use anyhow::Context as _;
use tidegate_proxy::Ended;
use tidegate_proxy::Gateway;
use tidegate_proxy::Options;

use crate::build;
use crate::cli::AccessLogArg;
use crate::cli::ProxyArgs;
use crate::control::reload::Event;
use crate::proxy::follow::Follow;
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
    let has_files = !args.tls.files.is_empty() || args.tls.authorities.is_some();
    let signals = Signals::register(has_files).context("cannot receive signals")?;
    let read_at = SystemTime::now();
    let (generation, tls) = build::generation(args)?;
    let workers = args.workers.map_or_else(available_workers, usize::from);
    raise_descriptor_limit();
    let names = generation.snapshot.plugins.iter();
    let names: Vec<&str> = names.map(|name| &*name.0).collect();
    tracing::info!(to = %args.to, workers, filters = ?names, "starting");
    let gateway = Gateway::start(Options {
        generation: generation.clone(),
        workers,
        access_log: (args.access_log != AccessLogArg::Off)
            .then(|| Box::new(std::io::stdout()) as _),
        node: args.node.node(),
        name_servers: args.dns.dns_servers.clone(),
        simulation: None,
    })?;
    for (_, address) in gateway.addresses() {
        tracing::info!("listening on {address}");
    }
    let (_nobody_orders, orders) = mpsc::channel();
    let remote = gateway.remote();
    if !has_files {
        let running = Running {
            remote: &remote,
            events: None,
            orders: &orders,
            on_stop: &|| {},
        };
        let ended = signals.serve_until(running, || gateway.join())?;
        return end(ended.context(CUT_SHORT)?);
    }
    let (events, inbox) = mpsc::channel();
    let follow = Follow {
        gateway,
        generation,
        tls,
    };
    let thread = follow.start(read_at, events.clone(), inbox);
    let thread = thread.context("cannot start a thread")?;
    let running = Running {
        remote: &remote,
        events: Some(&events),
        orders: &orders,
        on_stop: &|| {
            events.send(Event::End).ok();
        },
    };
    let ended = signals.serve_until(running, || thread.join().map(Gateway::join))?;
    let Ok(ended) = ended.context(CUT_SHORT)? else {
        anyhow::bail!("the control thread failed; the log says why");
    };
    end(ended)
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
