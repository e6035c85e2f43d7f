//! One worker: a thread with everything its exchanges need.
//!
//! Owns a runtime, sockets, pools, filter instances, time limits and log buffer of its own. On the
//! request path nothing is shared with other workers; control work reaches it as [`Message`]s.

mod accept;
mod arrival;
mod change;
mod current;
mod door;
mod handshake;
mod life;
mod news;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use http::HeaderValue;
use slab::Slab;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::dns::DnsSource;
use tidegate_core::dns::Resolved;
use tidegate_core::rollout::split::Share;
use tidegate_core::time::http_date;
use tidegate_host_abi::Instance;
use tidegate_host_abi::QueueEvent;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use crate::access_log::AccessLog;
use crate::deadline::Hurrier;
use crate::deadline::Wheel;
use crate::exchange::ending::LateEnding;
use crate::filters::canary;
use crate::filters::canary::Canaries;
use crate::filters::starter::Starter;
use crate::filters::vm::Vm;
use crate::generation::BindId;
use crate::generation::Change;
use crate::generation::SetUp;
use crate::generation::VmId;
use crate::http2::room::SharedRoom;
use crate::metrics::Counters;
use crate::own::OwnOrder;
use crate::random::IdSource;
use crate::simulation::Simulation;
use crate::tcp;
use crate::transport::Pipes;
use crate::upstream::balance::BackendStates;
use crate::upstream::h2::H2Pool;
use crate::upstream::pool::Pool;
use crate::upstream::redis::RedisPool;
use crate::upstream::versions::Versions;

use handshake::Handshakes;

pub(crate) use accept::Open;
pub(crate) use current::Generation;
pub(crate) use door::Door;
pub(crate) use door::Scene;
pub(crate) use life::Drained;
pub(crate) use life::run;
pub(crate) use news::QueueNews;

/// How long a kept connection may still bring a request once the gateway drains: long enough for
/// one that is on its way.
pub(crate) const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// New exchanges see another generation.
    Generation(Box<Change>),
    /// Instances of a generation that may come set themselves up.
    SetUp(Box<SetUp>),
    /// That generation does not come.
    Abandon,
    /// An instance was started for one of its VMs.
    Instance { vm: VmId, instance: Box<Instance> },
    /// Another worker, with more to do, hands a connection over.
    Connection {
        stream: TcpStream,
        peer: SocketAddr,
        bind: BindId,
    },
    /// There is news of shared queues, whose owners may be here.
    QueueNews,
    /// Names have led to other endpoints.
    Resolved {
        source: Arc<DnsSource>,
        now: Arc<Resolved>,
    },
    /// Somebody wants to know how many streams its instances know.
    Streams(std::sync::mpsc::Sender<usize>),
    /// Canaries get other shares of the streams, by the names of their plugins.
    Shares(Arc<[(Arc<str>, Share)]>),
    /// Somebody wants to know what was counted of plugins with canaries since they were last asked.
    Versions(std::sync::mpsc::Sender<Vec<(Arc<str>, canary::Versions)>>),
    /// A request of the gateway's own is to be made.
    Own(Box<OwnOrder>),
    /// Stop accepting, finish, end.
    Drain,
}

/// What a worker starts with; listeners, routes and filters come as its first message.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) index: usize,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) starter: Starter,
    pub(crate) inbox: UnboundedSender<Message>,
    pub(crate) messages: UnboundedReceiver<Message>,
    pub(crate) peers: Peers,
    pub(crate) simulation: Option<Arc<Simulation>>,
}

