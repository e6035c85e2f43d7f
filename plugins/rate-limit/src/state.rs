//! What the setup makes of the configuration: the stores and the counters of each limit.

use tidegate_policy::Decisions;
use tidegate_policy::decisions;
use tidegate_sdk::metrics::Counter;
use tidegate_sdk::prelude::*;

use crate::config::Config;
use crate::config::StoreConfig;
use crate::seldom::Seldom;
use crate::store::AnyStore;

/// What limits are asked with.
pub(crate) type Context = Cx<Config, State>;

pub(crate) const DECISIONS: Decisions = decisions!("rate_limit");

/// What the setup makes.
#[derive(Debug)]
pub struct State {
    /// Each with the indexes of its limits: what is asked at once. The local one comes first, because it
    /// costs least and can give back for certain; rate limit services come last, because they cannot.
    pub(crate) groups: Vec<Group>,
    /// What counts while a store does not answer.
    pub(crate) local: AnyStore,
    /// That not even this gateway can count.
    pub(crate) no_limits: Seldom,
    /// That what a response costs cannot be charged.
    pub(crate) not_charged: Seldom,
    pub(crate) allowed: Counter,
    /// Whether a limit runs dry by itself.
    pub(crate) any_dry: bool,
    /// Of each limit.
    pub(crate) counters: Vec<Counters>,
}

/// A store, and which limits are asked of it together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) store: AnyStore,
    pub(crate) limits: Vec<usize>,
    /// That it does not answer.
    pub(crate) unavailable: Seldom,
}

/// What a limit has decided.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) allowed: Counter,
    pub(crate) limited: Counter,
    /// Requests that would have been refused, but it runs dry.
    pub(crate) dry_run: Counter,
    /// Requests for which its store did not answer.
    pub(crate) unavailable: Counter,
}

/// Makes it.
pub(crate) async fn prepare(cx: &Cx<Config>) -> Result<State> {
    let limits = &cx.config.limits;
    let counter = |metric: &str, what| cx.counter(&["rate_limit_", what, "_", metric].concat());
    let counters = limits.iter().map(|limit| Counters {
        allowed: counter(&limit.metric, "allowed"),
        limited: counter(&limit.metric, "limited"),
        dry_run: counter(&limit.metric, "dry_run_limited"),
        unavailable: counter(&limit.metric, "unavailable"),
    });
    let counters = counters.collect();
    let mut kinds: Vec<&StoreConfig> = Vec::new();
    for limit in limits {
        if !kinds.contains(&&limit.store) {
            kinds.push(&limit.store);
        }
    }
    kinds.sort_by_key(|it| match it {
        StoreConfig::Local => 0,
        StoreConfig::Redis(_) => 1,
        StoreConfig::Rls(_) => 2,
    });
    let group = |kind: &StoreConfig| {
        let has = |index: &usize| limits.get(*index).is_some_and(|it| it.store == *kind);
        Group {
            store: AnyStore::of(kind),
            unavailable: Seldom::default(),
            limits: (0..limits.len()).filter(has).collect(),
        }
    };
    Ok(State {
        groups: kinds.into_iter().map(group).collect(),
        local: AnyStore::of(&StoreConfig::Local),
        no_limits: Seldom::default(),
        not_charged: Seldom::default(),
        allowed: DECISIONS.allowed(cx),
        any_dry: limits.iter().any(|it| it.dry_run),
        counters,
    })
}
