//! The versions of plugins: who is watched, what is kept of them, what is told.
//!
//! Owns the way between the resolver, which knows what has served, the watchers, and the disk.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_config::draft::Draft;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_config::resource::ResourceId;
use tidegate_core::rollout::history::History;
use tidegate_host_abi::StartError;

use super::Control;
use super::Loaded;
use crate::control::probation::Candidate;
use crate::control::probation::Outcome;
use crate::control::probation::Watchers;
use crate::control::publish;
use crate::plugins::Slot;
use crate::plugins::chain;
use crate::plugins::rights::without_canary;
use crate::plugins::versions::Fallback;
use crate::plugins::wishes::Fulfilled;
use crate::plugins::wishes::Wish;
use crate::plugins::wishes::WishError;
use crate::state::Store;
use crate::status::VersionsStatus;

impl Control {
    /// Notes the versions of a load that serves, and has those watched that have not stood their
    /// probation. See [`Control::note_versions`] for `waiting`.
    pub(crate) fn versions_serve(
        &mut self,
        watchers: &mut Watchers,
        loaded: &Loaded,
        waiting: &[String],
    ) {
        let pairs = loaded.draft.plugins.iter().zip(&loaded.slots);
        // A canary goes back to the version beside it.
        let pairs = pairs.filter(|(decl, _)| !decl.is_canary());
        let serving = pairs.filter_map(|(decl, slot)| match slot {
            Slot::Ready { plugin, .. } => Some(Candidate {
                resource: decl.resource.clone(),
                plugin: Arc::clone(plugin),
                rule: decl.probation,
            }),
            Slot::Refused(_) => None,
        });
        self.candidates = serving.collect();
        self.note_versions(watchers, waiting);
        self.forget_deleted(&loaded.draft);
    }

    /// Forgets the versions of plugins that were deleted. What a file that cannot be read may hold was not.
    fn forget_deleted(&mut self, draft: &Draft) {
        let mut problems = draft.problems.iter();
        let is_unread =
            |problem: &Problem| problem.severity == Severity::Error && problem.resource.is_none();
        if problems.any(is_unread) {
            return;
        }
        let there: HashSet<&ResourceId> = draft.resources.iter().map(|one| &one.resource).collect();
        self.resolver.forget_deleted(|id| {
            there.contains(&ResourceId {
                name: Arc::from(without_canary(&id.name)),
                ..id.clone()
            })
        });
    }

    /// The same for what was loaded last: the newest versions of plugins `waiting` by name do not serve
    /// yet, and others that had to wait do now.
    pub(crate) fn note_versions(&mut self, watchers: &mut Watchers, waiting: &[String]) {
        let store = self.store.as_ref();
        self.resolver.chronicle(SystemTime::now(), waiting, store);
        self.resolver.see_code(store);
        let unproven = self.candidates.iter().filter(|candidate| {
            let versions = self.resolver.versions(&candidate.resource);
            let current = versions.and_then(History::current);
            !waiting.iter().any(|name| name == candidate.plugin.name())
                && !self.resolver.is_going_back(&candidate.resource)
                && current.is_some_and(|entry| !entry.proven)
                && !candidate.rule.period.is_zero()
        });
        // Who writes a filter wants to see it fail.
        let unproven = unproven.filter(|_| self.development.is_none());
        let unproven: Vec<Candidate> = unproven.cloned().collect();
        let watched = unproven.iter().map(|one| one.resource.clone()).collect();
        self.resolver.keep_fallbacks(&watched);
        watchers.only(unproven, |resource| self.resolver.fallback(resource, store));
    }

    /// Notes what came of a probation. What was taken back is on disk when this returns.
    pub(crate) fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Proved(resource) => self.resolver.proved(resource, self.store.as_ref()),
            // The next change looks for another one.
            Outcome::NotVouched(resource) => self.resolver.outdate_fallback(resource),
            Outcome::TakenBack {
                resource,
                name: _,
                fallback,
                why,
            } => self.resolver.take_back(resource, fallback, *why),
        }
        self.keep_histories();
    }

    /// Fulfils what somebody wants of a plugin's versions, as far as the next load has to know.
    pub(crate) fn fulfil(&mut self, name: &str, wish: &Wish) -> Result<Fulfilled, WishError> {
        let said = self.resolver.fulfil(name, wish, self.store.as_ref());
        self.keep_histories();
        said
    }

    /// Notes that a version which somebody went back to may not serve, or does not start if `err` is why.
    /// What serves is what a restart falls back to again.
    pub(crate) fn does_not_stand(
        &mut self,
        (resource, version): (&ResourceId, &Fallback),
        err: Option<&StartError>,
    ) {
        self.resolver.does_not_stand(resource, version, err);
        self.keep_histories();
    }

    /// Whether a version that somebody went back to serves.
    pub(crate) fn serves(&self, resource: &ResourceId, version: &Fallback) -> bool {
        self.resolver.serves(resource, version)
    }

    /// Whether what a plugin's resource asks for serves.
    pub(crate) fn serves_what_is_asked(&self, resource: &ResourceId) -> bool {
        self.resolver.serves_what_is_asked(resource)
    }

    /// Notes that a version was put in service by itself, and makes it what a restart falls back to. See
    /// [`Control::note_versions`] for `waiting`.
    pub(crate) fn stands(
        &mut self,
        watchers: &mut Watchers,
        (resource, version): (&ResourceId, &Fallback),
        waiting: &[String],
    ) {
        self.resolver.stands(resource, version);
        let candidates = self.candidates.iter_mut();
        for candidate in candidates.filter(|one| one.resource == *resource) {
            if let Some(plugin) = version.plugin() {
                candidate.plugin = Arc::clone(plugin);
            }
        }
        self.note_versions(watchers, waiting);
        // It is no load that serves now.
        self.serving = None;
        self.unsaved = true;
        self.keep();
    }

    /// What is known of the versions of plugins.
    pub(crate) fn versions(&self, watchers: &Watchers) -> BTreeMap<String, VersionsStatus> {
        let code = self.store.as_ref().map(Store::module_digests);
        let code = code.unwrap_or_default();
        let now = Instant::now();
        let told = self.resolver.told().map(|told| {
            let probation = watchers.of(told.resource, now);
            (
                told.name.to_owned(),
                publish::versions(&told, probation, &code),
            )
        });
        told.collect()
    }

    /// Keeps the histories that have changed. Before all else: what was taken back must not come back
    /// with a restart.
    pub(super) fn keep_histories(&mut self) {
        let changed = self.resolver.changed_histories();
        let Some(store) = &self.store else {
            return;
        };
        for (resource, versions) in changed {
            if let Err(err) = store.save_history(&resource, &versions) {
                let why = chain(&err);
                tracing::warn!("a restart finds an older history of {resource}: {why}");
            }
        }
    }
}
