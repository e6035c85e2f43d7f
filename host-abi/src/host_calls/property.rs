//! Properties.
//!
//! Owns which of them the host answers by itself: those of the plugin, which must be readable even
//! before `proxy_on_vm_start`, because the C++ SDK picks its filter by `plugin_root_id`.

use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::kinds::Status;
use crate::memory::{OutBytes, Region};
use crate::plugin::PluginSpec;
use crate::property::{self, Property};
use crate::state::State;
use crate::stream::PropertyValue;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_get_property",
        |guest, path: u32, path_len: u32, ptr: u32, len: u32| {
            get(guest, Region::new(path, path_len), OutBytes::new(ptr, len))
        }
    );
    env_fn!(
        linker,
        "proxy_set_property",
        |guest, path: u32, path_len: u32, value: u32, value_len: u32| {
            set(
                guest,
                Region::new(path, path_len),
                Region::new(value, value_len),
            )
        }
    );
    Ok(())
}

/// The bytes of memory the guest has (Higress).
const VM_MEMORY: &[u8] = b"plugin_vm_memory";

/// What a guest sets to `true` when it wants to be replaced by a new instance (Higress).
const NEED_REBUILD: &[u8] = b"wasm_need_rebuild";

fn get(guest: &mut Guest<'_, '_>, path: Region, out: OutBytes) -> Answer {
    let mut value = guest.take_scratch();
    let (memory, state) = guest.parts()?;
    out.check(memory)?;
    let path = path.read(memory)?;
    if let Some(set) = state.services.property(path) {
        value.extend_from_slice(&set);
        return guest.give_scratch(value, out);
    }
    let property = Property::parse(path);
    let of_plugin: Option<fn(&PluginSpec) -> &str> = match property {
        Property::PluginName => Some(|spec| &spec.name),
        Property::PluginRootId => Some(|spec| &spec.root_id),
        Property::PluginVmId => Some(|spec| &spec.vm_id),
        _ => None,
    };
    let found = if property == Property::Other(VM_MEMORY) {
        let bytes = memory.len() as u64;
        value.extend_from_slice(&bytes.to_le_bytes());
        Ok(())
    } else if let Some(of) = of_plugin {
        state
            .root()
            .map(|root| value.extend_from_slice(of(root.plugin.spec()).as_bytes()))
            .ok_or(Status::NotFound)
    } else if let Property::Node(path) = property {
        let node = state.services.node();
        node.filter(|node| node.read(path, &mut value))
            .map(|_| ())
            .ok_or(Status::NotFound)
    } else {
        of_stream(state, &property, &mut value)
    };
    if let Err(status) = found {
        guest.keep_scratch(value);
        return Err(status.into());
    }
    guest.give_scratch(value, out)
}

fn of_stream(state: &mut State, property: &Property<'_>, out: &mut Vec<u8>) -> Result<(), Status> {
    let read = state.with_stream(|stream| {
        let value = match property {
            Property::Group => PropertyValue::NoBytes,
            property => stream.property(property).ok_or(Status::NotFound)?,
        };
        if value == PropertyValue::NoBytes {
            return Err(Status::SerializationFailure);
        }
        property::encode(&value, out);
        Ok(())
    });
    read.unwrap_or(Err(Status::NotFound))
}

fn set(guest: &mut Guest<'_, '_>, path: Region, value: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let (path, value) = (path.read(memory)?, value.read(memory)?);
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    if path == NEED_REBUILD {
        state.rebuild_wanted = value == b"true";
    }
    if is_taken(state, path) {
        return Err(Status::BadArgument.into());
    }
    match state.with_stream(|stream| stream.set_property(path, value)) {
        Some(true) => Ok(()),
        Some(false) => Err(Status::InternalFailure.into()),
        None => {
            super::local_response::no_stream(state, "set_property");
            state.lenient(Status::NotFound)
        }
    }
}

/// Whether the plugin declared the property to be set once, and the stream has it.
fn is_taken(state: &mut State, path: &[u8]) -> bool {
    let once = state.root().is_some_and(|root| {
        let mut declared = root.declared.iter();
        declared.any(|known| known.read_only && known.name.as_bytes() == path)
    });
    let property = Property::Other(path);
    once && state.with_stream(|stream| stream.property(&property).is_some()) == Some(true)
}
