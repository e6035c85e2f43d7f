//! What a store holds beside the guest: everything host calls work on.
//!
//! Owns the state of one instance that outlives a callback, and of the callback that runs. It knows
//! nothing of linear memory beyond the cached handle.
//!
//! Invariant: it is `Send`, because an instance is started on one thread and serves on another.

mod lookups;
mod running;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Memory, TypedFunc};

use crate::budget::Budget;
use crate::calls::Calls;
use crate::context::{Context, ContextId, Contexts, Kind};
use crate::engine::Needed;
use crate::fault::HostCallError;
use crate::functions::{AbiVersion, ImportSet, Reach};
use crate::instance::{InstanceId, QueueEvent};
use crate::kinds::{LogLevel, Status};
use crate::lent::Lent;
use crate::limits::{Limits, ResourceUse};
use crate::metrics::MetricHandle;
use crate::plugin::Plugin;
use crate::services::{GuestLog, Services};
use crate::stream::StreamHost;
use crate::usage::Usage;
pub(crate) use lookups::Lookups;
pub(crate) use running::{Continued, Input, Running};

/// How many of a guest's last warnings are kept for an error at its start.
const KEPT_LINES: usize = 8;

/// How much of each is kept.
const KEPT_LINE_BYTES: usize = 2048;

/// The data of one store.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: InstanceId,
    pub(crate) services: Arc<dyn Services>,
    pub(crate) plugins: Vec<Root>,
    pub(crate) abi: AbiVersion,
    pub(crate) contexts: Contexts,
    pub(crate) lent: Lent,
    pub(crate) budget: Budget,
    pub(crate) used: ResourceUse,
    pub(crate) needed: Needed,
    pub(crate) running: Running,
    pub(crate) guest: GuestHandles,
    pub(crate) calls: Calls,
    pub(crate) lookups: Lookups,
    pub(crate) queue_events: Vec<QueueEvent>,
    /// The queues that root contexts registered.
    pub(crate) queues: Vec<(u32, ContextId)>,
    /// The instance is being started: what it registers may still have another owner.
    pub(crate) starting: bool,
    pub(crate) metrics: Vec<MetricHandle>,
    /// Reused for values on their way into the guest.
    pub(crate) scratch: Vec<u8>,
    pub(crate) ticks_changed: bool,
    /// The guest asked for a new instance in its place (Higress).
    pub(crate) rebuild_wanted: bool,
    /// A setup ended since this was last asked.
    pub(crate) setup_ended: bool,
    pub(crate) last_lines: VecDeque<String>,
    /// Misuse is answered as Envoy answers it.
    pub(crate) strict: bool,
    denied: ImportSet,
    /// What may not be called now: denied imports, and those the phase forbids.
    pub(crate) forbidden: ImportSet,
}

/// One plugin of the instance.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) context: ContextId,
    pub(crate) tick: Option<Duration>,
    pub(crate) end: RootEnd,
    /// Properties it declared, few.
    pub(crate) declared: Vec<Declared>,
    pub(crate) usage: Usage,
    pub(crate) setup: Setup,
}

/// What a plugin says of its own setup (`tidegate.setup_pending`, `tidegate.setup_done`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Setup {
    /// It is not waited for: there was none, or it went well.
    Done,
    /// The plugin asks to wait for it.
    Pending,
    /// It failed, for this reason.
    Failed(Box<str>),
}

/// A property that a plugin declared (Envoy's `declare_property`).
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) name: Box<str>,
    /// It can be set once in a stream.
    pub(crate) read_only: bool,
}

/// How far the end of a root context has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RootEnd {
    /// It serves.
    Alive,
    /// Its `on_done` asked to wait for `proxy_done`.
    Pending,
    /// `proxy_done` was called.
    Released,
    /// It was deleted.
    Gone,
}

/// Handles into the guest, cached because looking them up by name is slow.
#[derive(Default)]
pub(crate) struct GuestHandles {
    pub(crate) memory: Option<Memory>,
    pub(crate) allocator: Option<TypedFunc<u32, u32>>,
}

impl std::fmt::Debug for GuestHandles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestHandles")
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

/// The phases of an instance's life as far as host calls differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Initialising,
    Allocating,
    Serving,
}

