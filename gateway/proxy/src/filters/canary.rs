//! Two versions of a filter beside each other, on one worker.
//!
//! Owns which of them a stream gets, decided once and kept for all of its callbacks, and what is
//! counted of each. The share comes as a message; nothing of it is shared with other workers.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::rollout::counts::Counts;
use tidegate_core::rollout::counts::Ending;
use tidegate_core::rollout::split::Bucket;
use tidegate_core::rollout::split::Share;
use tidegate_core::rollout::split::Split;
use tidegate_core::rollout::split::Version;
use tidegate_core::snapshot::PluginId;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Plugin;

use crate::exchange::state::State;
use crate::filters::Chain;
use crate::filters::Filter;
use crate::generation::Plan;

/// Plugins of a chain of which a stream can have another version; more are never dealt.
pub(crate) const MOST: usize = 64;
/// Chains that are kept for streams which have some of the canaries.
const KEPT: usize = 64;

/// A plugin of which another version is tried, on one worker, through all generations that have both.
#[derive(Debug)]
pub(crate) struct Canary {
    /// The plugin's name.
    name: Arc<str>,
    /// What is compared: another pair is another canary.
    stable: Arc<Plugin>,
    canary: Arc<Plugin>,
    split: Split,
    share: Cell<Share>,
    counts: RefCell<Versions>,
}

/// What was counted of both versions of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// The version that is there.
    pub stable: Counts,
    /// The version that is tried.
    pub canary: Counts,
}

/// What a stream got of a plugin with a canary.
#[derive(Debug)]
pub(crate) struct Pick {
    canary: Rc<Canary>,
    id: PluginId,
    version: Version,
    bucket: Bucket,
}

/// What an exchange has of plugins with canaries.
#[derive(Debug, Default)]
pub(crate) struct Picks {
    picks: Vec<Pick>,
    /// When the head of its answer left, since it began.
    pub(crate) head_after: Option<Duration>,
}

impl Canary {
    fn new(
        name: &Arc<str>,
        stable: &Arc<Plugin>,
        canary: &Arc<Plugin>,
        split: &Split,
        share: Share,
    ) -> Rc<Self> {
        Rc::new(Self {
            name: Arc::clone(name),
            stable: Arc::clone(stable),
            canary: Arc::clone(canary),
            split: split.clone(),
            share: Cell::new(share),
            counts: RefCell::default(),
        })
    }

    /// Whether it compares these two, split like that.
    fn is(&self, stable: &Arc<Plugin>, canary: &Arc<Plugin>, split: &Split) -> bool {
        Arc::ptr_eq(&self.stable, stable)
            && Arc::ptr_eq(&self.canary, canary)
            && self.split == *split
    }

    /// New streams are dealt by that share from now on.
    fn set_share(&self, share: Share) {
        self.share.set(share);
    }
}

impl Picks {
    /// Whether the exchange has met no such plugin.
    pub(crate) fn is_empty(&self) -> bool {
        self.picks.is_empty()
    }

    /// The version of a plugin that the stream got, or gets now.
    fn version(
        &mut self,
        of: &Filter,
        canary: &Rc<Canary>,
        bucket: impl FnOnce() -> Bucket,
    ) -> Version {
        if let Some(known) = self.picks.iter().find(|pick| pick.id == of.id) {
            return known.version;
        }
        let bucket = bucket();
        let version = bucket.version(canary.share.get());
        self.picks.push(Pick {
            canary: Rc::clone(canary),
            id: of.id,
            version,
            bucket,
        });
        version
    }
}

impl Chain {
    /// The chain of one stream, which has one version of each plugin: this one, or a like one with
    /// canaries in it. What a stream has got once it keeps.
    pub(crate) fn dealt(self: &Rc<Self>, state: &mut State, draw: impl Fn() -> u64) -> Rc<Self> {
        let mut tried = 0_u64;
        let State {
            request,
            facts,
            picks,
            ..
        } = state;
        for (bit, at) in self.tried.iter().enumerate().take(MOST) {
            let Some(filter) = self.filters.get(*at) else {
                continue;
            };
            let Some((canary, _)) = filter.canary.as_deref() else {
                continue;
            };
            let bucket = || canary.split.bucket(&request.headers, facts.client, draw());
            if picks.version(filter, canary, bucket) == Version::Canary {
                tried |= 1 << bit;
            }
        }
        if tried == 0 {
            return Rc::clone(self);
        }
        let mut variants = self.variants.borrow_mut();
        if let Some((_, known)) = variants.iter().find(|(of, _)| *of == tried) {
            return Rc::clone(known);
        }
        let variant = Rc::new(self.with_canaries(tried));
        if variants.len() < KEPT {
            variants.push((tried, Rc::clone(&variant)));
        }
        variant
    }

