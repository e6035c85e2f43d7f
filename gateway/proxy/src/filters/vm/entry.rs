//! Entering the guest, and the contexts of streams.
//!
//! Owns that a fault is acted on once, where it happened.

use std::rc::Rc;

use tidegate_host_abi::ContextId;
use tidegate_host_abi::Fault;
use tidegate_host_abi::Instance;
use tidegate_host_abi::Streams;

use crate::filters::lent::Current;
use crate::filters::lent::Lent;
use crate::filters::lent::Stream;
use crate::filters::lent::StreamRef;
use crate::filters::vm::Vm;

/// Why a guest was not entered, or did not come back well. Logged where it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EnterError {
    /// There is no instance now, or its breaker is open.
    Absent,
    /// The guest was ended.
    Faulted,
}

impl Vm {
    /// Runs one callback of the guest and then what it asked for.
    pub(crate) fn enter<R>(
        self: &Rc<Self>,
        current: Option<Current<'_>>,
        call: impl FnOnce(&mut Instance, &mut dyn Streams) -> Result<R, Fault>,
    ) -> Result<R, EnterError> {
        let mut active = self.active.borrow_mut();
        let instance = active.as_mut().ok_or(EnterError::Absent)?;
        let mut streams = Lent {
            table: &self.streams,
            current,
        };
        let begun = self.clock();
        let called = call(instance, &mut streams);
        if let Some(begun) = begun {
            self.spend(begun);
        }
        match called {
            Ok(value) => {
                let has_wishes = instance.has_wishes();
                drop(active);
                if has_wishes || self.renew.get() {
                    self.settle();
                }
                Ok(value)
            }
            Err(fault) => {
                drop(active);
                self.on_fault(&fault);
                Err(EnterError::Faulted)
            }
        }
    }

    /// A stream context of the plugin at `place`.
    pub(crate) fn create_stream(
        self: &Rc<Self>,
        place: usize,
        stream: Stream<'_>,
        filter: usize,
    ) -> Result<ContextId, EnterError> {
        let root = self.root(place).ok_or(EnterError::Absent)?;
        let context = self.enter(None, |instance, streams| {
            instance.create_stream(streams, root)
        })?;
        self.streams.insert(context, StreamRef::new(stream, filter));
        Ok(context)
    }

    /// Ends a stream context: done, log, delete.
    pub(crate) fn finish_stream(
        self: &Rc<Self>,
        context: ContextId,
        generation: u64,
        stream: Stream<'_>,
        filter: usize,
    ) {
        if generation != self.generation() {
            return; // It ended with its instance.
        }
        let current = Current {
            context,
            stream,
            filter,
        };
        let finished = self.enter(Some(current), |instance, streams| {
            instance.finish_stream(streams, context)
        });
        self.streams.remove(context);
        if finished.is_ok() {
            self.breaker.borrow_mut().on_success();
        }
    }
}
