//! The streams of one instance, lent to it for one callback.
//!
//! Owns the way from a context id to its exchange. The stream that a callback is about is reached
//! without a look-up; others by the table of the instance.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;
use std::rc::Rc;

use tidegate_host_abi::ContextId;
use tidegate_host_abi::StreamHost;
use tidegate_host_abi::Streams;

use crate::exchange::state::StreamCell;
use crate::filters::view::FilterView;

/// The streams that an instance knows.
#[derive(Debug, Default)]
pub(crate) struct StreamTable(RefCell<HashMap<ContextId, StreamRef, BuildHasherDefault<IdHasher>>>);

/// One filter's part in one exchange.
#[derive(Debug, Clone)]
pub(crate) struct StreamRef {
    pub(crate) stream: Rc<StreamCell>,
    pub(crate) filter: usize,
}

/// The stream that a callback is about: reached without a look-up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Current<'a> {
    pub(crate) context: ContextId,
    pub(crate) stream: &'a Rc<StreamCell>,
    pub(crate) filter: usize,
}

impl StreamTable {
    pub(crate) fn insert(&self, context: ContextId, known: StreamRef) {
        self.0.borrow_mut().insert(context, known);
    }

    pub(crate) fn remove(&self, context: ContextId) {
        self.0.borrow_mut().remove(&context);
    }

    /// How many streams `is_counted` picks.
    pub(crate) fn count(&self, is_counted: impl Fn(&StreamRef) -> bool) -> usize {
        let streams = self.0.borrow();
        streams.values().filter(|known| is_counted(known)).count()
    }

    /// Forgets all streams and returns them.
    pub(crate) fn take_all(&self) -> Vec<StreamRef> {
        self.0
            .borrow_mut()
            .drain()
            .map(|(_, known)| known)
            .collect()
    }
}

/// The streams of one instance, lent to it for one callback.
pub(crate) struct Lent<'a> {
    pub(crate) table: &'a StreamTable,
    pub(crate) current: Option<Current<'a>>,
}

impl Streams for Lent<'_> {
    fn with_stream(
        &mut self,
        context: ContextId,
        visit: &mut dyn FnMut(&mut dyn StreamHost),
    ) -> bool {
        if let Some(current) = self.current
            && current.context == context
        {
            let mut state = current.stream.state();
            visit(&mut FilterView {
                state: &mut state,
                filter: current.filter,
            });
            return true;
        }
        let known = self.table.0.borrow().get(&context).cloned();
        let Some(known) = known else { return false };
        let mut state = known.stream.state();
        visit(&mut FilterView {
            state: &mut state,
            filter: known.filter,
        });
        true
    }
}

/// Context ids are small numbers, given out in order: they are their own hash.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // The table takes its control byte from the top bits.
        self.0 ^ self.0 << 57
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = u64::from(number);
    }
}
