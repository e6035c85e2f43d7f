//! Versions that somebody goes back to by hand, from when they are wanted until they serve.
//!
//! Owns how that is undone. A load takes such a version for what serves, so that it finds it; if it turns
//! out that it does not start or set itself up any more, what really serves must be known again, or every
//! later load would fail for it.

use std::collections::HashMap;

use tidegate_config::resource::ResourceId;
use tidegate_core::rollout::history::Bar;
use tidegate_core::rollout::history::History;
use tidegate_host_abi::StartError;
use tidegate_host_abi::StartStep;

use crate::plugins::Good;
use crate::plugins::Resolver;
use crate::plugins::Version;
use crate::plugins::reason::in_one_line;
use crate::plugins::reason::not_started;
use crate::plugins::versions::Fallback;

/// What served when the first version was promised that does not serve yet, by plugin.
#[derive(Debug, Default)]
pub(super) struct Promises(HashMap<ResourceId, Before>);

/// What a promise changed.
#[derive(Debug)]
struct Before {
    good: Option<Good>,
    whole: Option<Good>,
    bars: Vec<Bar<Version>>,
}

impl Promises {
    /// Whether a version of this plugin is to serve, and does not yet.
    pub(super) fn is_pending(&self, resource: &ResourceId) -> bool {
        self.0.contains_key(resource)
    }

    /// It serves, or another one does.
    pub(super) fn kept(&mut self, resource: &ResourceId) {
        self.0.remove(resource);
    }

    /// All of them serve.
    pub(super) fn all_kept(&mut self) {
        self.0.clear();
    }
}

impl Resolver {
    /// Before a version of a plugin is promised: remembers what serves, unless one that does not serve yet
    /// was promised already.
    pub(super) fn promise(&mut self, resource: &ResourceId) {
        let bars = self.chronicle.of(resource).map(|one| one.bars().to_vec());
        let before = || Before {
            good: self.good.get(resource).cloned(),
            whole: self.whole.get(resource).cloned(),
            bars: bars.unwrap_or_default(),
        };
        let promises = &mut self.promises.0;
        promises.entry(resource.clone()).or_insert_with(before);
    }

    /// The version of a plugin that was promised does not serve after all; says whether one was promised.
    /// The next [`Resolver::resolve`] finds what served before.
    pub(crate) fn break_promise(&mut self, resource: &ResourceId) -> bool {
        let Some(before) = self.promises.0.remove(resource) else {
            return false;
        };
        let Before { good, whole, bars } = before;
        restore(&mut self.good, resource, good);
        restore(&mut self.whole, resource, whole);
        if let Some(versions) = self.chronicle.plugins.get_mut(resource) {
            History::bar_only(versions, bars);
        }
        self.chronicle.unsaved.insert(resource.clone());
        self.fallbacks.outdate(resource);
        true
    }

    /// Whether this is the version of a plugin that was promised last, and does not serve yet.
    pub(super) fn is_promised(&self, resource: &ResourceId, version: &Version) -> bool {
        let stands = self.good.get(resource);
        self.promises.is_pending(resource) && stands.is_some_and(|good| good.version == *version)
    }

    /// A version that was promised does not serve after all; `err` is why, if it does not start: nothing goes
    /// back to it by itself then until it may be tried again. Another one that was promised later stays so.
    pub(crate) fn does_not_stand(
        &mut self,
        resource: &ResourceId,
        version: &Fallback,
        err: Option<&StartError>,
    ) {
        let version = &version.good.version;
        if self.is_promised(resource, version) {
            self.break_promise(resource);
        }
        if let Some(err) = err {
            self.is_unfit(resource, version.clone(), err);
        }
    }

    /// Notes that a version which was to serve in the place of what was declared does not start.
    pub(super) fn is_unfit(&mut self, resource: &ResourceId, version: Version, err: &StartError) {
        let name = &version.spec.name;
        self.say(name, err);
        let reason = not_started(err, self.candid);
        let words = in_one_line(&reason.message);
        tracing::error!("plugin {name} does not go back to an older version: {words}");
        if err.step == StartStep::SetUp {
            self.setup_failed();
        }
        self.fallbacks.outdate(resource);
        self.unfit.insert(resource.clone(), (version, reason));
    }
}

fn restore(all: &mut HashMap<ResourceId, Good>, resource: &ResourceId, good: Option<Good>) {
    match good {
        Some(good) => all.insert(resource.clone(), good),
        None => all.remove(resource),
    };
}

#[cfg(test)]
mod tests;
