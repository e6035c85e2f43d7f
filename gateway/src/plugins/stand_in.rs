//! Which version serves in the place of one that cannot.
//!
//! Owns the choice: what served last, or if that may not, the versions behind it; never one that failed
//! itself, only looked on where one is to act, or lacks a signature. Whatever is chosen has no more than its
//! plugin may have now, and is remembered with what it had.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::RemoteSource;
use tidegate_config::problem::Problem;
use tidegate_config::resource::ResourceId;
use tidegate_host_abi::Plugin;

use crate::plugins::Good;
use crate::plugins::Reason;
use crate::plugins::Resolved;
use crate::plugins::Resolver;
use crate::plugins::Slot;
use crate::plugins::Version;
use crate::plugins::compile::TryError;
use crate::plugins::load::ready;
use crate::plugins::origin::Origin;
use crate::plugins::reason::chain;
use crate::plugins::reason::policy;
use crate::plugins::reason::refusal;
use crate::plugins::source;
use crate::plugins::source::is_awaited;
use crate::plugins::versions::Fallback;
use crate::plugins::versions::good_of;
use crate::plugins::versions::is_left;
use crate::pulls::PullBoard;
use crate::pulls::Pulls;
use crate::state::Store;

/// What serves in the place of what was declared.
#[derive(Debug)]
struct Before {
    /// It, without what it may have no longer; `None` if none works.
    good: Option<Good>,
    /// It with what it lost, so that it gets that back once it may have it; or what would serve.
    whole: Option<Good>,
    /// What it lost; if there is none, what the first of those that may serve lost.
    lost: Vec<String>,
}

/// What says whether a version may be put in service, by the signature policy of the moment.
#[derive(Debug, Clone)]
pub(super) struct Voucher {
    pulls: Option<PullBoard>,
    origin: Arc<Origin>,
    /// What its Plugin names now, if that is in the network.
    declared: Option<Arc<RemoteSource>>,
    digest: [u8; 32],
}

impl Voucher {
    /// Asks. Reads the disk where a signature is wanted.
    ///
    /// # Errors
    ///
    /// Why it may not serve.
    pub(super) fn ask(&self) -> Result<(), String> {
        let Some(pulls) = &self.pulls else {
            return Ok(());
        };
        pulls.vouch(&self.origin, self.declared.as_deref(), &self.digest)
    }
}

impl Resolver {
    /// The version before, if there is one that works.
    pub(super) fn fall_back(
        &mut self,
        decl: &PluginDecl,
        problems: Vec<Problem>,
        store: Option<&Store>,
        resolved: &mut Resolved,
    ) -> Slot {
        let Before {
            good: before,
            whole,
            lost,
        } = self.before(&decl.resource, store);
        self.keep_whole(&decl.resource, whole);
        let lost = lost.join(", ");
        let serves = match (&before, lost.as_str()) {
            (Some(_), "") => Some("the version before it serves on".to_owned()),
            (Some(_), lost) => Some(format!(
                "the version before it serves on, without what the Plugin gives no longer: {lost}"
            )),
            (None, "") => None,
            (None, lost) => Some(format!(
                "there is no version before it that serves without what the Plugin gives no longer: {lost}"
            )),
        };
        let slot = before
            .as_ref()
            .map_or_else(|| Slot::Refused(policy(decl.failure_policy)), ready);
        for mut problem in problems {
            let meanwhile = || source::meanwhile(decl.failure_policy).to_owned();
            let is_pending = is_awaited(problem.reason);
            if let Some(serves) = serves.clone().or_else(|| is_pending.then(meanwhile)) {
                problem.hint = Some(match problem.hint {
                    Some(hint) => format!("{hint}; {serves}"),
                    None => serves,
                });
            }
            resolved.problems.push(problem);
        }
        if let Some(good) = before {
            self.next.insert(decl.resource.clone(), good);
        }
        slot
    }

    /// The version that serves in the place of a plugin, working: the first of those that may.
    fn before(&mut self, resource: &ResourceId, store: Option<&Store>) -> Before {
        let mut all_lost = Vec::new();
        for whole in self.last_good(resource, store) {
            let (mut good, lost) = self.rights.narrowed(resource, whole.clone());
            // What serves is not put in service, whatever the policy says by now; and it stays the same.
            let serves = self.good.get(resource);
            let serves = serves.filter(|serves| serves.version == good.version);
            let serves = serves.and_then(|serves| serves.plugin.clone());
            let is_serving = serves.is_some() && !self.promises.is_pending(resource);
            good.plugin = serves.or(good.plugin);
            // Without what it may have no longer it may be the very one that fails.
            if !self.fails(resource, &good.version)
                && (is_serving || self.is_vouched(resource, &good))
                && let Some(good) = self.revive(resource, good, store)
            {
                return Before {
                    good: Some(good),
                    whole: (!lost.is_empty()).then_some(whole),
                    lost,
                };
            }
            if all_lost.is_empty() {
                all_lost = lost;
            }
        }
        Before {
            good: None,
            whole: self.last(resource).cloned(),
            lost: all_lost,
        }
    }

    /// What may serve in the place of a plugin: what served last, or if that may not, the versions behind
    /// it.
    pub(super) fn last_good(&self, resource: &ResourceId, store: Option<&Store>) -> Vec<Good> {
        let Some(good) = self.last(resource) else {
            return Vec::new();
        };
        let versions = self.chronicle.of(resource);
        let (narrowed, _) = self.rights.narrowed(resource, good.clone());
        let mut as_either = [&good.version, &narrowed.version].into_iter();
        let is_barred = versions
            .is_some_and(|versions| as_either.any(|version| versions.barred(version).is_some()));
        if !is_barred && self.may_stand_in(resource, &good.version) {
            return vec![good.clone()];
        }
        let behind = versions
            .into_iter()
            .flat_map(|one| one.behind(&good.version));
        let left = behind
            .filter(|entry| self.may_stand_in(resource, &entry.version) && is_left(entry, store));
        left.map(good_of).collect()
    }

