//! A connection's way through its filters: its beginning, its data, its end.
//!
//! Owns the order of callbacks and contexts, and the failure policy. What the client sends passes
//! the filters in order, what the origin sends in reverse. A filter that holds sees everything it
//! has held so far, each time more comes; what it lets pass is never shown to it again. It moves no
//! bytes on sockets: [`super::relay`] feeds it and writes what comes out.

mod begin;
pub(super) mod data;

use std::rc::Rc;

use tidegate_core::failure::Failure;
use tidegate_core::tcp::TcpRule;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Side;

use crate::filters::Filter;
use crate::filters::lent::Current;
use crate::filters::vm::Vm;
use crate::tcp::stream::ConnectionCell;
use crate::worker::Generation;
use crate::worker::Worker;

/// The filters of one connection.
#[derive(Debug)]
pub(super) struct Filters<'a> {
    worker: &'a Worker,
    chain: Rc<[Filter]>,
    stream: Rc<ConnectionCell>,
    limits: HoldLimits,
    /// Older plugins and what they share live for as long as connections that pass them.
    _generation: Rc<Generation>,
}

/// What filters may hold back.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoldLimits {
    /// How long.
    pub(super) pause: std::time::Duration,
    /// How many bytes of a direction, before nothing more of it is read.
    pub(super) bytes: usize,
}

/// The filters of a rule.
///
/// # Errors
///
/// [`Failure::PluginUnavailable`]: one of them is refused, and fails closed.
pub(super) fn chain(rule: &TcpRule, generation: &Generation) -> Result<Vec<Filter>, Failure> {
    let mut chain = Vec::new();
    for id in &rule.plugins {
        match generation.network_filter(*id) {
            Ok(filter) => chain.push(filter.clone()),
            Err(FailurePolicy::FailClosed) => return Err(Failure::PluginUnavailable),
            Err(FailurePolicy::FailOpen) => {}
        }
    }
    Ok(chain)
}

impl<'a> Filters<'a> {
    /// The filters that a connection is to pass.
    pub(super) fn new(
        worker: &'a Worker,
        chain: Vec<Filter>,
        stream: &Rc<ConnectionCell>,
        limits: HoldLimits,
        generation: &Rc<Generation>,
    ) -> Self {
        let chain = {
            let mut state = stream.state();
            state.follow(chain);
            Rc::clone(&state.chain)
        };
        Self {
            worker,
            chain,
            stream: Rc::clone(stream),
            limits,
            _generation: Rc::clone(generation),
        }
    }

    /// The instance that a filter has for this connection.
    fn vm(&self, filter: &Filter, at: usize) -> Rc<Vm> {
        let state = self.stream.state();
        let own = state.filters.get(at).and_then(|known| known.own.as_ref());
        Rc::clone(own.unwrap_or(&filter.vm))
    }

    fn current(&self, context: ContextId, filter: usize) -> Current<'_> {
        Current {
            context,
            stream: (&self.stream).into(),
            filter,
        }
    }

    /// The context of a filter that is to be entered; `None` if it is passed by.
    ///
    /// One whose instance was ended owes every decision about the connection: there is no other
    /// that knows what was said on it.
    fn context(&self, filter: &Filter, at: usize) -> Result<Option<ContextId>, Failure> {
        let known = {
            let state = self.stream.state();
            match state.filters.get(at) {
                Some(known) if !known.bypassed => known.context,
                _ => return Ok(None),
            }
        };
        match known {
            Some((context, of)) if of == self.vm(filter, at).generation() => Ok(Some(context)),
            _ => self.apply_policy(filter, at).map(|()| None),
        }
    }

    /// What happens to a connection whose filter was ended, or is not entered.
    fn apply_policy(&self, filter: &Filter, at: usize) -> Result<(), Failure> {
        self.fall_back(filter, at, Failure::PluginFault, "")
    }

    /// What happens to a connection whose filter cannot decide, because of that failure.
    fn fall_back(
        &self,
        filter: &Filter,
        at: usize,
        failure: Failure,
        why: &str,
    ) -> Result<(), Failure> {
        match filter.plugin.spec().failure_policy {
            FailurePolicy::FailClosed => {
                self.blame(at, why);
                Err(failure)
            }
            FailurePolicy::FailOpen => {
                if let Some(known) = self.stream.state().filters.get_mut(at) {
                    known.bypassed = true;
                }
                Ok(())
            }
        }
    }

    /// Says in the log which filter is to blame, and for what.
    fn blame(&self, at: usize, why: &str) {
        let plugin = self.chain.get(at).map_or("", |filter| filter.plugin.name());
        let separator = if why.is_empty() { "" } else { " " };
        self.stream.state().facts.details = format!("plugin {plugin}{separator}{why}");
    }

    /// What filters asked for in their last callbacks.
    fn check_requests(&self) -> Result<(), Failure> {
        if self.stream.state().closed {
            return Err(Failure::PluginClosedStream);
        }
        Ok(())
    }

    /// The plugin that comes at this step of a direction.
    fn at_step(&self, side: Side, step: usize) -> Option<usize> {
        match side {
            Side::Request => Some(step),
            Side::Response => self.chain.len().checked_sub(step + 1),
        }
    }

    /// The step at which a plugin comes.
    fn step_of(&self, side: Side, at: usize) -> usize {
        match side {
            Side::Request => at,
            Side::Response => self.chain.len().saturating_sub(at + 1),
        }
    }
}

/// Ends every context of a connection: closed, done, log, delete. In chain order, once.
pub(super) fn finish(stream: &Rc<ConnectionCell>) {
    let (chain, by) = {
        let state = stream.state();
        (Rc::clone(&state.chain), state.facts.closed_by)
    };
    for (at, filter) in chain.iter().enumerate() {
        let (context, own) = match stream.state().filters.get_mut(at) {
            Some(known) => (known.context.take(), known.own.take()),
            None => (None, None),
        };
        if let Some((context, generation)) = context {
            let vm = own.as_ref().unwrap_or(&filter.vm);
            if generation == vm.generation() {
                let current = Current {
                    context,
                    stream: stream.into(),
                    filter: at,
                };
                // A fault is dealt with where it happens: nothing is owed any more.
                vm.enter(Some(current), |instance, streams| {
                    instance.on_downstream_close(streams, context, by)
                })
                .ok();
            }
            vm.finish_stream(context, generation, stream.into(), at);
        }
        if let Some(own) = own {
            own.shutdown();
        }
    }
}
