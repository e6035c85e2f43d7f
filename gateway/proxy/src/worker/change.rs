//! The change from one generation to the next, on one worker.
//!
//! Owns the order: instances in, sockets in, the new generation in place, then what is gone is
//! closed or retired. Nothing here waits, and no exchange sees half of it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::filters::vm::Vm;
use crate::generation::BindId;
use crate::generation::Change;
use crate::generation::Plan;
use crate::generation::SetUp;
use crate::worker::DRAIN_GRACE;
use crate::worker::Door;
use crate::worker::Generation;
use crate::worker::Worker;
use crate::worker::accept::accept_loop;
use crate::worker::life::receive;

/// How long connections may still be handed over for an address that was left.
const CLOSED_DOORS: Duration = Duration::from_secs(10);

/// The accept loops of a worker, those of closed doors included.
pub(super) type Accepting = Vec<JoinHandle<()>>;

/// Takes a generation into service.
pub(super) fn take(worker: &Rc<Worker>, change: Change, accepting: &mut Accepting) {
    let Change {
        plan,
        instances,
        sockets,
        done,
    } = change;
    take_vms(worker, &plan, instances);
    let generation = Generation::new(
        Arc::clone(&plan),
        &worker.vms.borrow(),
        &worker.backends,
        &mut worker.canaries.borrow_mut(),
    );
    let before = worker.generation.replace(Rc::new(generation));
    let snapshot = &plan.snapshot;
    worker.timeouts.set(snapshot.timeouts);
    worker.sizes.set(snapshot.sizes);
    worker.pool.set_limits(
        snapshot.sizes.idle_connections_per_endpoint,
        snapshot.timeouts.upstream_idle,
    );
    worker.backends.sweep(&snapshot.backends);
    close_doors(worker, &plan, &before);
    accepting.retain(|task| !task.is_finished());
    for (id, socket) in sockets {
        open_door(worker, id, socket, accepting);
    }
    for (stream, peer, bind) in worker.parked.take() {
        receive(worker, stream, peer, bind);
    }
    // Nobody may wait any more; the gateway has logged it then.
    done.send(()).ok();
}

fn take_vms(
    worker: &Rc<Worker>,
    plan: &Plan,
    instances: Vec<(crate::generation::VmId, Vec<tidegate_host_abi::Instance>)>,
) {
    let mut begun = Vec::new();
    {
        let mut vms = worker.vms.borrow_mut();
        for (id, instances) in instances {
            let Some(planned) = plan.vms.iter().find(|vm| vm.id == id) else {
                continue;
            };
            let vm = Vm::new(planned, Rc::downgrade(worker));
            vm.serve();
            vms.insert(id, Rc::clone(&vm));
            begun.push((vm, instances));
        }
        for (id, vm) in worker.coming.take() {
            vm.serve();
            vms.insert(id, vm);
        }
        let mut retired = worker.retired.borrow_mut();
        vms.retain(|id, vm| {
            let stays = plan.vms.iter().any(|planned| planned.id == *id);
            if !stays {
                vm.retire();
                retired.push(Rc::clone(vm));
            }
            stays
        });
    }
    // Beginning enters guests, which may reach anything of the worker.
    for (vm, instances) in begun {
        vm.begin(instances);
    }
}

/// Lets the instances of a generation that may come set themselves up, and says how that went.
pub(super) fn set_up(worker: &Rc<Worker>, setup: SetUp) {
    let SetUp { vms, done } = setup;
    let mut begun = Vec::new();
    for (planned, instances) in vms {
        let vm = Vm::new(&planned, Rc::downgrade(worker));
        let mut coming = worker.coming.borrow_mut();
        coming.insert(planned.id, Rc::clone(&vm));
        begun.push((vm, instances));
    }
    for (vm, instances) in begun {
        vm.begin(instances);
        let (vm, done) = (Rc::downgrade(&vm), done.clone());
        tokio::task::spawn_local(async move {
            // An abandoned one is not waited for.
            if let Some(vm) = vm.upgrade() {
                done.send(vm.set_up().await).ok();
            }
        });
    }
}

/// Ends what was begun for a generation that does not come.
pub(super) fn abandon(worker: &Rc<Worker>) {
    for (_, vm) in worker.coming.take() {
        vm.retire();
        vm.shutdown();
    }
}

fn open_door(
    worker: &Rc<Worker>,
    id: BindId,
    socket: std::net::TcpListener,
    accepting: &mut Accepting,
) {
    match TcpListener::from_std(socket) {
        Ok(socket) => {
            let door = Door::new(id);
            worker.doors.borrow_mut().insert(id, Rc::clone(&door));
            let accept = accept_loop(Rc::clone(worker), socket, door);
            accepting.push(tokio::task::spawn_local(accept));
        }
        Err(err) => tracing::error!(%err, "a worker cannot use a listening socket"),
    }
}

fn close_doors(worker: &Rc<Worker>, plan: &Plan, last: &Rc<Generation>) {
    worker.doors.borrow_mut().retain(|id, door| {
        let stays = plan.bind(*id).is_some();
        if !stays {
            door.close(Some(Rc::clone(last)));
            let mut closed = worker.closed_doors.borrow_mut();
            closed.push((Rc::clone(door), Instant::now()));
            hurry_idle(worker, Some(*id));
        }
        stays
    });
}

/// Connections that wait for another request get a moment for one that is on its way.
pub(super) fn hurry_idle(worker: &Worker, of: Option<BindId>) {
    for (_, connection) in worker.connections.borrow().iter() {
        let concerned = of.is_none_or(|bind| connection.bind == bind);
        if concerned && connection.idle.get() {
            connection.hurrier.hurry(DRAIN_GRACE);
        }
    }
}

/// Forgets doors that no worker can hand connections over for any more.
pub(super) fn forget_doors(worker: &Worker) {
    let mut closed = worker.closed_doors.borrow_mut();
    closed.retain(|(_, since)| since.elapsed() < CLOSED_DOORS);
}

/// Ends the VMs that no stream and no generation holds any more, once their calls are answered or
/// have had time enough. A service has no streams: it ends at once.
pub(super) fn end_retired(worker: &Worker) {
    let ended: Vec<Rc<Vm>> = {
        let mut retired = worker.retired.borrow_mut();
        let (held, free): (Vec<_>, Vec<_>) = std::mem::take(&mut *retired)
            .into_iter()
            // Calls and timers do not hold a VM.
            .partition(|vm| (Rc::strong_count(vm) > 1 && !vm.is_service()) || !vm.may_end());
        worker.counters.set_retired(held.len());
        *retired = held;
        free
    };
    for vm in ended {
        vm.shutdown();
    }
}
