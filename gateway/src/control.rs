//! From files to the generation that serves, at the start and with every change after it.
//!
//! Owns the order of steps: load, resolve plugins, hand over, remember. What fails at any step is
//! refused by resource, and the rest goes on with its last good version; only if the data plane takes
//! nothing at all does the generation before stay as a whole. All of it happens on one thread that
//! serves no traffic.

mod blame;
pub(crate) mod development;
mod free;
pub(crate) mod probation;
pub(crate) mod publish;
pub(crate) mod reload;
pub(crate) mod rollouts;
mod versions;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_config::draft::AcceptedDocument;
use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginSource;
use tidegate_config::load::Loader;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_config::resource::ResourceId;
use tidegate_core::rollout::split::Share;
use tidegate_core::snapshot::Snapshot;
use tidegate_proxy::BindError;
use tidegate_proxy::Callable;
use tidegate_proxy::Generation;
use tidegate_proxy::PluginSlot;
use tidegate_proxy::StartError;

use crate::certificates::Certificates;
use crate::certificates::Trusted;
use crate::code_cache::CodeFolder;
use crate::control::blame::gateway_of;
use crate::control::blame::is_about_same;
use crate::control::blame::plugin_problems;
use crate::control::development::Development;
use crate::control::free::is_free;
use crate::control::probation::Candidate;
use crate::control::rollouts::Rollouts;
use crate::plugins;
use crate::plugins::Reason;
use crate::plugins::Resolver;
use crate::plugins::Slot;
use crate::plugins::chain;
use crate::plugins::reject::Rejected;
use crate::pulls::PullBoard;
use crate::pulls::Pulls;
use crate::state::StateError;
use crate::state::Store;
use crate::state::Stored;

/// Attempts to find what the data plane takes; each refuses one resource more.
const MOST_ATTEMPTS: usize = 64;

/// Loads in a row, should the rules by which code is fetched change during each.
const MOST_RULES: usize = 3;

/// Makes generations.
#[derive(Debug)]
pub(crate) struct Control {
    loader: Loader,
    resolver: Resolver,
    certificates: Certificates,
    store: Option<Store>,
    settings: Settings,
    /// The number of the generation made last.
    number: u64,
    /// Addresses that could not be bound, to be tried again.
    unbound: Vec<SocketAddr>,
    /// What serves, if nothing was wrong with it.
    serving: Option<Serving>,
    /// Whether what serves is not stored yet.
    unsaved: bool,
    /// The versions of plugins that were loaded last.
    candidates: Vec<Candidate>,
    /// What a filter's author puts in the place of what resources say.
    development: Option<Development>,
    /// How far canaries are.
    pub(crate) rollouts: Rollouts,
}

/// What tells whether a load comes to the same as the one before.
#[derive(Debug)]
struct Serving {
    accepted: Vec<AcceptedDocument>,
    problems: Vec<Problem>,
    plugins: Vec<PluginDecl>,
    slots: Vec<Slot>,
    trust: Trusted,
}

/// What the command line says in place of resources.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings {
    /// The format of all access logs.
    pub(crate) access_log: Option<tidegate_core::snapshot::AccessLog>,
    /// How long the end may take.
    pub(crate) drain: Option<std::time::Duration>,
}

/// What came of a load.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// With the problems of plugins.
    pub(crate) draft: Draft,
    /// What is to serve.
    pub(crate) snapshot: Arc<Snapshot>,
    /// In the order of the snapshot's plugins.
    pub(crate) slots: Vec<Slot>,
    /// Its certificates and bundles.
    pub(crate) trust: Trusted,
}

impl Control {
    pub(crate) fn new(loader: Loader, store: Option<Store>, settings: Settings) -> Self {
        let mut resolver = Resolver::default();
        if let Some(store) = &store {
            resolver.takes_nothing_from(store.path().to_owned());
        }
        Self {
            loader,
            resolver,
            certificates: Certificates::default(),
            store,
            settings,
            number: 0,
            unbound: Vec::new(),
            serving: None,
            unsaved: false,
            candidates: Vec::new(),
            development: None,
            rollouts: Rollouts::default(),
        }
    }

