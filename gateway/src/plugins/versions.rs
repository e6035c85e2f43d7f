//! The versions of each plugin that have served: what a bad one goes back to, by itself or by hand.
//!
//! Owns what is kept of them. The code of those that the history names stays in the state folder; the
//! one that a version on probation goes back to stays compiled, so that going back takes no time.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::Digest as _;
use sha2::Sha256;
use tidegate_config::draft::PluginDecl;
use tidegate_config::problem::Problem;
use tidegate_config::resource::ResourceId;
use tidegate_core::rollout::history::Bar;
use tidegate_core::rollout::history::Entry;
use tidegate_core::rollout::history::History;
use tidegate_core::rollout::history::Why;
use tidegate_host_abi::PlainServices;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::Services as _;
use tidegate_proxy::Reachable;

use super::Good;
use super::Resolver;
use super::Version;
use super::origin::Origin;
use super::stand_in::Voucher;
use crate::state::Store;
use crate::state::hex;

/// The reason of plugins that serve an older version because the wanted one failed.
pub(crate) const ROLLED_BACK: &str = "RolledBack";
/// The same, because somebody asked for it.
pub(crate) const BY_HAND: &str = "RolledBackByHand";

/// Bytes of configuration that the versions of one plugin may have together.
const MOST_CONFIG: usize = 4 << 20;
/// Histories of plugins that are gone, of which it is not certain that somebody deleted them.
const MOST_GONE: usize = 256;

/// What is noted of a version.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    /// What it may call.
    pub(crate) reachable: Arc<Reachable>,
    /// Where its code came from.
    pub(crate) origin: Arc<Origin>,
    /// The same in words; also those of an older Tidegate, of which nothing else follows.
    pub(crate) source: String,
    /// Tells one set of settings from another; nobody learns from it what they are.
    pub(crate) settings: String,
    /// Compiled, while it serves or may be gone back to at any moment.
    plugin: Option<Arc<Plugin>>,
}

impl Detail {
    /// Whether it is compiled.
    pub(crate) fn is_compiled(&self) -> bool {
        self.plugin.is_some()
    }

    /// What is noted of a version that is not compiled.
    pub(crate) fn new(
        reachable: Arc<Reachable>,
        origin: Arc<Origin>,
        source: String,
        settings: String,
    ) -> Self {
        Self {
            reachable,
            origin,
            source,
            settings,
            plugin: None,
        }
    }
}

/// The versions of one plugin.
pub(crate) type Versions = History<Version, Detail>;

/// All of them.
#[derive(Debug)]
pub(super) struct Chronicle {
    pub(super) plugins: HashMap<ResourceId, Versions>,
    /// What changed since it was saved.
    pub(super) unsaved: BTreeSet<ResourceId>,
    /// What each plugin's resource asks for, as far as it is known.
    pub(super) wanted: HashMap<ResourceId, Version>,
    /// The names of plugins, by which they are called by people.
    pub(super) names: BTreeMap<String, ResourceId>,
    /// What makes hashes of settings useless to whoever would guess these.
    salt: [u8; 16],
}

impl Default for Chronicle {
    fn default() -> Self {
        let mut salt = [0; 16];
        PlainServices::default().fill_random(&mut salt);
        Self {
            plugins: HashMap::new(),
            unsaved: BTreeSet::new(),
            wanted: HashMap::new(),
            names: BTreeMap::new(),
            salt,
        }
    }
}

/// What there is to tell of a plugin's versions.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(crate) name: &'a str,
    pub(crate) resource: &'a ResourceId,
    pub(crate) versions: &'a Versions,
    /// Why the version that is asked for does not serve, if it was taken back.
    pub(crate) held: Option<&'a Bar<Version>>,
}

/// What a version on probation goes back to.
#[derive(Debug, Clone)]
pub(crate) struct Fallback {
    /// Its number.
    pub(crate) number: u64,
    pub(super) good: Good,
    /// The same with what it may have no longer, if there is something.
    pub(super) whole: Option<Good>,
    /// The policy may be another one once it is gone back to.
    pub(super) voucher: Voucher,
}

