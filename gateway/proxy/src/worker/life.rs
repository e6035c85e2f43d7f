//! A worker from its first to its last moment.
//!
//! Owns start, the loop over messages, and the drain: stop accepting, let exchanges finish, close
//! kept connections, cut what is left at the deadline.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use slab::Slab;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::deadline::Wheel;
use crate::filters::canary::Canaries;
use crate::filters::dns;
use crate::generation::BindId;
use crate::http2::room::SharedRoom;
use crate::own;
use crate::random::IdSource;
use crate::transport::Pipes;
use crate::upstream::balance::BackendStates;
use crate::upstream::h2::H2Pool;
use crate::upstream::pool::Pool;
use crate::upstream::redis::RedisPool;
use crate::upstream::versions::Versions;
use crate::worker::Generation;
use crate::worker::Handshakes;
use crate::worker::Late;
use crate::worker::Message;
use crate::worker::Setup;
use crate::worker::Worker;
use crate::worker::accept::adopt;
use crate::worker::change;
use crate::worker::change::Accepting;
use crate::worker::change::end_retired;
use crate::worker::change::forget_doors;
use crate::worker::change::hurry_idle;

/// How often gathered log lines are handed over, and kept connections looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(500);

/// How a worker ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Connections that were cut because the drain deadline had passed.
    pub(crate) cut: usize,
}

/// Runs a worker on this thread until it has drained.
pub(crate) fn run(setup: Setup) -> std::io::Result<Drained> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    let drained = runtime.block_on(serve(setup));
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    drained
}

