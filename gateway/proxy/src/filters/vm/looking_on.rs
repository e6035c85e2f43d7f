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
    /// What its plugin may use, if that only looks on.
    pub(crate) fn gate(&self) -> Option<&Rc<Gate>> {
        self.gate.as_ref()
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
        self.gate.is_some().then(Instant::now)
    }

    /// A callback of its plugin has ended.
    pub(super) fn spend(&self, begun: Instant) {
        if let Some(gate) = &self.gate {
            gate.spend(begun.elapsed());
        }
    }

    /// What a call may reach: all that its plugin may, or nothing if that is only for those that act.
    pub(crate) fn reach_of(&self, call: CalloutToken, backend: &str) -> Arc<Reach> {
        let reach = self.reach();
        let Some(gate) = &self.gate else {
            return reach;
        };
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
