//! What a plugin may have by its newest resource, whatever version of it serves.
//!
//! Owns what an older version loses of what it had: backends, those of shadows, names (DNS), variables. A resource whose
//! code fails is refused, and still says what its plugin may have no longer; one that is wrong itself says
//! nothing that could be relied on.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginSource;
use tidegate_config::resource::ResourceId;
use tidegate_proxy::Reachable;

use super::Good;

/// What one plugin may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) backends: Vec<Arc<str>>,
    pub(crate) dns: bool,
    /// Names of variables.
    pub(crate) env: Vec<String>,
    /// Of the backends those that it calls while it only looks on, as it said last; `None` if it never looked
    /// on.
    pub(crate) shadow_backends: Option<Vec<Arc<str>>>,
}

impl Rights {
    fn of(decl: &PluginDecl) -> Self {
        let shadow = decl.shadow.as_ref();
        Self {
            backends: decl.backends.clone(),
            dns: decl.dns,
            env: decl.env.iter().map(|(name, _)| name.clone()).collect(),
            shadow_backends: shadow.map(|shadow| shadow.backends.clone()),
        }
    }

    /// Whether a shadow may call that backend.
    fn shows(&self, name: &str) -> bool {
        let shown = self.shadow_backends.as_ref();
        shown.is_none_or(|shown| shown.iter().any(|one| **one == *name))
    }
}

/// What all plugins may have.
#[derive(Debug, Default)]
pub(super) struct AllRights {
    plugins: HashMap<ResourceId, Rights>,
    /// Whose resource this load has heard.
    heard: HashSet<ResourceId>,
}

impl AllRights {
    /// Takes what was heard before a restart.
    pub(super) fn restore(&mut self, rights: Vec<(ResourceId, Rights)>) {
        self.plugins.extend(rights);
    }

    /// As a restart needs them: a resource that is wrong itself must not give back then what it withdrew
    /// before.
    pub(super) fn stored(&self) -> Vec<(ResourceId, Rights)> {
        let all = self.plugins.iter();
        let mut all: Vec<_> = all.map(|(id, it)| (id.clone(), it.clone())).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// A load begins.
    pub(super) fn begin(&mut self) {
        self.heard.clear();
    }

    /// Hears declarations of a load; of each plugin the first one counts: after a refusal they are those
    /// of the version before. `is_old` are those that are so from the beginning. Gives the plugins that may
    /// have something else now.
    pub(super) fn hear(
        &mut self,
        decls: &[PluginDecl],
        is_old: impl Fn(&PluginDecl) -> bool,
    ) -> Vec<ResourceId> {
        let mut changed = Vec::new();
        for decl in decls {
            if decl.source == PluginSource::Refused || !self.heard.insert(decl.resource.clone()) {
                continue;
            }
            if is_old(decl) && self.plugins.contains_key(&decl.resource) {
                continue;
            }
            let mut rights = Rights::of(decl);
            if rights.shadow_backends.is_none() {
                let before = self.plugins.get(&decl.resource);
                rights.shadow_backends = before.and_then(|it| it.shadow_backends.clone());
            }
            if self.plugins.get(&decl.resource) != Some(&rights) {
                self.plugins.insert(decl.resource.clone(), rights);
                changed.push(decl.resource.clone());
            }
        }
        changed
    }

    /// Forgets all plugins but these.
    pub(super) fn keep_only(&mut self, is_kept: impl Fn(&ResourceId) -> bool) {
        self.plugins.retain(|resource, _| is_kept(resource));
    }

    /// A declaration without what its plugin may have no longer; `None` if that is nothing.
    pub(super) fn limited(&self, decl: &PluginDecl) -> Option<PluginDecl> {
        let rights = self.plugins.get(&decl.resource)?;
        let keeps_all = decl.backends.iter().all(|it| rights.backends.contains(it))
            && decl.env.iter().all(|(name, _)| rights.env.contains(name))
            && (rights.dns || !decl.dns)
            && decl
                .shadow
                .iter()
                .all(|shadow| shadow.backends.iter().all(|it| rights.shows(it)));
        if keeps_all {
            return None;
        }
        let mut decl = decl.clone();
        decl.backends.retain(|it| rights.backends.contains(it));
        decl.env.retain(|(name, _)| rights.env.contains(name));
        decl.dns &= rights.dns;
        if let Some(shadow) = &mut decl.shadow {
            shadow.backends.retain(|it| rights.shows(it));
        }
        Some(decl)
    }

    /// A version without what its plugin may have no longer, and in words what that is. Without a variable,
    /// or a backend of a shadow, it is another version, which has to be started.
    pub(super) fn narrowed(&self, resource: &ResourceId, mut good: Good) -> (Good, Vec<String>) {
        let mut lost = Vec::new();
        let Some(rights) = self.plugins.get(resource) else {
            return (good, lost);
        };
        let Reachable { backends, dns } = &*good.reachable;
        let (kept, gone): (Vec<_>, Vec<_>) = backends
            .iter()
            .cloned()
            .partition(|it| rights.backends.contains(it));
        lost.extend(gone.iter().map(|name| format!("backend {name}")));
        if *dns && !rights.dns {
            lost.push("DNS".to_owned());
        }
        if !lost.is_empty() {
            good.reachable = Arc::new(Reachable {
                backends: kept,
                dns: *dns && rights.dns,
            });
        }
        good.version.spec.env.retain(|(name, _)| {
            let is_kept = rights.env.contains(name);
            if !is_kept {
                lost.push(format!("variable {name}"));
            }
            is_kept
        });
        if let Some(shadow) = &mut good.version.spec.shadow {
            shadow.backends.retain(|name| {
                let is_kept = rights.shows(name);
                let is_said = lost.iter().any(|it| *it == format!("backend {name}"));
                if !is_kept && !is_said {
                    lost.push(format!("backend {name} as a shadow"));
                }
                is_kept
            });
        }
        (good, lost)
    }
}

/// Whether a declaration is that of a version before, because the resource as it is written is refused.
pub(super) fn is_old(draft: &Draft) -> impl Fn(&PluginDecl) -> bool {
    let old = draft.resources.iter().filter(|one| one.last_good);
    let old: HashSet<ResourceId> = old.map(|one| one.resource.clone()).collect();
    move |decl| {
        old.contains(&ResourceId {
            name: Arc::from(without_canary(&decl.resource.name)),
            ..decl.resource.clone()
        })
    }
}

/// The name of the resource that a plugin is of: a canary is of its plugin's.
pub(crate) fn without_canary(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}

#[cfg(test)]
mod tests;
