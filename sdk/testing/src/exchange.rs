//! One exchange under way.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::answer::{Answer, End};
use crate::fail;
use crate::fields::Fields;
use crate::harness::Core;

/// An exchange that a test leads step by step. Dropping it before its end is a client that goes
/// away.
#[must_use = "a client that drops its exchange has gone away"]
pub struct Exchange {
    core: Rc<RefCell<Core>>,
    number: u32,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    pub(crate) const fn new(core: Rc<RefCell<Core>>, number: u32) -> Self {
        Self { core, number }
    }

    /// Sends a part of the body.
    pub fn chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let mut core = self.core.borrow_mut();
        core.driver.chunk(self.number, bytes.as_ref());
        core.driver.settle();
    }

    /// Ends the body.
    pub fn end(&mut self) {
        self.finish_request(&Fields::default());
    }

    /// Ends the body with trailers.
    pub fn end_with_trailers<'a>(
        &mut self,
        trailers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        let mut fields = Fields::default();
        for (name, value) in trailers {
            fields.add(name, value.as_bytes());
        }
        self.finish_request(&fields);
    }

    fn finish_request(&self, trailers: &Fields) {
        let mut core = self.core.borrow_mut();
        core.driver.end(self.number, trailers);
        core.driver.settle();
    }

    /// The client goes away.
    pub fn disconnect(self) {}

    /// Another filter, or a time-out of the host, answers with `status` in the place of whatever
    /// this exchange waits for.
    ///
    /// # Panics
    /// In modes other than `native`.
    #[track_caller]
    pub fn answer_elsewhere(&mut self, status: u16) {
        let mut core = self.core.borrow_mut();
        if let Err(why) = core.driver.answer_elsewhere(self.number, status) {
            fail(&why);
        }
        core.driver.settle();
    }

    /// What came of the answer so far.
    #[must_use]
    pub fn so_far(&self) -> Answer {
        self.core.borrow_mut().answer(self.number)
    }

    /// Waits for the headers of the answer.
    ///
    /// # Panics
    /// If none will come.
    #[track_caller]
    pub fn wait_for_headers(&mut self) -> Answer {
        self.wait("the headers of the answer", |answer| {
            answer.has_begun() || answer.end != End::Pending
        })
    }

    /// Waits until this much of the answer's body is there.
    ///
    /// # Panics
    /// If it will not come.
    #[track_caller]
    pub fn wait_for_body(&mut self, bytes: usize) -> Answer {
        self.wait("a part of the answer's body", |answer| {
            answer.body.len() >= bytes || answer.end != End::Pending
        })
    }

    /// Waits for the end of the answer.
    ///
    /// # Panics
    /// If it will never come.
    #[track_caller]
    pub fn finish(mut self) -> Answer {
        self.wait("the answer", |answer| answer.end != End::Pending)
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

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Ok(mut core) = self.core.try_borrow_mut() {
            core.leave(self.number);
        }
    }
}