impl State {
    pub(crate) fn new(
        id: InstanceId,
        plugins: &[Arc<Plugin>],
        lead: &Plugin,
        services: Arc<dyn Services>,
    ) -> Self {
        let root = |plugin: &Arc<Plugin>| Root {
            plugin: Arc::clone(plugin),
            context: ContextId::VM,
            tick: None,
            end: RootEnd::Alive,
            declared: Vec::new(),
            usage: Usage::default(),
            setup: Setup::Done,
        };
        Self {
            id,
            services,
            plugins: plugins.iter().map(root).collect(),
            abi: lead.module().abi_version(),
            contexts: Contexts::new(),
            lent: Lent::default(),
            budget: Budget::new(),
            used: ResourceUse::new(&lead.spec().limits),
            needed: lead.module().engine().ticker().needed().clone(),
            running: Running {
                callback: "start",
                plugin: 0,
                continued: Continued::default(),
                input: Input::None,
            },
            guest: GuestHandles::default(),
            calls: Calls::default(),
            lookups: Lookups::default(),
            queue_events: Vec::new(),
            queues: Vec::new(),
            starting: true,
            metrics: Vec::new(),
            scratch: Vec::new(),
            ticks_changed: false,
            rebuild_wanted: false,
            setup_ended: false,
            last_lines: VecDeque::new(),
            strict: lead.spec().strict,
            denied: lead.denied(),
            forbidden: lead.denied(),
        }
    }

    /// Changes the phase and returns what was forbidden before, to be put back.
    pub(crate) fn enter_phase(&mut self, phase: Phase) -> ImportSet {
        let before = self.forbidden;
        self.forbidden = self.denied.union(forbidden_in(phase));
        before
    }

    /// What the plugin at this place uses.
    pub(crate) fn usage(&mut self, plugin: usize) -> Option<&mut Usage> {
        self.plugins.get_mut(plugin).map(|root| &mut root.usage)
    }

    pub(crate) const fn denied(&self) -> ImportSet {
        self.denied
    }

    /// The plugin of the effective context; there is none only before the first one is known.
    pub(crate) fn root(&self) -> Option<&Root> {
        self.plugins.get(self.contexts.effective().plugin)
    }

    pub(crate) fn root_mut(&mut self) -> Option<&mut Root> {
        self.plugins.get_mut(self.contexts.effective().plugin)
    }

    pub(crate) fn limits(&self) -> Option<&Limits> {
        self.plugins.first().map(|root| &root.plugin.spec().limits)
    }

    /// Runs `visit` on the stream of the effective context, if it is one and is lent.
    pub(crate) fn with_stream<R>(
        &mut self,
        visit: impl FnOnce(&mut dyn StreamHost) -> R,
    ) -> Option<R> {
        let Context {
            id,
            kind: Kind::Stream,
            ..
        } = self.contexts.effective()
        else {
            return None;
        };
        let mut visit = Some(visit);
        let mut result = None;
        let mut once = |stream: &mut dyn StreamHost| {
            result = visit.take().map(|visit| visit(stream));
        };
        self.lent.with(|streams| streams.with_stream(id, &mut once));
        result
    }

    /// What a lenient host answers with OK and Envoy with this status.
    pub(crate) fn lenient(&self, status: Status) -> Result<(), HostCallError> {
        if self.strict {
            return Err(status.into());
        }
        Ok(())
    }

    /// Hands a line of the guest to the embedder and keeps it if it may explain a failed start.
    pub(crate) fn log(&mut self, level: LogLevel, message: &[u8]) {
        if level >= LogLevel::Warn {
            if self.last_lines.len() == KEPT_LINES {
                self.last_lines.pop_front();
            }
            let kept = message.get(..KEPT_LINE_BYTES).unwrap_or(message);
            self.last_lines
                .push_back(String::from_utf8_lossy(kept).into_owned());
        }
        self.speak(level, message);
    }

    /// Tells whoever reads the plugin's log what the host made of a call.
    pub(crate) fn note(&self, level: LogLevel, message: std::fmt::Arguments<'_>) {
        if level < self.services.log_level() {
            return;
        }
        self.speak(level, format!("host: {message}").as_bytes());
    }

    fn speak(&self, level: LogLevel, message: &[u8]) {
        if level < self.services.log_level() {
            return;
        }
        let (plugin, root_id) = self.root().map_or(("", ""), |root| {
            let spec = root.plugin.spec();
            (spec.name.as_str(), spec.root_id.as_str())
        });
        self.services.log(&GuestLog {
            plugin,
            root_id,
            level,
            message,
        });
    }
}

/// What a phase takes away.
fn forbidden_in(phase: Phase) -> ImportSet {
    use std::sync::LazyLock;

    static INITIALISING: LazyLock<ImportSet> =
        LazyLock::new(|| ImportSet::of(|import| import.reach < Reach::Start));
    static ALLOCATING: LazyLock<ImportSet> =
        LazyLock::new(|| ImportSet::of(|import| import.reach < Reach::Allocator));

    match phase {
        Phase::Initialising => *INITIALISING,
        Phase::Allocating => *ALLOCATING,
        Phase::Serving => ImportSet::EMPTY,
    }
}
