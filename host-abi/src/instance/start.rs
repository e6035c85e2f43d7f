//! From plugins to an instance that serves: instantiate, initialise, start, configure.
//!
//! Owns the order of these steps and what is said when one fails. All of it runs on one budget, the
//! start timeout, and on a thread that serves no traffic.
//!
//! Invariant: an instance exists only if all its plugins accepted their configurations.

use std::sync::Arc;

use wasmtime::{Store, TypedFunc, UpdateDeadline};

use super::entry::{Call, enter, fault};
use super::exports::{Exports, typed};
use super::{Instance, InstanceId, StartError, StartStep, call_budget};
use crate::budget::budget_nanos;
use crate::context::{Context, ContextId, Kind};
use crate::fault::{Fault, FaultKind, GuestExit};
use crate::functions::Callback;
use crate::plugin::Plugin;
use crate::services::Services;
use crate::state::{GuestHandles, Input, Phase, State};
use crate::stream::NoStreams;

impl Instance {
    /// Starts a guest for plugins that share a VM key.
    ///
    /// Specification: `_initialize`, `_start`, `proxy_on_context_create`, `proxy_on_vm_start`,
    /// `proxy_on_configure`.
    ///
    /// This may take as long as the start timeout: never call it on a worker.
    ///
    /// # Errors
    /// [`StartError`] names the step and the plugin, and carries what the guest logged last.
    pub fn start(plugins: &[Arc<Plugin>], services: Arc<dyn Services>) -> Result<Self, StartError> {
        let lead = plan(plugins)?;
        let mut start = Start {
            store: store(plugins, lead, services),
            lead,
        };
        let guest = start.instantiate()?;
        start.initialise(&guest)?;
        let exports = Exports::find(&mut start.store, &guest);
        for (place, plugin) in plugins.iter().enumerate() {
            start.plugin(&exports, place, plugin)?;
        }
        start.store.data_mut().starting = false;
        Ok(Self {
            store: start.store,
            exports,
            callbacks: lead.callbacks(),
            vm_key: lead.vm_key(),
            call_budget: call_budget(lead),
            fault: None,
            broken: false,
        })
    }
}

/// The plugin whose limits and permissions count, which are the same for all.
fn plan(plugins: &[Arc<Plugin>]) -> Result<&Plugin, StartError> {
    let error = |plugin: &str, why: Arc<str>| StartError {
        step: StartStep::Plan,
        plugin: plugin.to_owned(),
        fault: Some(Fault::host("start", why)),
        log: Vec::new(),
    };
    let lead = plugins
        .first()
        .ok_or_else(|| error("", "no plugin was given".into()))?;
    let unportable = lead.module().unportable_imports();
    if lead.spec().strict && !unportable.is_empty() {
        let why = format!("Envoy does not give it {}", unportable.join(", "));
        return Err(error(lead.name(), why.into()));
    }
    match plugins
        .iter()
        .find(|plugin| plugin.vm_key() != lead.vm_key())
    {
        Some(odd) => Err(error(
            odd.name(),
            "it needs an instance of another kind".into(),
        )),
        None => Ok(lead),
    }
}

fn store(plugins: &[Arc<Plugin>], lead: &Plugin, services: Arc<dyn Services>) -> Store<State> {
    let state = State::new(InstanceId::new(), plugins, lead, services);
    let mut store = Store::new(lead.module().engine().wasmtime(), state);
    store.limiter(|state| &mut state.used);
    store.epoch_deadline_callback(|mut store| {
        let state = store.data_mut();
        state.needed.mark();
        match state.budget.tick() {
            Ok(()) => Ok(UpdateDeadline::Continue(1)),
            Err(passed) => Err(wasmtime::Error::new(passed)),
        }
    });
    store
}

/// A start under way.
struct Start<'p> {
    store: Store<State>,
    lead: &'p Plugin,
}

