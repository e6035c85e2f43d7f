//! What a guest asked for in its callbacks, and what it is told of its queues.
//!
//! Owns that all of it is done after the callback has returned.

use std::rc::Rc;

use tidegate_host_abi::QueueEvent;
use tidegate_host_abi::Services as _;

use crate::filters::callout;
use crate::filters::dns;
use crate::filters::redis;
use crate::filters::vm::Vm;

/// Items of a queue that its owner is told of before the worker looks at anything else.
const TOLD_AT_ONCE: usize = 64;

impl Vm {
    /// Does what the guest asked for in its last callback.
    #[cold]
    pub(super) fn settle(self: &Rc<Self>) {
        let mut setup_ended = false;
        let (calls, grpc, redis_calls, lookups, events, ticks_changed) = {
            let mut active = self.active.borrow_mut();
            let Some(instance) = active.as_mut() else {
                return;
            };
            let events = instance.take_queue_events();
            if instance.take_rebuild_wish() {
                self.renew.set(true);
            }
            if instance.take_setup_end() {
                setup_ended = true;
            }
            (
                instance.take_http_calls(),
                instance.take_grpc_commands(),
                instance.take_redis_calls(),
                instance.take_dns_lookups(),
                events,
                instance.tick_periods_changed(),
            )
        };
        if let Some(worker) = self.worker.upgrade().filter(|_| !events.is_empty()) {
            worker.announce(&events);
        }
        for call in calls {
            callout::start(self, call);
        }
        for command in grpc {
            self.grpc.run(self, command);
        }
        for call in redis_calls {
            redis::start(self, call);
        }
        for lookup in lookups {
            dns::start(self, lookup);
        }
        if ticks_changed {
            self.restart_ticks();
        }
        if setup_ended {
            self.on_setup_end();
        }
        if self.renew.get() {
            self.renew_if_idle();
        }
    }

    /// A queue of a root context of ours may have a new item. The instance that registered it last
    /// may be a spare, or lost: the one in service, with the same root contexts, speaks for all of
    /// them.
    pub(crate) fn on_queue_event(self: &Rc<Self>, event: QueueEvent) {
        if let Some(pool) = &self.pool {
            for own in pool.living() {
                own.on_queue_event(event);
            }
            return;
        }
        if !self.names.borrow().contains(&event.instance) {
            return;
        }
        for _ in 0..TOLD_AT_ONCE {
            if !self.services.shared().take_queue_signal(event.queue) {
                return;
            }
            let told = self.enter(None, |instance, streams| {
                instance.on_queue_ready(streams, event.root, event.queue)
            });
            if told.is_err() {
                tracing::debug!("a queue's owner ended when it was told of an item");
                return;
            }
        }
        // The worker has other work, too.
        if let Some(worker) = self.worker.upgrade() {
            worker.announce_here(event);
        }
    }
}
