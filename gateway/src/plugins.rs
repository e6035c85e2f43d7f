//! From declared plugins to plugins that have started once: read, compile, try.
//!
//! Owns which version of a plugin serves, from one load to the next. What does not load, compile, start or
//! take its configuration is refused with the reason (`load`), and the version before it serves on
//! (`stand_in`); one that did not change stays the same `Arc`, by which the data plane knows that its
//! instances may stay.

mod compile;
mod fallbacks;
mod load;
mod manifest;
pub(crate) mod origin;
mod promises;
mod reason;
pub(crate) mod reject;
pub(crate) mod rights;
mod shares;
mod source;
mod stand_in;
mod trial;
pub(crate) mod versions;
pub(crate) mod wishes;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginDecl;
use tidegate_config::problem::Problem;
use tidegate_config::resource::ResourceId;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::PluginSpec;
use tidegate_plugin_store::PluginCode;
use tidegate_proxy::Reachable;

use crate::code_cache::CodeFolder;
use crate::plugins::compile::Compiler;
use crate::plugins::compile::TryError;
use crate::plugins::fallbacks::Fallbacks;
use crate::plugins::load::Declared;
use crate::plugins::origin::Origin;
use crate::plugins::promises::Promises;
pub(crate) use crate::plugins::reason::Reason;
pub(crate) use crate::plugins::reason::SETUP_FAILED;
pub(crate) use crate::plugins::reason::chain;
pub(crate) use crate::plugins::reason::in_one_line;
pub(crate) use crate::plugins::reason::not_started;
pub(crate) use crate::plugins::reason::problems;
pub(crate) use crate::plugins::reason::shadow_name;
use crate::plugins::rights::AllRights;
pub(crate) use crate::plugins::shares::remarks;
pub(crate) use crate::plugins::source::SIGNATURE_MISSING;
pub(crate) use crate::plugins::source::is_awaited;
pub(crate) use crate::plugins::trial::TrialServices;
use crate::plugins::versions::Chronicle;
use crate::pulls::PullBoard;
use crate::pulls::Pulls;
use crate::pulls::Wanted;
use crate::state::StoredPlugin;
use crate::state::StoredPlugins;

/// Compiles a module, starts it once and configures it, with every call to the outside refused.
///
/// # Errors
///
/// Why it does not serve, with what it said.
pub(crate) fn try_once(code: &PluginCode, spec: &PluginSpec) -> Result<(), String> {
    let mut compiler = Compiler::default();
    let tried = compiler.plugin(&code.digest, &code.name, &code.bytes, spec);
    match tried {
        Ok(_) => Ok(()),
        Err(TryError::Start(err)) => Err(not_started(&err, true).message),
        Err(err) => Err(chain(&err)),
    }
}

/// A plugin as it is to serve.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// It has started once.
    Ready {
        /// The plugin.
        plugin: Arc<Plugin>,
        /// What it may call.
        reachable: Arc<Reachable>,
    },
    /// There is no version of it that works.
    Refused(FailurePolicy),
}

impl Slot {
    /// Whether both are the same, down to the instances that may serve.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Ready { plugin, reachable },
                Self::Ready {
                    plugin: other,
                    reachable: reach,
                },
            ) => Arc::ptr_eq(plugin, other) && reachable == reach,
            (Self::Refused(policy), Self::Refused(other)) => policy == other,
            _ => false,
        }
    }
}

/// What came of the plugins of a draft.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// In the order of the declarations.
    pub(crate) slots: Vec<Slot>,
    /// Why plugins are refused.
    pub(crate) problems: Vec<Problem>,
}

/// All that tells one version of a plugin from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// Its settings.
    pub(crate) spec: PluginSpec,
    /// SHA-256 of its code.
    pub(crate) digest: [u8; 32],
}

impl Version {
    /// Whether it only looks on.
    pub(crate) fn is_shadow(&self) -> bool {
        self.spec.shadow.is_some()
    }
}

/// A version that works.
#[derive(Debug, Clone)]
struct Good {
    version: Version,
    /// Where its code came from.
    origin: Arc<Origin>,
    reachable: Arc<Reachable>,
    /// `None` until it is needed: it comes from a state folder.
    plugin: Option<Arc<Plugin>>,
}

impl Good {
    /// One of before a restart, which is not compiled.
    fn restored(stored: StoredPlugin) -> (ResourceId, Self) {
        let StoredPlugin {
            resource,
            digest,
            spec,
            origin,
            reachable,
        } = stored;
        let good = Self {
            version: Version { spec, digest },
            origin,
            reachable,
            plugin: None,
        };
        (resource, good)
    }
}

/// Finds out which version of each plugin serves.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    compiler: Compiler,
    /// What serves.
    good: HashMap<ResourceId, Good>,
    /// What will serve once the generation does.
    next: HashMap<ResourceId, Good>,
    /// What serves without something that it had, or not at all for want of it, as it was with that.
    whole: HashMap<ResourceId, Good>,
    /// The same once the generation serves.
    next_whole: HashMap<ResourceId, Good>,
    /// What somebody goes back to by hand, and does not serve yet.
    promises: Promises,
    /// All that was declared last.
    declared: HashMap<ResourceId, Declared>,
    /// What has served.
    chronicle: Chronicle,
    /// What versions on probation go back to.
    fallbacks: Fallbacks,
    /// What was tried in vain, so that it is not compiled again with every load.
    bad: HashMap<ResourceId, (Version, Reason)>,
    /// The same of versions that were to serve in the place of what was declared.
    unfit: HashMap<ResourceId, (Version, Reason)>,
    /// Folders that no plugin file may be in: there anything would pass for the operator's.
    kept: Vec<PathBuf>,
    /// Whether reasons have what the guest said, instead of the log.
    candid: bool,
    /// When setups that failed are tried again.
    setups: reject::Setups,
    /// Where code of the network comes from.
    pulls: Option<Pulls>,
    /// The sources in the network that the last load came across.
    wanted: Wanted,
    /// Whether all of them are to be asked for again.
    ask_again: bool,
    /// Whether code is fetched by other rules since that was asked.
    rules_changed: bool,
    /// What plugins may have, whatever version of them serves.
    rights: AllRights,
    /// The code of versions that were found to work and may not be on disk yet, by its digest.
    unkept: HashMap<[u8; 32], PluginCode>,
}