impl Start<'_> {
    fn instantiate(&mut self) -> Result<wasmtime::Instance, StartError> {
        let limit = budget_nanos(self.lead.spec().limits.start_timeout);
        let state = self.store.data_mut();
        state.enter_phase(Phase::Initialising);
        state.budget.begin_now(limit);
        self.store.set_epoch_deadline(1);
        self.store.data().needed.mark();
        let ready = self.lead.module().ready();
        let guest = ready.instantiate(&mut self.store).map_err(|error| {
            let mut fault = fault(self.store.data(), "start", &error);
            if self.store.data().used.memory_refused {
                fault.kind = FaultKind::OutOfMemory;
            }
            self.error(StartStep::Instantiate, self.lead, Some(fault))
        })?;
        let allocator = typed(&mut self.store, &guest, "proxy_on_memory_allocate")
            .or_else(|| typed(&mut self.store, &guest, "malloc"));
        let memory = guest.get_memory(&mut self.store, "memory");
        self.store.data_mut().guest = GuestHandles { memory, allocator };
        Ok(guest)
    }

    /// Runs a reactor's `_initialize` and its `main`, or else a command's `_start`.
    fn initialise(&mut self, guest: &wasmtime::Instance) -> Result<(), StartError> {
        let store = &mut self.store;
        let entered = if let Some(initialise) = typed::<(), ()>(store, guest, "_initialize") {
            self.run("_initialize", &initialise, ())?;
            let store = &mut self.store;
            if let Some(main) = typed::<(u32, u32), u32>(store, guest, "main") {
                self.run("main", &main, (0, 0)).map(|_| ())
            } else if let Some(main) = typed::<(), u32>(store, guest, "__main_void") {
                self.run("__main_void", &main, ()).map(|_| ())
            } else {
                Ok(())
            }
        } else if let Some(start) = typed::<(), ()>(store, guest, "_start") {
            self.run("_start", &start, ()).map(|_| ())
        } else {
            Ok(())
        };
        self.store.data_mut().enter_phase(Phase::Serving);
        entered
    }

    /// Runs one entry point; a guest that leaves it by `exit(0)` has simply returned.
    fn run<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
        &mut self,
        name: &'static str,
        function: &TypedFunc<P, R>,
        params: P,
    ) -> Result<Option<R>, StartError> {
        self.store.data_mut().running.callback = name;
        match function.call(&mut self.store, params) {
            Ok(result) => Ok(Some(result)),
            Err(error)
                if error
                    .downcast_ref::<GuestExit>()
                    .is_some_and(|exit| exit.0 == 0) =>
            {
                Ok(None)
            }
            Err(error) => {
                let fault = fault(self.store.data(), name, &error);
                Err(self.error(StartStep::Initialise, self.lead, Some(fault)))
            }
        }
    }

    /// Creates, starts and configures the root context of one plugin.
    fn plugin(
        &mut self,
        exports: &Exports,
        place: usize,
        plugin: &Plugin,
    ) -> Result<(), StartError> {
        let state = self.store.data_mut();
        let id = state.contexts.add(Kind::Root, place);
        if let Some(root) = state.plugins.get_mut(place) {
            root.context = id;
        }
        self.create(exports, place, id, plugin)?;

        let vm_config = Step {
            step: StartStep::VmStart,
            callback: Callback::VmStart,
            name: "proxy_on_vm_start",
            input: Input::VmConfiguration,
            size: plugin.spec().vm_config.len(),
        };
        self.ask(
            plugin,
            context(id, place),
            vm_config,
            exports.vm_start.as_ref(),
        )?;
        let config = Step {
            step: StartStep::Configure,
            callback: Callback::Configure,
            name: "proxy_on_configure",
            input: Input::PluginConfiguration,
            size: plugin.spec().config.len(),
        };
        self.ask(
            plugin,
            context(id, place),
            config,
            exports.configure.as_ref(),
        )
    }

    fn create(
        &mut self,
        exports: &Exports,
        place: usize,
        id: ContextId,
        plugin: &Plugin,
    ) -> Result<(), StartError> {
        let Some(create) = &exports.context_create else {
            return Ok(());
        };
        if !plugin.has(Callback::ContextCreate) {
            return Ok(());
        }
        let call = Call {
            callback: Callback::ContextCreate,
            name: "proxy_on_context_create",
            context: context(id, place),
        };
        let name = call.name;
        enter(
            &mut self.store,
            &mut NoStreams,
            &call,
            create,
            (id.get(), 0),
        )
        .map_err(|error| fault(self.store.data(), name, &error))
        .map_err(|fault| self.error(StartStep::ContextCreate, plugin, Some(fault)))
    }

    /// Runs a callback that may refuse by answering 0.
    fn ask(
        &mut self,
        plugin: &Plugin,
        context: Context,
        Step {
            step,
            callback,
            name,
            input,
            size,
        }: Step,
        function: Option<&TypedFunc<(u32, u32), u32>>,
    ) -> Result<(), StartError> {
        let Some(function) = function.filter(|_| plugin.has(callback)) else {
            return Ok(());
        };
        let params = (context.id.get(), u32::try_from(size).unwrap_or(u32::MAX));
        let call = Call {
            callback,
            name,
            context,
        };
        self.store.data_mut().running.input = input;
        let answer = enter(&mut self.store, &mut NoStreams, &call, function, params)
            .map_err(|error| fault(self.store.data(), name, &error))
            .map_err(|fault| self.error(step, plugin, Some(fault)))?;
        self.store.data_mut().running.input = Input::None;
        match answer {
            0 => Err(self.error(step, plugin, None)),
            _ => Ok(()),
        }
    }

    fn error(&self, step: StartStep, plugin: &Plugin, fault: Option<Fault>) -> StartError {
        let log = self.store.data().last_lines.iter().cloned().collect();
        StartError {
            step,
            plugin: plugin.name().to_owned(),
            fault,
            log,
        }
    }
}

/// A callback of a start that may refuse.
struct Step {
    step: StartStep,
    callback: Callback,
    name: &'static str,
    input: Input,
    size: usize,
}

const fn context(id: ContextId, plugin: usize) -> Context {
    Context {
        id,
        kind: Kind::Root,
        plugin,
    }
}
