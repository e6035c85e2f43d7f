//! What instances have used, brought together now and then.
//!
//! Owns the way from the counters inside instances to those that scrapes read: a worker collects
//! between two exchanges, and when an instance ends. On the path of a request streams are counted by
//! version, and nothing else.

use tidegate_host_abi::FaultKind;
use tidegate_host_abi::Instance;

use crate::filters::vm::Vm;
use crate::metrics::PluginGauges;
use crate::metrics::Shard;
use crate::worker::Worker;

impl Vm {
    /// What the plugin at `place` meets on this worker.
    fn shard(&self, place: usize, worker: &Worker) -> Option<&Shard> {
        self.tallies.get(place)?.shard(worker.index())
    }

    /// A stream comes to the plugin at `place`.
    pub(crate) fn count_stream(&self, place: usize, worker: &Worker) {
        if let Some(shard) = self.shard(place, worker) {
            shard.stream();
        }
    }

    /// A stream came to the plugin at `place` and could not enter it: it keeps running out of time, or
    /// there was no instance after a trap.
    pub(crate) fn count_turned_away(&self, place: usize, worker: &Worker) {
        if let Some(shard) = self.shard(place, worker) {
            if self.breaker.borrow().is_open() {
                shard.deadline();
            } else {
                shard.trap();
            }
        }
    }

    /// The plugin at `place` was ended.
    pub(super) fn count_fault(&self, place: usize, kind: FaultKind, worker: &Worker) {
        if let Some(shard) = self.shard(place, worker) {
            match kind {
                FaultKind::Deadline => shard.deadline(),
                _ => shard.trap(),
            }
        }
    }

    /// Adds what its instances have used since it was last asked to the worker's counters.
    pub(crate) fn collect(&self) {
        if let Some(pool) = &self.pool {
            for own in pool.living() {
                own.collect();
            }
        }
        if let Some(instance) = self.active.borrow_mut().as_mut() {
            self.collect_from(instance);
        }
    }

    /// The same for an instance that leaves.
    pub(super) fn collect_from(&self, instance: &mut Instance) {
        let Some(worker) = self.worker.upgrade() else {
            return;
        };
        for (place, plugin) in self.plugins.iter().enumerate() {
            let usage = instance.take_usage(place);
            if !usage.is_empty() {
                worker.counters.used(plugin.name(), &usage);
            }
        }
    }

    /// Calls `visit` with each plugin and how it stands now.
    pub(crate) fn gauges(&self, visit: &mut impl FnMut(&str, PluginGauges)) {
        if let Some(pool) = &self.pool {
            for own in pool.living() {
                own.gauges(visit);
            }
        }
        let active = self.active.borrow();
        let Some(instance) = active.as_ref() else {
            return;
        };
        for (place, plugin) in self.plugins.iter().enumerate() {
            // Plugins that share an instance share its memory: it is counted once.
            let is_first = u64::from(place == 0);
            let paused = self.streams.count(|known| known.is_held_by(place));
            visit(
                plugin.name(),
                PluginGauges {
                    instances: is_first,
                    memory_bytes: is_first * instance.memory_bytes() as u64,
                    open_calls: instance.open_calls(place) as u64,
                    paused: paused as u64,
                },
            );
        }
    }
}