async fn serve(setup: Setup) -> std::io::Result<Drained> {
    let (worker, mut messages) = build(setup);
    let turning = worker.wheel.clone();
    tokio::task::spawn_local(async move { turning.run().await });
    tokio::task::spawn_local(housekeeping(Rc::downgrade(&worker)));
    tokio::task::spawn_local(finish_late(Rc::downgrade(&worker)));
    let mut accepting = Accepting::new();
    while let Some(message) = messages.recv().await {
        match message {
            Message::Drain => break,
            Message::Generation(change) => change::take(&worker, *change, &mut accepting),
            other => {
                handle(&worker, other);
                // Messages may come without end; connections have their turn between them.
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(drain(&worker, accepting, messages).await)
}

fn build(setup: Setup) -> (Rc<Worker>, UnboundedReceiver<Message>) {
    let Setup {
        index,
        access_log,
        counters,
        starter,
        inbox,
        messages,
        peers,
        simulation,
    } = setup;
    let (timeouts, sizes) = (Timeouts::default(), SizeLimits::default());
    let ids = IdSource::seeded();
    let backends = BackendStates::new(ids.draw());
    let mut canaries = Canaries::default();
    let nothing = Generation::new(Arc::default(), &HashMap::new(), &backends, &mut canaries);
    let worker = Worker {
        index,
        wheel: Wheel::new(simulation),
        pool: Pool::new(sizes.idle_connections_per_endpoint, timeouts.upstream_idle),
        h2: H2Pool::default(),
        versions: Versions::default(),
        redis: RedisPool::default(),
        backends,
        canaries: RefCell::new(canaries),
        ids,
        access_log,
        counters,
        starter,
        inbox,
        generation: RefCell::new(Rc::new(nothing)),
        timeouts: Cell::new(timeouts),
        sizes: Cell::new(sizes),
        vms: RefCell::default(),
        coming: RefCell::default(),
        retired: RefCell::default(),
        doors: RefCell::default(),
        closed_doors: RefCell::default(),
        parked: RefCell::default(),
        peers,
        resolving: Arc::new(tokio::sync::Semaphore::new(dns::AT_ONCE)),
        upload_room: SharedRoom::default(),
        copies: Cell::new(0),
        handshakes: Handshakes::default(),
        copy_buffer: RefCell::default(),
        pipes: Pipes::default(),
        connections: RefCell::new(Slab::new()),
        connection_ended: Notify::new(),
        next_connection: Cell::new(1),
        late: RefCell::new(Some(Vec::new())),
        late_arrived: Notify::new(),
        date: RefCell::new((0, HeaderValue::from_static(""))),
    };
    (Rc::new(worker), messages)
}

fn handle(worker: &Rc<Worker>, message: Message) {
    match message {
        Message::Instance { vm, instance } => {
            let known = worker.vm(vm).or_else(|| worker.coming(vm));
            if let Some(vm) = known {
                vm.accept(*instance);
            }
        }
        Message::Connection { stream, peer, bind } => receive(worker, stream, peer, bind),
        Message::Resolved { source, now } => {
            for address in worker.backends.learn(source, now) {
                worker.pool.close(address);
            }
        }
        Message::Streams(ask) => {
            let vms = worker.all_vms();
            // Whoever asked may have gone.
            ask.send(vms.iter().map(|vm| vm.stream_count()).sum()).ok();
        }
        Message::Shares(shares) => worker.canaries.borrow().set_shares(&shares),
        Message::Versions(ask) => {
            // Whoever asked may have gone.
            ask.send(worker.canaries.borrow().take()).ok();
        }
        Message::QueueNews => {
            let vms = worker.all_vms();
            for event in worker.queue_news() {
                for vm in &vms {
                    vm.on_queue_event(event);
                }
            }
        }
        Message::Own(order) => own::start(worker, *order),
        Message::SetUp(setup) => change::set_up(worker, *setup),
        Message::Abandon => change::abandon(worker),
        Message::Drain | Message::Generation(_) => {}
    }
}

/// Takes a connection that another worker has accepted.
pub(super) fn receive(
    worker: &Rc<Worker>,
    stream: std::net::TcpStream,
    peer: SocketAddr,
    bind: BindId,
) {
    let Some(door) = worker.door(bind) else {
        worker.parked.borrow_mut().push((stream, peer, bind));
        return;
    };
    match TcpStream::from_std(stream) {
        Ok(stream) => adopt(worker, stream, peer, &door),
        Err(err) => tracing::warn!(%err, "a connection was lost between workers"),
    }
}

async fn drain(
    worker: &Rc<Worker>,
    accepting: Accepting,
    mut messages: UnboundedReceiver<Message>,
) -> Drained {
    for door in worker.doors.borrow().values() {
        door.close(None);
    }
    hurry_idle(worker, None);
    let finished = async {
        for accepting in accepting {
            accepting.await.ok();
        }
        loop {
            // What is there now: a guest that feeds its own queue makes the next message at each.
            for _ in 0..messages.len() {
                if let Ok(message) = messages.try_recv() {
                    handle(worker, message);
                }
            }
            if worker.connections.borrow().is_empty() {
                return;
            }
            tokio::select! {
                () = worker.connection_ended.notified() => {}
                message = messages.recv() => {
                    if let Some(message) = message {
                        handle(worker, message);
                    }
                }
            }
        }
    };
    let mut drained = Drained::default();
    if tokio::time::timeout(worker.timeouts().drain, finished)
        .await
        .is_err()
    {
        drained.cut = cut(worker).await;
    }
    finish_all_late(worker);
    worker.late.borrow_mut().take();
    worker.pool.clear();
    worker.h2.clear();
    worker.redis.clear();
    for vm in worker.all_vms() {
        vm.shutdown();
    }
    if let Some(log) = &worker.access_log {
        log.flush();
    }
    drained
}

async fn cut(worker: &Worker) -> usize {
    let tasks: Vec<_> = {
        let connections = worker.connections.borrow();
        connections
            .iter()
            .filter_map(|(_, connection)| connection.task.clone())
            .collect()
    };
    for task in &tasks {
        task.abort();
    }
    while !worker.connections.borrow().is_empty() {
        worker.connection_ended.notified().await;
    }
    tasks.len()
}

async fn housekeeping(worker: Weak<Worker>) {
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        let Some(worker) = worker.upgrade() else {
            return;
        };
        worker.pool.sweep();
        worker.h2.sweep(worker.timeouts().upstream_idle);
        worker.versions.sweep(worker.timeouts().upstream_idle);
        worker.redis.sweep();
        end_retired(&worker);
        worker.collect();
        forget_doors(&worker);
        if let Some(log) = &worker.access_log {
            log.flush();
        }
    }
}

async fn finish_late(worker: Weak<Worker>) {
    loop {
        let Some(strong) = worker.upgrade() else {
            return;
        };
        finish_all_late(&strong);
        strong.late_arrived.notified().await;
    }
}

fn finish_all_late(worker: &Worker) {
    loop {
        let next = worker.late.borrow_mut().as_mut().and_then(Vec::pop);
        match next {
            Some(Late::Exchange(ending)) => ending.finish(worker),
            Some(Late::Connection(ending)) => ending.finish(worker),
            None => return,
        }
    }
}
