//! Plugins in the path of exchanges, as one worker runs them.
//!
//! Owns the chain and its instances. What a filter decides is applied by `exchange`; how a guest is
//! entered is `host-abi`'s. Request callbacks run in chain order, response callbacks in reverse.

pub(crate) mod callout;
pub(crate) mod fields;
pub(crate) mod lent;
pub(crate) mod properties;
pub(crate) mod run;
pub(crate) mod services;
pub(crate) mod starter;
pub(crate) mod view;
pub(crate) mod vm;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tidegate_host_abi::Callback;
use tidegate_host_abi::Callbacks;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::Side;
use tidegate_host_abi::VmKey;

use crate::filters::vm::Vm;

/// One plugin in the chain of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) vm: Rc<Vm>,
    /// Its place among the plugins of the instance.
    pub(crate) place: usize,
    pub(crate) callbacks: Callbacks,
}

/// The filters that every exchange passes, in order.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) filters: Vec<Filter>,
    request_body: bool,
    response_body: bool,
}

impl Chain {
    pub(crate) fn new(filters: Vec<Filter>) -> Self {
        Self {
            request_body: filters
                .iter()
                .any(|filter| filter.callbacks.has(Callback::RequestBody)),
            response_body: filters
                .iter()
                .any(|filter| filter.callbacks.has(Callback::ResponseBody)),
            filters,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Whether any filter wants to see bodies of this direction.
    pub(crate) fn sees_bodies(&self, side: Side) -> bool {
        match side {
            Side::Request => self.request_body,
            Side::Response => self.response_body,
        }
    }

    /// The filter that comes at this step of a direction.
    pub(crate) fn at_step(&self, side: Side, step: usize) -> Option<usize> {
        let count = self.filters.len();
        match side {
            Side::Request => (step < count).then_some(step),
            Side::Response => count.checked_sub(step + 1),
        }
    }

    /// The step at which a filter comes.
    pub(crate) fn step_of(&self, side: Side, filter: usize) -> usize {
        match side {
            Side::Request => filter,
            Side::Response => self.filters.len().saturating_sub(filter + 1),
        }
    }
}

/// Plugins grouped by the instance they share, in order of first appearance.
pub(crate) fn by_vm(plugins: &[Arc<Plugin>]) -> Vec<Vec<Arc<Plugin>>> {
    let mut places: HashMap<VmKey, usize> = HashMap::new();
    let mut groups: Vec<Vec<Arc<Plugin>>> = Vec::new();
    for plugin in plugins {
        let place = *places.entry(plugin.vm_key()).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.push(Arc::clone(plugin));
        }
    }
    groups
}
