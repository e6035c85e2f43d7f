//! One worker: a thread with everything its exchanges need.
//!
//! Owns a runtime, sockets, pools, filter instances, time limits and log buffer of its own. On the
//! request path nothing is shared with other workers; control work reaches it as [`Message`]s.

mod accept;
mod life;

use std::cell::Cell;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use http::HeaderValue;
use slab::Slab;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::Snapshot;
use tidegate_core::time::http_date;
use tidegate_host_abi::Instance;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::QueueEvent;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use crate::access_log::AccessLog;
use crate::deadline::Hurrier;
use crate::deadline::Wheel;
use crate::exchange::ending::Ending;
use crate::filters::Chain;
use crate::filters::starter::Starter;
use crate::filters::vm::Vm;
use crate::random::IdSource;
use crate::upstream::pool::Pool;

pub(crate) use life::Drained;
pub(crate) use life::run;

/// How long a kept connection may still bring a request once the gateway drains: long enough for
/// one that is on its way.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// An instance was started for one of its VMs.
    Instance { vm: usize, instance: Box<Instance> },
    /// Another worker, with more to do, hands a connection over.
    Connection {
        stream: TcpStream,
        peer: SocketAddr,
        listener: usize,
    },
    /// A shared queue has a new item; its owner may be here.
    QueueEvent(QueueEvent),
    /// Stop accepting, finish, end.
    Drain,
}

/// What a worker starts with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) index: usize,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) sockets: Vec<(Arc<Listener>, std::net::TcpListener)>,
    /// Started instances with their plugins, as many as there are VMs.
    pub(crate) vms: Vec<StartedVm>,
    /// The chain: for each plugin, its VM and its place in it.
    pub(crate) chain: Vec<(Arc<Plugin>, usize, usize)>,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) starter: Starter,
    pub(crate) inbox: UnboundedSender<Message>,
    pub(crate) messages: UnboundedReceiver<Message>,
    pub(crate) peers: Peers,
}

/// A VM with the instances it begins with.
#[derive(Debug)]
pub(crate) struct StartedVm {
    pub(crate) plugins: Vec<Arc<Plugin>>,
    pub(crate) instances: Vec<Instance>,
}

/// All workers, as each of them sees the others.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    /// Open connections of each worker; touched when connections come and go, never by requests.
    pub(crate) loads: Arc<[AtomicUsize]>,
    pub(crate) inboxes: Arc<[UnboundedSender<Message>]>,
}

/// The configuration that exchanges see, with the filters that this worker runs for it.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) chain: Chain,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    pub(crate) wheel: Wheel,
    pub(crate) pool: Pool,
    pub(crate) ids: IdSource,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) starter: Starter,
    pub(crate) inbox: UnboundedSender<Message>,
    snapshot: Arc<Snapshot>,
    vms: Vec<Rc<Vm>>,
    generation: RefCell<Rc<Generation>>,
    peers: Peers,
    turn: Cell<usize>,
    draining: Cell<bool>,
    drain_begins: Notify,
    connections: RefCell<Slab<Connection>>,
    connection_ended: Notify,
    next_connection: Cell<u64>,
    /// Exchanges whose tasks were dropped; `None` once the worker ends.
    late: RefCell<Option<Vec<Ending>>>,
    late_arrived: Notify,
    date: RefCell<(u64, HeaderValue)>,
}

/// What the worker knows of an open connection.
#[derive(Debug)]
struct Connection {
    idle: Rc<Cell<bool>>,
    hurrier: Hurrier,
    task: Option<AbortHandle>,
}

impl Worker {
    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.snapshot.timeouts
    }

    pub(crate) fn sizes(&self) -> &SizeLimits {
        &self.snapshot.sizes
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The configuration for a new exchange.
    pub(crate) fn generation(&self) -> Rc<Generation> {
        Rc::clone(&self.generation.borrow())
    }

    /// A number that grows with every attempt: whose turn it is.
    pub(crate) fn next_turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// How long a kept connection may wait for a request.
    pub(crate) fn idle_limit(&self, keep_alive: Duration) -> Duration {
        if self.is_draining() {
            DRAIN_GRACE.min(keep_alive)
        } else {
            keep_alive
        }
    }

    /// The `date` of answers made here; formatted once a second.
    pub(crate) fn http_date(&self) -> HeaderValue {
        let seconds = crate::clock::unix_nanos(SystemTime::now()) / 1_000_000_000;
        let mut cached = self.date.borrow_mut();
        if cached.0 != seconds {
            let date = HeaderValue::try_from(http_date(seconds));
            *cached = (
                seconds,
                date.unwrap_or_else(|_| HeaderValue::from_static("")),
            );
        }
        cached.1.clone()
    }

    /// Queues the end of an exchange whose task was dropped. Refused once the worker ends.
    pub(crate) fn finish_later(&self, ending: Ending) -> Result<(), Ending> {
        match self.late.try_borrow_mut() {
            Ok(mut late) => match late.as_mut() {
                Some(late) => {
                    late.push(ending);
                    self.late_arrived.notify_one();
                    Ok(())
                }
                None => Err(ending),
            },
            Err(_) => Err(ending),
        }
    }

    /// Tells all workers of new items in shared queues: the owner may be on any of them.
    pub(crate) fn announce(&self, events: &[QueueEvent]) {
        for event in events {
            for inbox in self.peers.inboxes.iter() {
                inbox.send(Message::QueueEvent(*event)).ok();
            }
        }
    }

    fn load(&self, index: usize) -> usize {
        self.peers
            .loads
            .get(index)
            .map_or(usize::MAX, |load| load.load(Ordering::Relaxed))
    }
}
