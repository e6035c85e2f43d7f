//! A running gateway: the one entry point of this crate.
//!
//! Owns the threads, and the way from one generation to the next. A generation is bound, started
//! and configured before any worker sees it, so that one that serves is one that works; if that
//! fails, the one before serves on.

mod hold_back;
mod meanwhile;
mod plan;
mod prepare;
mod remote;
mod set_up;
mod shares;
mod spawn;

use std::collections::HashSet;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use tidegate_core::rollout::probation::Counts;
use tidegate_core::snapshot::Bind;
use tidegate_host_abi::Node;
use tidegate_host_abi::Plugin;
use tokio::sync::mpsc::UnboundedSender;

use crate::access_log::start_writer;
use crate::filters::services::Commons;
use crate::filters::starter::Starter;
pub use crate::gateway::meanwhile::Meanwhile;
use crate::gateway::meanwhile::begin_vms;
use crate::gateway::meanwhile::wait;
use crate::gateway::plan::Drawn;
use crate::gateway::plan::Ids;
use crate::gateway::prepare::Prepared;
use crate::gateway::prepare::Share;
use crate::gateway::prepare::start_vms;
pub use crate::gateway::remote::Remote;
use crate::gateway::spawn::Workers;
use crate::gateway::spawn::spawn_workers;
use crate::generation::BindId;
use crate::generation::Callable;
use crate::generation::Change;
use crate::generation::Generation;
use crate::generation::Plan;
use crate::generation::PluginSlot;
use crate::listener::BindError;
use crate::metrics::Counters;
use crate::metrics::Metrics;
use crate::resolver::Resolver;
use crate::simulation::Simulation;
use crate::worker;
use crate::worker::Message;

/// How long the end of the gateway waits for its access log to be read.
const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// How long the sockets of an address that was left may still be open.
const CLOSING: Duration = Duration::from_secs(10);
/// How long a change waits for workers to take it; a busy one takes it as soon as it can.
const SWAP_PATIENCE: Duration = Duration::from_secs(10);

