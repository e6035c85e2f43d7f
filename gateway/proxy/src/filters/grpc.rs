//! gRPC calls and streams that filters make.
//!
//! Owns which of them one instance has, and the way of its commands to their tasks. Each is a task:
//! it talks to the backend ([`exchange`]) and reports what comes of it to the guest. They belong
//! to the instance that asked for them, not to a stream, and end with it.

mod exchange;
mod inbound;
mod outbound;
mod request;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tidegate_host_abi::CalloutToken;
use tidegate_host_abi::GrpcCommand;
use tidegate_host_abi::GrpcEvent;
use tidegate_host_abi::GrpcKind;
use tidegate_host_abi::GrpcStart;
use tokio::task::AbortHandle;

use crate::filters::vm::Vm;
use outbound::Outbox;

/// The open calls and streams of one instance.
#[derive(Debug, Default)]
pub(crate) struct GrpcCalls(RefCell<HashMap<CalloutToken, Open>>);

/// One of them; its task ends with it.
#[derive(Debug)]
struct Open {
    outbox: Rc<Outbox>,
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl GrpcCalls {
    /// Does what a guest asked for. Commands for what is over mean nothing.
    pub(crate) fn run(&self, vm: &Rc<Vm>, command: GrpcCommand) {
        match command {
            GrpcCommand::Start(start) => self.start(vm, start),
            GrpcCommand::Send { token, message } => {
                if let Some(open) = self.0.borrow().get(&token) {
                    open.outbox.push(message);
                }
            }
            GrpcCommand::HalfClose { token } => {
                if let Some(open) = self.0.borrow().get(&token) {
                    open.outbox.end();
                }
            }
            GrpcCommand::Cancel { token } => {
                let cancelled = self.0.borrow_mut().remove(&token);
                drop(cancelled);
            }
        }
    }

    /// Ends all of them: the instance is gone.
    pub(crate) fn clear(&self) {
        let all = self.0.take();
        drop(all);
    }

    fn start(&self, vm: &Rc<Vm>, start: GrpcStart) {
        let Some(worker) = vm.worker() else { return };
        let token = start.token;
        let limit = worker.sizes().callout_body_bytes;
        let outbox = Rc::new(Outbox::new(limit));
        // The backends of its generation, also if that is an older one.
        let reach = vm.reach_of(token, &start.backend);
        let peer = exchange::Peer {
            worker,
            remarks: vm.remarks(),
            backend: reach.backend(vm.namespace(), &start.backend),
        };
        // The worker's runtime owns the task; the instance ends it.
        let task = match &start.kind {
            GrpcKind::Call { .. } => {
                let vm = Rc::downgrade(vm);
                tokio::task::spawn_local(async move {
                    let event = exchange::call(&peer, &start).await;
                    // The instance ends the task with itself.
                    if let Some(vm) = vm.upgrade() {
                        deliver(&vm, token, event);
                    }
                })
            }
            GrpcKind::Stream => {
                let (vm, outbox) = (Rc::downgrade(vm), Rc::clone(&outbox));
                tokio::task::spawn_local(async move {
                    exchange::stream(&peer, &start, &outbox, |event| match vm.upgrade() {
                        Some(vm) => deliver(&vm, token, event),
                        None => Delivered::ToNobody,
                    })
                    .await;
                })
            }
        };
        let open = Open {
            outbox,
            task: task.abort_handle(),
        };
        self.0.borrow_mut().insert(token, open);
    }

    /// Forgets one that has ended by itself.
    fn forget(&self, token: CalloutToken) {
        let ended = self.0.borrow_mut().remove(&token);
        drop(ended);
    }
}

/// Whether more is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivered {
    ToGuest,
    /// The guest has ended, or the call has.
    ToNobody,
}

/// Tells the guest what came.
fn deliver(vm: &Rc<Vm>, token: CalloutToken, event: GrpcEvent) -> Delivered {
    let is_call = token.0 & 3 == 1;
    let is_last = is_call || matches!(event, GrpcEvent::Close { .. });
    if is_last {
        // Its own task is aborted by that, and has nothing left to wait for.
        vm.grpc().forget(token);
    }
    let told = vm.enter(None, |instance, streams| {
        instance.on_grpc_event(streams, token, event)
    });
    match told {
        Ok(()) if !is_last => Delivered::ToGuest,
        Ok(()) => Delivered::ToNobody,
        Err(_) => {
            tracing::debug!(
                token = token.0,
                "what came of a call ended its filter's instance"
            );
            Delivered::ToNobody
        }
    }
}
