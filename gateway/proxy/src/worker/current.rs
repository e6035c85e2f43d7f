//! A generation as one worker runs it: chains of started filters, backends with their state.
//!
//! Owns what is looked up for each exchange. Chains of rules and states of backends are made when
//! they are first needed: a generation of ten thousand routes must not stop a worker when it
//! arrives.

use std::cell::OnceCell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;
use tidegate_core::backend::BackendId;
use tidegate_core::backend::Endpoint;
use tidegate_core::filter::Filter as RuleFilter;
use tidegate_core::route::Rule;
use tidegate_core::route::RuleId;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::PluginId;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::PluginKind;

use crate::exchange::request::RuleRef;
use crate::filters::Chain;
use crate::filters::Filter;
use crate::filters::Place;
use crate::filters::canary::Canaries;
use crate::filters::vm::Vm;
use crate::generation::Plan;
use crate::generation::Slot;
use crate::generation::VmId;
use crate::upstream::balance::BackendState;
use crate::upstream::balance::BackendStates;
use crate::upstream::balance::Target;

/// The configuration that exchanges see, with the filters that this worker runs for it.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) plan: Arc<Plan>,
    /// By plugin id; `Err` is a refused plugin's policy.
    filters: Vec<Result<Filter, FailurePolicy>>,
    /// By the address of the listener, which the plan keeps alive.
    listeners: HashMap<*const Listener, Rc<Chain>, RandomState>,
    chains: RefCell<HashMap<(*const Listener, RuleId), Rc<Chain>, RandomState>>,
    rules: RefCell<HashMap<RuleId, RuleRef, RandomState>>,
    backends: Vec<OnceCell<Rc<BackendState>>>,
    no_filters: Rc<Chain>,
}

impl Generation {
    /// The generation of `plan`, with the worker's VMs.
    pub(crate) fn new(
        plan: Arc<Plan>,
        vms: &HashMap<VmId, Rc<Vm>>,
        states: &BackendStates,
        canaries: &mut Canaries,
    ) -> Self {
        let mut filters: Vec<_> = plan
            .slots
            .iter()
            .enumerate()
            .map(|(id, slot)| filter(id, slot, vms))
            .collect();
        canaries.join(&plan, &mut filters);
        let mut backends = Vec::new();
        for backend in plan.snapshot.backends.iter() {
            // Their endpoints are known to their states only.
            let state = backend
                .dns
                .as_ref()
                .map(|_| states.of(&Target::of(backend, &plan.tls)));
            backends.push(state.map_or_else(OnceCell::new, OnceCell::from));
        }
        let mut generation = Self {
            plan,
            filters,
            listeners: HashMap::default(),
            chains: RefCell::default(),
            rules: RefCell::default(),
            backends,
            no_filters: Rc::default(),
        };
        let plan = Arc::clone(&generation.plan);
        for (_, bind) in &plan.binds {
            for listener in bind.listeners.values() {
                let mut chain = Chain::default();
                for id in &listener.plugins {
                    chain.push_plugin(generation.filter(*id));
                }
                if !chain.is_empty() {
                    chain.place = Some(generation.place(listener));
                    generation
                        .listeners
                        .insert(Arc::as_ptr(listener), Rc::new(chain));
                }
            }
        }
        generation
    }

    /// The bind at a place that this generation's plan has given.
    pub(crate) fn bind_at(&self, place: usize) -> &Bind {
        let bind = self.plan.binds.get(place);
        // Scenes are made by `Door::scene` only, from the plan of the same generation.
        &bind.expect("the place is one of this plan's").1
    }

    /// A plugin as a filter of HTTP here; `Err` is a refused plugin's policy.
    pub(crate) fn filter(&self, id: PluginId) -> Result<&Filter, FailurePolicy> {
        self.filter_of(id, PluginKind::Http)
    }

    /// A plugin as a filter of connections here; `Err` is a refused plugin's policy.
    pub(crate) fn network_filter(&self, id: PluginId) -> Result<&Filter, FailurePolicy> {
        self.filter_of(id, PluginKind::Network)
    }

