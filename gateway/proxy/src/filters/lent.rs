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
use crate::tcp::stream::ConnectionCell;
use crate::tcp::view::ConnectionView;

/// The streams that an instance knows.
#[derive(Debug, Default)]
pub(crate) struct StreamTable(RefCell<HashMap<ContextId, StreamRef, BuildHasherDefault<IdHasher>>>);

/// One filter's part in one stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamRef {
    stream: Known,
    filter: usize,
}

/// What a context of a guest stands for.
#[derive(Debug, Clone)]
enum Known {
    Exchange(Rc<StreamCell>),
    Connection(Rc<ConnectionCell>),
}

/// A stream, as it is handed about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream<'a> {
    /// An HTTP exchange.
    Exchange(&'a Rc<StreamCell>),
    /// A connection that is passed on as bytes.
    Connection(&'a Rc<ConnectionCell>),
}

/// The stream that a callback is about: reached without a look-up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Current<'a> {
    pub(crate) context: ContextId,
    pub(crate) stream: Stream<'a>,
    pub(crate) filter: usize,
}

impl<'a> From<&'a Rc<StreamCell>> for Stream<'a> {
    fn from(stream: &'a Rc<StreamCell>) -> Self {
        Self::Exchange(stream)
    }
}

impl<'a> From<&'a Rc<ConnectionCell>> for Stream<'a> {
    fn from(stream: &'a Rc<ConnectionCell>) -> Self {
        Self::Connection(stream)
    }
}

impl Stream<'_> {
    /// Runs `visit` on the stream as that filter sees it.
    fn visit(self, filter: usize, visit: &mut dyn FnMut(&mut dyn StreamHost)) {
        match self {
            Self::Exchange(stream) => {
                let mut state = stream.state();
                visit(&mut FilterView {
                    state: &mut state,
                    filter,
                });
            }
            Self::Connection(stream) => {
                let mut state = stream.state();
                visit(&mut ConnectionView {
                    state: &mut state,
                    filter,
                });
            }
        }
    }
}

impl StreamRef {
    pub(crate) fn new(stream: Stream<'_>, filter: usize) -> Self {
        let stream = match stream {
            Stream::Exchange(stream) => Known::Exchange(Rc::clone(stream)),
            Stream::Connection(stream) => Known::Connection(Rc::clone(stream)),
        };
        Self { stream, filter }
    }

    fn stream(&self) -> Stream<'_> {
        match &self.stream {
            Known::Exchange(stream) => Stream::Exchange(stream),
            Known::Connection(stream) => Stream::Connection(stream),
        }
    }

    /// Lets whoever drives the stream look at what was asked for.
    pub(crate) fn wake(&self) {
        match &self.stream {
            Known::Exchange(stream) => stream.state().wake(),
            Known::Connection(stream) => stream.state().wake(),
        }
    }

    /// The copy of an exchange was kept from a call.
    pub(crate) fn deprive(&self) {
        if let Known::Exchange(stream) = &self.stream {
            stream.deprive();
        }
    }

    /// Whether the plugin at that place of its instance holds the stream back here.
    pub(crate) fn is_held_by(&self, place: usize) -> bool {
        match &self.stream {
            Known::Exchange(stream) => stream
                .try_state()
                .is_some_and(|state| state.is_held_by(self.filter, place)),
            Known::Connection(stream) => stream
                .try_state()
                .is_some_and(|state| state.is_held_by(self.filter, place)),
        }
    }
}

impl StreamTable {
    pub(crate) fn insert(&self, context: ContextId, known: StreamRef) {
        self.0.borrow_mut().insert(context, known);
    }

    pub(crate) fn get(&self, context: ContextId) -> Option<StreamRef> {
        self.0.borrow().get(&context).cloned()
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
            current.stream.visit(current.filter, visit);
            return true;
        }
        let Some(known) = self.table.get(context) else {
            return false;
        };
        known.stream().visit(known.filter, visit);
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