    /// One that serves nothing: its problems have also what guests say, which else the log has.
    pub(crate) fn candid(loader: Loader) -> Self {
        Self {
            resolver: Resolver::candid(),
            ..Self::new(loader, None, Settings::default())
        }
    }

    /// Puts a filter's author's words in the place of what resources say. Problems have also what
    /// guests say: whoever sees them sees all.
    pub(crate) fn set_development(&mut self, development: Development) {
        self.resolver.be_candid();
        self.development = Some(development);
    }

    /// Takes code of the network from there.
    pub(crate) fn set_pulls(&mut self, pulls: Pulls) {
        self.resolver.set_pulls(pulls);
    }

    /// Whether code is fetched by other rules than when this was asked last.
    pub(crate) fn rules_changed(&mut self) -> bool {
        self.resolver.rules_changed()
    }

    /// Waits for what the last load wants from the network; see [`Pulls::wait`].
    pub(crate) fn wait_for_pulls(&self, each: impl FnMut(&PullBoard)) {
        self.resolver.wait_for_pulls(each);
    }

    /// Keeps compiled plugins there.
    pub(crate) fn set_code_cache(&mut self, cache: CodeFolder) {
        self.resolver.set_cache(cache);
    }

    /// Takes what served before a restart as what to fall back to. A state that cannot be used is
    /// warned of and left alone.
    pub(crate) fn restore(&mut self) {
        let Some(store) = &self.store else {
            return;
        };
        match store.rollouts() {
            Ok(rollouts) => self.rollouts.restore(rollouts),
            Err(err) => tracing::warn!("states of rollouts are not kept: {}", chain(&err)),
        }
        match store.load() {
            Ok(None) => {}
            Ok(Some(stored)) => {
                tracing::debug!(
                    generation = stored.generation,
                    "restored the last good state"
                );
                self.loader.restore(stored.documents);
                self.resolver.restore(stored.plugins);
            }
            Err(err) => tracing::warn!("the stored state is not used: {}", chain(&err)),
        }
        let salt = store.salt(self.resolver.salt());
        self.resolver.restore_histories(store.histories(), salt);
    }

    /// Reads everything and finds out what may serve; nothing serves yet. `again` tries also what
    /// has failed before and did not change.
    pub(crate) fn load(&mut self, again: bool) -> Loaded {
        let mut loaded = self.load_once(again);
        // To compile takes long: what was let in by rules of before is looked at by those of now.
        for _ in 0..MOST_RULES {
            if !self.resolver.refresh_rules() {
                break;
            }
            loaded = self.load_once(false);
        }
        loaded
    }

    fn load_once(&mut self, again: bool) -> Loaded {
        self.resolver.begin(again);
        let draft = self.loader.load();
        self.resolve(draft, Vec::new())
    }

    /// Resolves plugins, refusing those that fail, until what is left works.
    fn resolve(&mut self, mut draft: Draft, mut found: Vec<Problem>) -> Loaded {
        // Also the files of what is refused: repaired, they must be noticed.
        let mut watch: BTreeSet<PathBuf> = BTreeSet::new();
        loop {
            if let Some(development) = &self.development {
                development.adapt(&mut draft);
            }
            watch.extend(draft.watch.iter().cloned());
            watch.extend(draft.plugins.iter().filter_map(file).cloned());
            watch.extend(self.resolver.files());
            self.resolver.hear(&draft);
            let resolved = self.resolver.resolve(&draft.plugins, self.store.as_ref());
            let read = self.certificates.resolve(&draft);
            let remarks = plugins::remarks(&draft, &resolved.slots);
            let fresh: Vec<Problem> = resolved
                .problems
                .into_iter()
                .chain(read.problems)
                .chain(remarks)
                .filter(|new| !found.iter().any(|old| is_about_same(old, new)))
                .collect();
            if fresh.is_empty() {
                self.resolver.end();
                draft.watch = watch.into_iter().collect();
                let mut snapshot = std::mem::take(&mut draft.snapshot);
                self.settings.apply(&mut snapshot);
                return Loaded {
                    draft,
                    snapshot: Arc::new(snapshot),
                    slots: resolved.slots,
                    trust: read.trusted,
                };
            }
            found.extend(fresh);
            draft = self.loader.refuse(found.clone());
        }
    }