    fn filter_of(&self, id: PluginId, kind: PluginKind) -> Result<&Filter, FailurePolicy> {
        match self.filters.get(id.0 as usize) {
            Some(Ok(filter)) if filter.plugin.spec().kind == kind => Ok(filter),
            Some(Err(policy)) => Err(*policy),
            // Of another kind: what names it all the same is refused.
            Some(Ok(_)) | None => Err(FailurePolicy::FailClosed),
        }
    }

    /// What every request of a listener passes.
    pub(crate) fn listener_chain(&self, listener: &Arc<Listener>) -> &Rc<Chain> {
        if self.listeners.is_empty() {
            return &self.no_filters;
        }
        self.listeners
            .get(&Arc::as_ptr(listener))
            .unwrap_or(&self.no_filters)
    }

    /// What a request of a listener passes once a rule has it: the listener's chain, then the
    /// rule's.
    pub(crate) fn rule_chain(&self, listener: &Arc<Listener>, rule: &Arc<Rule>) -> Rc<Chain> {
        let before = self.listener_chain(listener);
        if rule.filters.is_empty() {
            return Rc::clone(before);
        }
        let key = (Arc::as_ptr(listener), rule.id);
        let mut chains = self.chains.borrow_mut();
        let chain = chains.entry(key).or_insert_with(|| {
            let mut chain = Chain::clone(before);
            chain.push_rule(rule, self);
            if chain.place.is_none() {
                chain.place = Some(self.place(listener));
            }
            Rc::new(chain)
        });
        Rc::clone(chain)
    }

    /// Whether a rule has a filter that does not only look on.
    pub(crate) fn acts(&self, rule: &Rule) -> bool {
        rule.filters.iter().any(|filter| match filter {
            RuleFilter::Plugin(id) => match self.filter(*id) {
                Ok(filter) => filter.shadow.is_none(),
                Err(_) => true,
            },
            _ => true,
        })
    }

    fn place(&self, listener: &Arc<Listener>) -> Rc<Place> {
        Rc::new(Place {
            listener: Arc::clone(listener),
            snapshot: Arc::clone(&self.plan.snapshot),
        })
    }

    /// A rule as exchanges here hold it.
    pub(crate) fn rule(&self, rule: &Arc<Rule>) -> RuleRef {
        let mut rules = self.rules.borrow_mut();
        let known = rules
            .entry(rule.id)
            .or_insert_with(|| Rc::new(Arc::clone(rule)));
        Rc::clone(known)
    }

    /// The endpoints of a backend as they are now.
    pub(crate) fn endpoints(&self, id: BackendId) -> Option<Vec<Endpoint>> {
        match self.backends.get(id.0 as usize).and_then(OnceCell::get) {
            Some(state) => Some(state.endpoints()),
            None => Some(self.plan.snapshot.backends.get(id)?.endpoints.clone()),
        }
    }

    /// The state of a backend here.
    pub(crate) fn backend(
        &self,
        id: BackendId,
        states: &BackendStates,
    ) -> Option<&Rc<BackendState>> {
        let cell = self.backends.get(id.0 as usize)?;
        let backend = self.plan.snapshot.backends.get(id)?;
        Some(cell.get_or_init(|| states.of(&Target::of(backend, &self.plan.tls))))
    }
}

fn filter(id: usize, slot: &Slot, vms: &HashMap<VmId, Rc<Vm>>) -> Result<Filter, FailurePolicy> {
    match slot {
        Slot::Refused(policy) => Err(*policy),
        // It is no filter: what names it all the same is refused.
        Slot::Ready { plugin, .. } if plugin.spec().kind == PluginKind::Service => {
            Err(FailurePolicy::FailClosed)
        }
        Slot::Ready { plugin, vm, place } => {
            let vm = vms.get(vm).ok_or(plugin.spec().failure_policy)?;
            Ok(Filter {
                id: PluginId(u32::try_from(id).unwrap_or(u32::MAX)),
                plugin: Arc::clone(plugin),
                vm: Rc::clone(vm),
                place: *place,
                callbacks: plugin.callbacks(),
                canary: None,
                shadow: vm.gate().cloned(),
            })
        }
    }
}
