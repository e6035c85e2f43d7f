//! Shared queues.
//!
//! Owns the statuses and the events: items that were queued are told to the queue's owner by the
//! embedder, which takes one event a queue after the callback.

use std::sync::Arc;

use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::fault::HostCallError;
use crate::instance::QueueEvent;
use crate::kinds::Status;
use crate::memory::{OutBytes, Region, Slot};
use crate::plugin::{Plugin, vm_space};
use crate::shared::{QueueError, QueueOwner};
use crate::state::State;

/// Queues that one callback may bring news of. For more of them the news waits for the next item:
/// neither items nor the count of signals are lost.
const MAX_EVENTS: usize = 1_024;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_register_shared_queue",
        |guest, name: u32, len: u32, out: u32| {
            register(guest, Region::new(name, len), Slot(out))
        }
    );
    env_fn!(
        linker,
        "proxy_resolve_shared_queue",
        |guest, vm_id: u32, vm_id_len: u32, name: u32, name_len: u32, out: u32| {
            resolve(
                guest,
                Region::new(vm_id, vm_id_len),
                Region::new(name, name_len),
                Slot(out),
            )
        }
    );
    env_fn!(
        linker,
        "proxy_enqueue_shared_queue",
        |guest, token: u32, ptr: u32, len: u32| { enqueue(guest, token, Region::new(ptr, len)) }
    );
    env_fn!(
        linker,
        "proxy_dequeue_shared_queue",
        |guest, token: u32, ptr: u32, len: u32| { dequeue(guest, token, OutBytes::new(ptr, len)) }
    );
    Ok(())
}

impl From<QueueError> for HostCallError {
    fn from(error: QueueError) -> Self {
        Self::Refuse(match error {
            QueueError::Unknown => Status::NotFound,
            QueueError::Empty => Status::Empty,
            QueueError::TooMany => Status::InternalFailure,
            QueueError::LongName => Status::BadArgument,
        })
    }
}

fn plugin(state: &State) -> Result<&Plugin, Status> {
    state
        .root()
        .map(|root| &*root.plugin)
        .ok_or(Status::InternalFailure)
}

fn register(guest: &mut Guest<'_, '_>, name: Region, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory, 4)?;
    let name = name.read(memory)?;
    let root = state.root().ok_or(Status::InternalFailure)?;
    let owner = QueueOwner {
        instance: state.id,
        root: root.context,
    };
    let (tenant, space) = (root.plugin.tenant(), root.plugin.shared_space());
    let token = {
        let mut queues = state.services.shared().queues();
        let token = queues.register(tenant, space, name, owner)?;
        if !state.starting {
            queues.claim(token, owner);
        }
        token
    };
    let registered = (token, owner.root);
    if !state.queues.contains(&registered) {
        state.queues.push(registered);
    }
    Ok(out.write_u32(memory, token)?)
}

fn resolve(guest: &mut Guest<'_, '_>, vm_id: Region, name: Region, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory, 4)?;
    let (vm_id, name) = (vm_id.read(memory)?, name.read(memory)?);
    let plugin = plugin(state)?;
    let space = if vm_id.is_empty() {
        Arc::clone(plugin.shared_space())
    } else {
        let vm_id = std::str::from_utf8(vm_id).map_err(|_| Status::NotFound)?;
        vm_space(plugin.spec(), vm_id)
    };
    let token = state.services.shared().queues().resolve(&space, name)?;
    Ok(out.write_u32(memory, token)?)
}

fn enqueue(guest: &mut Guest<'_, '_>, token: u32, item: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let item = item.read(memory)?;
    let tenant = plugin(state)?.tenant();
    let owner = state
        .services
        .shared()
        .queues()
        .enqueue(tenant, token, item)?;
    let QueueOwner { instance, root } = owner;
    let event = QueueEvent {
        instance,
        root,
        queue: token,
    };
    let events = &mut state.queue_events;
    if let Some(known) = events.iter_mut().rfind(|known| known.queue == token) {
        *known = event;
    } else if events.len() < MAX_EVENTS {
        events.push(event);
    }
    Ok(())
}

fn dequeue(guest: &mut Guest<'_, '_>, token: u32, out: OutBytes) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory)?;
    let tenant = plugin(state)?.tenant();
    let item = state.services.shared().queues().dequeue(tenant, token)?;
    guest.give(&item, out)
}
