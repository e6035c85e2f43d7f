//! The room that the uploads of one client connection have.
//!
//! Owns the connection's window. What streams hold because their origins do not take it is given
//! back to it, so that they hold up nobody else; what all connections of a worker are given so is
//! bounded. Past that, a connection has its own window for all its streams.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;

use h2::FlowControl;
use slab::Slab;

/// Bytes that all streams of a connection may have under way towards us, beside those that are held.
pub(super) const WINDOW: u32 = 1024 * 1024;
/// What connections of one worker are given beyond that, all of them together.
const SHARED: u32 = 64 * 1024 * 1024;
/// In what steps: a stream that flows holds less.
const STEP: u32 = 256 * 1024;
/// So many bytes come in between two looks.
const LOOK_EVERY: u64 = 64 * 1024;

/// What connections of one worker may still be given.
#[derive(Debug, Clone)]
pub(crate) struct SharedRoom(Rc<Cell<u32>>);

impl Default for SharedRoom {
    fn default() -> Self {
        Self(Rc::new(Cell::new(SHARED)))
    }
}

/// The room of one connection.
#[derive(Debug)]
pub(super) struct Room {
    uploads: Rc<RefCell<Slab<FlowControl>>>,
    shared: SharedRoom,
    given: u32,
    looked_at: u64,
}

/// An upload that may hold some.
#[derive(Debug)]
pub(super) struct Upload {
    uploads: Rc<RefCell<Slab<FlowControl>>>,
    key: usize,
}

impl Room {
    pub(super) fn new(shared: SharedRoom) -> Self {
        Self {
            uploads: Rc::default(),
            shared,
            given: 0,
            looked_at: 0,
        }
    }

    /// Looks after an upload until the guard is dropped.
    pub(super) fn enter(&self, flow: FlowControl) -> Upload {
        Upload {
            key: self.uploads.borrow_mut().insert(flow),
            uploads: Rc::clone(&self.uploads),
        }
    }

    /// The connection's new window, if it changes, once so many bytes of all uploads have come, or
    /// when one of them has `ended`.
    pub(super) fn look(&mut self, came: u64, ended: bool) -> Option<u32> {
        let due = came.saturating_sub(self.looked_at) >= LOOK_EVERY;
        if !(due || (ended && self.given > 0)) {
            return None;
        }
        self.looked_at = came;
        let uploads = self.uploads.borrow();
        let held: usize = uploads.iter().map(|(_, flow)| flow.used_capacity()).sum();
        drop(uploads);
        self.give(u32::try_from(held).unwrap_or(u32::MAX))
    }

    fn give(&mut self, held: u32) -> Option<u32> {
        let shared = &self.shared.0;
        let left = shared.get() + self.given;
        let give = (held / STEP * STEP).min(left / STEP * STEP);
        if give == self.given {
            return None;
        }
        shared.set(left - give);
        self.given = give;
        Some(WINDOW + give)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give(0);
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // The handle is the stream's last one, perhaps: it must not be dropped while it is borrowed.
        let flow = self.uploads.borrow_mut().try_remove(self.key);
        drop(flow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back_in_steps_and_returned() {
        let shared = SharedRoom::default();
        let mut room = Room::new(shared.clone());
        assert_eq!(room.give(STEP - 1), None);
        assert_eq!(room.give(4 * STEP + 1), Some(WINDOW + 4 * STEP));
        assert_eq!(room.give(4 * STEP + 2), None);
        assert_eq!(room.give(STEP), Some(WINDOW + STEP));
        assert_eq!(shared.0.get(), SHARED - STEP);
        drop(room);
        assert_eq!(shared.0.get(), SHARED);
    }

    #[test]
    fn connections_share_what_there_is_to_give() {
        let shared = SharedRoom::default();
        let mut rooms: Vec<Room> = (0..4).map(|_| Room::new(shared.clone())).collect();
        let given: Vec<_> = rooms.iter_mut().map(|room| room.give(100 * STEP)).collect();
        let all = Some(WINDOW + 100 * STEP);
        assert_eq!(given, [all, all, Some(WINDOW + 56 * STEP), None]);
        rooms.remove(0);
        assert_eq!(rooms[2].give(100 * STEP), all);
    }
}
