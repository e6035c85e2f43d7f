//! Plugins in the path of exchanges, as one worker runs them.
//!
//! Owns the chain and its instances. What a filter decides is applied by `exchange`; how a guest is
//! entered is `host-abi`'s. Request callbacks run in chain order, response callbacks in reverse.

pub(crate) mod callout;
pub(crate) mod canary;
pub(crate) mod crypto;
pub(crate) mod dns;
pub(crate) mod fields;
pub(crate) mod grpc;
mod hosts;
pub(crate) mod lent;
pub(crate) mod properties;
pub(crate) mod redis;
pub(crate) mod remarks;
pub(crate) mod run;
pub(crate) mod services;
pub(crate) mod shadow;
pub(crate) mod starter;
pub(crate) mod view;
pub(crate) mod vm;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tidegate_core::filter::Filter as RuleFilter;
use tidegate_core::route::Rule;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::Snapshot;
use tidegate_host_abi::Callback;
use tidegate_host_abi::Callbacks;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::Side;

use crate::filters::canary::Canary;
use crate::filters::shadow::gate::Gate;
use crate::filters::vm::Vm;
use crate::worker::Generation;

/// One plugin in the chain of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) id: PluginId,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) vm: Rc<Vm>,
    /// Its place among the plugins of the instance.
    pub(crate) place: usize,
    pub(crate) callbacks: Callbacks,
    /// The version of it that is tried, if streams are to be dealt.
    pub(crate) canary: Option<Rc<(Rc<Canary>, Self)>>,
    /// It only looks on: it is shown copies, within these bounds.
    pub(crate) shadow: Option<Rc<Gate>>,
}

/// What an exchange passes, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Chain {
    /// The plugins alone: bodies, contexts and logs are theirs.
    pub(crate) filters: Vec<Filter>,
    /// All that sees heads.
    pub(crate) steps: Vec<Step>,
    request_body: Bodies,
    response_body: Bodies,
    /// How many of the plugins only look on.
    shadows: usize,
    /// Whose requests pass it, for filters that ask.
    pub(crate) place: Option<Rc<Place>>,
    /// The places of filters of which streams may get another version.
    tried: Vec<usize>,
    /// The same with canaries, by which of [`Chain::tried`] they replace.
    variants: Variants,
}

/// Chains that streams with canaries have; a copy of a chain has none yet.
#[derive(Debug, Default)]
struct Variants(RefCell<Vec<(u64, Rc<Chain>)>>);

impl Clone for Variants {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::ops::Deref for Variants {
    type Target = RefCell<Vec<(u64, Rc<Chain>)>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Where exchanges of a chain belong.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) listener: Arc<Listener>,
    pub(crate) snapshot: Arc<Snapshot>,
}

/// What filters do with the bodies of a direction.
#[derive(Debug, Default, Clone, Copy)]
struct Bodies {
    are_seen: bool,
    may_change: bool,
    /// Some filter that only looks on wants copies.
    are_copied: bool,
}

impl Bodies {
    fn add(&mut self, filter: &Filter, side: Side) {
        if filter.shadow.is_some() {
            self.are_copied |= filter.sees_body(side) || filter.sees_trailers(side);
            return;
        }
        self.are_seen |= filter.sees_body(side) || filter.injects(side);
        self.may_change |= filter.edits_body(side);
    }
}

/// One step of a head.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The plugin at that place of [`Chain::filters`].
    Plugin(usize),
    /// A plugin that is refused and fails closed.
    Refused,
    /// That filter of a rule.
    Rule(Arc<Rule>, usize),
}

impl Filter {
    /// Whether it is called for bodies of this direction.
    pub(crate) fn sees_body(&self, side: Side) -> bool {
        self.callbacks.has(match side {
            Side::Request => Callback::RequestBody,
            Side::Response => Callback::ResponseBody,
        })
    }

    /// Whether it is called for trailers of this direction.
    pub(crate) fn sees_trailers(&self, side: Side) -> bool {
        self.callbacks.has(match side {
            Side::Request => Callback::RequestTrailers,
            Side::Response => Callback::ResponseTrailers,
        })
    }

    /// Whether it may change the length of bodies of this direction.
    fn edits_body(&self, side: Side) -> bool {
        self.injects(side) || self.sees_body(side) && self.plugin.module().may_edit_bodies()
    }

    /// Whether it may add to bodies of this direction whenever it likes.
    fn injects(&self, side: Side) -> bool {
        side == Side::Response && self.plugin.module().may_inject()
    }
}

