//! Plugins in the path of exchanges, as one worker runs them.
//!
//! Owns the chain and its instances. What a filter decides is applied by `exchange`; how a guest is
//! entered is `host-abi`'s. Request callbacks run in chain order, response callbacks in reverse.

pub(crate) mod callout;
mod crypto;
pub(crate) mod dns;
pub(crate) mod fields;
mod hosts;
pub(crate) mod lent;
pub(crate) mod properties;
pub(crate) mod run;
pub(crate) mod services;
pub(crate) mod starter;
pub(crate) mod view;
pub(crate) mod vm;

use std::rc::Rc;
use std::sync::Arc;

use tidegate_core::filter::Filter as RuleFilter;
use tidegate_core::route::Rule;
use tidegate_core::snapshot::PluginId;
use tidegate_host_abi::Callback;
use tidegate_host_abi::Callbacks;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::Side;

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
}

/// What an exchange passes, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Chain {
    /// The plugins alone: bodies, contexts and logs are theirs.
    pub(crate) filters: Vec<Filter>,
    /// All that sees heads.
    pub(crate) steps: Vec<Step>,
    request_body: bool,
    response_body: bool,
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

impl Chain {
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether there is no plugin in it.
    pub(crate) fn has_no_plugins(&self) -> bool {
        self.filters.is_empty()
    }

    /// Adds a plugin; a refused one that fails open adds nothing.
    pub(crate) fn push_plugin(&mut self, filter: Result<&Filter, FailurePolicy>) {
        match filter {
            Ok(filter) => {
                self.request_body |= filter.callbacks.has(Callback::RequestBody);
                self.response_body |= filter.callbacks.has(Callback::ResponseBody);
                self.steps.push(Step::Plugin(self.filters.len()));
                self.filters.push(filter.clone());
            }
            Err(FailurePolicy::FailClosed) => self.steps.push(Step::Refused),
            Err(FailurePolicy::FailOpen) => {}
        }
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