    /// Offers a load to the data plane until it takes it, refusing what it names as the reason, as
    /// long as what is left `may_serve`. [`Control::keep`] is due then. While it is taken, rollouts may be
    /// looked at and moved; then [`Rollouts::send_shares`] is due as soon as it serves. Wishes may be
    /// fulfilled, if it is not taken after that.
    ///
    /// # Errors
    ///
    /// The data plane's last reason; nothing has changed then.
    pub(crate) fn hand_over<T>(
        &mut self,
        mut loaded: Loaded,
        may_serve: impl Fn(&Loaded) -> bool,
        mut take: impl FnMut(Generation, &mut Self) -> Result<T, StartError>,
    ) -> Result<(Loaded, T), (Box<Loaded>, StartError)> {
        let mut found: Vec<Problem> = Vec::new();
        self.unbound.clear();
        self.number += 1;
        for _ in 0..MOST_ATTEMPTS {
            let shares = self.rollouts.plan(&loaded).shares;
            let generation = generation(self.number, &loaded, shares);
            let err = match take(generation, self) {
                Ok(taken) => {
                    // Anew: it may have taken long, and streams were counted meanwhile.
                    let planned = self.rollouts.plan(&loaded);
                    self.rollouts.commit(planned);
                    self.commit(&loaded);
                    return Ok((loaded, taken));
                }
                Err(err) => err,
            };
            let (mut blamed, is_news) = self.blame(&err, &loaded);
            blamed.retain(|new| !found.iter().any(|old| is_about_same(old, new)));
            if blamed.is_empty() && !is_news {
                self.number -= 1;
                return Err((Box::new(loaded), err));
            }
            for late in plugin_problems(&loaded.draft) {
                if !found.iter().any(|old| is_about_same(old, &late)) {
                    found.push(late);
                }
            }
            found.append(&mut blamed);
            let draft = self.loader.refuse(found.clone());
            loaded = self.resolve(draft, found.clone());
            if !may_serve(&loaded) {
                self.number -= 1;
                return Err((Box::new(loaded), err));
            }
        }
        self.number -= 1;
        let err = std::io::Error::other("too many resources are refused");
        Err((Box::new(loaded), StartError::Thread(err)))
    }

    /// The resources that keep a generation from being taken, and whether what they come to next is something
    /// else, also if all that is known already: two versions of a plugin may fail with the same words.
    fn blame(&mut self, err: &StartError, loaded: &Loaded) -> (Vec<Problem>, bool) {
        let problems = match err {
            StartError::Plugin { plugin, source } => {
                let Rejected { refused, is_news } = self.resolver.reject(plugin, source);
                let decls = &loaded.draft.plugins;
                let problems = |(resource, reason): (ResourceId, Reason)| {
                    let decl = decls.iter().find(|decl| decl.resource == resource);
                    decl.map(|decl| plugins::problems(decl, &reason))
                };
                let problems = refused.into_iter().filter_map(problems).flatten();
                return (problems.collect(), is_news);
            }
            StartError::Bind(bind) => {
                let (name, address) = match bind {
                    BindError::InUse { listener, address }
                    | BindError::Refused {
                        listener, address, ..
                    } => (listener, *address),
                    _ => return (Vec::new(), false),
                };
                self.unbound.push(address);
                let Some((resource, place)) = gateway_of(name, &loaded.draft) else {
                    return (Vec::new(), false);
                };
                let problem = Problem::error(place, chain(err)).about(resource);
                vec![problem.reason("AddressNotUsable")]
            }
            _ => Vec::new(),
        };
        (problems, false)
    }

