//! The streams of a module by their contexts.
//!
//! Some that were deleted are kept for the next ones: to begin a stream allocates nothing then.

use std::rc::Rc;

use crate::runtime::ids::IdMap;
use crate::runtime::root::Root;
use crate::runtime::stream::Stream;

/// Deleted streams that are kept at most.
const SPARE: usize = 64;

/// Streams by context.
#[derive(Default)]
pub(crate) struct Streams {
    all: IdMap<Rc<Stream>>,
    spare: Vec<Rc<Stream>>,
}

impl Streams {
    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.all.len()
    }

    /// The stream with this context.
    #[inline]
    pub(crate) fn get(&self, context: u32) -> Option<&Rc<Stream>> {
        self.all.get(context)
    }

    /// Begins a stream; gives the one that had its context.
    pub(crate) fn begin(
        &mut self,
        context: u32,
        root: Rc<Root>,
        network: bool,
    ) -> Option<Rc<Stream>> {
        let spare = self.spare.pop().and_then(|mut spare| {
            Rc::get_mut(&mut spare)?.begin_again(context, &root, network);
            Some(spare)
        });
        let stream = spare.unwrap_or_else(|| Rc::new(Stream::new(context, root, network)));
        self.all.insert(context, stream)
    }

    /// Takes a stream out.
    pub(crate) fn remove(&mut self, context: u32) -> Option<Rc<Stream>> {
        self.all.remove(context)
    }

    /// Keeps a stream for another context, if nothing is left of its own; gives it back if not.
    #[inline]
    pub(crate) fn keep(&mut self, stream: Rc<Stream>) -> Option<Rc<Stream>> {
        if self.spare.len() < SPARE && Rc::strong_count(&stream) == 1 && stream.is_bare() {
            self.spare.push(stream);
            return None;
        }
        Some(stream)
    }

    /// Those that are kept, with the plugins that they belonged to.
    pub(crate) fn take_spare(&mut self) -> Vec<Rc<Stream>> {
        std::mem::take(&mut self.spare)
    }
}
