//! Which instance a filter has for an exchange, and what happens if it has none.
//!
//! Owns the failure policy.

use std::rc::Rc;

use tidegate_core::failure::Failure;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Side;

use crate::exchange::state::Hold;
use crate::filters::Filter;
use crate::filters::run::FilterRun;
use crate::filters::run::HeadStep;
use crate::filters::run::Stop;
use crate::filters::vm::Exhausted;
use crate::filters::vm::Vm;

impl FilterRun<'_> {
    /// Sees to it that there is an instance for a new stream; gives the step of a filter that has
    /// none and is passed by.
    pub(super) async fn admit(&self, filter: &Filter, at: usize) -> Result<Option<HeadStep>, Stop> {
        filter.vm.ready().await;
        if !filter.vm.may_enter() {
            filter.vm.count_turned_away(filter.place, self.worker);
            return self.apply_policy(filter, at).map(Some);
        }
        if !filter.vm.is_pool() {
            return Ok(None);
        }
        // Rare, and large beside the rest.
        match Box::pin(filter.vm.own()).await {
            Ok(own) => {
                if let Some(known) = self.stream.state().filter(at) {
                    known.own = Some(own);
                }
                Ok(None)
            }
            Err(why) => {
                let plugin = filter.plugin.name();
                self.worker.counters.exhausted(plugin);
                let why = match why {
                    Exhausted::AllTaken => "all its instances are taken",
                    Exhausted::NoneReady => "none of its instances is ready",
                };
                self.stream.state().blame = Some(format!("plugin {plugin}: {why}"));
                self.fall_back(filter, at, Failure::PluginExhausted)
                    .map(Some)
            }
        }
    }

    /// The instance that a filter has for this exchange.
    pub(crate) fn vm(&self, filter: &Filter, at: usize) -> Rc<Vm> {
        if filter.vm.is_pool() {
            let state = self.stream.state();
            let own = state.filters.get(at).and_then(|known| known.own.as_ref());
            if let Some(own) = own {
                return Rc::clone(own);
            }
        }
        Rc::clone(&filter.vm)
    }

    /// What happens to a stream whose filter was ended, or is not entered.
    pub(super) fn apply_policy(&self, filter: &Filter, at: usize) -> Result<HeadStep, Stop> {
        if filter.plugin.spec().failure_policy == FailurePolicy::FailClosed {
            self.stream.state().blame = Some(format!("plugin {}", filter.plugin.name()));
        }
        self.fall_back(filter, at, Failure::PluginFault)
    }

    /// What happens to a stream whose filter cannot decide, because of that failure.
    fn fall_back(&self, filter: &Filter, at: usize, failure: Failure) -> Result<HeadStep, Stop> {
        match filter.plugin.spec().failure_policy {
            FailurePolicy::FailClosed => Err(Stop::Failure(failure)),
            FailurePolicy::FailOpen => {
                let mut state = self.stream.state();
                state.blame = None;
                if let Some(known) = state.filter(at) {
                    known.bypassed = true;
                    for side in [Side::Request, Side::Response] {
                        known.side(side).hold = Hold::No;
                    }
                }
                Ok(HeadStep::Continue)
            }
        }
    }
}
