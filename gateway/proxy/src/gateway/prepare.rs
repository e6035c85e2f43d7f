//! What is new in a generation, bound and started before any worker hears of it.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;

use tidegate_host_abi::Instance;
use tidegate_host_abi::Isolation;
use tidegate_host_abi::PluginKind;
use tidegate_host_abi::Services;

use crate::filters::vm::STOCK;
use crate::gateway::StartError;
use crate::gateway::plan::Drawn;
use crate::generation::BindId;
use crate::generation::VmId;
use crate::generation::VmPlan;
use crate::listener;
use crate::listener::Others;

/// What is new in a generation, bound and started.
#[derive(Debug)]
pub(super) struct Prepared {
    /// For each worker, its share.
    pub(super) each: Vec<Share>,
    pub(super) addresses: Vec<(BindId, SocketAddr)>,
}

/// One worker's share of what is new.
#[derive(Debug, Default)]
pub(super) struct Share {
    pub(super) instances: Vec<(VmId, Vec<Instance>)>,
    pub(super) sockets: Vec<(BindId, TcpListener)>,
}

/// Starts the instances that are new, for so many workers.
///
/// # Errors
///
/// [`StartError`]; what was started before it is dropped.
pub(super) fn start_vms(new: &[VmPlan], workers: usize) -> Result<Prepared, StartError> {
    start_vms_unless(new, workers, || false)
}

/// The same, until it `is_over`: nobody waits for them then.
///
/// # Errors
///
/// As [`start_vms`], and [`StartError::Interrupted`].
pub(super) fn start_vms_unless(
    new: &[VmPlan],
    workers: usize,
    is_over: impl Fn() -> bool,
) -> Result<Prepared, StartError> {
    let mut each: Vec<Share> = Vec::new();
    each.resize_with(workers, Share::default);
    for vm in new {
        let spec = vm.plugins.first().map(|plugin| plugin.spec());
        let (workers, instances) = match spec.map(|spec| (spec.kind, spec.isolation)) {
            // One in the process: the first worker has it.
            Some((PluginKind::Service, _)) => (1, 1),
            Some((PluginKind::Http | PluginKind::Network, Isolation::Stream)) => (workers, STOCK),
            // One that serves and a spare.
            Some((PluginKind::Http | PluginKind::Network, Isolation::Worker)) | None => {
                (workers, 2)
            }
        };
        for share in each.iter_mut().take(workers) {
            if is_over() {
                return Err(StartError::Interrupted);
            }
            share.instances.push((vm.id, start_vm(vm, instances)?));
        }
    }
    let addresses = Vec::new();
    Ok(Prepared { each, addresses })
}

/// Binds what is new. Last of all, so that nobody is let in by the kernel before there is somebody
/// to accept. `is_ours` says whether an address overlaps one that this gateway has, or had a moment
/// ago.
///
/// # Errors
///
/// [`StartError`]; what was bound before it is closed again.
pub(super) fn bind(
    drawn: &Drawn,
    is_ours: impl Fn(SocketAddr) -> bool,
    prepared: &mut Prepared,
) -> Result<(), StartError> {
    let Prepared { each, addresses } = prepared;
    let workers = each.len();
    for (id, bind) in &drawn.new_binds {
        let others = if is_ours(bind.address) {
            Others::AreOurs
        } else {
            Others::AreStrangers
        };
        let sockets = listener::bind(&bind.name, bind.address, workers, others)?;
        if let Some(address) = sockets.first().and_then(|socket| socket.local_addr().ok()) {
            addresses.push((*id, address));
        }
        for (share, socket) in each.iter_mut().zip(sockets) {
            share.sockets.push((*id, socket));
        }
    }
    Ok(())
}

fn start_vm(vm: &VmPlan, count: usize) -> Result<Vec<Instance>, StartError> {
    let mut instances = Vec::new();
    for _ in 0..count {
        let services: Arc<dyn Services> = Arc::clone(&vm.services) as _;
        let instance =
            Instance::start(&vm.plugins, services).map_err(|source| StartError::Plugin {
                plugin: source.plugin.clone(),
                source: Box::new(source),
            })?;
        instances.push(instance);
    }
    Ok(instances)
}
