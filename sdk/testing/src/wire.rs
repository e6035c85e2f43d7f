//! One connection through a network filter.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::answer::{Answer, End};
use crate::fail;
use crate::fields::Fields;
use crate::harness::Core;

/// A connection that a test leads as its client. Dropping it is a client that goes away.
#[must_use = "a client that drops its connection has gone away"]
pub struct Wire {
    core: Rc<RefCell<Core>>,
    number: u32,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Wire {
    pub(crate) const fn new(core: Rc<RefCell<Core>>, number: u32) -> Self {
        Self { core, number }
    }

    /// Sends bytes, cut as the harness says.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let mut core = self.core.borrow_mut();
        for part in core.cut(&[bytes.as_ref().to_vec()]) {
            core.driver.chunk(self.number, &part);
            core.driver.settle();
        }
    }

    /// Sends no more; answers still come.
    pub fn end(&mut self) {
        let mut core = self.core.borrow_mut();
        core.driver.end(self.number, &Fields::default());
        core.driver.settle();
    }

    /// What has come so far.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.so_far().body
    }

    /// Whether the other side has closed the connection by now.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.so_far().end != End::Pending
    }

    /// Waits until this many bytes have come, and returns all there are.
    ///
    /// # Panics
    /// If they will not come.
    #[track_caller]
    pub fn wait_for(&mut self, bytes: usize) -> Vec<u8> {
        let answer = self.wait("bytes", |answer| {
            answer.body.len() >= bytes || answer.end != End::Pending
        });
        if answer.body.len() < bytes {
            fail(&format!(
                "the connection was closed after {} of {bytes} bytes",
                answer.body.len()
            ));
        }
        answer.body
    }

    /// Waits until the other side closes the connection, and returns all that came.
    ///
    /// # Panics
    /// If it never will.
    #[track_caller]
    pub fn finish(mut self) -> Vec<u8> {
        self.wait("the end of the connection", |answer| {
            answer.end != End::Pending
        })
        .body
    }

    /// The client goes away.
    pub fn disconnect(self) {}

    fn so_far(&self) -> Answer {
        self.core.borrow_mut().answer(self.number)
    }

    #[track_caller]
    fn wait(&mut self, what: &str, holds: impl Fn(&Answer) -> bool) -> Answer {
        // The borrow ends here: whoever fails drops this, which needs it.
        let waited = self.core.borrow_mut().answer_when(self.number, what, holds);
        match waited {
            Ok(answer) => answer,
            Err(why) => fail(&why),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Ok(mut core) = self.core.try_borrow_mut() {
            core.leave(self.number);
        }
    }
}
