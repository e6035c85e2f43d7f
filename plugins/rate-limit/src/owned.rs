//! An ask that outlives its request.

use crate::descriptor::Entry;
use crate::key::Key;
use crate::state::Context;
use crate::store::Ask;

/// What a limit is asked, without the limit.
#[derive(Debug)]
pub(crate) struct Owned {
    index: usize,
    key: Key,
    entries: Vec<Entry>,
    cost: u64,
}

impl Owned {
    /// It, without the limit.
    pub(crate) fn of(ask: Ask<'_>) -> Self {
        let Ask {
            index,
            key,
            entries,
            cost,
            limit: _,
        } = ask;
        Self {
            index,
            key,
            entries,
            cost,
        }
    }

    /// The place of its limit in the configuration.
    pub(crate) const fn index(&self) -> usize {
        self.index
    }

    /// It, with the limit; the configuration is that with which it was made.
    pub(crate) fn ask<'c>(&self, cx: &'c Context) -> Option<Ask<'c>> {
        Some(Ask {
            limit: cx.config.limits.get(self.index)?,
            index: self.index,
            key: self.key.clone(),
            entries: self.entries.clone(),
            cost: self.cost,
        })
    }
}
