//! What versions on probation go back to, looked for only when it may be another one than before.
//!
//! Owns what was found, and what makes that outdated: another version that serves, or is barred, or does
//! not start; other rights of its plugin; code that came or went; another signature policy. To look for it
//! may read the disk and compile, and there is a change of configuration for each of many plugins.

use std::collections::HashMap;
use std::collections::HashSet;

use tidegate_config::resource::ResourceId;

use super::Resolver;
use super::load::Declared;
use super::versions::Fallback;
use super::versions::Versions;
use super::versions::good_of;
use super::versions::is_left;
use crate::state::Store;

/// What was found, by the plugins whose versions are on probation.
#[derive(Debug, Default)]
pub(super) struct Fallbacks {
    found: HashMap<ResourceId, Known>,
    /// The digests of the code that there was when it was looked at last.
    code: HashSet<[u8; 32]>,
}

/// What was found for one plugin.
#[derive(Debug)]
struct Known {
    /// What was declared then. It may be another one for a moment, while a resource is being refused.
    declared: Option<Declared>,
    /// `None`: there is nothing to go back to.
    fallback: Option<Fallback>,
}

/// What came of looking for one.
enum Found {
    /// It stays so until something changes.
    Settled(Option<Fallback>),
    /// One was not vouched for. Nobody says when that changes.
    Unsettled(Option<Fallback>),
}

impl Fallbacks {
    /// What this plugin would go back to has to be looked for anew.
    pub(super) fn outdate(&mut self, resource: &ResourceId) {
        self.found.remove(resource);
    }

    /// The same of all plugins.
    pub(super) fn outdate_all(&mut self) {
        self.found.clear();
    }
}

impl Resolver {
    /// What the version of a plugin that serves goes back to if it fails, compiled; `None` if it has
    /// stood its probation, or there is nothing.
    pub(crate) fn fallback(
        &mut self,
        resource: &ResourceId,
        store: Option<&Store>,
    ) -> Option<Fallback> {
        let declared = self.declared.get(resource);
        if let Some(known) = self.fallbacks.found.get(resource)
            && known.declared.as_ref() == declared
        {
            return known.fallback.clone();
        }
        let declared = declared.cloned();
        match self.find_fallback(resource, store) {
            Found::Unsettled(fallback) => fallback,
            Found::Settled(fallback) => {
                let known = Known {
                    declared,
                    fallback: fallback.clone(),
                };
                self.fallbacks.found.insert(resource.clone(), known);
                fallback
            }
        }
    }

    /// What the version of a plugin goes back to is to be looked for anew.
    pub(crate) fn outdate_fallback(&mut self, resource: &ResourceId) {
        self.fallbacks.outdate(resource);
    }

    /// Looks which code there is. Plugins that could go back to some that came or went are looked at anew.
    pub(crate) fn see_code(&mut self, store: Option<&Store>) {
        let code = store.map(Store::module_digests).unwrap_or_default();
        let before = std::mem::replace(&mut self.fallbacks.code, code);
        let code = &self.fallbacks.code;
        let moved: HashSet<&[u8; 32]> = before.symmetric_difference(code).collect();
        if moved.is_empty() {
            return;
        }
        let may_use = |versions: &Versions| {
            let mut entries = versions.entries().iter();
            entries.any(|entry| entry.ended.is_some() && moved.contains(&entry.version.digest))
        };
        let chronicle = &self.chronicle;
        let found = &mut self.fallbacks.found;
        found.retain(|resource, _| !chronicle.of(resource).is_some_and(may_use));
    }

    /// Forgets what was found for all plugins but these.
    pub(crate) fn keep_fallbacks(&mut self, of: &HashSet<ResourceId>) {
        let found = &mut self.fallbacks.found;
        found.retain(|resource, _| of.contains(resource));
    }

    fn find_fallback(&mut self, resource: &ResourceId, store: Option<&Store>) -> Found {
        let versions = self.chronicle.of(resource);
        let current = versions.and_then(Versions::current);
        let Some((versions, current)) = versions.zip(current.filter(|entry| !entry.proven)) else {
            return Found::Settled(None);
        };
        let version = current.version.clone();
        let behind = versions
            .behind(&version)
            .filter(|entry| self.may_stand_in(resource, &entry.version) && is_left(entry, store));
        let behind: Vec<_> = behind.map(|entry| (entry.number, good_of(entry))).collect();
        let mut settled: fn(Option<Fallback>) -> Found = Found::Settled;
        for (number, whole) in behind {
            let (good, _) = self.rights.narrowed(resource, whole.clone());
            // Without what it may have no longer it may be the very one that fails.
            if good.version == version || self.fails(resource, &good.version) {
                continue;
            }
            if !self.is_vouched(resource, &good) {
                settled = Found::Unsettled;
                continue;
            }
            let found = self.bring_back(resource, (number, whole), store);
            if found.is_some() {
                return settled(found);
            }
        }
        settled(None)
    }
}

#[cfg(test)]
mod tests;