impl Fallback {
    /// Whether it may be put in service now, as far as signatures go. Reads the disk where one is wanted.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(crate) fn may_serve(&self) -> Result<(), String> {
        self.voucher.ask()
    }

    /// It, compiled.
    pub(crate) fn plugin(&self) -> Option<&Arc<Plugin>> {
        self.good.plugin.as_ref()
    }

    /// What it may call.
    pub(crate) fn reachable(&self) -> &Arc<Reachable> {
        &self.good.reachable
    }
}

impl Chronicle {
    /// The versions of a plugin.
    pub(super) fn of(&self, resource: &ResourceId) -> Option<&Versions> {
        self.plugins.get(resource)
    }

    /// Notes what a plugin's resource asks for; gives why it may not serve, if it may not.
    pub(super) fn wants(&mut self, resource: &ResourceId, version: &Version) -> Option<Why> {
        self.wanted.insert(resource.clone(), version.clone());
        let barred = self.of(resource)?.barred(version)?;
        Some(barred.why)
    }

    fn settings(&self, version: &Version) -> String {
        let mut hash = Sha256::new();
        hash.update(self.salt);
        hash.update(crate::state::settings_of(&version.spec));
        let hash = hash.finalize();
        hex(hash.get(..8).unwrap_or_default())
    }
}

/// A bar as a problem of the plugin.
pub(super) fn barred(decl: &PluginDecl, why: Why) -> Problem {
    let name = &decl.name.0;
    let place = decl.source_place.clone();
    let (problem, reason) = match why {
        Why::Faults { .. } => {
            let message = format!("the version was taken back: {}", in_words(&why));
            (Problem::error(place, message), ROLLED_BACK)
        }
        Why::ByHand => {
            let message = "the version was taken back by hand";
            (Problem::warning(place, message), BY_HAND)
        }
    };
    problem
        .reason(reason)
        .about(decl.resource.clone())
        .hint(format!(
            "change it, or let it serve again by `tidegate plugin rollback {name} --resume`"
        ))
}

/// Why a version was taken back, for people.
pub(crate) fn in_words(why: &Why) -> String {
    match why {
        Why::Faults { counts, millis } => format!(
            "{} faults on {} streams within {}.{} s ({} traps, {} out of time)",
            counts.faults(),
            counts.streams,
            millis / 1_000,
            millis % 1_000 / 100,
            counts.traps,
            counts.deadlines
        ),
        Why::ByHand => "somebody asked for it".to_owned(),
    }
}

impl Resolver {
    /// Notes what serves now, once it was committed. Plugins whose names are `waiting` serve what they did
    /// before.
    pub(crate) fn chronicle(&mut self, now: SystemTime, waiting: &[String], store: Option<&Store>) {
        let now = seconds(now);
        let mut changed = Vec::new();
        for (resource, good) in &self.good {
            if waiting.contains(&good.version.spec.name) || self.promises.is_pending(resource) {
                continue;
            }
            let known = self.chronicle.of(resource).and_then(History::current);
            let is_known = known.is_some_and(|entry| entry.version == good.version);
            // A version that serves already may have come from somewhere else by now.
            let is_noted = known.is_some_and(|entry| {
                is_known
                    && entry.detail.origin == good.origin
                    && entry.detail.reachable == good.reachable
            });
            let detail = Detail {
                reachable: Arc::clone(&good.reachable),
                origin: Arc::clone(&good.origin),
                source: match (known, &*good.origin) {
                    (Some(entry), Origin::Unknown) if is_known => entry.detail.source.clone(),
                    (_, Origin::Unknown) => String::new(),
                    (_, origin) => origin.to_string(),
                },
                settings: match known {
                    Some(entry) if is_known => entry.detail.settings.clone(),
                    _ => self.chronicle.settings(&good.version),
                },
                plugin: good.plugin.clone(),
            };
            let versions = self.chronicle.plugins.entry(resource.clone()).or_default();
            if versions.serves(&good.version, detail, now) || !is_noted {
                changed.push(resource.clone());
            }
        }
        for (resource, versions) in &mut self.chronicle.plugins {
            let is_gone =
                !self.good.contains_key(resource) && !self.declared.contains_key(resource);
            if is_gone && versions.current().is_some() {
                versions.removed(now);
                changed.push(resource.clone());
            }
        }
        for resource in &changed {
            self.fallbacks.outdate(resource);
            if let Some(versions) = self.chronicle.plugins.get_mut(resource) {
                versions.keep_within(MOST_CONFIG, |version| version.spec.config.len());
            }
        }
        self.chronicle.unsaved.extend(changed);
        self.forget_gone();
        self.let_go(store);
        let declared = self.declared.iter();
        self.chronicle.names = declared
            .map(|(resource, declared)| (declared.name.to_string(), resource.clone()))
            .collect();
        let wanted = &mut self.chronicle.wanted;
        wanted.retain(|resource, _| self.declared.contains_key(resource));
    }

