//! The guest as a running host call sees it: its memory, its allocator and the state beside it.
//!
//! Owns handing bytes over to the guest. The guest's allocator is the only guest code that runs in a
//! host call, on the time that is left, and nothing it calls may need it again.
//!
//! Invariant: memory is looked up anew after every allocation, because that may have moved it.

use wasmtime::{Caller, Extern, Memory, TypedFunc};

use super::Answer;
use crate::fault::{Fault, HostCallError};
use crate::kinds::{LogLevel, Status};
use crate::memory::{OutBytes, Region};
use crate::state::{Phase, State};

/// A scratch buffer that grew beyond this is given back after use.
const KEPT_SCRATCH: usize = 1 << 20;

/// The calling guest.
pub(super) struct Guest<'a, 'c> {
    caller: &'a mut Caller<'c, State>,
}

impl<'a, 'c> Guest<'a, 'c> {
    pub(super) const fn new(caller: &'a mut Caller<'c, State>) -> Self {
        Self { caller }
    }

    /// The host's side of the instance.
    pub(super) fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    /// The guest's memory and the host's side at once.
    pub(super) fn parts(&mut self) -> Result<(&mut [u8], &mut State), HostCallError> {
        let memory = match self.caller.data().guest.memory {
            Some(memory) => memory,
            None => self.find_memory()?,
        };
        Ok(memory.data_and_store_mut(&mut *self.caller))
    }

    /// An empty buffer to be given back by [`Guest::give_scratch`] or [`Guest::keep_scratch`].
    pub(super) fn take_scratch(&mut self) -> Vec<u8> {
        let mut scratch = std::mem::take(&mut self.state().scratch);
        scratch.clear();
        scratch
    }

    /// Keeps a buffer for the next call.
    pub(super) fn keep_scratch(&mut self, scratch: Vec<u8>) {
        if scratch.capacity() <= KEPT_SCRATCH {
            self.state().scratch = scratch;
        }
    }

    /// Gives the guest what a scratch buffer holds, and keeps the buffer.
    pub(super) fn give_scratch(&mut self, scratch: Vec<u8>, out: OutBytes) -> Answer {
        let given = self.give(&scratch, out);
        self.keep_scratch(scratch);
        given
    }

    /// Gives the guest a copy of `bytes` in memory of its own and says where.
    ///
    /// No bytes are a null pointer and never an allocation of length 0, which Go guests panic on.
    pub(super) fn give(&mut self, bytes: &[u8], out: OutBytes) -> Answer {
        let len = u32::try_from(bytes.len()).map_err(|_| Status::InternalFailure)?;
        let ptr = self.allocate(len)?;
        let (memory, _) = self.parts()?;
        Region::new(ptr, len).fill(memory, bytes)?;
        Ok(out.write(memory, ptr, len)?)
    }

    /// Lets the guest allocate exactly `len` bytes, which belong to it from then on; 0 for none.
    pub(super) fn allocate(&mut self, len: u32) -> Result<u32, HostCallError> {
        if len == 0 {
            return Ok(0);
        }
        let allocator = match self.state().guest.allocator.take() {
            Some(allocator) => allocator,
            None => self.find_allocator()?,
        };
        let before = self.state().enter_phase(Phase::Allocating);
        let allocated = allocator.call(&mut *self.caller, len);
        let state = self.state();
        state.forbidden = before;
        state.guest.allocator = Some(allocator);
        let callback = state.running.callback;
        match allocated {
            Ok(0) => {
                state.note(
                    LogLevel::Error,
                    format_args!("its allocator has no {len} bytes"),
                );
                Err(Status::InternalFailure.into())
            }
            Ok(ptr) => Ok(ptr),
            Err(error) => Err(Fault::from_guest(callback, &error).into()),
        }
    }

    /// Only needed while the start function of a module runs; later the handle is cached.
    #[cold]
    fn find_memory(&mut self) -> Result<Memory, HostCallError> {
        let memory = self
            .caller
            .get_export("memory")
            .and_then(Extern::into_memory);
        Ok(memory.ok_or(Status::InternalFailure)?)
    }

    #[cold]
    fn find_allocator(&mut self) -> Result<TypedFunc<u32, u32>, HostCallError> {
        for name in ["proxy_on_memory_allocate", "malloc"] {
            if let Some(Extern::Func(function)) = self.caller.get_export(name)
                && let Ok(allocator) = function.typed(&*self.caller)
            {
                return Ok(allocator);
            }
        }
        Err(Status::InternalFailure.into())
    }
}