    /// It serves: what was accepted is what to fall back to.
    fn commit(&mut self, loaded: &Loaded) {
        let Loaded {
            draft,
            snapshot: _,
            slots,
            trust,
        } = loaded;
        self.loader.commit(draft, &[]);
        self.resolver.commit();
        self.certificates.commit();
        // With errors it depends on more than what was accepted.
        let is_good = draft
            .problems
            .iter()
            .all(|problem| problem.severity == Severity::Warning);
        self.serving = is_good.then(|| Serving {
            accepted: draft.accepted.clone(),
            problems: draft.problems.clone(),
            plugins: draft.plugins.clone(),
            slots: slots.clone(),
            trust: trust.clone(),
        });
        self.unsaved = true;
    }

    /// Keeps the code of what was loaded: the part of [`Control::keep`] that takes longest.
    pub(crate) fn keep_code(&mut self) {
        self.resolver.keep_code(self.store.as_ref());
    }

    /// Makes what serves what a restart falls back to. Takes as long as the disk does: for after it
    /// has been told that it serves.
    pub(crate) fn keep(&mut self) {
        self.keep_code();
        self.rollouts.save(Instant::now());
        self.keep_histories();
        if !std::mem::take(&mut self.unsaved) {
            return;
        }
        if let Err(err) = self.save() {
            tracing::warn!("a restart finds an older state: {}", chain(&err));
        }
    }

    fn save(&mut self) -> Result<(), StateError> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let mut plugins = self.resolver.stored();
        // What does not serve is no reason to keep nothing.
        plugins
            .whole
            .retain(|plugin| store.has_module(&plugin.digest));
        let stored = Stored {
            generation: self.number,
            documents: self.loader.accepted(),
            plugins,
        };
        store.save(&stored, self.resolver.named_code())
    }

    /// Whether a load comes to exactly what serves already.
    pub(crate) fn is_serving(&self, loaded: &Loaded) -> bool {
        let Loaded {
            draft,
            slots,
            trust,
            ..
        } = loaded;
        self.serving.as_ref().is_some_and(|serving| {
            serving.accepted == draft.accepted
                && serving.problems == draft.problems
                && serving.plugins == draft.plugins
                && serving.slots.len() == slots.len()
                && serving.slots.iter().zip(slots).all(|(a, b)| a.is(b))
                && serving.trust.is(trust)
        })
    }

    /// Warns of certificates that are about to expire, each once a day.
    pub(crate) fn warn_of_expiry(&mut self) {
        self.certificates.warn_of_expiry(SystemTime::now());
    }

    /// The generation that serves.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether plugins whose setup failed are to be tried again now.
    pub(crate) fn may_set_up_now(&mut self) -> bool {
        self.resolver.try_setups_again(Instant::now())
    }

    /// Whether an address that could not be bound is free now.
    pub(crate) fn may_bind_now(&self) -> bool {
        self.unbound.iter().any(|address| is_free(*address))
    }
}

impl Settings {
    fn apply(&self, snapshot: &mut Snapshot) {
        let Self { access_log, drain } = *self;
        if let Some(drain) = drain {
            snapshot.timeouts.drain = drain;
        }
        if let Some(access_log) = access_log {
            for bind in &mut snapshot.binds {
                // Nobody else has it yet.
                if let Some(bind) = Arc::get_mut(bind) {
                    bind.access_log = access_log;
                }
            }
        }
    }
}

fn file(decl: &PluginDecl) -> Option<&PathBuf> {
    match &decl.source {
        PluginSource::File(file) => Some(file),
        PluginSource::Builtin(_) | PluginSource::Remote(_) | PluginSource::Refused => None,
    }
}

fn generation(number: u64, loaded: &Loaded, shares: Vec<Share>) -> Generation {
    let slot = |slot: &Slot| match slot {
        Slot::Ready { plugin, reachable } => PluginSlot::Ready {
            plugin: Arc::clone(plugin),
            backends: Callable::Only(Arc::clone(reachable)),
        },
        Slot::Refused(policy) => PluginSlot::Refused(*policy),
    };
    Generation {
        number,
        snapshot: Arc::clone(&loaded.snapshot),
        plugins: loaded.slots.iter().map(slot).collect(),
        shares,
        certificates: loaded.trust.certificates.clone(),
        bundles: loaded.trust.bundles.clone(),
    }
}
