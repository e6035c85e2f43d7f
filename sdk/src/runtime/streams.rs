//! The streams of a module by their contexts: found in one step, however many there are.
//!
//! A table with open addressing. Streams that were deleted are kept for the next ones, a few: to
//! begin a stream allocates nothing then.

use std::rc::Rc;

use crate::runtime::root::Root;
use crate::runtime::stream::Stream;

/// Places at first: a power of two, as every later number is.
const LEAST: usize = 16;
/// Deleted streams that are kept at most.
const SPARE: usize = 64;
/// 2^32 divided by the golden ratio: numbers that are counted up are spread evenly by it, so that
/// runs of taken places stay short (Knuth, volume 3, 6.4).
const GOLDEN: u32 = 0x9e37_79b9;

/// Streams by context.
#[derive(Default)]
pub(crate) struct Streams {
    /// At most half of them are taken, so that a search meets a free one soon.
    places: Vec<Option<Rc<Stream>>>,
    taken: usize,
    spare: Vec<Rc<Stream>>,
}

impl Streams {
    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.taken
    }

    /// The stream with this context.
    #[inline]
    pub(crate) fn get(&self, context: u32) -> Option<&Rc<Stream>> {
        let mut at = self.home(context);
        loop {
            let stream = self.places.get(at)?.as_ref()?;
            if stream.id() == context {
                return Some(stream);
            }
            at = self.after(at);
        }
    }

    /// Begins a stream, in the place of one with the same context.
    pub(crate) fn begin(&mut self, context: u32, root: Rc<Root>, network: bool) {
        let stream = match self.spare.pop() {
            Some(mut spare) => match Rc::get_mut(&mut spare) {
                Some(stream) => {
                    stream.begin_again(context, root, network);
                    spare
                }
                None => Rc::new(Stream::new(context, root, network)),
            },
            None => Rc::new(Stream::new(context, root, network)),
        };
        if self.taken * 2 >= self.places.len() {
            self.grow();
        }
        if self.put(stream).is_none() {
            self.taken += 1;
        }
    }

    /// Takes a stream out.
    pub(crate) fn remove(&mut self, context: u32) -> Option<Rc<Stream>> {
        let mut free = self.home(context);
        while self.places.get(free)?.as_ref()?.id() != context {
            free = self.after(free);
        }
        let removed = self.places.get_mut(free)?.take();
        self.taken -= 1;
        // Those behind it that wanted its place, or one that is freed so, move up.
        let mut at = self.after(free);
        while let Some(Some(stream)) = self.places.get(at) {
            let home = self.home(stream.id());
            if self.distance(home, at) >= self.distance(free, at) {
                self.places.swap(free, at);
                free = at;
            }
            at = self.after(at);
        }
        removed
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

    #[cold]
    fn grow(&mut self) {
        let places = (self.places.len() * 2).max(LEAST);
        let before = std::mem::take(&mut self.places);
        self.places.resize(places, None);
        for stream in before.into_iter().flatten() {
            drop(self.put(stream));
        }
    }

    /// Puts a stream into the first free place from its own on, or that of its context.
    fn put(&mut self, stream: Rc<Stream>) -> Option<Rc<Stream>> {
        let context = stream.id();
        let mut at = self.home(context);
        loop {
            let place = self.places.get_mut(at)?;
            if place.as_ref().is_none_or(|it| it.id() == context) {
                return place.replace(stream);
            }
            at = self.after(at);
        }
    }

    const fn home(&self, context: u32) -> usize {
        let spread = context.wrapping_mul(GOLDEN).rotate_left(16);
        spread as usize & self.places.len().wrapping_sub(1)
    }

    const fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    /// How many places `to` is after `from`.
    const fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::Streams;
    use crate::runtime::root::Root;

    #[test]
    fn streams_are_found_whatever_else_comes_and_goes_and_whatever_places_they_share() {
        let root = Rc::new(Root::new(1, "test"));
        let mut streams = Streams::default();
        let mut model = std::collections::BTreeSet::new();
        let mut random = 7_u32;
        assert!(streams.get(0).is_none());
        assert!(streams.remove(0).is_none());
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Multiples of 8: many of them have the same place.
            let context = ((random >> 16) % 97) << 3;
            if random >> 31 == 0 {
                streams.begin(context, Rc::clone(&root), false);
                model.insert(context);
            } else {
                let removed = streams.remove(context);
                assert_eq!(removed.as_ref().map(|it| it.id()), model.take(&context));
                drop(removed.and_then(|it| streams.keep(it)));
            }
            assert_eq!(streams.len(), model.len());
            for at in (0..97).map(|it| it << 3) {
                assert_eq!(
                    streams.get(at).map(|it| it.id()),
                    model.contains(&at).then_some(at)
                );
            }
        }
    }
}
