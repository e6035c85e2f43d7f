//! A running gateway: the one entry point of this crate.
//!
//! Owns the threads. Start binds every listener and starts every filter before the first
//! connection is accepted, so that a gateway that runs is one that works.

use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use tidegate_core::snapshot::Snapshot;
use tidegate_host_abi::Instance;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::Services;
use tokio::sync::mpsc::UnboundedSender;

use crate::access_log::AccessLog;
use crate::access_log::LogFormat;
use crate::access_log::start_writer;
use crate::filters::by_vm;
use crate::filters::services::GatewayServices;
use crate::filters::starter::Starter;
use crate::listener;
use crate::listener::BindError;
use crate::worker;
use crate::worker::Message;
use crate::worker::Peers;
use crate::worker::Setup;
use crate::worker::StartedVm;

/// How long the end of the gateway waits for its access log to be read.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// What a gateway is started with.
pub struct Options {
    /// Listeners, backends, limits.
    pub snapshot: Arc<Snapshot>,
    /// The filter chain of every listener, in order.
    pub plugins: Vec<Arc<Plugin>>,
    /// How many workers; at least one is started.
    pub workers: usize,
    /// Where access log lines go, and how; `None` writes none.
    pub access_log: Option<(LogFormat, Box<dyn Write + Send>)>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("snapshot", &self.snapshot)
            .field("plugins", &self.plugins.len())
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A filter does not start.
    #[error("cannot start filter {plugin}")]
    Plugin {
        /// The plugin's name.
        plugin: String,
        /// What went wrong.
        source: Box<tidegate_host_abi::StartError>,
    },
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// How a gateway ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Connections that were cut because the drain deadline had passed.
    pub cut: usize,
    /// Workers that did not end well; each has logged why.
    pub failed_workers: usize,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    addresses: Vec<SocketAddr>,
    inboxes: Arc<[UnboundedSender<Message>]>,
    workers: Vec<JoinHandle<std::io::Result<worker::Drained>>>,
    starter: Option<(Starter, JoinHandle<()>)>,
    log_writer: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Binds the listeners, starts the filters, and serves.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing is left running then.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let Options {
            snapshot,
            plugins,
            workers,
            access_log,
        } = options;
        let workers = workers.max(1);
        let mut sockets = Vec::new();
        for listener in &snapshot.listeners {
            sockets.push(listener::bind(&listener.name, listener.address, workers)?);
        }
        let bound = sockets
            .iter()
            .filter_map(|sockets| sockets.first()?.local_addr().ok());
        let addresses = bound.collect();
        let services: Arc<dyn Services> = Arc::new(GatewayServices::new(Arc::clone(&snapshot)));
        let mut vms = Vec::new();
        for _ in 0..workers {
            vms.push(start_vms(&plugins, &services)?);
        }
        let (starter, starter_thread) = Starter::spawn(services)?;
        let (log, log_writer) = match access_log {
            None => (None, None),
            Some((format, out)) => {
                let (sink, thread) = start_writer(out)?;
                (Some((format, sink)), Some(thread))
            }
        };
        let (inboxes, threads) = spawn_workers(Parts {
            snapshot,
            plugins: &plugins,
            sockets,
            vms,
            log,
            starter: &starter,
        })?;
        Ok(Self {
            addresses,
            inboxes,
            workers: threads,
            starter: Some((starter, starter_thread)),
            log_writer,
        })
    }

    /// Where the listeners listen, in the order of the snapshot; port 0 is replaced by the real
    /// one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting and lets what runs finish, until the drain time-out.
    pub fn drain(&self) {
        for inbox in self.inboxes.iter() {
            inbox.send(Message::Drain).ok();
        }
    }

    /// Whether all workers have ended.
    pub fn has_ended(&self) -> bool {
        self.workers.iter().all(JoinHandle::is_finished)
    }

    /// Waits until all workers have ended and their last log lines are written.
    pub fn join(mut self) -> Ended {
        let mut ended = Ended::default();
        for thread in self.workers.drain(..) {
            match thread.join() {
                Ok(Ok(drained)) => ended.cut += drained.cut,
                Ok(Err(err)) => {
                    tracing::error!(%err, "a worker ended with an error");
                    ended.failed_workers += 1;
                }
                Err(_) => ended.failed_workers += 1,
            }
        }
        if let Some((starter, thread)) = self.starter.take() {
            drop(starter);
            thread.join().ok();
        }
        if let Some(thread) = self.log_writer.take() {
            // A reader that has stopped reading must not keep the gateway alive.
            let patience = Instant::now() + LOG_PATIENCE;
            while !thread.is_finished() && Instant::now() < patience {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            if !thread.is_finished() {
                tracing::warn!("access log lines lost: nobody reads the log");
            }
        }
        ended
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.drain();
    }
}

