//! What is different about instances whose plugins only look on.
//!
//! Owns what they are kept from: calls to backends that are not for shadows fail as if nobody were
//! there, and the streams that asked for them are marked. What time they take is counted.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tidegate_host_abi::CalloutToken;

use crate::filters::services::Reach;
use crate::filters::shadow::gate::Gate;
use crate::filters::vm::Vm;

impl Vm {
    /// What the plugin at `place` may use, if it only looks on.
    pub(crate) fn gate(&self, place: usize) -> Option<&Rc<Gate>> {
        self.gates.get(place)
    }

    /// Whether the instance in place was kept from a call that it made for no stream: nobody knows what
    /// it would have decided with the answer.
    pub(crate) fn is_deprived(&self) -> bool {
        self.deprived.get() == Some(self.generation())
    }

    /// Whether what a shadow would have done may be told now.
    pub(crate) fn may_tell_difference(&self, plugin: &str) -> bool {
        self.services.may_tell_difference(plugin)
    }

    /// When a callback begins, if its time is counted.
    pub(super) fn clock(&self) -> Option<Instant> {
        (!self.gates.is_empty()).then(Instant::now)
    }

    /// A callback of the plugin at `place` has ended.
    pub(super) fn spend(&self, place: usize, begun: Instant) {
        if let Some(gate) = self.gate(place) {
            gate.spend(begun.elapsed());
        }
    }

    /// What a call may reach: all that its plugin may, or nothing if that is only for those that act.
    pub(crate) fn reach_of(&self, call: CalloutToken, backend: &str) -> Arc<Reach> {
        let reach = self.reach();
        let Some(gate) = self.gates.first() else {
            return reach;
        };
        // Those that share an instance have the same settings.
        let target = reach.backend(self.namespace(), backend);
        if target.is_some_and(|target| gate.may_call(target.backend.name.as_str())) {
            return reach;
        }
        let active = self.active.borrow();
        let asker = active.as_ref().and_then(|instance| instance.asker(call));
        let stream = asker.and_then(|asker| self.streams.get(asker));
        match stream {
            Some(stream) => stream.deprive(),
            None => self.deprived.set(Some(self.generation())),
        }
        Arc::default()
    }
}
