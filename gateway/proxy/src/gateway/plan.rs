//! From a generation to the plan of all workers: which instances and sockets stay, which are new.
//!
//! Owns the identity of VMs and binds through generations. What did not change keeps its id, and
//! with it everything workers hold under it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::snapshot::Bind;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::VmKey;

use crate::filters::services::Commons;
use crate::filters::services::Reach;
use crate::filters::services::VmServices;
use crate::gateway::StartError;
use crate::generation::BindId;
use crate::generation::Generation;
use crate::generation::Plan;
use crate::generation::PluginSlot;
use crate::generation::Slot;
use crate::generation::VmId;
use crate::generation::VmPlan;
use crate::metrics::Tally;
use crate::tls::TlsPlan;

/// What a bind is recognised by: its address, or its name if the system chooses the port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum BindKey {
    Address(SocketAddr),
    Named(Arc<str>),
}

impl BindKey {
    fn of(bind: &Bind) -> Self {
        if bind.address.port() == 0 {
            Self::Named(Arc::clone(&bind.name))
        } else {
            Self::Address(bind.address)
        }
    }
}

/// A plan, and what is new in it.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) plan: Plan,
    /// What plugins may call once the plan is in place.
    pub(super) reach: Arc<Reach>,
    pub(super) new_vms: Vec<VmPlan>,
    pub(super) new_binds: Vec<(BindId, Arc<Bind>)>,
}

/// Gives out ids that are never used again.
#[derive(Debug, Default)]
pub(super) struct Ids(u64);

impl Ids {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// Plans `generation` after `before`.
///
/// # Errors
///
/// [`StartError::Tls`].
pub(super) fn draw(
    generation: Generation,
    before: &Plan,
    ids: &mut Ids,
    commons: &Arc<Commons>,
    workers: usize,
) -> Result<Drawn, StartError> {
    let tls = Arc::new(TlsPlan::of(&generation, &before.tls)?);
    let reach = Reach::of(&generation, &tls);
    let Generation {
        number,
        snapshot,
        plugins,
        certificates: _,
        bundles: _,
    } = generation;
    let groups = by_vm(&plugins);
    let mut vms = Vec::new();
    let mut new_vms = Vec::new();
    for plugins in groups {
        let known = before.vms.iter().find(|vm| same(&vm.plugins, &plugins));
        match known {
            Some(known) => vms.push(known.clone()),
            None => {
                let tallies = plugins.iter().map(|plugin| {
                    let known = before.tally(plugin).cloned();
                    known.unwrap_or_else(|| Arc::new(Tally::new(workers)))
                });
                let vm = VmPlan {
                    id: VmId(ids.next()),
                    tallies: tallies.collect(),
                    plugins,
                    services: VmServices::new(commons, &reach),
                };
                new_vms.push(vm.clone());
                vms.push(vm);
            }
        }
    }
    let slots = plugins.iter().map(|slot| place(slot, &vms)).collect();
    let known: HashMap<BindKey, BindId> = before
        .binds
        .iter()
        .map(|(id, bind)| (BindKey::of(bind), *id))
        .collect();
    let mut binds = Vec::new();
    let mut new_binds = Vec::new();
    for bind in &snapshot.binds {
        match known.get(&BindKey::of(bind)) {
            Some(id) => binds.push((*id, Arc::clone(bind))),
            None => {
                let id = BindId(ids.next());
                binds.push((id, Arc::clone(bind)));
                new_binds.push((id, Arc::clone(bind)));
            }
        }
    }
    binds.sort_by_key(|(id, _)| *id);
    Ok(Drawn {
        plan: Plan {
            number,
            snapshot,
            slots,
            vms,
            binds,
            tls,
        },
        reach,
        new_vms,
        new_binds,
    })
}

/// Plugins grouped by the instance they share, in order of first appearance.
fn by_vm(slots: &[PluginSlot]) -> Vec<Vec<Arc<Plugin>>> {
    let mut places: HashMap<VmKey, usize> = HashMap::new();
    let mut groups: Vec<Vec<Arc<Plugin>>> = Vec::new();
    for slot in slots {
        let PluginSlot::Ready { plugin, .. } = slot else {
            continue;
        };
        let place = *places.entry(plugin.vm_key()).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.push(Arc::clone(plugin));
        }
    }
    groups
}

/// A changed set of root contexts means new instances: configuring happens before serving only.
fn same(these: &[Arc<Plugin>], those: &[Arc<Plugin>]) -> bool {
    these.len() == those.len() && these.iter().zip(those).all(|(a, b)| Arc::ptr_eq(a, b))
}

fn place(slot: &PluginSlot, vms: &[VmPlan]) -> Slot {
    let plugin = match slot {
        PluginSlot::Refused(policy) => return Slot::Refused(*policy),
        PluginSlot::Ready { plugin, .. } => plugin,
    };
    let found = vms.iter().find_map(|vm| {
        let place = vm.plugins.iter().position(|one| Arc::ptr_eq(one, plugin))?;
        Some((vm.id, place))
    });
    match found {
        Some((vm, place)) => Slot::Ready {
            plugin: Arc::clone(plugin),
            vm,
            place,
        },
        None => Slot::Refused(plugin.spec().failure_policy),
    }
}
