//! Limits that this gateway keeps: by the host where it can, else in the shared data.

mod gcra;
mod slots;

use std::cell::Cell;
use std::cell::OnceCell;

use tidegate_sdk::limit;
use tidegate_sdk::limit::Mode;
use tidegate_sdk::limit::Taken;
use tidegate_sdk::prelude::*;

use super::Answered;
use super::Ask;
use super::Standing;
use super::Store;
use super::Unavailable;
use super::Verdict;
use crate::state::Context;

/// The limits of this gateway.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// This host keeps no limits: it need not be asked again.
    by_ourselves: Cell<bool>,
    /// Whose counts these are there: the plugin's name.
    plugin: OnceCell<String>,
}

impl Local {
    /// Asks all limits at once; it answers at once, too.
    pub(crate) fn ask(&self, cx: &Context, mode: Mode, asks: &[Ask<'_>]) -> Answered<Vec<Verdict>> {
        let failed = |error: Error| Unavailable(error.to_string());
        if !self.by_ourselves.get() {
            let asked = asks.iter().map(Ask::of_host);
            if let Some(answers) = limit::ask(mode, asked).map_err(failed)? {
                return Ok(verdicts(asks, answers.iter()));
            }
            self.by_ourselves.set(true);
        }
        let name = || cx.property(&["plugin_name"]).unwrap_or_default();
        let taken = slots::ask(cx, self.plugin.get_or_init(name), mode, asks).map_err(failed)?;
        Ok(verdicts(asks, taken.into_iter()))
    }
}

fn verdicts(asks: &[Ask<'_>], taken: impl Iterator<Item = Taken>) -> Vec<Verdict> {
    let both = asks.iter().zip(taken);
    both.map(|(ask, taken)| ask.verdict(taken)).collect()
}

impl Ask<'_> {
    fn of_host(&self) -> limit::Ask<'_> {
        limit::Ask {
            rate: self.limit.rate,
            cost: self.cost,
            key: self.key.as_bytes(),
        }
    }

    fn verdict(&self, taken: Taken) -> Verdict {
        Verdict {
            admitted: taken.admitted,
            name: None,
            standing: Some(Standing {
                rate: self.limit.rate,
                remaining: taken.remaining,
                wait: taken.wait,
                full: taken.full,
            }),
        }
    }
}

impl Store for Local {
    async fn take(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<Vec<Verdict>> {
        self.ask(cx, Mode::Take, asks)
    }

    fn charge(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<()> {
        self.ask(cx, Mode::Charge, asks).map(drop)
    }

    fn refund(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<()> {
        self.ask(cx, Mode::Refund, asks).map(drop)
    }
}