    /// Forgets the versions of plugins that are not declared any more, unless their resource `may_come_back`:
    /// a Plugin that is made anew is another one, and nobody may go back to what served under its name.
    pub(crate) fn forget_deleted(&mut self, may_come_back: impl Fn(&ResourceId) -> bool) {
        let all = self.chronicle.plugins.keys();
        let deleted = all.filter(|resource| {
            !self.good.contains_key(*resource)
                && !self.declared.contains_key(*resource)
                && !may_come_back(resource)
        });
        let deleted: Vec<ResourceId> = deleted.cloned().collect();
        for resource in deleted {
            self.fallbacks.outdate(&resource);
            self.chronicle.plugins.remove(&resource);
            self.chronicle.unsaved.insert(resource);
        }
    }

    /// Bounds what is remembered of plugins that are gone: those that went first are forgotten.
    fn forget_gone(&mut self) {
        let gone = |versions: &Versions| versions.entries().last()?.ended.map(|(at, _)| at);
        let mut all: Vec<(u64, ResourceId)> = self
            .chronicle
            .plugins
            .iter()
            .filter(|(resource, _)| !self.declared.contains_key(*resource))
            .filter_map(|(resource, versions)| Some((gone(versions)?, resource.clone())))
            .collect();
        if all.len() <= MOST_GONE {
            return;
        }
        all.sort();
        all.truncate(all.len() - MOST_GONE);
        for (_, resource) in all {
            self.chronicle.plugins.remove(&resource);
            self.chronicle.unsaved.insert(resource);
        }
    }

    /// Lets go of compiled code that nothing goes back to at once. Without a state folder the version
    /// before is kept, and one that was taken back while it is asked for: there is no other way back to
    /// them.
    fn let_go(&mut self, store: Option<&Store>) {
        let Chronicle {
            plugins, wanted, ..
        } = &mut self.chronicle;
        for (resource, versions) in plugins {
            let held = wanted.get(resource).filter(|wanted| {
                let is_barred = versions.barred(wanted).is_some();
                store.is_none() && is_barred
            });
            let Some(current) = versions.current() else {
                versions
                    .details()
                    .for_each(|(_, detail)| detail.plugin = None);
                continue;
            };
            let version = current.version.clone();
            let is_settled = current.proven && store.is_some();
            let before = {
                let mut behind = versions.behind(&version);
                let before = behind.find(|entry| {
                    let acts_as_it_does = version.is_shadow() || !entry.version.is_shadow();
                    acts_as_it_does && entry.detail.plugin.is_some()
                });
                before.map(|entry| entry.version.clone())
            };
            let before = before.filter(|_| !is_settled);
            for (of, detail) in versions.details() {
                if *of != version && before.as_ref() != Some(of) && held != Some(of) {
                    detail.plugin = None;
                }
            }
        }
    }

