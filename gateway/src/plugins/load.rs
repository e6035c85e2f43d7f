//! Loading: from what is declared to versions that have started once.
//!
//! Owns the steps of one declaration: find its code, read it, compile it, try it. What fails at any of them
//! is refused with the reason, and what serves in its place is chosen elsewhere.

use std::sync::Arc;

use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginSource;
use tidegate_config::draft::RemoteSource;
use tidegate_config::problem::Problem;
use tidegate_plugin_store::PluginCode;
use tidegate_proxy::Reachable;

use crate::background;
use crate::plugins::Good;
use crate::plugins::Reason;
use crate::plugins::Resolved;
use crate::plugins::Resolver;
use crate::plugins::Slot;
use crate::plugins::Version;
use crate::plugins::compile::TryError;
use crate::plugins::manifest;
use crate::plugins::origin::Origin;
use crate::plugins::reason::chain;
use crate::plugins::reason::policy;
use crate::plugins::reason::problems;
use crate::plugins::reason::refusal;
use crate::plugins::reason::spec;
use crate::plugins::source;
use crate::plugins::versions;
use crate::pulls::Wanted;
use crate::state::Store;

/// What was declared, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) name: Arc<str>,
    /// Where in the network its code is, if it is there.
    pub(super) remote: Option<Arc<RemoteSource>>,
    /// Whether it is another version of a plugin, tried beside the one that is there.
    pub(super) is_canary: bool,
    /// Whether it is to act, and not only to look on.
    pub(super) enforces: bool,
}

impl Declared {
    fn of(decl: &PluginDecl) -> Self {
        Self {
            name: Arc::clone(&decl.name.0),
            remote: match &decl.source {
                PluginSource::Remote(source) => Some(Arc::clone(source)),
                _ => None,
            },
            is_canary: decl.is_canary(),
            enforces: decl.shadow.is_none(),
        }
    }
}

impl Resolver {
    /// Reads, compiles and tries what is new; behind the traffic, once there is some. Nothing counts as
    /// serving until [`Resolver::commit`]. Takes as long as compiling does.
    pub(crate) fn resolve(&mut self, decls: &[PluginDecl], store: Option<&Store>) -> Resolved {
        if self.compiler.gives_way() && !decls.is_empty() {
            // Threads are scheduled as who starts them, so these come before. The engine's ticker ends calls
            // in time, also while there is much to do; if there can be none, that is said of each plugin.
            self.compiler.engine().ok();
            let is_remote = |decl: &PluginDecl| matches!(decl.source, PluginSource::Remote(_));
            if let Some(pulls) = self.pulls.as_ref().filter(|_| decls.iter().any(is_remote)) {
                pulls.start();
            }
            background::run("plugin-load", || self.resolve_here(decls, store))
        } else {
            self.resolve_here(decls, store)
        }
    }

    fn resolve_here(&mut self, decls: &[PluginDecl], store: Option<&Store>) -> Resolved {
        let mut resolved = Resolved::default();
        self.next.clear();
        self.next_whole.clear();
        self.hear_of(decls, |_| false);
        self.want(decls);
        let declared = decls.iter();
        let declared = declared.map(|decl| (decl.resource.clone(), Declared::of(decl)));
        self.declared = declared.collect();
        for decl in decls {
            if decl.source == PluginSource::Refused {
                let policy = policy(decl.failure_policy);
                resolved.slots.push(Slot::Refused(policy));
                let whole = self.whole.get(&decl.resource).cloned();
                self.keep_whole(&decl.resource, whole);
                continue;
            }
            let limited = self.rights.limited(decl);
            let decl = limited.as_ref().unwrap_or(decl);
            let slot = match self.current(decl, store) {
                Ok(good) => {
                    let slot = ready(&good);
                    let plugin = good.plugin.as_ref();
                    let warnings = plugin.map(|plugin| manifest::warnings(decl, plugin));
                    resolved.problems.extend(warnings.unwrap_or_default());
                    if limited.is_some() {
                        let whole = self.before_it_lost(&decl.resource, &good).cloned();
                        self.keep_whole(&decl.resource, whole);
                    }
                    self.next.insert(decl.resource.clone(), good);
                    slot
                }
                Err(problems) => self.fall_back(decl, problems, store, &mut resolved),
            };
            resolved.slots.push(slot);
        }
        resolved
    }