impl Resolver {
    /// One whose reasons have what guests say, for those who see nothing but reasons.
    pub(crate) fn candid() -> Self {
        Self {
            candid: true,
            ..Self::default()
        }
    }

    /// From now on reasons have what guests say.
    pub(crate) fn be_candid(&mut self) {
        self.candid = true;
    }

    /// Keeps compiled code there.
    pub(crate) fn set_cache(&mut self, cache: CodeFolder) {
        self.takes_nothing_from(cache.path().to_owned());
        self.compiler.set_cache(cache);
    }

    /// Takes no plugin file from below that folder: what was fetched by rules must not be used without.
    pub(crate) fn takes_nothing_from(&mut self, folder: PathBuf) {
        self.kept.push(folder);
    }

    /// Takes code of the network from there.
    pub(crate) fn set_pulls(&mut self, pulls: Pulls) {
        if let Some(folder) = pulls.folder() {
            self.takes_nothing_from(folder);
        }
        self.pulls = Some(pulls);
    }

    /// See [`Pulls::wait`].
    pub(crate) fn wait_for_pulls(&self, each: impl FnMut(&PullBoard)) {
        if let Some(pulls) = &self.pulls {
            pulls.wait(each);
        }
    }

    /// Begins a load; `again` tries everything again, also what failed, and asks for everything that
    /// may have changed.
    pub(crate) fn begin(&mut self, again: bool) {
        if again {
            self.bad.clear();
            self.unfit.clear();
            self.fallbacks.outdate_all();
        }
        self.ask_again = again;
        self.wanted.clear();
        self.rights.begin();
        self.refresh_rules();
    }

    /// Hears what resources of a load say of what their plugins may have.
    pub(crate) fn hear(&mut self, draft: &Draft) {
        self.hear_of(&draft.plugins, rights::is_old(draft));
    }

    fn hear_of(&mut self, decls: &[PluginDecl], is_old: impl Fn(&PluginDecl) -> bool) {
        for resource in self.rights.hear(decls, is_old) {
            // It is another version than the one that was promised.
            self.break_promise(&resource);
            self.fallbacks.outdate(&resource);
        }
    }

    /// Reads again by what rules code is fetched; says whether they are others now.
    pub(crate) fn refresh_rules(&mut self) -> bool {
        let is_new = self.pulls.as_ref().is_some_and(Pulls::refresh);
        if is_new {
            self.rules_changed = true;
            self.fallbacks.outdate_all();
        }
        is_new
    }

    /// Whether code is fetched by other rules than when this was asked last.
    pub(crate) fn rules_changed(&mut self) -> bool {
        std::mem::take(&mut self.rules_changed)
    }

    /// The files that say by what rules code is fetched.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let files = self.pulls.as_ref().map(Pulls::files);
        files.unwrap_or_default()
    }

    /// Ends a load: sources that it did not come across are not wanted any more.
    pub(crate) fn end(&mut self) {
        if let Some(pulls) = &self.pulls {
            pulls.keep_only(&self.wanted);
        }
    }

    /// Takes what served before a restart as versions to fall back to, and what they may have.
    pub(crate) fn restore(&mut self, stored: StoredPlugins) {
        let StoredPlugins {
            served,
            whole,
            rights,
        } = stored;
        self.good.extend(served.into_iter().map(Good::restored));
        self.whole.extend(whole.into_iter().map(Good::restored));
        self.rights.restore(rights);
    }

    /// Takes what was resolved last as what serves.
    pub(crate) fn commit(&mut self) {
        self.good = std::mem::take(&mut self.next);
        self.whole = std::mem::take(&mut self.next_whole);
        self.promises.all_kept();
        let failed = |(_, reason): &(Version, Reason)| reason.reason == SETUP_FAILED;
        if !self.bad.values().chain(self.unfit.values()).any(failed) {
            self.setups.went_well();
        }
        self.bad
            .retain(|resource, _| self.declared.contains_key(resource));
        self.unfit
            .retain(|resource, _| self.declared.contains_key(resource));
        self.rights
            .keep_only(|resource| self.declared.contains_key(resource));
        self.compiler.tidy();
        self.compiler.give_way();
    }

    /// What a restart needs to know of the plugins that serve.
    pub(crate) fn stored(&self) -> StoredPlugins {
        StoredPlugins {
            served: stored(&self.good),
            whole: stored(&self.whole),
            rights: self.rights.stored(),
        }
    }
}

/// As a restart needs them.
fn stored(versions: &HashMap<ResourceId, Good>) -> Vec<StoredPlugin> {
    let plugins = versions.iter().map(|(resource, good)| StoredPlugin {
        resource: resource.clone(),
        digest: good.version.digest,
        spec: good.version.spec.clone(),
        origin: Arc::clone(&good.origin),
        reachable: Arc::clone(&good.reachable),
    });
    let mut plugins: Vec<StoredPlugin> = plugins.collect();
    plugins.sort_by(|a, b| a.resource.cmp(&b.resource));
    plugins
}

#[cfg(test)]
mod tests;