    /// What served last, with all that it had then; also if it serves no more for want of that.
    pub(super) fn last(&self, resource: &ResourceId) -> Option<&Good> {
        let whole = self.whole.get(resource);
        whole.or_else(|| self.good.get(resource))
    }

    /// What served last, if it becomes this version without what it may have no longer.
    pub(super) fn before_it_lost(&self, resource: &ResourceId, good: &Good) -> Option<&Good> {
        let whole = self.last(resource)?;
        let (narrowed, lost) = self.rights.narrowed(resource, whole.clone());
        (!lost.is_empty() && narrowed.version == good.version).then_some(whole)
    }

    /// Keeps what had served before it lost something, once the generation serves.
    pub(super) fn keep_whole(&mut self, resource: &ResourceId, whole: Option<Good>) {
        if let Some(whole) = whole {
            self.next_whole.insert(resource.clone(), whole);
        }
    }

    /// A version serves.
    pub(crate) fn stands(&mut self, resource: &ResourceId, version: &Fallback) {
        self.takes(resource, version);
        self.promises.kept(resource);
    }

    /// Takes a version as what serves.
    pub(super) fn takes(&mut self, resource: &ResourceId, version: &Fallback) {
        self.fallbacks.outdate(resource);
        // It works by now, whatever came of it before.
        for failed in [&mut self.bad, &mut self.unfit] {
            failed.retain(|of, (failed, _)| of != resource || *failed != version.good.version);
        }
        self.good.insert(resource.clone(), version.good.clone());
        match version.whole.clone() {
            Some(whole) => self.whole.insert(resource.clone(), whole),
            None => self.whole.remove(resource),
        };
    }

    /// Whether a version may serve in the place of what a plugin's resource asks for: one that only looks
    /// on never takes the place of one that acts. It would let pass what that one is there to refuse.
    pub(super) fn may_stand_in(&self, resource: &ResourceId, version: &Version) -> bool {
        let declared = self.declared.get(resource);
        let enforces = declared.is_none_or(|declared| declared.enforces);
        !(enforces && version.is_shadow())
    }

    /// Whether a version was taken back, or did not start.
    pub(super) fn fails(&self, resource: &ResourceId, version: &Version) -> bool {
        let versions = self.chronicle.of(resource);
        let has_failed = |all: &HashMap<ResourceId, (Version, Reason)>| {
            all.get(resource)
                .is_some_and(|(failed, _)| failed == version)
        };
        versions.is_some_and(|one| one.barred(version).is_some())
            || has_failed(&self.bad)
            || has_failed(&self.unfit)
    }

    /// A version that served before, working, without what it may have no longer.
    pub(super) fn bring_back(
        &mut self,
        resource: &ResourceId,
        (number, whole): (u64, Good),
        store: Option<&Store>,
    ) -> Option<Fallback> {
        let (good, lost) = self.rights.narrowed(resource, whole.clone());
        let voucher = self.voucher(resource, &good);
        let good = self.revive(resource, good, store)?;
        Some(Fallback {
            number,
            good,
            whole: (!lost.is_empty()).then_some(whole),
            voucher,
        })
    }

    /// Says by what a version is vouched for, whenever that is asked.
    pub(super) fn voucher(&self, resource: &ResourceId, good: &Good) -> Voucher {
        let declared = self.declared.get(resource);
        Voucher {
            pulls: self.pulls.as_ref().map(Pulls::board),
            origin: Arc::clone(&good.origin),
            declared: declared.and_then(|declared| declared.remote.clone()),
            digest: good.version.digest,
        }
    }

    /// Whether a version that served before may serve again, as far as signatures go.
    pub(super) fn is_vouched(&self, resource: &ResourceId, good: &Good) -> bool {
        let vouched = self.voucher(resource, good).ask();
        if let Err(why) = &vouched {
            let name = &good.version.spec.name;
            tracing::warn!("the stored version of {name} is not used: {why}");
        }
        vouched.is_ok()
    }

    /// A version that served before, started again unless it still is: after a restart, or because it has
    /// to do without something. What does not start is noted, and not tried again until it may be.
    fn revive(&mut self, resource: &ResourceId, good: Good, store: Option<&Store>) -> Option<Good> {
        let is_started = |plugin: &Arc<Plugin>| *plugin.spec() == good.version.spec;
        if good.plugin.as_ref().is_some_and(is_started) {
            return Some(good);
        }
        let Good {
            version,
            origin,
            reachable,
            plugin,
        } = good;
        let code = match plugin {
            // Its module is compiled, and the compiler knows it as long as somebody has it.
            Some(_) => Ok(Bytes::new()),
            None => store?.module(&version.digest),
        };
        let code = match code {
            Ok(code) => code,
            Err(err) => {
                tracing::warn!("no version to fall back to: {}", chain(&err));
                return None;
            }
        };
        let name = &version.spec.name;
        match self
            .compiler
            .plugin(&version.digest, name, &code, &version.spec)
        {
            Ok(plugin) => Some(Good {
                version,
                origin,
                reachable,
                plugin: Some(plugin),
            }),
            Err(err) => {
                if let TryError::Start(start) = &err {
                    self.say(name, start);
                }
                let reason = refusal(&format!("plugin {name}"), &err, self.candid);
                tracing::warn!("the stored version of {name} fails too: {}", reason.message);
                self.fallbacks.outdate(resource);
                self.unfit.insert(resource.clone(), (version, reason));
                None
            }
        }
    }
}
