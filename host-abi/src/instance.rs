//! An instance: one guest with its memory, serving the streams of one or more plugins.
//!
//! Owns the store and every entry into the guest. It is `Send` but used by one thread at a time: it
//! is started on a control thread and then moved to the worker that keeps it. It does no I/O; what
//! a guest asks for is queued, in the embedder's streams or here.
//!
//! Invariant: a guest that faulted is never entered again, a guest is never entered from a host
//! call (its allocator aside), and every context that was created is ended exactly once.
//!
//! Read `start` for how an instance comes to be, `callbacks` for the stream callbacks, `root` for
//! those of plugins, `calls` for answers to their calls.

mod callbacks;
mod calls;
mod dns;
mod entry;
mod exports;
mod network;
mod root;
mod start;
mod start_error;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::Store;

use crate::budget::budget_nanos;
use crate::context::{ContextId, Kind};
use crate::fault::Fault;
use crate::functions::Callbacks;
use crate::plugin::{Plugin, VmKey};
use crate::services::{CalloutToken, GrpcCommand, HttpCall, RedisCall};
use crate::shared::QueueOwner;
use crate::state::{Setup, State};
use crate::usage::Usage;
use exports::Exports;
pub use root::RootStatus;
pub use start_error::{StartError, StartStep};

/// Names an instance among all of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(u64);

impl InstanceId {
    fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    #[cfg(test)]
    pub(crate) const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// How far the setups of an instance's plugins are; see [`Instance::setup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupState<'a> {
    /// No plugin is waited for.
    Done,
    /// At least one plugin is waited for.
    Pending,
    /// One has failed.
    Failed {
        /// Its place among the plugins of the instance.
        place: usize,
        /// Why, in its own words.
        reason: &'a str,
    },
}

/// Items were put into a shared queue: the named root context is to be told by
/// [`Instance::on_queue_ready`], on whichever worker its instance is, as long as
/// [`crate::SharedStore::take_queue_signal`] says so. There is one event a queue, however many items
/// came: what waits to be delivered stays small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueEvent {
    /// The instance that registered the queue last. It may be gone.
    pub instance: InstanceId,
    /// Its root context.
    pub root: ContextId,
    /// The queue.
    pub queue: u32,
}

/// A running guest.
pub struct Instance {
    store: Store<State>,
    exports: Exports,
    callbacks: Callbacks,
    vm_key: VmKey,
    call_budget: u64,
    fault: Option<Fault>,
    /// Whether a callback was entered and did not return, because the embedder panicked in a host
    /// call: nobody knows what the guest was about to do then.
    broken: bool,
}

impl Instance {
    /// Its name among all instances of the process.
    #[must_use]
    pub fn id(&self) -> InstanceId {
        self.store.data().id
    }

    /// What its plugins have in common.
    #[must_use]
    pub const fn vm_key(&self) -> VmKey {
        self.vm_key
    }

    /// The plugins it serves, in the order they were given.
    pub fn plugins(&self) -> impl ExactSizeIterator<Item = &Arc<Plugin>> {
        self.store.data().plugins.iter().map(|root| &root.plugin)
    }

    /// The root context of the plugin at this place, if there is one.
    #[must_use]
    pub fn root(&self, plugin_index: usize) -> Option<ContextId> {
        self.store
            .data()
            .plugins
            .get(plugin_index)
            .map(|root| root.context)
    }

    /// The callbacks that exist and are allowed. The others answer without entering the guest.
    #[must_use]
    pub const fn callbacks(&self) -> Callbacks {
        self.callbacks
    }

    /// Whether the guest was ended. It is of no use then but to answer its fault.
    #[must_use]
    pub const fn is_faulted(&self) -> bool {
        self.fault.is_some() || self.broken
    }