impl Chain {
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// A chain of that filter alone, for a copy of an exchange.
    pub(crate) fn alone(filter: &Filter, place: Option<Rc<Place>>) -> Self {
        let mut chain = Self {
            place,
            ..Self::default()
        };
        let filter = Filter {
            shadow: None,
            ..filter.clone()
        };
        chain.push_plugin(Ok(&filter));
        chain
    }

    /// Whether there is no plugin in it.
    pub(crate) fn has_no_plugins(&self) -> bool {
        self.filters.is_empty()
    }

    /// Whether there is no plugin in it that could do anything: at most some that look on.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.filters.len() == self.shadows
    }

    /// Whether there is no step in it but plugins that look on.
    pub(crate) fn only_looks_on(&self) -> bool {
        self.steps.len() == self.shadows
    }

    /// Adds a plugin; a refused one that fails open adds nothing.
    pub(crate) fn push_plugin(&mut self, filter: Result<&Filter, FailurePolicy>) {
        match filter {
            Ok(filter) => {
                self.steps.push(Step::Plugin(self.filters.len()));
                self.push_filter(filter.clone());
            }
            Err(FailurePolicy::FailClosed) => self.steps.push(Step::Refused),
            Err(FailurePolicy::FailOpen) => {}
        }
    }

    fn push_filter(&mut self, filter: Filter) {
        self.request_body.add(&filter, Side::Request);
        self.response_body.add(&filter, Side::Response);
        self.shadows += usize::from(filter.shadow.is_some());
        if filter.canary.is_some() {
            self.tried.push(self.filters.len());
        }
        self.filters.push(filter);
    }

    /// Whether streams may get other versions of some of its plugins.
    pub(crate) fn is_dealt(&self) -> bool {
        !self.tried.is_empty()
    }

    /// Adds what a rule does.
    pub(crate) fn push_rule(&mut self, rule: &Arc<Rule>, generation: &Generation) {
        for (at, filter) in rule.filters.iter().enumerate() {
            match filter {
                RuleFilter::Plugin(id) => self.push_plugin(generation.filter(*id)),
                RuleFilter::ResponseHeaders(_) | RuleFilter::Redirect(_) | RuleFilter::Cors(_) => {
                    self.steps.push(Step::Rule(Arc::clone(rule), at));
                }
                // These are applied when the request leaves.
                RuleFilter::RequestHeaders(_) | RuleFilter::Rewrite(_) | RuleFilter::Mirror(_) => {}
            }
        }
    }

    /// The chain of an exchange that a filter's edit has moved to another rule: the plugins it has
    /// passed, then what of the other rule it has not. Returns also where the new part begins.
    pub(crate) fn moved_to(&self, rule: &Arc<Rule>, generation: &Generation) -> (Self, usize) {
        let mut chain = self.clone();
        // Header edits of the rule that was left are no longer asked for.
        chain.steps.retain(|step| !matches!(step, Step::Rule(..)));
        let begin = chain.steps.len();
        let passed = |id: &PluginId| self.filters.iter().any(|filter| filter.id == *id);
        let mut rest = Self::default();
        rest.push_rule(rule, generation);
        for step in rest.steps {
            match step {
                Step::Plugin(at) => {
                    if let Some(filter) = rest.filters.get(at)
                        && !passed(&filter.id)
                    {
                        chain.push_plugin(Ok(filter));
                    }
                }
                other => chain.steps.push(other),
            }
        }
        (chain, begin)
    }

    /// Whether any filter wants to see bodies of this direction.
    pub(crate) fn sees_bodies(&self, side: Side) -> bool {
        self.bodies(side).are_seen
    }

    /// Whether any filter may change the length of bodies of this direction.
    pub(crate) fn edits_bodies(&self, side: Side) -> bool {
        self.bodies(side).may_change
    }

    /// Whether any filter that only looks on wants copies of bodies or trailers of this direction.
    pub(crate) fn copies_bodies(&self, side: Side) -> bool {
        self.bodies(side).are_copied
    }

    fn bodies(&self, side: Side) -> Bodies {
        match side {
            Side::Request => self.request_body,
            Side::Response => self.response_body,
        }
    }

    /// The plugin that comes at this step of a body.
    pub(crate) fn at_step(&self, side: Side, step: usize) -> Option<usize> {
        let count = self.filters.len();
        match side {
            Side::Request => (step < count).then_some(step),
            Side::Response => count.checked_sub(step + 1),
        }
    }

    /// The step at which a plugin comes.
    pub(crate) fn step_of(&self, side: Side, filter: usize) -> usize {
        match side {
            Side::Request => filter,
            Side::Response => self.filters.len().saturating_sub(filter + 1),
        }
    }
}
