//! Every entry into a running guest.
//!
//! Owns what surrounds a call: whether the guest may be entered, its budget, what is counted, and
//! what becomes of it if it does not return well.

use wasmtime::{Store, TypedFunc, WasmParams, WasmResults};

use super::Instance;
use super::exports::Exports;
use crate::context::{Context, ContextId, Kind};
use crate::fault::{Fault, FaultKind};
use crate::functions::Callback;
use crate::lent::lend;
use crate::metrics::MetricHandle;
use crate::state::{Continued, State};
use crate::stream::Streams;
use crate::usage::Sample;

impl Instance {
    /// Refuses to enter a guest that was ended.
    pub(super) fn usable(&mut self) -> Result<(), Fault> {
        if self.is_faulted() {
            return Err(self.ended());
        }
        Ok(())
    }

    /// Why a guest that was ended was ended.
    #[cold]
    fn ended(&mut self) -> Fault {
        let callback = self.store.data().running.callback;
        let panicked = || Fault::host(callback, "the host panicked in this callback");
        self.fault.get_or_insert_with(panicked).clone()
    }

    /// The live context an embedder means, or the fault that it means none. Inlined: a result that is
    /// written to memory in parts and read as a whole takes longer than the look-up.
    #[inline(always)]
    pub(super) fn context(
        &mut self,
        id: ContextId,
        kind: Kind,
        callback: &'static str,
    ) -> Result<Context, Fault> {
        if !self.is_faulted()
            && let Some(context) = self.store.data().contexts.get(id)
            && context.kind == kind
        {
            return Ok(context);
        }
        Err(self.not_alive(id, callback))
    }

    /// Why no callback can be entered for a context.
    #[cold]
    fn not_alive(&mut self, id: ContextId, callback: &'static str) -> Fault {
        match self.usable() {
            Ok(()) => Fault::host(callback, format!("context {id} is not alive")),
            Err(fault) => fault,
        }
    }

    /// Enters the guest with a budget of its own.
    pub(super) fn enter<P: WasmParams, R: WasmResults>(
        &mut self,
        streams: &mut dyn Streams,
        call: Call,
        function: impl FnOnce(&Exports) -> Option<&TypedFunc<P, R>>,
        params: P,
    ) -> Result<Option<R>, Fault> {
        if !self.callbacks.has(call.callback) {
            return Ok(None);
        }
        let Some(function) = function(&self.exports) else {
            return Ok(None);
        };
        let Call {
            callback, context, ..
        } = call;
        let state = self.store.data_mut();
        state.budget.begin(self.call_budget);
        let sample = state
            .usage(context.plugin)
            .and_then(|usage| usage.begin(callback));
        self.broken = true;
        let result = enter(&mut self.store, streams, &call, function, params);
        self.broken = false;
        if sample.is_some() || self.store.data().budget.was_long() {
            self.measured(&context, callback, sample);
        }
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(self.faulted(call.name, &error)),
        }
    }

    /// Notes the time of a call.
    #[cold]
    fn measured(&mut self, context: &Context, callback: Callback, sample: Option<Sample>) {
        let state = self.store.data_mut();
        let long = state.budget.long_nanos();
        if let Some(usage) = state.usage(context.plugin) {
            usage.end(callback, sample, long);
        }
    }

    /// The guest was ended by that error. What it counted as under way is so no longer.
    #[cold]
    fn faulted(&mut self, callback: &'static str, error: &wasmtime::Error) -> Fault {
        let state = self.store.data();
        state.metrics.iter().for_each(MetricHandle::take_back);
        let fault = fault(state, callback, error);
        self.fault.insert(fault).clone()
    }
}

/// What an entry is, besides the function and its arguments.
pub(super) struct Call {
    pub(super) callback: Callback,
    pub(super) name: &'static str,
    pub(super) context: Context,
}

/// Enters the guest on whatever budget has begun.
pub(super) fn enter<P: WasmParams, R: WasmResults>(
    store: &mut Store<State>,
    streams: &mut dyn Streams,
    call: &Call,
    function: &TypedFunc<P, R>,
    params: P,
) -> wasmtime::Result<R> {
    let state = store.data_mut();
    state.contexts.keep_effective(&call.context);
    state.running.callback = call.name;
    state.running.plugin = call.context.plugin;
    state.running.continued = Continued::default();
    state.used.memory_refused = false;
    store.set_epoch_deadline(1);
    store.data().needed.mark();
    lend(
        store,
        |store| &mut store.data_mut().lent,
        streams,
        |store| function.call(store, params),
    )
}

/// The fault behind an error, told apart from one for lack of memory.
#[cold]
pub(super) fn fault(state: &State, callback: &'static str, error: &wasmtime::Error) -> Fault {
    let mut fault = Fault::from_guest(callback, error);
    if fault.kind == FaultKind::Trap && state.used.memory_refused {
        let limit = state.limits().map_or(0, |limits| limits.memory_bytes);
        fault.kind = FaultKind::OutOfMemory;
        fault.message = format!(
            "{} after it was refused more than {limit} bytes",
            fault.message
        )
        .into();
    }
    fault
}
