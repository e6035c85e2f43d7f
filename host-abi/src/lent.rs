//! The streams that an embedder lends for one outermost entry into the guest.
//!
//! Owns the one pointer that crosses wasmtime's store, and is the only module of this crate with
//! unsafe code. Store data must be `'static` and `Send`, the embedder's streams are neither: they
//! live on the caller's stack and may hold `Rc`s.
//!
//! Invariant: the pointer is set only inside [`lend`], whose frame holds the borrow it was made of,
//! and is cleared before that frame ends, also by a panic.

#![expect(
    unsafe_code,
    reason = "store data is 'static, lent streams are not; see the header"
)]

use std::fmt;
use std::ptr::NonNull;

use crate::stream::Streams;

/// A place in store data for lent streams; empty outside an entry.
#[derive(Default)]
pub(crate) struct Lent {
    /// Points at a `&mut dyn Streams` in the frame of [`lend`]. Thin, so that no lifetime of the
    /// trait object has to be claimed that it does not have.
    streams: Option<NonNull<()>>,
}

// SAFETY: The pointer is only non-empty while `lend` runs, and `lend` holds `&mut` of the owner of
// this value. So nobody can move it to another thread while there is something to reach through
// it; an empty `Lent` is plain data.
unsafe impl Send for Lent {}

impl Lent {
    /// Runs `visit` on the lent streams, or not at all if there are none.
    ///
    /// While `visit` runs there are none: a nested call finds the place empty, so that no second
    /// `&mut` to the same streams can exist.
    pub(crate) fn with<R>(&mut self, visit: impl FnOnce(&mut dyn Streams) -> R) -> Option<R> {
        let pointer = self.streams.take()?;
        // SAFETY: `lend` made the pointer from a `&mut &mut dyn Streams` of its frame, which is
        // still there because `lend` clears this place before it returns, and does not touch the
        // reference meanwhile. The pointer was taken out above, so this is the only reference.
        let streams: &mut &mut dyn Streams = unsafe { pointer.cast().as_mut() };
        let result = visit(*streams);
        self.streams = Some(pointer);
        Some(result)
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.streams.is_some() {
            "Lent(streams)"
        } else {
            "Lent(nothing)"
        })
    }
}

/// Runs `enter` while `streams` can be reached through the [`Lent`] that `place` finds in `owner`.
pub(crate) fn lend<O: ?Sized, R>(
    owner: &mut O,
    place: fn(&mut O) -> &mut Lent,
    mut streams: &mut dyn Streams,
    enter: impl FnOnce(&mut O) -> R,
) -> R {
    place(owner).streams = Some(NonNull::from(&mut streams).cast());
    let cleared = Clear { owner, place };
    enter(&mut *cleared.owner)
}

/// Empties the place at the end of an entry, whichever way that comes.
struct Clear<'a, O: ?Sized> {
    owner: &'a mut O,
    place: fn(&mut O) -> &mut Lent,
}

impl<O: ?Sized> Drop for Clear<'_, O> {
    fn drop(&mut self) {
        (self.place)(self.owner).streams = None;
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::stream::NoStreams;

    #[test]
    fn streams_are_there_only_during_the_entry() {
        let mut lent = Lent::default();
        assert!(lent.with(|_| ()).is_none());
        lend(
            &mut lent,
            |lent| lent,
            &mut NoStreams,
            |lent| assert!(lent.with(|_| ()).is_some()),
        );
        assert!(lent.with(|_| ()).is_none());
    }

    #[test]
    fn a_panic_leaves_nothing_lent() {
        let mut lent = Lent::default();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            lend(
                &mut lent,
                |lent| lent,
                &mut NoStreams,
                |lent| {
                    lent.with(|_| panic!("in a host call"));
                },
            );
        }));
        assert!(panicked.is_err());
        assert!(lent.with(|_| ()).is_none());
    }
}