/// What workers are made of.
struct Parts<'a> {
    snapshot: Arc<Snapshot>,
    plugins: &'a [Arc<Plugin>],
    /// For each listener, a socket for each worker.
    sockets: Vec<Vec<TcpListener>>,
    /// For each worker, its started VMs.
    vms: Vec<Vec<StartedVm>>,
    log: Option<(LogFormat, SyncSender<String>)>,
    starter: &'a Starter,
}

type Workers = (
    Arc<[UnboundedSender<Message>]>,
    Vec<JoinHandle<std::io::Result<worker::Drained>>>,
);

fn spawn_workers(parts: Parts<'_>) -> Result<Workers, StartError> {
    let Parts {
        snapshot,
        plugins,
        mut sockets,
        vms,
        log,
        starter,
    } = parts;
    let channels = vms.iter().map(|_| tokio::sync::mpsc::unbounded_channel());
    let (inboxes, receivers): (Vec<_>, Vec<_>) = channels.unzip();
    let inboxes: Arc<[_]> = inboxes.into();
    let loads: Arc<[AtomicUsize]> = vms.iter().map(|_| AtomicUsize::new(0)).collect();
    let listeners: Vec<_> = snapshot.listeners.iter().cloned().map(Arc::new).collect();
    let mut threads = Vec::new();
    let channels = inboxes.iter().cloned().zip(receivers);
    for (index, ((inbox, messages), vms)) in channels.zip(vms).enumerate() {
        let mine = sockets.iter_mut().filter_map(Vec::pop);
        let log = log.as_ref();
        let setup = Setup {
            index,
            snapshot: Arc::clone(&snapshot),
            sockets: listeners.iter().cloned().zip(mine).collect(),
            vms,
            chain: chain(plugins),
            access_log: log.map(|(format, sink)| AccessLog::new(*format, sink.clone())),
            starter: starter.clone(),
            inbox,
            messages,
            peers: Peers {
                loads: Arc::clone(&loads),
                inboxes: Arc::clone(&inboxes),
            },
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        threads.push(thread.spawn(move || worker::run(setup))?);
    }
    Ok((inboxes, threads))
}

/// An instance and a spare for each VM.
fn start_vms(
    plugins: &[Arc<Plugin>],
    services: &Arc<dyn Services>,
) -> Result<Vec<StartedVm>, StartError> {
    let mut vms = Vec::new();
    for plugins in by_vm(plugins) {
        let mut instances = Vec::new();
        for _ in 0..2 {
            let instance = Instance::start(&plugins, Arc::clone(services)).map_err(|source| {
                let plugin = plugins.first().map(|plugin| plugin.spec().name.clone());
                StartError::Plugin {
                    plugin: plugin.unwrap_or_default(),
                    source: Box::new(source),
                }
            })?;
            instances.push(instance);
        }
        vms.push(StartedVm { plugins, instances });
    }
    Ok(vms)
}

/// Each plugin with its VM and its place there.
fn chain(plugins: &[Arc<Plugin>]) -> Vec<(Arc<Plugin>, usize, usize)> {
    let groups = by_vm(plugins);
    let find = |plugin: &Arc<Plugin>| {
        groups.iter().enumerate().find_map(|(vm, group)| {
            let place = group.iter().position(|other| Arc::ptr_eq(plugin, other))?;
            Some((Arc::clone(plugin), vm, place))
        })
    };
    plugins.iter().filter_map(find).collect()
}
