//! Which backends the plugins of a generation may call, and whether they may look names up.
//!
//! Owns the rule: what is not allowed, or not there, is out of reach.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_core::snapshot::Snapshot;

use crate::generation::Callable;
use crate::generation::Generation;
use crate::generation::PluginSlot;
use crate::tls::TlsPlan;
use crate::upstream::balance::Target;

/// What the plugins of a generation may call.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    snapshot: Arc<Snapshot>,
    tls: Arc<TlsPlan>,
    /// By plugin name: its namespace, and its backends.
    plugins: HashMap<String, (String, Callable)>,
}

impl Reach {
    /// The reach of a generation's plugins.
    pub(crate) fn of(generation: &Generation, tls: &Arc<TlsPlan>) -> Arc<Self> {
        let ready = generation.plugins.iter().filter_map(|slot| match slot {
            PluginSlot::Ready { plugin, backends } => {
                let spec = plugin.spec();
                let reach = (spec.namespace.clone(), backends.clone());
                Some((spec.name.clone(), reach))
            }
            PluginSlot::Refused(_) => None,
        });
        Arc::new(Self {
            plugins: ready.collect(),
            snapshot: Arc::clone(&generation.snapshot),
            tls: Arc::clone(tls),
        })
    }

    /// The backend that a plugin of this namespace calls so.
    pub(crate) fn backend(&self, namespace: &str, name: &str) -> Option<Target> {
        let backend = self.snapshot.backends.named(namespace, name)?;
        Some(Target::of(backend, &self.tls))
    }

    /// Whether a plugin may have names looked up.
    pub(super) fn resolves(&self, plugin: &str) -> bool {
        let known = self.plugins.get(plugin);
        known.is_some_and(|(_, callable)| match callable {
            Callable::All => true,
            Callable::Only(reachable) => reachable.dns,
        })
    }

    pub(super) fn includes(&self, plugin: &str, backend: &str) -> bool {
        let Some((namespace, callable)) = self.plugins.get(plugin) else {
            return false;
        };
        let Some(backend) = self.snapshot.backends.named(namespace, backend) else {
            return false;
        };
        match callable {
            Callable::All => true,
            Callable::Only(reachable) => {
                let mut names = reachable.backends.iter();
                names.any(|name| **name == *backend.name.as_str())
            }
        }
    }
}
