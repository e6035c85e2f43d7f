//! The timers of root contexts.

use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;
use std::time::Duration;

use tidegate_host_abi::ContextId;

use crate::filters::vm::Vm;
use crate::simulation;

impl Vm {
    /// Ends all timers.
    pub(super) fn stop_ticks(&self) {
        for ticker in self.tickers.borrow_mut().drain(..) {
            ticker.abort();
        }
    }

    /// Starts the timers that root contexts want now.
    pub(super) fn restart_ticks(self: &Rc<Self>) {
        self.stop_ticks();
        let generation = self.generation();
        for place in 0..self.plugins.len() {
            let tick = {
                let active = self.active.borrow();
                active.as_ref().and_then(|instance| {
                    let root = instance.root(place)?;
                    Some((root, instance.tick_period(root)?))
                })
            };
            if let Some((root, period)) = tick {
                let vm = Rc::downgrade(self);
                let ticker = tokio::task::spawn_local(tick_for_ever(vm, generation, root, period));
                self.tickers.borrow_mut().push(ticker.abort_handle());
            }
        }
    }
}

async fn tick_for_ever(vm: Weak<Vm>, generation: u64, root: ContextId, period: Duration) {
    loop {
        let Some(services) = vm.upgrade().map(|vm| Arc::clone(&vm.services)) else {
            return;
        };
        simulation::sleep(services.simulation(), period).await;
        let Some(vm) = vm.upgrade() else { return };
        if vm.generation() != generation {
            return;
        }
        if vm
            .enter(None, |instance, streams| instance.on_tick(streams, root))
            .is_err()
        {
            return;
        }
    }
}