    /// Why the guest was ended.
    #[must_use]
    pub const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// How many stream contexts are alive.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.store.data().contexts.count(Kind::Stream)
    }

    /// The bytes of linear memory the guest has.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.store
            .data()
            .guest
            .memory
            .map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Takes the HTTP calls that were asked for. Costs nothing if there are none.
    ///
    /// Specification: `proxy_http_call`.
    #[must_use]
    pub fn take_http_calls(&mut self) -> Vec<HttpCall> {
        let calls = &mut self.store.data_mut().calls;
        calls.taken(|calls| &mut calls.queued)
    }

    /// Takes what was asked for of gRPC calls and streams, in order. Costs nothing if there is
    /// nothing.
    #[must_use]
    pub fn take_grpc_commands(&mut self) -> Vec<GrpcCommand> {
        let calls = &mut self.store.data_mut().calls;
        calls.taken(|calls| &mut calls.grpc_queued)
    }

    /// Takes the Redis commands that were asked for, in order. Costs nothing if there are none.
    #[must_use]
    pub fn take_redis_calls(&mut self) -> Vec<RedisCall> {
        let calls = &mut self.store.data_mut().calls;
        calls.taken(|calls| &mut calls.redis_queued)
    }

    /// Takes whether the guest asked to be replaced by a new instance (Higress's property
    /// `wasm_need_rebuild`). The embedder does so when no stream is hurt by it, or not at all.
    #[must_use]
    pub fn take_rebuild_wish(&mut self) -> bool {
        std::mem::take(&mut self.store.data_mut().rebuild_wanted)
    }

    /// How far the setups of its plugins are. A plugin that has one asks in `proxy_on_configure` to
    /// be waited for, with the foreign function `tidegate.setup_pending`, and says how it ended with
    /// `tidegate.setup_done`, mostly from the answer to a call. The embedder makes the calls that
    /// were asked for meanwhile, and lets no stream in before it is done.
    #[must_use]
    pub fn setup(&self) -> SetupState<'_> {
        let plugins = &self.store.data().plugins;
        let failed = plugins.iter().enumerate();
        let failed = failed.filter_map(|(place, root)| match &root.setup {
            Setup::Failed(reason) => Some((place, &**reason)),
            Setup::Done | Setup::Pending => None,
        });
        if let Some((place, reason)) = failed.into_iter().next() {
            return SetupState::Failed { place, reason };
        }
        match plugins.iter().any(|root| root.setup == Setup::Pending) {
            true => SetupState::Pending,
            false => SetupState::Done,
        }
    }

    /// Takes whether a setup has ended since this was last asked.
    #[must_use]
    pub fn take_setup_end(&mut self) -> bool {
        std::mem::take(&mut self.store.data_mut().setup_ended)
    }

    /// Becomes the owner of all queues that its root contexts registered: it is told of new items.
    ///
    /// A queue that is registered while an instance starts keeps the owner it has: a spare must not
    /// take the items of the instance that serves. Call this when the instance begins to serve.
    pub fn claim_queues(&self) {
        let state = self.store.data();
        if state.queues.is_empty() {
            return;
        }
        let mut queues = state.services.shared().queues();
        for (token, root) in &state.queues {
            let owner = QueueOwner {
                instance: state.id,
                root: *root,
            };
            queues.claim(*token, owner);
        }
    }

    /// Whether the guest asked for anything that is to be taken: calls, lookups, events, timers, its
    /// replacement. Cheaper than to take it all and find nothing.
    #[must_use]
    pub fn has_wishes(&self) -> bool {
        let state = self.store.data();
        state.ticks_changed
            || state.rebuild_wanted
            || state.setup_ended
            || !state.queue_events.is_empty()
            || !state.lookups.queued.is_empty()
            || state.calls.has_queued()
    }

    /// Takes the events of shared queues, which may concern any instance; one a queue.
    ///
    /// Specification: `proxy_enqueue_shared_queue`.
    #[must_use]
    pub fn take_queue_events(&mut self) -> Vec<QueueEvent> {
        std::mem::take(&mut self.store.data_mut().queue_events)
    }

    /// How often a root context wants [`Instance::on_tick`]; `None` is never.
    ///
    /// Specification: `proxy_set_tick_period_milliseconds`.
    #[must_use]
    pub fn tick_period(&self, root: ContextId) -> Option<Duration> {
        let state = self.store.data();
        state
            .plugins
            .iter()
            .find(|plugin| plugin.context == root)?
            .tick
    }

    /// Whether any tick period was changed since this was last asked.
    #[must_use]
    pub fn tick_periods_changed(&mut self) -> bool {
        std::mem::take(&mut self.store.data_mut().ticks_changed)
    }

    /// Takes what the plugin at this place has used since this was last asked.
    #[must_use]
    pub fn take_usage(&mut self, plugin_index: usize) -> Usage {
        let usage = self.store.data_mut().usage(plugin_index);
        usage.map(std::mem::take).unwrap_or_default()
    }

    /// How many calls of the plugin at this place wait for an answer.
    #[must_use]
    pub fn open_calls(&self, plugin_index: usize) -> usize {
        let open = self.store.data().calls.open.values();
        open.filter(|call| call.plugin == plugin_index).count()
    }

    /// The context that made a call: a stream's, or the root of its plugin; `None` once the call is over.
    #[must_use]
    pub fn asker(&self, call: CalloutToken) -> Option<ContextId> {
        let call = self.store.data().calls.open.get(&call.0)?;
        Some(call.asker)
    }

    /// The place of the plugin whose callback was entered last: the one to blame for a fault.
    #[must_use]
    pub fn last_plugin(&self) -> usize {
        self.store.data().running.plugin
    }
}

fn call_budget(plugin: &Plugin) -> u64 {
    budget_nanos(plugin.spec().limits.call_timeout)
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("id", &self.id())
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
