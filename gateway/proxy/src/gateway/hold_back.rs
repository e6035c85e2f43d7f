//! A bound on the old versions of a plugin that long streams hold.
//!
//! Each version that a stream holds has instances on every worker. Beyond so many of them, further
//! changes of the plugin wait: the version that serves stays, and of those that follow the newest is
//! taken as soon as an old one ends. All else of a generation is taken at once.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_host_abi::Plugin;

use crate::gateway::Gateway;
use crate::gateway::StartError;
use crate::generation::Generation;
use crate::generation::Plan;
use crate::generation::PluginSlot;
use crate::generation::Slot;
use crate::generation::VmId;

/// Old versions of one plugin that streams may hold.
const MOST_OLD: usize = 16;

impl Gateway {
    /// Makes plugins whose newest version waits serve it, if an old one has ended meanwhile; says
    /// whether anything changed. To be called now and then.
    ///
    /// # Errors
    ///
    /// [`StartError`], as [`Gateway::apply`]; it is tried again then.
    pub fn catch_up(&mut self) -> Result<bool, StartError> {
        self.sweep();
        let waiting = self.commons.waiting();
        if !waiting
            .iter()
            .any(|name| self.old_versions(name) < MOST_OLD)
        {
            return Ok(false);
        }
        self.apply(self.wanted.clone())?;
        Ok(true)
    }

    /// Puts the versions that serve in place of newer ones that have to wait, and returns the names
    /// of these plugins. The one called `at_once` never waits.
    pub(super) fn hold_back(
        &self,
        generation: &mut Generation,
        at_once: Option<&str>,
    ) -> Vec<String> {
        let mut waiting = Vec::new();
        let known = self.commons.waiting();
        for slot in &mut generation.plugins {
            let PluginSlot::Ready { plugin, .. } = slot else {
                continue;
            };
            let Some((serving, _)) = version(&self.plan, plugin.name()) else {
                continue;
            };
            let is_free = at_once == Some(plugin.name());
            if is_free
                || Arc::ptr_eq(serving, plugin)
                || self.old_versions(plugin.name()) < MOST_OLD
            {
                continue;
            }
            if !known.iter().any(|name| name == plugin.name()) {
                tracing::warn!(
                    plugin = plugin.name(),
                    old = MOST_OLD,
                    "streams hold too many old versions of a plugin: its newest waits until one ends"
                );
            }
            waiting.push(plugin.name().to_owned());
            *plugin = Arc::clone(serving);
        }
        waiting
    }

    /// Forgets plans that no stream holds any more, and what the plugins shared that are gone with
    /// them.
    pub(super) fn sweep(&mut self) {
        self.past.retain(|plan| Arc::strong_count(plan) > 1);
        let plans = || self.past.iter().chain([&self.plan]);
        let used: HashSet<&str> = plans()
            .flat_map(|plan| ready(plan))
            .map(|(plugin, _)| &**plugin.shared_space())
            .collect();
        let gone: Vec<Arc<str>> = self
            .spaces
            .extract_if(|space| !used.contains(&**space))
            .collect();
        for space in gone {
            self.commons.forget_space(&space);
        }
    }

    /// Notes what the plugins of the plan share.
    pub(super) fn note_spaces(&mut self) {
        let spaces = ready(&self.plan).map(|(plugin, _)| Arc::clone(plugin.shared_space()));
        self.spaces.extend(spaces);
    }

    /// How many versions of a plugin only streams of older plans have.
    fn old_versions(&self, name: &str) -> usize {
        let serves = version(&self.plan, name).map(|(_, vm)| vm);
        let held = self
            .past
            .iter()
            .filter(|plan| Arc::strong_count(plan) > 1)
            .filter_map(|plan| version(plan, name));
        let old: HashSet<VmId> = held
            .map(|(_, vm)| vm)
            .filter(|vm| Some(*vm) != serves)
            .collect();
        old.len()
    }
}

/// The version of a plugin that a plan has.
fn version<'a>(plan: &'a Plan, name: &str) -> Option<(&'a Arc<Plugin>, VmId)> {
    ready(plan).find(|(plugin, _)| plugin.name() == name)
}

fn ready(plan: &Plan) -> impl Iterator<Item = (&Arc<Plugin>, VmId)> {
    plan.slots.iter().filter_map(|slot| match slot {
        Slot::Ready { plugin, vm, .. } => Some((plugin, *vm)),
        Slot::Refused(_) => None,
    })
}
