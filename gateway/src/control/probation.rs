//! New versions of plugins under traffic: who is watched, and what happens when one fails.
//!
//! Owns the watch. It needs nothing of what makes generations, so that a version is taken back also
//! while another one is being compiled; that it was is noted afterwards.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_config::resource::ResourceId;
use tidegate_core::rollout::history::Why;
use tidegate_core::rollout::probation::Probation;
use tidegate_core::rollout::probation::Rule;
use tidegate_core::rollout::probation::Verdict;
use tidegate_host_abi::Plugin;
use tidegate_proxy::Callable;
use tidegate_proxy::Gateway;
use tidegate_proxy::PluginSlot;

use crate::control::blame;
use crate::plugins::versions::Fallback;
use crate::plugins::versions::in_words;

/// How often versions on probation are looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// One that is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    plugin: Arc<Plugin>,
    rule: Rule,
    fallback: Fallback,
    /// Set once it serves.
    probation: Option<Probation>,
    /// Whether it stood its time.
    is_proved: bool,
    /// Why it is to be taken back at the next occasion.
    failed: Option<Why>,
}

/// A version that may be watched.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) resource: ResourceId,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) rule: Rule,
}

/// What came of a look.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It stood its time.
    Proved(ResourceId),
    /// It fails, and what it would go back to may not serve.
    NotVouched(ResourceId),
    /// It serves no more.
    TakenBack {
        resource: ResourceId,
        name: String,
        fallback: Box<Fallback>,
        why: Why,
    },
}

/// Whether the version before serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TakenBack {
    Yes,
    /// It cannot, for now.
    NotYet,
    /// The signature policy does not let it in.
    NotVouched,
}

/// Whether something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// All is well, as far as is known.
    Nothing,
    /// One is to be taken back.
    Failure,
}

/// All that are watched.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    watched: HashMap<ResourceId, Watched>,
}

impl Watchers {
    /// Whether nobody is.
    pub(crate) fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Watches these and no others. `fallback` says what one goes back to; without that it is not
    /// watched.
    pub(crate) fn only(
        &mut self,
        candidates: Vec<Candidate>,
        mut fallback: impl FnMut(&ResourceId) -> Option<Fallback>,
    ) {
        let mut before = std::mem::take(&mut self.watched);
        for candidate in candidates {
            let Candidate {
                resource,
                plugin,
                rule,
            } = candidate;
            // What may be gone back to may be another version by now: the policy, or what it may reach,
            // may have changed.
            let Some(fallback) = fallback(&resource) else {
                continue;
            };
            let known = before.remove(&resource);
            let known =
                known.filter(|known| Arc::ptr_eq(&known.plugin, &plugin) && known.rule == rule);
            let watched = match known {
                Some(known) => Watched { fallback, ..known },
                None => Watched {
                    plugin,
                    rule,
                    fallback,
                    probation: None,
                    is_proved: false,
                    failed: None,
                },
            };
            self.watched.insert(resource, watched);
        }
    }

    /// Watches a plugin no more, until it is said again who is watched. Gives what is known of it.
    pub(crate) fn forget(&mut self, resource: &ResourceId) -> Option<Watched> {
        self.watched.remove(resource)
    }

    /// Watches one on that was forgotten. [`Watchers::only`] says whether it still has to be.
    pub(crate) fn remember(&mut self, resource: &ResourceId, watched: Watched) {
        let watched = || watched;
        self.watched.entry(resource.clone()).or_insert_with(watched);
    }

    /// Until when a plugin is on probation, and the number of the version that it goes back to.
    pub(crate) fn of(&self, resource: &ResourceId, now: Instant) -> Option<(SystemTime, u64)> {
        let watched = self.watched.get(resource)?;
        let left = watched.probation.as_ref();
        let left = left.map_or(watched.rule.period, |probation| probation.left(now));
        Some((SystemTime::now() + left, watched.fallback.number))
    }

    /// Looks at all of them and changes nothing; says whether one is to be taken back.
    pub(crate) fn see(&mut self, gateway: &Gateway, now: Instant) -> Seen {
        let mut seen = Seen::Nothing;
        for watched in self.watched.values_mut().filter(|one| !one.is_proved) {
            let Some(counts) = gateway.tally(&watched.plugin) else {
                // It waits for long streams, and serves later.
                watched.probation = None;
                watched.failed = None;
                continue;
            };
            let rule = watched.rule;
            let probation = watched
                .probation
                .get_or_insert_with(|| Probation::new(rule, rule.period, now, counts));
            match probation.look(now, counts) {
                _ if watched.failed.is_some() => {}
                Verdict::Pending => {}
                Verdict::Passed => watched.is_proved = true,
                Verdict::Failed { counts, within } => {
                    watched.failed = Some(Why::Faults {
                        counts,
                        millis: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
                    });
                }
            }
            if watched.failed.is_some() {
                seen = Seen::Failure;
            }
        }
        seen
    }

    /// Looks at all of them; takes back what fails, at once.
    pub(crate) fn look(&mut self, gateway: &mut Gateway, now: Instant) -> Vec<Outcome> {
        self.see(gateway, now);
        let mut outcomes = Vec::new();
        self.watched.retain(|resource, watched| {
            if watched.is_proved {
                outcomes.push(Outcome::Proved(resource.clone()));
                return false;
            }
            let Some(why) = watched.failed.take() else {
                return true;
            };
            match take_back(gateway, watched, &why) {
                TakenBack::Yes => outcomes.push(Outcome::TakenBack {
                    resource: resource.clone(),
                    name: watched.plugin.name().to_owned(),
                    fallback: Box::new(watched.fallback.clone()),
                    why,
                }),
                TakenBack::NotYet => return true,
                TakenBack::NotVouched => {
                    outcomes.push(Outcome::NotVouched(resource.clone()));
                    return true;
                }
            }
            false
        });
        outcomes
    }
}

/// Puts the version before in the place of one that fails. If that does not start, the one that fails
/// serves on, and the next look tries again.
fn take_back(gateway: &mut Gateway, watched: &mut Watched, why: &Why) -> TakenBack {
    let name = watched.plugin.name();
    let number = watched.fallback.number;
    let Some(plugin) = watched.fallback.plugin() else {
        return TakenBack::NotYet;
    };
    if let Err(why) = watched.fallback.may_serve() {
        tracing::error!("plugin {name} fails, and its version {number} may not serve: {why}");
        watched.probation = None;
        return TakenBack::NotVouched;
    }
    let slot = PluginSlot::Ready {
        plugin: Arc::clone(plugin),
        backends: Callable::Only(Arc::clone(watched.fallback.reachable())),
    };
    match gateway.take_back(&watched.plugin, &slot) {
        Ok(_) => {
            let why = in_words(why);
            tracing::warn!("plugin {name} is rolled back to its version {number}: {why}");
            TakenBack::Yes
        }
        Err(err) => {
            let words = blame::words(&err);
            tracing::error!("plugin {name} fails, and its version {number} cannot serve: {words}");
            // Counting begins anew: not more than once a second is it tried.
            watched.probation = None;
            TakenBack::NotYet
        }
    }
}
