//! What is new in a generation, bound and started before any worker hears of it.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;

use tidegate_host_abi::Instance;
use tidegate_host_abi::Services;

use crate::filters::services::GatewayServices;
use crate::gateway::StartError;
use crate::gateway::plan::Drawn;
use crate::generation::BindId;
use crate::generation::VmId;
use crate::generation::VmPlan;
use crate::listener;

/// What is new in a generation, bound and started.
pub(super) struct Prepared {
    /// For each worker, its share.
    pub(super) each: Vec<Share>,
    pub(super) addresses: Vec<(BindId, SocketAddr)>,
}

/// One worker's share of what is new.
#[derive(Default)]
pub(super) struct Share {
    pub(super) instances: Vec<(VmId, Vec<Instance>)>,
    pub(super) sockets: Vec<(BindId, TcpListener)>,
}

/// Binds and starts what is new, for so many workers.
///
/// # Errors
///
/// [`StartError`]; what was bound or started before it is closed again.
pub(super) fn prepare(
    drawn: &Drawn,
    services: &Arc<GatewayServices>,
    workers: usize,
) -> Result<Prepared, StartError> {
    let mut each: Vec<Share> = Vec::new();
    each.resize_with(workers, Share::default);
    let mut addresses = Vec::new();
    for (id, bind) in &drawn.new_binds {
        let sockets = listener::bind(&bind.name, bind.address, workers)?;
        if let Some(address) = sockets.first().and_then(|socket| socket.local_addr().ok()) {
            addresses.push((*id, address));
        }
        for (share, socket) in each.iter_mut().zip(sockets) {
            share.sockets.push((*id, socket));
        }
    }
    for vm in &drawn.new_vms {
        for share in &mut each {
            share.instances.push((vm.id, start_vm(vm, services)?));
        }
    }
    Ok(Prepared { each, addresses })
}

/// An instance and a spare.
fn start_vm(vm: &VmPlan, services: &Arc<GatewayServices>) -> Result<Vec<Instance>, StartError> {
    let mut instances = Vec::new();
    for _ in 0..2 {
        let services: Arc<dyn Services> = Arc::clone(services) as _;
        let instance = Instance::start(&vm.plugins, services).map_err(|source| {
            let plugin = vm.plugins.first().map(|plugin| plugin.spec().name.clone());
            StartError::Plugin {
                plugin: plugin.unwrap_or_default(),
                source: Box::new(source),
            }
        })?;
        instances.push(instance);
    }
    Ok(instances)
}
