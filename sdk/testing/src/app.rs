//! The application behind the filter, to look at.

use crate::fail;
use crate::observed::Seen;
use crate::reply::Received;

/// The application behind the filter.
#[derive(Clone, Copy)]
pub struct App<'a>(&'a Seen);

impl std::fmt::Debug for App<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.requests()).finish()
    }
}

impl<'a> App<'a> {
    pub(crate) const fn of(seen: &'a Seen) -> Self {
        Self(seen)
    }

    /// The requests that came through, in order. One that is under way is there, too.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.0.with(|seen| seen.app.clone())
    }

    /// The only request that came through.
    ///
    /// # Panics
    /// If it was not exactly one.
    #[must_use]
    #[track_caller]
    pub fn request(&self) -> Received {
        let mut requests = self.requests();
        match (requests.pop(), requests.len()) {
            (Some(request), 0) => request,
            (None, _) => fail("no request came through to the application"),
            (Some(_), more) => fail(&format!(
                "{} requests came through to the application",
                more + 1
            )),
        }
    }
}
