//! What the log says of each request's trouble: once in a while, not for each.

use std::cell::Cell;

use tidegate_sdk::prelude::*;
use tidegate_sdk::time::Instant;

use crate::state::Context;

/// How long nothing more is said then.
const EVERY: Duration = Duration::from_secs(10);

/// One thing that a worker says once in 10 s.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Cell<Option<Instant>>);

impl Seldom {
    /// Whether to say it; after a yes, not for a while.
    pub(crate) fn may_say(&self, cx: &Context) -> bool {
        let now = cx.now();
        let may = self.0.get().is_none_or(|said| now.since(said) >= EVERY);
        if may {
            self.0.set(Some(now));
        }
        may
    }
}