    /// The version that serves has stood its probation.
    pub(crate) fn proved(&mut self, resource: &ResourceId, store: Option<&Store>) {
        self.fallbacks.outdate(resource);
        if let Some(versions) = self.chronicle.plugins.get_mut(resource) {
            versions.proved();
            self.chronicle.unsaved.insert(resource.clone());
        }
        self.let_go(store);
    }

    /// Bars the version that serves and makes another one what serves. The next
    /// [`Resolver::resolve`] hands it out.
    pub(crate) fn take_back(&mut self, resource: &ResourceId, to: &Fallback, why: Why) {
        let Some(bad) = self.good.get(resource).map(|good| good.version.clone()) else {
            return;
        };
        let now = seconds(SystemTime::now());
        if let Some(versions) = self.chronicle.plugins.get_mut(resource) {
            versions.bar(&bad, why, now);
        }
        self.chronicle.unsaved.insert(resource.clone());
        self.stands(resource, to);
    }

    /// Takes the histories of before a restart, and what their hashes were made with.
    pub(crate) fn restore_histories(&mut self, all: Vec<(ResourceId, Versions)>, salt: [u8; 16]) {
        self.chronicle.salt = salt;
        self.chronicle.plugins.extend(all);
    }

    /// What hashes of settings are made with.
    pub(crate) fn salt(&self) -> [u8; 16] {
        self.chronicle.salt
    }

    /// The histories that have changed since they were last asked for; an empty one is to be forgotten. Those
    /// of plugins of which somebody goes back to a version wait until that serves: a restart meanwhile begins
    /// with what serves now.
    pub(crate) fn changed_histories(&mut self) -> Vec<(ResourceId, Versions)> {
        let unsaved = std::mem::take(&mut self.chronicle.unsaved).into_iter();
        let (later, changed): (BTreeSet<_>, BTreeSet<_>) =
            unsaved.partition(|resource| self.promises.is_pending(resource));
        self.chronicle.unsaved = later;
        let found = changed.into_iter().map(|resource| {
            let versions = self.chronicle.of(&resource).cloned();
            (resource, versions.unwrap_or_default())
        });
        found.collect()
    }

    /// The code that histories name.
    pub(crate) fn named_code(&self) -> impl Iterator<Item = [u8; 32]> {
        let all = self.chronicle.plugins.values();
        all.flat_map(|versions| versions.entries().iter().map(|entry| entry.version.digest))
    }

    /// Whether somebody goes back to a version of a plugin that does not serve yet.
    pub(crate) fn is_going_back(&self, resource: &ResourceId) -> bool {
        self.promises.is_pending(resource)
    }

    /// The versions of a plugin.
    pub(crate) fn versions(&self, resource: &ResourceId) -> Option<&Versions> {
        self.chronicle.of(resource)
    }

    /// All plugins by name, with their versions and why the one that is asked for does not serve, if it
    /// was taken back.
    pub(crate) fn told(&self) -> impl Iterator<Item = Told<'_>> {
        let names = self.chronicle.names.iter();
        names.filter_map(|(name, resource)| {
            let versions = self.chronicle.of(resource)?;
            let wanted = self.chronicle.wanted.get(resource);
            Some(Told {
                name,
                resource,
                versions,
                held: wanted.and_then(|wanted| versions.barred(wanted)),
            })
        })
    }
}

pub(super) fn good_of(entry: &Entry<Version, Detail>) -> Good {
    Good {
        version: entry.version.clone(),
        origin: Arc::clone(&entry.detail.origin),
        reachable: Arc::clone(&entry.detail.reachable),
        plugin: entry.detail.plugin.clone(),
    }
}

/// Whether there is enough left of a version to serve it.
pub(super) fn is_left(entry: &Entry<Version, Detail>, store: Option<&Store>) -> bool {
    let digest = &entry.version.digest;
    entry.detail.plugin.is_some() || store.is_some_and(|store| store.has_module(digest))
}

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