/// All workers, as each of them sees the others.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    /// Open connections of each worker; touched when connections come and go, never by requests.
    pub(crate) loads: Arc<[AtomicUsize]>,
    pub(crate) inboxes: Arc<[UnboundedSender<Message>]>,
    /// What each is told of shared queues.
    pub(crate) news: Arc<[QueueNews]>,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    pub(crate) wheel: Wheel,
    pub(crate) pool: Pool,
    pub(crate) h2: H2Pool,
    pub(crate) versions: Versions,
    pub(crate) redis: RedisPool,
    pub(crate) backends: BackendStates,
    pub(crate) canaries: RefCell<Canaries>,
    pub(crate) ids: IdSource,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) starter: Starter,
    pub(crate) inbox: UnboundedSender<Message>,
    generation: RefCell<Rc<Generation>>,
    timeouts: Cell<Timeouts>,
    sizes: Cell<SizeLimits>,
    vms: RefCell<HashMap<VmId, Rc<Vm>>>,
    /// VMs of a generation that may come.
    coming: RefCell<HashMap<VmId, Rc<Vm>>>,
    /// VMs that only older generations have: they end with their last stream.
    retired: RefCell<Vec<Rc<Vm>>>,
    doors: RefCell<HashMap<BindId, Rc<Door>>>,
    /// Doors that were closed: a worker that has not heard of it yet may still hand connections over.
    closed_doors: RefCell<Vec<(Rc<Door>, Instant)>>,
    /// Connections from a worker that knows of a new address already, while this one does not.
    parked: RefCell<Vec<(TcpStream, SocketAddr, BindId)>>,
    peers: Peers,
    /// Turns of the resolver for filters' lookups.
    pub(crate) resolving: Arc<tokio::sync::Semaphore>,
    /// What uploads over HTTP/2 may hold beyond the windows of their connections.
    pub(crate) upload_room: SharedRoom,
    /// Copies of requests on their way to mirrors.
    pub(crate) copies: Cell<u32>,
    handshakes: Handshakes,
    /// What connections that are passed on as bytes read into, one after the other.
    pub(crate) copy_buffer: RefCell<Vec<u8>>,
    /// What bodies that nobody looks at go through.
    pub(crate) pipes: Pipes,
    connections: RefCell<Slab<Connection>>,
    connection_ended: Notify,
    next_connection: Cell<u64>,
    /// What is left to be ended after its task was dropped; `None` once the worker ends.
    late: RefCell<Option<Vec<Late>>>,
    late_arrived: Notify,
    date: RefCell<(u64, HeaderValue)>,
}

/// The end of something whose task was dropped.
#[derive(Debug)]
pub(crate) enum Late {
    Exchange(LateEnding),
    Connection(tcp::LateEnding),
}

/// What the worker knows of an open connection.
#[derive(Debug)]
struct Connection {
    bind: BindId,
    idle: Rc<Cell<bool>>,
    hurrier: Hurrier,
    task: Option<AbortHandle>,
}

impl Worker {
    /// How long origins may take.
    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts.get()
    }

    /// Its number.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// How much may be held in memory for origins.
    pub(crate) fn sizes(&self) -> SizeLimits {
        self.sizes.get()
    }

    /// The configuration for a new exchange.
    pub(crate) fn generation(&self) -> Rc<Generation> {
        Rc::clone(&self.generation.borrow())
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

    /// Queues the end of an exchange or connection whose task was dropped. Refused once the worker
    /// ends.
    pub(crate) fn finish_later(&self, ending: Late) -> Result<(), Late> {
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
        let peers = self.peers.inboxes.iter().zip(self.peers.news.iter());
        for (inbox, news) in peers {
            if news.add(events) {
                inbox.send(Message::QueueNews).ok();
            }
        }
    }

    /// Tells this worker alone: it has not told an owner of all items yet.
    pub(crate) fn announce_here(&self, event: QueueEvent) {
        let news = self.peers.news.get(self.index);
        if news.is_some_and(|news| news.add(&[event])) {
            self.inbox.send(Message::QueueNews).ok();
        }
    }

    /// What it has not heard of shared queues yet.
    fn queue_news(&self) -> Vec<QueueEvent> {
        let news = self.peers.news.get(self.index);
        news.map_or_else(Vec::new, |news| news.take().collect())
    }

    /// A VM, also one that only older generations have.
    /// A VM of a generation that may come.
    fn coming(&self, id: VmId) -> Option<Rc<Vm>> {
        self.coming.borrow().get(&id).cloned()
    }

    fn vm(&self, id: VmId) -> Option<Rc<Vm>> {
        let current = self.vms.borrow().get(&id).cloned();
        current.or_else(|| {
            let retired = self.retired.borrow();
            retired.iter().find(|vm| vm.id() == id).cloned()
        })
    }

    fn all_vms(&self) -> Vec<Rc<Vm>> {
        let vms = self.vms.borrow();
        let retired = self.retired.borrow();
        vms.values().chain(retired.iter()).cloned().collect()
    }

    /// Brings together what plugins have used and how they stand, for scrapes.
    fn collect(&self) {
        let vms = self.all_vms();
        for vm in &vms {
            vm.collect();
        }
        self.counters.set_gauges(|note| {
            for vm in &vms {
                vm.gauges(&mut |plugin, gauges| note(plugin, gauges));
            }
        });
    }

    /// The door of an address, also if it was closed a moment ago.
    fn door(&self, id: BindId) -> Option<Rc<Door>> {
        let open = self.doors.borrow().get(&id).cloned();
        open.or_else(|| {
            let closed = self.closed_doors.borrow();
            let found = closed.iter().find(|(door, _)| door.id == id);
            found.map(|(door, _)| Rc::clone(door))
        })
    }

    fn load(&self, index: usize) -> usize {
        self.peers
            .loads
            .get(index)
            .map_or(usize::MAX, |load| load.load(Ordering::Relaxed))
    }
}