    /// Wants what declarations name, so that it is fetched if it is not here.
    fn want(&mut self, decls: &[PluginDecl]) {
        let mut fresh = Wanted::new();
        for decl in decls {
            let PluginSource::Remote(source) = &decl.source else {
                continue;
            };
            let name = decl.name.0.as_ref();
            let known = self.wanted.entry(Arc::clone(source)).or_default();
            if !known.iter().any(|one| one == name) {
                known.push(name.to_owned());
                fresh.insert(Arc::clone(source), known.clone());
            }
        }
        if let Some(pulls) = self.pulls.as_ref().filter(|_| !fresh.is_empty()) {
            pulls.want(&fresh, self.ask_again);
        }
    }

    /// The declared version, working; else why it is refused.
    fn current(&mut self, decl: &PluginDecl, store: Option<&Store>) -> Result<Good, Vec<Problem>> {
        let refused = |reason: &Reason| problems(decl, reason);
        let found = self.find(decl)?;
        let version = Version {
            spec: spec(decl),
            digest: found.digest,
        };
        let origin = Arc::new(Origin::of(&decl.source, found.manifest.clone()));
        let reachable = Arc::new(Reachable {
            backends: decl.backends.clone(),
            dns: decl.dns,
        });
        if let Some(why) = self.chronicle.wants(&decl.resource, &version) {
            return Err(vec![versions::barred(decl, why)]);
        }
        let known = self.good.get(&decl.resource);
        if let Some(plugin) = known
            .filter(|known| known.version == version)
            .and_then(|known| known.plugin.clone())
        {
            if store.is_some_and(|store| !store.keeps(&found.digest)) {
                let code = self.read(decl, found)?;
                self.unkept.insert(code.digest, code);
            }
            return Ok(Good {
                version,
                origin,
                reachable,
                plugin: Some(plugin),
            });
        }
        let code = self.read(decl, found)?;
        let problems = manifest::refused(&code.bytes, decl);
        if !problems.is_empty() {
            return Err(problems);
        }
        if let Some((failed, reason)) = self.bad.get(&decl.resource)
            && *failed == version
        {
            return Err(refused(reason));
        }
        let tried = self
            .compiler
            .plugin(&code.digest, &code.name, &code.bytes, &version.spec);
        match tried {
            Ok(plugin) => {
                if self.bad.remove(&decl.resource).is_some() {
                    self.fallbacks.outdate(&decl.resource);
                }
                self.unkept.insert(code.digest, code);
                Ok(Good {
                    version,
                    origin,
                    reachable,
                    plugin: Some(plugin),
                })
            }
            Err(err) => {
                if let TryError::Start(start) = &err {
                    self.say(&version.spec.name, start);
                }
                let reason = refusal(&source::named(&decl.source), &err, self.candid);
                let problems = refused(&reason);
                self.fallbacks.outdate(&decl.resource);
                self.bad.insert(decl.resource.clone(), (version, reason));
                Err(problems)
            }
        }
    }

    /// Keeps the code of versions that were found to work for a restart. Takes as long as the disk does.
    pub(crate) fn keep_code(&mut self, store: Option<&Store>) {
        let codes = std::mem::take(&mut self.unkept);
        let Some(store) = store.filter(|_| !codes.is_empty()) else {
            return;
        };
        background::run("plugin-keep", || {
            codes.values().for_each(|code| keep(store, code));
        });
    }
}

/// Keeps the code of a plugin for a restart.
fn keep(store: &Store, code: &PluginCode) {
    if let Err(err) = store.keep_module(&code.digest, &code.bytes) {
        let name = &code.name;
        tracing::warn!("a restart may not find plugin {name}: {}", chain(&err));
    }
}

/// A version as the data plane takes it.
pub(super) fn ready(good: &Good) -> Slot {
    match &good.plugin {
        Some(plugin) => Slot::Ready {
            plugin: Arc::clone(plugin),
            reachable: Arc::clone(&good.reachable),
        },
        // Not reached: what is not compiled is never handed out.
        None => Slot::Refused(good.version.spec.failure_policy),
    }
}