/// What a gateway is started with.
pub struct Options {
    /// What it serves first.
    pub generation: Generation,
    /// How many workers; at least one is started.
    pub workers: usize,
    /// Where access log lines go; `None` writes none. Each bind has its own format.
    pub access_log: Option<Box<dyn Write + Send>>,
    /// Who the gateway is, for filters that ask (`xds.node`).
    pub node: Node,
    /// The name servers that the names of backends are asked of; without any, the system's.
    pub name_servers: Vec<SocketAddr>,
    /// What surrounds a filter under test; no gateway that serves has one.
    pub simulation: Option<Arc<Simulation>>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("generation", &self.generation)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

/// Why a gateway did not start, or a generation was not taken.
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
    /// Settings of TLS that cannot be used.
    #[error("cannot prepare TLS")]
    Tls(#[from] rustls::Error),
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
    /// A worker does nothing for a minute.
    #[error("a worker is too busy to set a filter up")]
    Busy,
    /// Something else had to be done first: see [`Meanwhile::Stop`].
    #[error("something else had to be done first")]
    Interrupted,
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
    commons: Arc<Commons>,
    plan: Arc<Plan>,
    /// Plans that streams may still hold: the last owner of a large one must not be a worker.
    past: Vec<Arc<Plan>>,
    /// The generation asked for last; some of it may wait.
    wanted: Generation,
    /// Where plugins of this and older plans share data.
    spaces: HashSet<Arc<str>>,
    ids: Ids,
    addresses: Vec<(BindId, SocketAddr)>,
    /// Addresses that were left, and when: their sockets may still be taking their last connections.
    left: Vec<(SocketAddr, Instant)>,
    inboxes: Arc<[UnboundedSender<Message>]>,
    counters: Vec<Arc<Counters>>,
    loads: Arc<[AtomicUsize]>,
    workers: Vec<JoinHandle<std::io::Result<worker::Drained>>>,
    starter: Option<(Starter, JoinHandle<()>)>,
    log_writer: Option<JoinHandle<()>>,
    resolver: Resolver,
}

impl Gateway {
    /// Binds the listeners, starts the filters, and serves.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing is left running then.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let Options {
            generation,
            workers,
            access_log,
            node,
            name_servers,
            simulation,
        } = options;
        let workers = workers.max(1);
        let commons = Commons::new(node, simulation.clone());
        if let Some(simulation) = &simulation {
            fill_shared(&commons, &generation, simulation.shared());
        }
        let mut resolver = Resolver::new(name_servers);
        // Before anything is bound: clients must not wait in the queue of a socket meanwhile.
        resolver.follow(&generation.snapshot.backends)?.wait();
        let mut ids = Ids::default();
        let asked = generation.clone();
        let drawn = plan::draw(generation, &Plan::default(), &mut ids, &commons, workers)?;
        let mut prepared = start_vms(&drawn.new_vms, workers)?;
        let (starter, starter_thread) = Starter::spawn()?;
        let (log, log_writer) = match access_log {
            None => (None, None),
            Some(out) => {
                let (sink, thread) = start_writer(out)?;
                (Some(sink), Some(thread))
            }
        };
        let Workers {
            inboxes,
            loads,
            counters,
            threads,
        } = spawn_workers(workers, log.as_ref(), &starter, simulation.as_ref())?;
        // Its writer ends with the last worker.
        drop(log);
        resolver.board().tell(&inboxes);
        let mut gateway = Self {
            commons,
            plan: Arc::default(),
            left: Vec::new(),
            past: Vec::new(),
            wanted: asked,
            spaces: HashSet::new(),
            ids,
            addresses: Vec::new(),
            inboxes,
            counters,
            loads,
            workers: threads,
            starter: Some((starter, starter_thread)),
            log_writer,
            resolver,
        };
        match gateway.complete(&drawn, &mut prepared, |_| false, &mut |_| Meanwhile::GoOn) {
            Ok(()) => {
                gateway.swap(drawn, prepared);
                Ok(gateway)
            }
            Err(err) => {
                gateway.drain();
                gateway.join();
                Err(err)
            }
        }
    }

    /// Sets up and binds what is new of a plan whose instances are started.
    fn complete(
        &mut self,
        drawn: &Drawn,
        prepared: &mut Prepared,
        is_ours: impl Fn(SocketAddr) -> bool,
        meanwhile: &mut dyn FnMut(&mut Self) -> Meanwhile,
    ) -> Result<(), StartError> {
        set_up::set_up(drawn, self, prepared, meanwhile)?;
        prepare::bind(drawn, is_ours, prepared).inspect_err(|_| set_up::abandon(&self.inboxes))
    }

    /// Makes another generation the one that new exchanges see; those that run keep theirs.
    ///
    /// New addresses are bound and new instances started and configured before anything changes.
    /// Addresses, instances and connections that the new generation has too are not touched. What
    /// it no longer has is drained: listeners accept what has arrived, connections end after the
    /// exchange they are in, instances when their last stream ends.
    ///
    /// Returns when all workers have taken it. If long streams hold very many old versions of a
    /// plugin, its newest waits; see [`Gateway::catch_up`] and [`Metrics::waiting_plugins`].
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing has changed then.
    pub fn apply(&mut self, generation: Generation) -> Result<(), StartError> {
        self.apply_with(generation, None, &mut |_| Meanwhile::GoOn)
    }

    /// [`Gateway::apply`], which asks ten times a second whether to go on, for as long as it waits for
    /// instances to start and to set themselves up. What is asked may look at this gateway and change
    /// shares, but must apply nothing.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing has changed then.
    pub fn apply_while(
        &mut self,
        generation: Generation,
        mut meanwhile: impl FnMut(&mut Self) -> Meanwhile,
    ) -> Result<(), StartError> {
        self.apply_with(generation, None, &mut meanwhile)
    }

    /// Puts another version in the place of one that serves badly; says whether that one serves. All
    /// else stays as it is. It does not wait, however many old versions long streams hold.
    ///
    /// # Errors
    ///
    /// As [`Gateway::apply`].
    pub fn take_back(&mut self, bad: &Arc<Plugin>, slot: &PluginSlot) -> Result<bool, StartError> {
        let is_bad = |one: &PluginSlot| matches!(one, PluginSlot::Ready { plugin, .. } if Arc::ptr_eq(plugin, bad));
        let mut generation = self.wanted.clone();
        let mut serves = false;
        for one in generation.plugins.iter_mut().filter(|one| is_bad(one)) {
            *one = slot.clone();
            serves = true;
        }
        if serves {
            self.apply_with(generation, Some(bad.name()), &mut |_| Meanwhile::GoOn)?;
        }
        Ok(serves)
    }

    /// Puts another version of the plugin of that name, which is a place in
    /// [`Snapshot::plugins`](tidegate_core::snapshot::Snapshot::plugins), in service; says whether there is
    /// such a plugin. All else stays as it is. It does not wait, however many old versions long streams
    /// hold. Meanwhile it is asked whether to go on, as by [`Gateway::apply_while`].
    ///
    /// # Errors
    ///
    /// As [`Gateway::apply_while`].
    pub fn put_in_service(
        &mut self,
        name: &str,
        (plugin, backends): (Arc<Plugin>, Callable),
        mut meanwhile: impl FnMut(&mut Self) -> Meanwhile,
    ) -> Result<bool, StartError> {
        let mut generation = self.wanted.clone();
        let mut names = generation.snapshot.plugins.iter();
        let at = names.position(|one| *one.0 == *name);
        let Some(slot) = at.and_then(|at| generation.plugins.get_mut(at)) else {
            return Ok(false);
        };
        let runs_as = plugin.name().to_owned();
        *slot = PluginSlot::Ready { plugin, backends };
        self.apply_with(generation, Some(&runs_as), &mut meanwhile)?;
        Ok(true)
    }

    /// [`Gateway::apply`], but the plugin of that name never waits.
    fn apply_with(
        &mut self,
        generation: Generation,
        at_once: Option<&str>,
        meanwhile: &mut dyn FnMut(&mut Self) -> Meanwhile,
    ) -> Result<(), StartError> {
        self.sweep();
        let now = Instant::now();
        self.left.retain(|(_, since)| now - *since < CLOSING);
        let mut generation = generation;
        let asked = generation.clone();
        let waiting = self.hold_back(&mut generation, at_once);
        let drawn = plan::draw(
            generation,
            &self.plan,
            &mut self.ids,
            &self.commons,
            self.inboxes.len(),
        )?;
        let current = self.plan.binds.iter().map(|(_, bind)| bind.address.port());
        let left = self.left.iter().map(|(address, _)| address.port());
        let ports: Vec<u16> = current.chain(left).collect();
        let is_ours = |address: SocketAddr| ports.contains(&address.port());
        let prepared = self.prepare(&drawn, is_ours, meanwhile);
        let prepared = prepared.inspect_err(|_| {
            self.resolver.only(&self.plan.snapshot.backends);
        })?;
        self.swap(drawn, prepared);
        self.resolver.only(&self.plan.snapshot.backends);
        self.wanted = asked;
        self.commons.set_waiting(waiting);
        Ok(())
    }

    /// Starts, sets up and binds what is new of a plan.
    fn prepare(
        &mut self,
        drawn: &Drawn,
        is_ours: impl Fn(SocketAddr) -> bool,
        meanwhile: &mut dyn FnMut(&mut Self) -> Meanwhile,
    ) -> Result<Prepared, StartError> {
        let answers = self.resolver.follow(&drawn.plan.snapshot.backends)?;
        wait(self, meanwhile, |patience| {
            answers.are_here_within(patience)
        })?;
        let begun = begin_vms(&drawn.new_vms, self.inboxes.len())?;
        let mut prepared = wait(self, meanwhile, |patience| begun.ended_within(patience))??;
        self.complete(drawn, &mut prepared, is_ours, meanwhile)?;
        Ok(prepared)
    }

    /// The names of plugins whose newest version waits.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        self.commons.waiting()
    }

    /// What each bind listens on, by its name, in the order of the snapshot; port 0 is replaced by
    /// the real one.
    pub fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let bound = |bind: &Arc<Bind>| {
            let (id, _) = self
                .plan
                .binds
                .iter()
                .find(|(_, it)| Arc::ptr_eq(it, bind))?;
            let (_, address) = self.addresses.iter().find(|(of, _)| of == id)?;
            Some((Arc::clone(&bind.name), *address))
        };
        self.plan.snapshot.binds.iter().filter_map(bound).collect()
    }

    /// What a version of a plugin has met since it began to serve; `None` if it does not.
    #[must_use]
    pub fn tally(&self, plugin: &Arc<Plugin>) -> Option<Counts> {
        self.plan.tally(plugin).map(|tally| tally.sum())
    }

    /// The number of the generation that serves.
    pub fn generation(&self) -> u64 {
        self.plan.number
    }

    /// What was counted since the start.
    pub fn metrics(&self) -> Metrics {
        self.remote().metrics()
    }

    /// A handle for threads that look at it while this one changes it.
    pub fn remote(&self) -> Remote {
        Remote {
            commons: Arc::clone(&self.commons),
            inboxes: Arc::clone(&self.inboxes),
            counters: self.counters.as_slice().into(),
            loads: Arc::clone(&self.loads),
            names: Arc::clone(self.resolver.board()),
        }
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

    /// Hands a prepared plan to all workers and waits until they have it.
    fn swap(&mut self, drawn: Drawn, prepared: Prepared) {
        let Drawn { plan, reach, .. } = drawn;
        let plan = Arc::new(plan);
        for vm in &plan.vms {
            vm.services.set_reach(&reach);
        }
        let Prepared { each, addresses } = prepared;
        let (done, all_done) = channel();
        let mut waiting = 0;
        for (inbox, share) in self.inboxes.iter().zip(each) {
            let Share { instances, sockets } = share;
            let change = Change {
                plan: Arc::clone(&plan),
                instances,
                sockets,
                done: done.clone(),
            };
            waiting += usize::from(inbox.send(Message::Generation(Box::new(change))).is_ok());
        }
        drop(done);
        let now = Instant::now();
        self.addresses.retain(|(id, address)| {
            let stays = plan.bind(*id).is_some();
            if !stays {
                self.left.push((*address, now));
            }
            stays
        });
        self.addresses.extend(addresses);
        self.past.push(std::mem::replace(&mut self.plan, plan));
        self.note_spaces();
        let patience = Instant::now() + SWAP_PATIENCE;
        for _ in 0..waiting {
            let left = patience.saturating_duration_since(Instant::now());
            if all_done.recv_timeout(left).is_err() {
                tracing::warn!("a worker is too busy to take the new generation; it will");
                return;
            }
        }
    }
}

/// Sets what plugins find in their shared data.
fn fill_shared(commons: &Commons, generation: &Generation, shared: &[(Vec<u8>, Vec<u8>)]) {
    for slot in &generation.plugins {
        if let PluginSlot::Ready { plugin, .. } = slot {
            for (key, value) in shared {
                commons.set_shared_value(plugin.shared_space(), key, value);
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.drain();
    }
}