    /// The same with the canaries of these plugins.
    fn with_canaries(&self, tried: u64) -> Self {
        let mut filters = self.filters.clone();
        for (bit, at) in self.tried.iter().enumerate().take(MOST) {
            let filter = filters.get_mut(*at);
            if let Some(filter) = filter.filter(|_| tried & 1 << bit != 0)
                && let Some(both) = filter.canary.take()
            {
                let (_, version) = &*both;
                *filter = version.clone();
                // So that it is known again in a longer chain.
                filter.canary = Some(both);
            }
        }
        let mut chain = Self {
            steps: self.steps.clone(),
            place: self.place.clone(),
            ..Self::default()
        };
        for filter in filters {
            chain.push_filter(filter);
        }
        chain
    }
}

/// Counts an exchange that has ended, for each plugin with a canary that has seen it.
pub(crate) fn count(state: &State) {
    let status = state.response.status;
    for pick in &state.picks.picks {
        let mut chain = state.chain.filters.iter();
        let Some(at) = chain.position(|filter| filter.id == pick.id) else {
            continue;
        };
        let Some(known) = state.filters.get(at) else {
            continue;
        };
        if !known.faulted && !known.bypassed && known.context.is_none() {
            continue; // Somebody before it has answered.
        }
        let (ending, latency) = if known.faulted {
            (Ending::Fault, None)
        } else if state.answered_by == Some(at) {
            (Ending::Denied, None)
        } else if status.is_server_error() {
            (Ending::Error, state.picks.head_after)
        } else {
            (Ending::Good, state.picks.head_after)
        };
        let mut counts = pick.canary.counts.borrow_mut();
        let counts = match pick.version {
            Version::Stable => &mut counts.stable,
            Version::Canary => &mut counts.canary,
        };
        counts.add(pick.bucket, ending, latency);
    }
}

/// The plugins with canaries of one worker, by name.
#[derive(Debug, Default)]
pub(crate) struct Canaries(Vec<Rc<Canary>>);

impl Canaries {
    /// Puts the canaries of a plan beside the filters that they may stand for. A pair that was there
    /// before goes on counting where it was.
    pub(crate) fn join(&mut self, plan: &Plan, filters: &mut [Result<Filter, FailurePolicy>]) {
        let before = std::mem::take(&mut self.0);
        for (at, pair) in plan.snapshot.canaries.iter().enumerate() {
            let of = |id: PluginId| usize::try_from(id.0).unwrap_or(usize::MAX);
            let Some(Ok(canary)) = filters.get(of(pair.canary)) else {
                continue; // It cannot be had: nobody gets it.
            };
            let mut version = canary.clone();
            let Some(Ok(stable)) = filters.get_mut(of(pair.stable)) else {
                continue;
            };
            let Some(name) = plan.snapshot.plugins.get(of(pair.stable)) else {
                continue;
            };
            // Rules and listeners know it as the one that they name.
            version.id = stable.id;
            let share = plan.shares.get(at).copied().unwrap_or_default();
            let is_same = |known: &&Rc<Canary>| {
                known.name == name.0 && known.is(&stable.plugin, &version.plugin, &pair.split)
            };
            let known = before.iter().find(is_same).cloned();
            let both = known.unwrap_or_else(|| {
                Canary::new(&name.0, &stable.plugin, &version.plugin, &pair.split, share)
            });
            both.set_share(share);
            self.0.push(Rc::clone(&both));
            stable.canary = Some(Rc::new((both, version)));
        }
    }

    /// Deals new streams by these shares.
    pub(crate) fn set_shares(&self, shares: &[(Arc<str>, Share)]) {
        for canary in &self.0 {
            if let Some((_, share)) = shares.iter().find(|(name, _)| *name == canary.name) {
                canary.set_share(*share);
            }
        }
    }

    /// What was counted since it was last asked.
    pub(crate) fn take(&self) -> Vec<(Arc<str>, Versions)> {
        let each = self.0.iter();
        each.map(|canary| (Arc::clone(&canary.name), canary.counts.take()))
            .collect()
    }
}
