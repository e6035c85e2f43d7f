//! The worker threads, and the channels between them.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;

use crate::access_log::AccessLog;
use crate::filters::starter::Starter;
use crate::gateway::StartError;
use crate::metrics::Counters;
use crate::simulation::Simulation;
use crate::worker;
use crate::worker::Message;
use crate::worker::Peers;
use crate::worker::QueueNews;
use crate::worker::Setup;

/// All workers, started and without a generation.
pub(super) struct Workers {
    pub(super) inboxes: Arc<[UnboundedSender<Message>]>,
    pub(super) loads: Arc<[AtomicUsize]>,
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) threads: Vec<JoinHandle<std::io::Result<worker::Drained>>>,
}

/// Starts so many workers, which wait for their first generation.
///
/// # Errors
///
/// [`StartError::Thread`].
pub(super) fn spawn_workers(
    count: usize,
    log: Option<&SyncSender<String>>,
    starter: &Starter,
    simulation: Option<&Arc<Simulation>>,
) -> Result<Workers, StartError> {
    let channels = (0..count).map(|_| tokio::sync::mpsc::unbounded_channel());
    let (inboxes, receivers): (Vec<_>, Vec<_>) = channels.unzip();
    let inboxes: Arc<[_]> = inboxes.into();
    let loads: Arc<[AtomicUsize]> = (0..count).map(|_| AtomicUsize::new(0)).collect();
    let news: Arc<[QueueNews]> = (0..count).map(|_| QueueNews::default()).collect();
    let mut threads = Vec::new();
    let mut counters = Vec::new();
    let channels = inboxes.iter().cloned().zip(receivers);
    for (index, (inbox, messages)) in channels.enumerate() {
        let counted = Counters::new();
        counters.push(Arc::clone(&counted));
        let setup = Setup {
            index,
            counters: counted,
            access_log: log.map(|sink| AccessLog::new(sink.clone())),
            starter: starter.clone(),
            inbox,
            messages,
            peers: Peers {
                loads: Arc::clone(&loads),
                inboxes: Arc::clone(&inboxes),
                news: Arc::clone(&news),
            },
            simulation: simulation.cloned(),
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        threads.push(thread.spawn(move || worker::run(setup))?);
    }
    Ok(Workers {
        inboxes,
        loads,
        counters,
        threads,
    })
}
