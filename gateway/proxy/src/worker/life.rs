//! A worker from its first to its last moment.
//!
//! Owns start, the loop over messages, and the drain: stop accepting, let exchanges finish, close
//! kept connections, cut what is left at the deadline.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use slab::Slab;
use tidegate_core::snapshot::Listener;
use tidegate_host_abi::Plugin;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::deadline::Wheel;
use crate::filters::Chain;
use crate::filters::Filter;
use crate::filters::vm::Vm;
use crate::random::IdSource;
use crate::upstream::pool::Pool;
use crate::worker::DRAIN_GRACE;
use crate::worker::Generation;
use crate::worker::Message;
use crate::worker::Setup;
use crate::worker::StartedVm;
use crate::worker::Worker;
use crate::worker::accept::accept_loop;
use crate::worker::accept::adopt;

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
    runtime.block_on(serve(setup))
}

async fn serve(mut setup: Setup) -> std::io::Result<Drained> {
    let sockets = std::mem::take(&mut setup.sockets);
    let (worker, mut messages) = build(setup);
    let turning = worker.wheel.clone();
    tokio::task::spawn_local(async move { turning.run().await });
    tokio::task::spawn_local(housekeeping(Rc::downgrade(&worker)));
    tokio::task::spawn_local(finish_late(Rc::downgrade(&worker)));
    let mut listeners = Vec::new();
    let mut accepting = Vec::new();
    for (place, (listener, socket)) in sockets.into_iter().enumerate() {
        let socket = TcpListener::from_std(socket)?;
        listeners.push(Arc::clone(&listener));
        let accept = accept_loop(Rc::clone(&worker), socket, place, listener);
        accepting.push(tokio::task::spawn_local(accept));
    }
    while let Some(message) = messages.recv().await {
        match message {
            Message::Drain => break,
            other => handle(&worker, other, &listeners),
        }
    }
    Ok(drain(&worker, accepting, messages, &listeners).await)
}

fn build(setup: Setup) -> (Rc<Worker>, UnboundedReceiver<Message>) {
    let Setup {
        index,
        snapshot,
        sockets: _,
        vms,
        chain,
        access_log,
        starter,
        inbox,
        messages,
        peers,
    } = setup;
    let (plugins, instances): (Vec<_>, Vec<_>) = vms
        .into_iter()
        .map(|StartedVm { plugins, instances }| (plugins, instances))
        .unzip();
    let kept = snapshot.sizes.idle_connections_per_endpoint;
    let max_idle = snapshot.timeouts.upstream_idle;
    let worker = Rc::new_cyclic(|this| {
        let vms: Vec<Rc<Vm>> = plugins
            .into_iter()
            .enumerate()
            .map(|(id, plugins)| Vm::new(id, plugins, Weak::clone(this)))
            .collect();
        let chain = chain_of(chain, &vms);
        let generation = Generation {
            snapshot: Arc::clone(&snapshot),
            chain,
        };
        Worker {
            index,
            wheel: Wheel::new(),
            pool: Pool::new(kept, max_idle),
            ids: IdSource::seeded(),
            access_log,
            starter,
            inbox,
            snapshot,
            vms,
            generation: RefCell::new(Rc::new(generation)),
            peers,
            turn: Cell::new(index),
            draining: Cell::new(false),
            drain_begins: Notify::new(),
            connections: RefCell::new(Slab::new()),
            connection_ended: Notify::new(),
            next_connection: Cell::new(1),
            late: RefCell::new(Some(Vec::new())),
            late_arrived: Notify::new(),
            date: RefCell::new((0, HeaderValue::from_static(""))),
        }
    });
    for (vm, started) in worker.vms.iter().zip(instances) {
        vm.begin(started);
    }
    (worker, messages)
}

fn chain_of(places: Vec<(Arc<Plugin>, usize, usize)>, vms: &[Rc<Vm>]) -> Chain {
    let filters = places.into_iter().filter_map(|(plugin, vm, place)| {
        let callbacks = plugin.callbacks();
        let vm = Rc::clone(vms.get(vm)?);
        Some(Filter {
            plugin,
            vm,
            place,
            callbacks,
        })
    });
    Chain::new(filters.collect())
}

fn handle(worker: &Rc<Worker>, message: Message, listeners: &[Arc<Listener>]) {
    match message {
        Message::Instance { vm, instance } => {
            if let Some(vm) = worker.vms.get(vm) {
                vm.accept(*instance);
            }
        }
        Message::Connection {
            stream,
            peer,
            listener,
        } => {
            let Some(listener) = listeners.get(listener) else {
                return;
            };
            match TcpStream::from_std(stream) {
                Ok(stream) => adopt(worker, stream, peer, listener),
                Err(err) => tracing::warn!(%err, "a connection was lost between workers"),
            }
        }
        Message::QueueEvent(event) => {
            for vm in &worker.vms {
                vm.on_queue_event(event);
            }
        }
        Message::Drain => {}
    }
}

async fn drain(
    worker: &Rc<Worker>,
    accepting: Vec<tokio::task::JoinHandle<()>>,
    mut messages: UnboundedReceiver<Message>,
    listeners: &[Arc<Listener>],
) -> Drained {
    worker.draining.set(true);
    worker.drain_begins.notify_waiters();
    hurry_idle(worker);
    let finished = async {
        for accepting in accepting {
            accepting.await.ok();
        }
        loop {
            while let Ok(message) = messages.try_recv() {
                handle(worker, message, listeners);
            }
            if worker.connections.borrow().is_empty() {
                return;
            }
            tokio::select! {
                () = worker.connection_ended.notified() => {}
                message = messages.recv() => {
                    if let Some(message) = message {
                        handle(worker, message, listeners);
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
    for vm in &worker.vms {
        vm.shutdown();
    }
    if let Some(log) = &worker.access_log {
        log.flush();
    }
    drained
}

/// Connections that wait for another request get a moment for one that is on its way.
fn hurry_idle(worker: &Worker) {
    for (_, connection) in worker.connections.borrow().iter() {
        if connection.idle.get() {
            connection.hurrier.hurry(DRAIN_GRACE);
        }
    }
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
            Some(mut ending) => ending.finish(),
            None => return,
        }
    }
}
